"""The look-up tables that a job was painted with: what paint reaches, and what a replay shows, depend on them."""

from __future__ import annotations

from pathlib import Path

from airbrush_cli import config, documents
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.luts import PhysicsConfig
from airbrush_cli.twin.luts import Luts, load_luts, luts_path


def luts_of(made_with: str | None, physics: Path | None, what: str) -> Luts:
    """Load the look-up tables of a job.

    Args:
        made_with: SHA-256 of the tables that it was painted with; None if that is not known, or there is no job.
        physics: the twin's settings, which name the tables; None for the shipped ones.
        what: name of the job's file, for errors.

    Raises:
        InputError: the tables cannot be read, or are not those.
    """
    path = physics or config.shipped("sim/physics_v1")
    luts = load_luts(luts_path(documents.load(path, PhysicsConfig), path))
    if made_with and made_with != luts.sha256:
        raise InputError(
            f"{what}: painted with other look-up tables ({made_with[:12]}…) than those of {path.name} "
            f"({luts.sha256[:12]}…); name the twin's settings that it was painted with: --physics FILE"
        )
    return luts
