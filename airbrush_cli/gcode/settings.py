"""The settings of a controller, as its `$$` prints them."""

from __future__ import annotations

import re

from pydantic import ValidationError

from airbrush_cli.errors import InputError
from airbrush_cli.schemas.machine import GrblSettings

_LINE = re.compile(r"\$(\d+)\s*=\s*(-?\d*\.?\d+)\s*(\(.*\)|;.*)?")
# What a terminal's log has around the settings.
_CHATTER = re.compile(r"(ok|Grbl .*|\[.*\]|<.*>|>.*|\$\$|;.*)?", re.IGNORECASE)


def parse(text: str, source: str, base: GrblSettings) -> GrblSettings:
    """Read what `$$` printed.

    Args:
        text: `$110=6000` a line, with or without GRBL 0.9's explanations, in a terminal's log if need be.
        source: name of the file, for errors.
        base: the settings that the text may leave out. Numbers that do not matter to time and limits are passed over.

    Raises:
        InputError: a line is something else, or a value is out of range.
    """
    known = {field.alias: name for name, field in GrblSettings.model_fields.items()}
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        match = _LINE.fullmatch(line)
        if match:
            key = f"${int(match[1])}"
            if key in known:
                found[key], lines[key] = match[2], number
        elif not _CHATTER.fullmatch(line):
            raise InputError(f"{source}:{number}: must have the form $110=6000 (found {line[:40]})")
    if not found and not any(_LINE.fullmatch(line.strip()) for line in text.splitlines()):
        raise InputError(f"{source}: no settings in it; it should hold what the controller's $$ prints")
    try:
        values = {key: float(value) for key, value in found.items()}
        return GrblSettings.model_validate({**base.model_dump(by_alias=True), **values})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = str(detail["loc"][0])
        raise InputError(f"{source}:{lines[key]}: {key}: {detail['msg'][:1].lower()}{detail['msg'][1:]}") from None
