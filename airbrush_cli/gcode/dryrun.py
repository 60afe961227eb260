"""The dry run: what a controller will make of a file, how long it takes, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from airbrush_cli.gcode import grbl, moves, planner, reader, violations
from airbrush_cli.schemas.machine import GrblSettings, Machine

# Entries that a report lists of errors and of violations; it counts all.
LISTED = 1000

_NO_FEED = 22


@dataclass(frozen=True)
class Report:
    """The outcome of a dry run; lengths in mm, times in s."""

    file: str
    lines: int
    seconds: float
    seconds_by_kind: dict[str, float]
    length_mm: dict[str, float]
    ink_mm: dict[str, float]
    bounds_mm: dict[str, list[float]] | None
    errors: list[dict[str, Any]]
    error_count: int
    violations: list[dict[str, Any]]
    violation_count: int
    strokes: int
    last_stroke_id: str | None
    peak_lines_per_s: float
    warnings: list[str]

    @property
    def ok(self) -> bool:
        """Whether the controller takes every line and nothing is violated."""
        return not self.error_count and not self.violation_count

    def to_data(self) -> dict[str, Any]:
        """Return plain data for YAML."""
        return {
            "file": self.file,
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "seconds_by_kind": {kind: round(value, 3) for kind, value in self.seconds_by_kind.items()},
            "length_mm": {kind: round(value, 3) for kind, value in self.length_mm.items()},
            "ink_mm": {ink: round(value, 3) for ink, value in self.ink_mm.items()},
            "bounds_mm": self.bounds_mm,
            "lines": self.lines,
            "strokes": self.strokes,
            "last_stroke_id": self.last_stroke_id,
            "peak_lines_per_s": round(self.peak_lines_per_s, 1),
            "error_count": self.error_count,
            "errors": self.errors,
            "violation_count": self.violation_count,
            "violations": self.violations,
            "warnings": self.warnings,
        }


def check(data: bytes, machine: Machine, settings: GrblSettings | None = None, file: str = "-") -> Report:
    """Read, plan and check one file.

    Painting is what moves at a feed (G1, G2, G3), travelling what moves rapidly (G0); what lies between the writer's
    purge marker and the next stroke's is purging.

    Args:
        data: its bytes, whatever they are.
        machine: the profile; its work area, zones and feeds are what the moves are checked against.
        settings: the controller's settings in place of the profile's.
        file: the name that the report gives it.
    """
    controller = settings or machine.grbl
    table = reader.settings_table(controller)
    reading = reader.read(data, table, LISTED)
    moving, standing = planner.plan(reading.codes, reading.values, table)
    rows = moves.of(reading)
    purging = rows.purges
    drawing, travelling = rows.feeds & ~purging, (rows.kind == grbl.RAPID) & ~purging

    xy, z = machine.feeds.max_xy_mm_s * 60.0, machine.feeds.max_z_mm_s * 60.0
    max_rate = np.minimum(controller.max_rate, (xy, xy, z))
    found, count = violations.of_moves(rows, machine, max_rate, LISTED)
    bytes_found, bytes_count = violations.of_bytes(data, LISTED)
    errors = _describe_errors(data, reading)
    without_feed = [
        (e["line"], "no_feed", "a move at a feed before any feed is set") for e in errors if e["code"] == _NO_FEED
    ]
    listed = sorted(found + bytes_found + without_feed)[:LISTED]

    ink = reading.inks[reading.codes[:, 2]] * np.where(drawing, rows.length, 0.0)[:, None]
    peak = planner.peak_rate(np.cumsum(moving + standing))
    warnings = []
    if peak > machine.controller_lines_per_s:
        warnings.append(
            f"at its peak the file needs {peak:.0f} lines/s, more than the {machine.controller_lines_per_s} that the "
            "controller takes: it may stutter there"
        )
    return Report(
        file=file,
        lines=reading.lines,
        seconds=float(moving.sum() + standing.sum()),
        seconds_by_kind={
            "paint": float(moving[drawing].sum()),
            "travel": float(moving[travelling].sum()),
            "purge": float(moving[purging].sum() + standing[purging].sum()),
            "dwell": float(standing[~purging].sum()),
        },
        length_mm={
            "drawn": float(rows.length[drawing].sum()),
            "travel": float(rows.length[travelling].sum()),
            "purge": float(rows.length[purging].sum()),
        },
        ink_mm=dict(zip("cmy", ink.sum(axis=0).tolist(), strict=True)),
        bounds_mm=_bounds(rows),
        errors=errors,
        error_count=reading.error_count,
        violations=[{"line": line, "kind": kind, "message": message} for line, kind, message in listed],
        violation_count=count + bytes_count + len(without_feed),
        strokes=len(reading.stroke_ids),
        last_stroke_id=reading.stroke_ids[-1] if reading.stroke_ids else None,
        peak_lines_per_s=peak,
        warnings=warnings,
    )


def _bounds(rows: moves.Moves) -> dict[str, list[float]] | None:
    """Return the box that holds the ends of all moves and the whole of those at a feed."""
    ends = rows.end[rows.moves]
    if not len(ends):
        return None
    feeds = rows.feeds
    low = np.minimum(ends.min(axis=0), rows.low[feeds].min(axis=0, initial=np.inf))
    high = np.maximum(ends.max(axis=0), rows.high[feeds].max(axis=0, initial=-np.inf))
    return {axis: [round(float(a), 3), round(float(b), 3)] for axis, a, b in zip("xyz", low, high, strict=True)}


def _describe_errors(data: bytes, reading: reader.Reading) -> list[dict[str, Any]]:
    """Turn the reading's errors into entries that name line, code and word."""
    if not len(reading.errors):
        return []
    texts = data.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    entries = []
    for line, code, place in reading.errors.tolist():
        text = texts[line - 1]
        if place >= 0:
            word = _word_at(data, place)
        else:
            letter = chr(-place - 1)
            match = re.search(rf"{letter}\s*[-+0-9.]*", text, re.IGNORECASE) if letter.isalpha() else None
            word = match[0].strip() if match else (letter if letter.isalpha() else text.strip()[:40])
        entries.append({"line": line, "code": code, "message": f"{_shown(word)}: {reader.ERRORS[code]}"})
    return entries


def _word_at(data: bytes, place: int) -> str:
    text = data[place : place + 40].decode("latin-1")
    match = re.match(r"\$[^\r\n;(]*|[A-Za-z]\s*[-+0-9.]*|.", text, re.DOTALL)
    return match[0].strip() if match else text[:1]


def _shown(word: str) -> str:
    return "".join(character if " " <= character <= "~" else f"\\x{ord(character):02x}" for character in word)
