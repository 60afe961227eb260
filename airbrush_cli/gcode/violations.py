"""What a file must not do although a controller would: leave the work area, outrun axes, paint while purging."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.gcode.moves import Moves, fastest
from airbrush_cli.schemas.machine import Machine

Found = tuple[int, str, str]  # line, kind, message

# What 32-bit floats, and a writer's rounding, may be off by.
SLACK_MM = 5e-4
_SLACK_FEED = 1e-3

_REALTIME = {
    0x18: "resets the controller",
    ord("!"): "holds the machine",
    ord("?"): "asks for a status report",
    ord("~"): "resumes a hold",
    0x84: "opens the safety door",
    0x85: "cancels a jog",
}
_HARMLESS = b"?"
_OVERRIDES = (*range(0x90, 0x9F), 0xA0, 0xA1)


def of_moves(moves: Moves, machine: Machine, max_rate: NDArray[np.float64], limit: int) -> tuple[list[Found], int]:
    """Find the violations of moves.

    Args:
        moves: the file's moves.
        machine: the profile.
        max_rate: (3,) the fastest rates of the axes, mm/min.
        limit: how many are described; all are counted.

    Returns:
        (the first ones by line, how many there are).
    """
    checks: list[tuple[NDArray[np.intp], Callable[[int], tuple[str, str]]]] = []
    if machine.safety.soft_limits:
        for axis, (low, high) in enumerate(machine.limits):
            outside = moves.moves & ~((moves.low[axis] >= low - SLACK_MM) & (moves.high[axis] <= high + SLACK_MM))
            checks.append((np.flatnonzero(outside), _limit_message(moves, axis, low, high)))
    allowed = fastest(moves, max_rate)
    too_fast = moves.feeds & (moves.length > 0) & (moves.feed > allowed * (1.0 + _SLACK_FEED))
    checks.append((np.flatnonzero(too_fast), _feed_message(moves, allowed)))
    if machine.safety.purge_zone_mm:
        zone = machine.safety.purge_zone_mm
        low_corner, high_corner = np.array([zone.x, zone.y, zone.z], float).T
        rows = _through_box(moves, low_corner, high_corner)
        checks.append((rows, lambda row: ("purge_zone", "paints through the purge zone")))
    count = sum(len(rows) for rows, _ in checks)
    first = sorted(((int(row), k) for k, (rows, _) in enumerate(checks) for row in rows[:limit].tolist()))[:limit]
    return [(int(moves.line[row]), *checks[k][1](row)) for row, k in first], count


def of_bytes(data: bytes, limit: int) -> tuple[list[Found], int]:
    """Find the bytes that GRBL takes out of the stream as commands, in comments too; see `of_moves`."""
    suspects = bytes(byte for byte in (*_REALTIME, *_OVERRIDES) if byte not in _HARMLESS)
    if len(data.translate(None, suspects)) == len(data):
        return [], 0
    raw = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(np.isin(raw, np.frombuffer(suspects, np.uint8)))
    found = []
    line, start = 1, 0
    for place in places[:limit].tolist():
        line += len(data[start:place].splitlines()) - 1 if place > start else 0
        line += data[start:place].endswith((b"\n", b"\r"))
        start = place
        effect = _REALTIME.get(data[place], "overrides feeds or outputs")
        found.append((line, "realtime", f"the byte 0x{data[place]:02X} {effect}, wherever it stands"))
    return found, len(places)


def _limit_message(moves: Moves, axis: int, low: float, high: float) -> Callable[[int], tuple[str, str]]:
    def message(row: int) -> tuple[str, str]:
        beyond = moves.low[axis, row] if moves.low[axis, row] < low - SLACK_MM else moves.high[axis, row]
        if axis == 2 and beyond < 0:
            return "z_below_paper", f"Z{beyond:.6g} is below the paper"
        return "soft_limit", f"{'XYZ'[axis]}{beyond:.6g} is outside of the work area, {low:g} to {high:g} mm"

    return message


def _feed_message(moves: Moves, allowed: NDArray[np.float64]) -> Callable[[int], tuple[str, str]]:
    def message(row: int) -> tuple[str, str]:
        return "feed", f"F{moves.feed[row]:.6g} is above the {allowed[row]:.6g} mm/min that the axes can do here"

    return message


def _through_box(moves: Moves, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the rows of feeds, outside of purges, that pass through the inside of a box."""
    low, high = low + SLACK_MM, np.maximum(high - SLACK_MM, low + 2 * SLACK_MM)
    near = moves.feeds & ~moves.purges
    for axis in range(3):
        near &= (moves.high[axis] > low[axis]) & (moves.low[axis] < high[axis])
    rows = np.flatnonzero(near)
    # The slab method: the parts of the move that lie between each pair of faces have to overlap.
    start, step = moves.start[:, rows], moves.end[:, rows] - moves.start[:, rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low[:, None] - start) / step, (high[:, None] - start) / step
    enter = np.where(step == 0, 0.0, np.fmin(a, b)).max(axis=0, initial=0.0)
    leave = np.where(step == 0, 1.0, np.fmax(a, b)).min(axis=0, initial=1.0)
    return rows[(enter < leave) | moves.arcs[rows]]
