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
    replay_psnr_db: float | None = None  # of the picture that a job's files paint, against its painting

    @property
    def ok(self) -> bool:
        """Whether the controller takes every line and nothing is violated."""
        return not self.error_count and not self.violation_count

    def to_data(self) -> dict[str, Any]:
        """Return plain data for YAML."""
        replayed = {} if self.replay_psnr_db is None else {"replay_psnr_db": round(self.replay_psnr_db, 2)}
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
            **replayed,
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
    # What each row is for: 0 painting, 1 travelling, 2 purging, 3 nothing that moves.
    purpose = np.where(rows.purges, 2, np.where(rows.feeds, 0, np.where(rows.kind == grbl.RAPID, 1, 3)))
    paint_s, travel_s, purge_s, _ = np.bincount(purpose, moving, minlength=4).tolist()
    standing_purge_s = float(standing[purpose == 2].sum())
    drawn_mm, travel_mm, purge_mm, _ = np.bincount(purpose, rows.length, minlength=4).tolist()
    by_ink = np.bincount(rows.ink, np.where(purpose == 0, rows.length, 0.0), minlength=len(reading.inks))

    found, count = violations.of_moves(rows, machine, moves.max_rate(machine, controller), LISTED)
    bytes_found, bytes_count = violations.of_bytes(data, LISTED)
    errors = _describe_errors(data, reading)
    without_feed = [
        (e["line"], "no_feed", "a move at a feed before any feed is set") for e in errors if e["code"] == _NO_FEED
    ]
    listed = sorted(found + bytes_found + without_feed)[:LISTED]

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
            "paint": paint_s,
            "travel": travel_s,
            "purge": purge_s + standing_purge_s,
            "dwell": float(standing.sum()) - standing_purge_s,
        },
        length_mm={"drawn": drawn_mm, "travel": travel_mm, "purge": purge_mm},
        ink_mm=dict(zip("cmy", (by_ink @ reading.inks).tolist(), strict=True)),
        bounds_mm=_bounds(rows),
        errors=errors,
        error_count=reading.error_count,
        violations=[{"line": line, "kind": kind, "message": message} for line, kind, message in listed],
        violation_count=count + bytes_count + len(without_feed),
        strokes=len(reading.stroke_spans),
        last_stroke_id=reading.stroke_ids[-1] if len(reading.stroke_spans) else None,
        peak_lines_per_s=peak,
        warnings=warnings,
    )


def _bounds(rows: moves.Moves) -> dict[str, list[float]] | None:
    """Return the box of all moves; the way from the unknown place where the first one starts is left out."""
    if not rows.moves.any():
        return None
    first = int(rows.moves.argmax())
    low = np.minimum(rows.end[:, first], rows.low[:, first + 1 :].min(axis=1, initial=np.inf))
    high = np.maximum(rows.end[:, first], rows.high[:, first + 1 :].max(axis=1, initial=-np.inf))
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
