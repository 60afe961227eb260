# mypy: disable-error-code="no-untyped-def"
"""The order of strokes: as little travel as the layers of paint allow.

Strokes that overlap keep their order, all others may change places: every topological order of the overlap graph paints
the same picture. Among them a short one is sought (the sequential ordering problem): the nearest stroke that is free
comes first, then neighbouring blocks of the sequence change places as long as that saves way (the path-preserving
3-exchange of Gambardella and Dorigo, "An Ant Colony System Hybridized with a New Local Search for the Sequential
Ordering Problem", INFORMS Journal on Computing, 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import geometry
from airbrush_cli.compiled import njit
from airbrush_cli.gcode.writer import purge_is_due
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.twin.strokes import CHORDS

Floats = NDArray[np.float64]

# Longest block that changes places with a neighbour of any length, and rounds over the whole sequence.
_BLOCK = 60
_ROUNDS = 60


@dataclass(frozen=True)
class Trip:
    """What an order costs."""

    travel_mm: float  # from the end of each stroke to the start of the next, ways to the purge zone left out
    purges: int


def trip(strokes: Floats, machine: Machine, order: NDArray[np.int64] | None = None) -> Trip:
    """Return what painting (N, 15) strokes in `order` costs, from parking place to parking place."""
    chosen = strokes if order is None else strokes[order]
    if not len(chosen):
        return Trip(0.0, 0)
    start, end = _ends(chosen, machine)
    home = _home(machine)
    way = np.linalg.norm(np.concatenate([start, [home]]) - np.concatenate([[home], end]), axis=1).sum()
    controls = chosen[:, :8].reshape(-1, 4, 2)
    points = geometry.bezier_point(controls, np.linspace(0.0, 1.0, CHORDS + 1))
    length = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(axis=1)
    purges, purged, painted = 0, None, 0.0
    for ink, mm in zip(chosen[:, 12:], length, strict=True):
        if purge_is_due(machine, purged, ink, painted):
            purges, purged, painted = purges + 1, ink, 0.0
        painted += mm
    return Trip(float(way), purges)


def for_travel(strokes: Floats, reach_mm: Floats, machine: Machine) -> NDArray[np.int64]:
    """Return an order of strokes that paints the same picture with less travel.

    Args:
        strokes: (N, 15) in painting order.
        reach_mm: (N,) distance from a stroke's path at which its paint ends.
        machine: the profile. A nozzle that is purged before every stroke travels the same way in every order, which is
            then the given one.

    Returns:
        (N,) indices into `strokes`; the same arguments give the same order.
    """
    count = len(strokes)
    if count < 2 or machine.purge.policy == "every_stroke":
        return np.arange(count)
    later = overlaps(strokes, reach_mm)
    cost = _costs(strokes, machine)
    order = _nearest_free(cost, later)
    order = _improved(order, cost, later)
    kept = np.arange(count)
    return order if _way(order, cost) < _way(kept, cost) else kept


def overlaps(strokes: Floats, reach_mm: Floats) -> NDArray[np.bool_]:
    """Return the (N, N) overlap graph: whether stroke i overlaps the later stroke j, so that i has to come first."""
    points = geometry.bezier_point(strokes[:, :8].reshape(-1, 4, 2), np.linspace(0.0, 1.0, CHORDS + 1))
    return _overlaps(np.ascontiguousarray(points), np.ascontiguousarray(reach_mm, np.float64))


def _home(machine: Machine) -> Floats:
    park = machine.park_mm
    return np.array([park.x - machine.paper_mm.x, machine.work_area_mm.y - park.y, park.z if machine.has_z else 0.0])


def _ends(strokes: Floats, machine: Machine) -> tuple[Floats, Floats]:
    """Return where travel to each stroke ends and where travel from it starts, (N, 3) each, image frame."""
    z = np.maximum(strokes[:, 8:10], machine.travel_z_mm) if machine.has_z else np.zeros((len(strokes), 2))
    return np.column_stack([strokes[:, 0:2], z[:, 0]]), np.column_stack([strokes[:, 6:8], z[:, 1]])


def _costs(strokes: Floats, machine: Machine) -> NDArray[np.float32]:
    """Return the (N + 1, N + 1) ways from the end of i to the start of j; N is the parking place."""
    start, end = _ends(strokes, machine)
    home = _home(machine)
    start, end = np.concatenate([start, [home]]), np.concatenate([end, [home]])
    cost = np.sqrt(((end[:, None] - start[None]) ** 2).sum(axis=2))
    zone = machine.safety.purge_zone_mm
    if machine.purge.policy == "on_colour_change" and zone is not None:
        ink = np.concatenate([strokes[:, 12:], np.zeros((1, 3))])
        changes = np.abs(ink[:, None] - ink[None]).max(axis=2) > machine.purge.colour_step
        changes[-1], changes[:, -1] = False, False
        x, y, z = zone.centre
        station = np.array([x - machine.paper_mm.x, machine.work_area_mm.y - y, z])
        detour = np.linalg.norm(end - station, axis=1)[:, None] + np.linalg.norm(start - station, axis=1)[None]
        cost = np.where(changes, detour, cost)
    return cost.astype(np.float32)


@njit(cache=True)
def _point_chord(px, py, ax, ay, bx, by):
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    t = ((px - ax) * dx + (py - ay) * dy) / square if square > 0.0 else 0.0
    t = min(max(t, 0.0), 1.0)
    ex, ey = px - ax - t * dx, py - ay - t * dy
    return ex * ex + ey * ey


@njit(cache=True)
def _near(a, b, reach):
    """Return whether two polylines come closer than `reach`."""
    square = reach * reach
    for k in range(len(a) - 1):
        for n in range(len(b) - 1):
            ax, ay, bx, by = a[k, 0], a[k, 1], a[k + 1, 0], a[k + 1, 1]
            cx, cy, dx, dy = b[n, 0], b[n, 1], b[n + 1, 0], b[n + 1, 1]
            least = min(_point_chord(ax, ay, cx, cy, dx, dy), _point_chord(bx, by, cx, cy, dx, dy))
            least = min(least, _point_chord(cx, cy, ax, ay, bx, by), _point_chord(dx, dy, ax, ay, bx, by))
            if least < square:
                return True
            # Chords that cross are near, however far their ends lie.
            side_a = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            side_b = (bx - ax) * (dy - ay) - (by - ay) * (dx - ax)
            side_c = (dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)
            side_d = (dx - cx) * (by - cy) - (dy - cy) * (bx - cx)
            if side_a * side_b < 0.0 and side_c * side_d < 0.0:
                return True
    return False


@njit(cache=True)
def _overlaps(points, reach):
    count = len(points)
    low, high = np.empty((count, 2)), np.empty((count, 2))
    for i in range(count):
        for axis in range(2):
            low[i, axis], high[i, axis] = points[i, :, axis].min(), points[i, :, axis].max()
    later = np.zeros((count, count), np.bool_)
    for i in range(count):
        for j in range(i + 1, count):
            span = reach[i] + reach[j]
            apart = False
            for axis in range(2):
                apart |= low[i, axis] - high[j, axis] > span or low[j, axis] - high[i, axis] > span
            if not apart and _near(points[i], points[j], span):
                later[i, j] = True
    return later


@njit(cache=True)
def _nearest_free(cost, later):
    count = len(later)
    waits = np.zeros(count, np.int64)
    for i in range(count):
        for j in range(i + 1, count):
            waits[j] += later[i, j]
    order = np.empty(count, np.int64)
    done = np.zeros(count, np.bool_)
    at = count
    for place in range(count):
        best, nearest = -1, np.inf
        for j in range(count):
            if not done[j] and waits[j] == 0 and cost[at, j] < nearest:
                best, nearest = j, cost[at, j]
        order[place] = best
        done[best] = True
        for j in range(best + 1, count):
            waits[j] -= later[best, j]
        at = best
    return order


@njit(cache=True)
def _exchange(path, cost, later, forward):
    """Let short blocks change places with the block behind them (or, backwards, before them); return the way saved.

    `path` starts and ends with the parking place; a block may not pass a stroke that has to stay behind it.
    """
    size = len(path)
    parking = len(later)
    barred = np.zeros(parking + 1, np.bool_)
    saved = 0.0
    first = 1
    while first < size - 1:
        barred[:] = False
        best, best_last, best_far = 1e-3, -1, -1
        for last in range(first, min(first + _BLOCK, size - 1)):
            here = path[last]
            for j in range(parking):
                if later[here, j] if forward else later[j, here]:
                    barred[j] = True
            far = last + 1
            if far >= size - 1 or barred[path[far]]:
                continue
            if forward:
                out = cost[path[first - 1], path[first]] + cost[path[last], path[last + 1]]
            else:
                out = cost[path[first], path[first - 1]] + cost[path[last + 1], path[last]]
            while far < size - 1 and not barred[path[far]]:
                if forward:
                    gain = out + cost[path[far], path[far + 1]] - cost[path[first - 1], path[last + 1]]
                    gain -= cost[path[far], path[first]] + cost[path[last], path[far + 1]]
                else:
                    gain = out + cost[path[far + 1], path[far]] - cost[path[last + 1], path[first - 1]]
                    gain -= cost[path[first], path[far]] + cost[path[far + 1], path[last]]
                if gain > best:
                    best, best_last, best_far = gain, last, far
                far += 1
        if best_last >= 0:
            block = path[first : best_last + 1].copy()
            shift = best_far - best_last
            for k in range(shift):
                path[first + k] = path[best_last + 1 + k]
            for k in range(len(block)):
                path[first + shift + k] = block[k]
            saved += best
        else:
            first += 1
    return saved


def _improved(order: NDArray[np.int64], cost: NDArray[np.float32], later: NDArray[np.bool_]) -> NDArray[np.int64]:
    parking = len(later)
    path = np.concatenate([[parking], order, [parking]])
    for _ in range(_ROUNDS):
        saved = _exchange(path, cost, later, True)
        path = path[::-1].copy()
        saved += _exchange(path, cost, later, False)
        path = path[::-1].copy()
        if saved < 1.0:
            break
    return path[1:-1]


def _way(order: NDArray[np.int64], cost: NDArray[np.float32]) -> float:
    parking = len(cost) - 1
    path = np.concatenate([[parking], order, [parking]])
    return float(cost[path[:-1], path[1:]].sum())
