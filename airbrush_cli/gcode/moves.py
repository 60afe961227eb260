# mypy: disable-error-code="no-untyped-def"
"""The moves of a reading as arrays: where they start and end, how far they reach, what they are for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl, planner
from airbrush_cli.gcode.reader import Reading
from airbrush_cli.schemas.machine import GrblSettings, Machine

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Chords of an arc, for its length and its reach.
_ARC_TOLERANCE_MM = 1e-3
_ARC_CHORDS = 4096.0
# What a coordinate's rounding, in the file and in 32 bits, may add to a move along an axis.
_SLACK_STEP_MM = 1e-4


@dataclass(frozen=True)
class Moves:
    """One entry per row of a reading, dwells and stops among them (they start and end in one place); mm."""

    start: Floats  # (3, R), one row an axis
    end: Floats
    low: Floats  # (3, R) corners of the box that the move stays in
    high: Floats
    length: Floats  # (R,)
    kind: NDArray[np.int32]
    line: NDArray[np.int32]
    code: NDArray[np.int32]
    ink: NDArray[np.int32]  # (R,) row of the reading's inks
    stroke: NDArray[np.int32]  # (R,) index of the reading's stroke ids, -1 before the first
    feed: Floats  # (R,) mm/min; of G93 already turned into a rate

    @cached_property
    def moves(self) -> Mask:
        """Rows that move the machine."""
        return self.kind <= grbl.ARC_CCW

    @cached_property
    def feeds(self) -> Mask:
        """Rows that move at a feed: G1, G2, G3."""
        return (self.kind >= grbl.FEED) & (self.kind <= grbl.ARC_CCW)

    @cached_property
    def arcs(self) -> Mask:
        """Rows that are arcs."""
        return (self.kind == grbl.ARC_CW) | (self.kind == grbl.ARC_CCW)

    @cached_property
    def purges(self) -> Mask:
        """Rows between a purge's marker and the next stroke's."""
        return (self.code >> grbl.SECTION_SHIFT & 3) == grbl.PURGE_SECTION


def of(reading: Reading) -> Moves:
    """Return the moves of a reading; the tool is taken to start at 0, 0, 0."""
    columns = np.ascontiguousarray(reading.codes.T)
    code = columns[0]
    kind = code & grbl.KIND_MASK
    end = np.ascontiguousarray(reading.values[:, :3].T, np.float64)
    start = np.zeros_like(end)
    start[:, 1:] = end[:, :-1]
    low, high = np.minimum(start, end), np.maximum(start, end)
    with np.errstate(invalid="ignore", over="ignore"):
        step = end - start
        length = np.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
        arcs = np.flatnonzero((kind == grbl.ARC_CW) | (kind == grbl.ARC_CCW))
        _measure_arcs(arcs, start, reading.values, reading.codes, low, high, length)
        feed = reading.values[:, grbl.RATE].astype(np.float64)
        inverse = (code & grbl.INVERSE_TIME) != 0
        if inverse.any():
            feed[inverse] *= length[inverse]
    return Moves(start, end, low, high, length, kind, columns[1], code, columns[2], columns[3], feed)


def fastest(moves: Moves, max_rate: Floats) -> Floats:
    """Return the (R,) fastest feeds that no axis has to cut, mm/min; in arcs the plane's slowest axis counts.

    Args:
        moves: the moves.
        max_rate: (3,) fastest rates of the axes, mm/min.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.maximum(np.abs(moves.end - moves.start) - _SLACK_STEP_MM, 0.0)
        allowed = np.minimum(max_rate[0] / step[0], max_rate[1] / step[1])
        allowed = np.minimum(allowed, max_rate[2] / step[2]) * moves.length
    if moves.arcs.any():
        plane = moves.code[moves.arcs] >> grbl.PLANE_SHIFT & 3
        slowest = np.array([max_rate[[0, 1]].min(), max_rate[[0, 2]].min(), max_rate[[1, 2]].min()])
        allowed[moves.arcs] = slowest[np.minimum(plane, 2)]
    return allowed


def max_rate(machine: Machine, controller: GrblSettings) -> Floats:
    """Return the (3,) fastest rates of the axes, mm/min: the lower of the machine's and its controller's."""
    xy, z = machine.feeds.max_xy_mm_s * 60.0, machine.feeds.max_z_mm_s * 60.0
    return np.minimum(controller.max_rate, (xy, xy, z))


@njit(cache=True)
def _measure_arcs(rows, start, values, codes, low, high, length):
    """Put the corners and the length of arcs in place of those of their chords from start to end."""
    at = np.empty(3)
    for row in rows:
        length[row] = 0.0
        at[:] = start[:, row]
        points = planner.arc_points(at, values[row], codes[row, 0], _ARC_TOLERANCE_MM, _ARC_CHORDS)
        for point in points:
            square = 0.0
            for axis in range(3):
                square += (point[axis] - at[axis]) ** 2
                at[axis] = point[axis]
                low[axis, row] = min(low[axis, row], point[axis])
                high[axis, row] = max(high[axis, row], point[axis])
            length[row] += np.sqrt(square)


def arc_path(start: Floats, reading: Reading, row: int) -> Floats:
    """Return an arc as an (N, 3) polyline, its start included."""
    points = planner.arc_points(
        np.ascontiguousarray(start), reading.values[row], reading.codes[row, 0], _ARC_TOLERANCE_MM, _ARC_CHORDS
    )
    return np.concatenate([start[None], points])
