"""A G-code program under construction: words only where they change, comments that GRBL takes, lines it can hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.gcode import macros
from airbrush_cli.schemas.machine import Machine

# GRBL holds 79 characters of a line, comments and spaces not counted; 80 with them is what senders and people expect.
MAX_LINE = 80

_WORD = re.compile(r"([XYZF])\s*([-+]?[0-9]*\.?[0-9]+)", re.IGNORECASE)
# Commands after which the words of a line do not tell where the tool is.
_ELSEWHERE = re.compile(r"G\s*(10|28|30|38|53|91|92)", re.IGNORECASE)
_COMMENT = re.compile(r"\([^)]*\)?|;.*")


def decimals(machine: Machine) -> int:
    """Return the digits behind the point that tell every motor step apart."""
    axes = machine.grbl.steps_per_mm if machine.has_z else machine.grbl.steps_per_mm[:2]
    return min(max(1, math.ceil(math.log10(2.0 * max(axes)))), 5)


def safe_comment(text: str) -> str:
    """Return `text` in characters that GRBL ignores inside a comment.

    It takes `!`, `~` and `?` for commands wherever they stand, and so every byte beyond ASCII.
    """
    return re.sub(r"[^ -~]|[!?~()]", "_", text)


class Program:
    """Collects the lines of one file and knows where the tool is."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.lines: list[str] = []
        self._decimals = decimals(machine)
        self._position: list[float] = [math.nan] * 3
        self._feed = ""
        self._places = macros.places(machine)

    def text(self) -> str:
        """Return the file's text."""
        return "\n".join(self.lines) + "\n"

    def comment(self, text: str) -> None:
        """Add a comment, over several lines where it is long."""
        words = safe_comment(text)
        width = MAX_LINE - 2
        self.lines += [f"; {words[start : start + width]}" for start in range(0, max(len(words), 1), width)]

    def code(self, line: str) -> None:
        """Add a line as it is."""
        self.lines.append(line)

    def macro(self, text: str | None, values: Mapping[str, float] | None = None) -> None:
        """Add a macro's lines, and follow where they take the tool."""
        for line in macros.expand(text or "", {**self._places, **(values or {})}):
            self.lines.append(line)
            words = _COMMENT.sub("", line)
            if _ELSEWHERE.search(words):
                self._position = [math.nan] * 3
                continue
            for letter, number in _WORD.findall(words):
                if letter.upper() == "F":
                    self._feed = ""
                else:
                    self._position["XYZ".index(letter.upper())] = float(number)

    def round(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Round coordinates to what will be written."""
        return np.round(values, self._decimals) + 0.0

    def rapid(self, x: float | None = None, y: float | None = None, z: float | None = None) -> None:
        """Travel in one straight move; axes that are None or already there are left out."""
        words = self._axis_words((x, y, z))
        if words:
            self._move("G0", words)

    def travel(self, x: float, y: float, z: float) -> None:
        """Travel, at least at the machine's travel height."""
        if not self.machine.has_z:
            self.rapid(x, y)
            return
        high = self.machine.travel_z_mm
        if not self._position[2] >= high:
            self.rapid(z=high)
        self.rapid(x, y, max(z, high))
        self.rapid(z=z)

    def paint(self, points: Sequence[Sequence[float]], feeds: Sequence[float]) -> None:
        """Move along (N, 3) rounded points, the first of which is where the tool is, at (N - 1,) feeds in mm/min."""
        for point, feed in zip(points[1:], feeds, strict=True):
            words = self._axis_words(tuple(point))
            if words:
                shown = f"F{feed:.1f}".removesuffix(".0")
                self._move("G1", words + ("" if shown == self._feed else f" {shown}"))
                self._feed = shown

    def _axis_words(self, target: Sequence[float | None]) -> str:
        words = ""
        for axis, value in enumerate(target[: 3 if self.machine.has_z else 2]):
            if value is not None and value != self._position[axis]:
                self._position[axis] = value
                shown = f"{value:.{self._decimals}f}".rstrip("0").rstrip(".")
                words += f" {'XYZ'[axis]}{'0' if shown == '-0' else shown}"
        return words

    def _move(self, motion: str, words: str) -> None:
        self.lines.append(motion + words)
