"""Polylines and cubic Béziers: flattening, smoothing, fitting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.schemas.pen_vectors import PenPath


def flatten(path: PenPath, tolerance_mm: float = 0.02) -> NDArray[np.float64]:
    """Return a path as an (N, 2) polyline in mm that lies within `tolerance_mm` of it."""
    points = np.array(path.vertices, np.float64)
    return points if path.bezier is None else flatten_bezier(points, tolerance_mm)


def flatten_bezier(control: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return the (N, 2) polyline of a chain of cubic Béziers, (3n + 1, 2) control points.

    The number of segments comes from the bound of the second difference (Wang 1984): a cubic cut into
    sqrt(3/4 · max|p(i) - 2 p(i+1) + p(i+2)| / tolerance) even parts lies within `tolerance` of their chords.
    """
    curves = np.stack([control[0:-1:3], control[1::3], control[2::3], control[3::3]], axis=1)
    bend = np.hypot(*np.diff(curves, 2, axis=1).transpose(2, 0, 1)).max(axis=1)
    counts = np.maximum(1, np.ceil(np.sqrt(0.75 * bend / tolerance))).astype(int)
    curve = np.repeat(np.arange(len(curves)), counts)
    step = np.arange(len(curve)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    t = (step / counts[curve])[:, None]
    s = 1 - t
    p1, p2, p3, p4 = curves[curve].transpose(1, 0, 2)
    points = s**3 * p1 + 3 * s**2 * t * p2 + 3 * s * t**2 * p3 + t**3 * p4
    return np.vstack([control[:1], points])
