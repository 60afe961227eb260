"""Plane curves on arrays: cubic Béziers, their flattening into polylines, lengths and bounding boxes. Units are mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Where curve densities are sampled: |B''| of a cubic is the norm of a linear function, so a coarse grid resolves it.
_GRID = np.linspace(0.0, 1.0, 33)


def bernstein(t: Floats) -> Floats:
    """Return the weights (T, 4) of a cubic Bézier's control points at parameters (T,) in [0, 1]."""
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)


def bezier_point(controls: Floats, t: Floats) -> Floats:
    """Evaluate cubic Béziers.

    Args:
        controls: (..., 4, D) control points.
        t: (..., T) parameters in [0, 1]; leading axes broadcast against those of `controls`.

    Returns:
        (..., T, D) points.
    """
    t = np.asarray(t, float)[..., None]
    s = 1.0 - t
    p1, p2, p3, p4 = (np.asarray(controls, float)[..., k, None, :] for k in range(4))
    return s**3 * p1 + 3.0 * s**2 * t * p2 + 3.0 * s * t**2 * p3 + t**3 * p4


def bezier_derivative(controls: Floats, t: Floats, order: int = 1) -> Floats:
    """Evaluate the first or second derivative by t of cubic Béziers; shapes as in `bezier_point`."""
    t = np.asarray(t, float)[..., None]
    s = 1.0 - t
    steps = np.diff(np.asarray(controls, float), n=order, axis=-2)
    if order == 1:
        a, b, c = (steps[..., k, None, :] for k in range(3))
        return 3.0 * (s**2 * a + 2.0 * s * t * b + t**2 * c)
    if order == 2:
        a, b = (steps[..., k, None, :] for k in range(2))
        return 6.0 * (s * a + t * b)
    raise ValueError(f"order must be 1 or 2 (found {order})")


def chord_error(controls: Floats, t: Floats) -> Floats:
    """Bound how far cubic Béziers stray from the chords between consecutive parameters.

    The bound is h²/8 · max|B''| (linear interpolation error), and B'' of a cubic is linear, so its largest norm lies at
    an end of the interval. It holds point by point, for equal parameters: what runs linearly in t along the curve
    (height, speed) runs linearly along the chord within the same distance.

    Args:
        controls: (..., 4, D) control points.
        t: (T,) increasing parameters.

    Returns:
        (..., T - 1) bounds in mm.
    """
    bend = np.linalg.norm(bezier_derivative(controls, t, order=2), axis=-1)
    return np.diff(t) ** 2 / 8.0 * np.maximum(bend[..., :-1], bend[..., 1:])


def flatten_parameters(controls: Floats, tolerance: float, density: Floats | None = None) -> Floats:
    """Choose parameters whose polyline stays within `tolerance` of one cubic Bézier.

    Parameters lie dense where the curve bends: their density is √(|B''| / 8·tolerance), the one that spreads the chord
    error evenly.

    Args:
        controls: (4, D) control points, mm.
        tolerance: largest distance between curve and polyline, mm, greater than 0.
        density: (33,) least density of parameters on an even grid of t, for what else has to be followed.

    Returns:
        (T,) increasing parameters, 0 first and 1 last.
    """
    bend = np.linalg.norm(bezier_derivative(controls, _GRID, order=2), axis=-1)
    wanted = np.sqrt(bend / (8.0 * tolerance))
    if density is not None:
        wanted = np.maximum(wanted, density)
    wanted = np.maximum(wanted, 1e-9)
    count_to = np.concatenate([[0.0], np.cumsum((wanted[:-1] + wanted[1:]) / 2 * np.diff(_GRID))])
    pieces = max(1, int(np.ceil(count_to[-1])))
    while True:
        t = np.interp(np.arange(pieces + 1) * (count_to[-1] / pieces), count_to, _GRID)
        t[0], t[-1] = 0.0, 1.0
        if chord_error(controls, t).max() <= tolerance:
            return t
        pieces += max(1, pieces // 16)


def flatten(controls: Floats, tolerance: float) -> Floats:
    """Return the (T, D) polyline that stays within `tolerance` (mm) of one cubic Bézier of (4, D) control points."""
    return bezier_point(controls, flatten_parameters(controls, tolerance))


def polyline_length(points: Floats) -> float:
    """Return the length of an (N, D) polyline; 0 for fewer than two points."""
    return float(np.linalg.norm(np.diff(np.asarray(points, float), axis=0), axis=-1).sum())


def bounding_box(points: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and the highest corner, each (D,), of (..., D) points, of which there is at least one."""
    points = np.asarray(points, float)
    flat = points.reshape(-1, points.shape[-1])
    return flat.min(axis=0), flat.max(axis=0)


def bezier_bounding_box(controls: Floats) -> tuple[Floats, Floats]:
    """Return the exact lowest and highest corners, each (..., D), of cubic Béziers of (..., 4, D) control points."""
    controls = np.asarray(controls, float)
    a, b, c = np.moveaxis(np.diff(controls, axis=-2), -2, 0)
    # B'(t) / 3 = qa t² + qb t + qc; where it has no root in (0, 1), an end point stands in.
    qa, qb, qc = a - 2.0 * b + c, 2.0 * (b - a), a
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(qb**2 - 4.0 * qa * qc)
        # Citardauq's form keeps the root that the ordinary one loses to cancellation, and covers qa = 0.
        q = -0.5 * (qb + np.copysign(root, qb))
        roots = np.stack([q / qa, qc / q], axis=-1)
    roots = np.where(np.isfinite(roots), np.clip(roots, 0.0, 1.0), 0.0)
    s = 1.0 - roots
    p1, p2, p3, p4 = (controls[..., k, :, None] for k in range(4))
    turns = s**3 * p1 + 3.0 * s**2 * roots * p2 + 3.0 * s * roots**2 * p3 + roots**3 * p4
    candidates = np.concatenate([turns, p1, p4], axis=-1)
    return candidates.min(axis=-1), candidates.max(axis=-1)
