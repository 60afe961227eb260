"""Macros: small files of G-code with placeholders such as `{purge_x}`, filled in where the writer needs them."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from airbrush_cli import files
from airbrush_cli.errors import InputError
from airbrush_cli.gcode import interpreter, reader
from airbrush_cli.schemas.machine import Machine

MAX_BYTES = 64_000

# Modal state that the writer relies on.
_LASTING = (
    interpreter.PLANE,
    interpreter.RELATIVE,
    interpreter.INVERSE,
    interpreter.INCHES,
    interpreter.SYSTEM,
    interpreter.TOOL,
)

PLACEHOLDERS = {
    "c": "cyan ink of the stroke, 0 to 1",
    "m": "magenta ink",
    "y": "yellow ink",
    "purge_x": "middle of the purge zone, mm",
    "purge_y": "middle of the purge zone, mm",
    "purge_z": "middle of the purge zone, mm",
    "purge_top": "upper end of the purge zone, mm",
    "travel_z": "least height while travelling, mm",
    "pen_up": "height of the lifted pen, mm",
    "pen_down": "height of the drawing pen, mm",
    "park_x": "parking place, mm",
    "park_y": "parking place, mm",
    "park_z": "parking place, mm",
}


@dataclass(frozen=True)
class Macros:
    """The texts of a machine's macros; None for those that it does not have."""

    start: str | None = None
    end: str | None = None
    purge: str | None = None
    mix: str | None = None
    air_on: str | None = None
    air_off: str | None = None
    pen_up: str | None = None
    pen_down: str | None = None


def load(machine: Machine, folder: Path) -> Macros:
    """Read a machine's macro files.

    Args:
        machine: the profile.
        folder: the folder of the profile's file, which `include_dir` is relative to.

    Raises:
        InputError: a file is missing, is not ASCII text, has an unknown placeholder, or lines that GRBL refuses.
    """
    texts: dict[str, str] = {}
    for field in fields(Macros):
        name = getattr(machine.macros, field.name)
        if name is not None:
            path = folder / machine.macros.include_dir / name
            texts[field.name] = _read(path)
            _check(texts[field.name], machine, path)
    return Macros(**texts)


def _check(text: str, machine: Machine, path: Path) -> None:
    """Let GRBL's reader read a macro as it will stand in a file."""
    lines = expand(text, {**places(machine), "c": 0.5, "m": 0.5, "y": 0.5}, str(path))
    data = "\n".join(["G21 G90 G94", *lines]) + "\n"
    reading = reader.read(data.encode("ascii"), reader.settings_table(machine.grbl))
    for line, code, _ in reading.errors.tolist():
        raise InputError(f"{path}:{line - 1}: {reader.ERRORS[code]} (error:{code}): {lines[line - 2]}")
    if reading.modal[list(_LASTING)].any():
        raise InputError(f"{path}: must leave G17, G21, G54, G90 and G94 in force, as it finds them")
    for number, line in enumerate(lines, 1):
        if not machine.has_z and re.search(r"Z", re.sub(r"\([^)]*\)?|;.*", "", line), re.IGNORECASE):
            raise InputError(f"{path}:{number}: has a Z word, but the machine has no Z axis (work_area_mm.z is 0)")


def _read(path: Path) -> str:
    data = files.read_bytes(path, MAX_BYTES)
    if not data.isascii():
        raise InputError(f"{path}: not ASCII text: GRBL takes other bytes for commands of their own")
    text = data.decode("ascii")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            parts = list(string.Formatter().parse(line))
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        for _, name, form, conversion in parts:
            if name is not None and (name not in PLACEHOLDERS or form or conversion):
                raise InputError(
                    f"{path}:{number}: {{{name}}}: unknown placeholder; known are {', '.join(PLACEHOLDERS)}"
                )
    return text


def places(machine: Machine) -> dict[str, float]:
    """Return the values of all placeholders that do not depend on a stroke."""
    values = {
        "travel_z": machine.travel_z_mm,
        "pen_up": machine.pen.up_mm,
        "pen_down": machine.pen.down_mm,
        "park_x": machine.park_mm.x,
        "park_y": machine.park_mm.y,
        "park_z": machine.park_mm.z,
    }
    if machine.safety.purge_zone_mm:
        zone = machine.safety.purge_zone_mm
        values |= dict(zip(("purge_x", "purge_y", "purge_z"), zone.centre, strict=True), purge_top=zone.z[1])
    return values


def expand(text: str, values: Mapping[str, float], source: str = "macro") -> list[str]:
    """Return a macro's lines with every placeholder filled in.

    Args:
        text: the macro.
        values: of the placeholders.
        source: its name, for errors.

    Raises:
        InputError: a placeholder has no value, such as `{purge_x}` without a purge zone.
    """
    shown = {name: f"{value:.3f}".rstrip("0").rstrip(".") for name, value in values.items()}
    try:
        return text.format_map(shown).splitlines()
    except KeyError as error:
        raise InputError(f"{source}: {{{error.args[0]}}} has no value on this machine: it has no purge zone") from error
