"""A machine as it was read: its profile, its macros, and the profile of the machine that a job is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airbrush_cli import config, documents, files
from airbrush_cli.errors import InputError
from airbrush_cli.gcode import macros
from airbrush_cli.gcode.macros import Macros
from airbrush_cli.job import JobFolder
from airbrush_cli.schemas.machine import Machine


@dataclass(frozen=True)
class Profile:
    """What G-code is written for.

    Attributes:
        path: of the profile's file.
        name: for people, and for manifests.
        data: the profile's file.
        machine: what it says.
        macros: the texts of its macros; None for the copy that a job brings along, which is without them.
    """

    path: Path
    name: str
    data: bytes
    machine: Machine
    macros: Macros | None

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read a profile and its macros.

        Raises:
            InputError: one of the files cannot be used.
        """
        machine = documents.load(path, Machine)
        data = files.read_bytes(path, documents.MAX_BYTES)
        return cls(path, path.stem.removeprefix("machine_"), data, machine, macros.load(machine, path.parent))

    @classmethod
    def of(cls, folder: JobFolder) -> Profile:
        """Read the profile that a job's G-code was written for: the job's copy, or a shipped one."""
        copy, name = folder.job.artifacts.machine_profile_out, folder.job.machine_profile
        if not copy:
            return cls.load(config.shipped(f"machine_{name.replace('.', '_')}"))
        path = folder.path(copy)
        return cls(path, name, files.read_bytes(path, documents.MAX_BYTES), documents.load(path, Machine), None)

    def texts(self) -> Macros:
        """Return the macros.

        Raises:
            InputError: there are none.
        """
        if self.macros is None:
            raise InputError(
                f"{self.path}: a copy without its macros, since {self.name} is none of the shipped machines; name its "
                "profile with --machine"
            )
        return self.macros

    def is_shipped(self) -> bool:
        """Whether it is, to the byte, the shipped one of its name."""
        try:
            return config.shipped(f"machine_{self.name}").read_bytes() == self.data
        except InputError:
            return False
