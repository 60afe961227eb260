"""Keeping the purge zone free: a stroke that would pass through it passes over or under it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.schemas.machine import Zone

Floats = NDArray[np.float64]

# Climb per mm of way towards the zone, way between points there, and distance that is kept; mm.
_SLOPE = 0.2
_SPACING_MM = 0.5
_MARGIN_MM = 0.5
_CLEARANCE_MM = 0.01


def keep_clear(points: Floats, speed: Floats, zone: Zone, highest: float) -> tuple[Floats, Floats]:
    """Bend a path in height where it would pass through the zone's inside.

    The whole path takes the nearer side; it climbs or sinks towards the zone over a ramp of a fifth.

    Args:
        points: (K, 3) path in the machine frame, mm.
        speed: (K - 1,) speeds between them.
        zone: the zone.
        highest: the highest Z that the machine reaches, mm.

    Returns:
        The path and its speeds, with more points where it was bent; the arguments themselves where it was not.
    """
    low, high = zone.z
    ramp = max(high - low, 0.0) / _SLOPE + _MARGIN_MM
    if not _comes_near(points, zone, ramp):
        return points, speed
    path, along = _refined(points, speed, zone, ramp)
    away = _distance(path, zone)
    inside = (away == 0.0) & (path[:, 2] > low) & (path[:, 2] < high)
    if not inside.any():
        return points, speed
    over = high + _CLEARANCE_MM <= highest
    if (low > _CLEARANCE_MM and path[inside, 2].mean() < (low + high) / 2) or not over:
        path[:, 2] = np.minimum(path[:, 2], low - _CLEARANCE_MM + _SLOPE * away)
    else:
        path[:, 2] = np.maximum(path[:, 2], high + _CLEARANCE_MM - _SLOPE * away)
    return path, along


def _distance(points: Floats, zone: Zone) -> Floats:
    """Return how far points are, in the plane, from the zone grown by the margin; 0 inside."""
    outside = [
        np.maximum(np.maximum(low - _MARGIN_MM - points[:, axis], points[:, axis] - high - _MARGIN_MM), 0.0)
        for axis, (low, high) in enumerate((zone.x, zone.y))
    ]
    return np.hypot(*outside)


def _comes_near(points: Floats, zone: Zone, ramp: float) -> bool:
    low, high = points.min(axis=0), points.max(axis=0)
    return all(high[axis] > a - ramp and low[axis] < b + ramp for axis, (a, b) in enumerate((zone.x, zone.y)))


def _refined(points: Floats, speed: Floats, zone: Zone, ramp: float) -> tuple[Floats, Floats]:
    """Add points to the moves near the zone, so that the path can follow the ramp."""
    length = np.linalg.norm(np.diff(points, axis=0), axis=1)
    near = np.minimum(_distance(points[1:], zone), _distance(points[:-1], zone)) <= ramp + length
    pieces = np.where(near, np.ceil(length / _SPACING_MM), 1.0).astype(int).clip(1)
    place = np.concatenate([k + np.arange(n) / n for k, n in enumerate(pieces)] + [[len(length)]])
    at = np.arange(len(points))
    path = np.column_stack([np.interp(place, at, points[:, axis]) for axis in range(3)])
    return path, np.repeat(speed, pieces)


def passes_through(points: Floats, zone: Zone) -> bool:
    """Return whether a (K, D) path, seen from above, comes closer to the zone than the margin."""
    if not _comes_near(points, zone, _MARGIN_MM):
        return False
    path, _ = _refined(points, np.zeros(len(points) - 1), zone, _MARGIN_MM)
    return bool((_distance(path, zone) == 0.0).any())
