"""Polylines and cubic Béziers: flattening, simplifying, fitting."""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.schemas.pen_vectors import PenPath

_SHARP = np.radians(15.0)  # a joint that turns more is a corner


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


def along_bezier(control: NDArray[np.float64], step: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return points about `step` apart on a chain of cubic Béziers, (N, 2), and which are corners of it, (N,)."""
    result, corner = [control[:1]], [False]
    for first in range(0, len(control) - 1, 3):
        p1, p2, p3, p4 = control[first : first + 4]
        hull = sum(np.hypot(*side) for side in (p2 - p1, p3 - p2, p4 - p3))
        count = max(1, int(np.ceil(hull / step)))
        t = np.linspace(0, 1, count + 1)[1:, None]
        s = 1 - t
        result.append(s**3 * p1 + 3 * s**2 * t * p2 + 3 * s * t**2 * p3 + t**3 * p4)
        corner += [False] * (count - 1) + [True]
        if first + 6 < len(control):
            (ax, ay), (bx, by) = p4 - p3, control[first + 4] - p4
            corner[-1] = abs(np.arctan2(ax * by - ay * bx, ax * bx + ay * by)) > _SHARP
    corner[0] = corner[-1]
    return np.concatenate(result), np.array(corner)


def simplify(xy: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return an (N, 2) polyline with those points alone that keep it within `tolerance` (Douglas and Peucker 1973)."""
    keep = np.zeros(len(xy), np.bool_)
    _simplify(np.ascontiguousarray(xy), tolerance, keep)
    return xy[keep]


@njit(cache=True)
def _simplify(xy, tolerance, keep):
    count = len(xy)
    keep[0] = keep[count - 1] = True
    stack = np.empty((count + 1, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, count - 1
    depth = 1
    while depth > 0:
        depth -= 1
        a, b = stack[depth]
        dx, dy = xy[b, 0] - xy[a, 0], xy[b, 1] - xy[a, 1]
        square = dx * dx + dy * dy
        worst, at = 0.0, -1
        for i in range(a + 1, b):
            ex, ey = xy[i, 0] - xy[a, 0], xy[i, 1] - xy[a, 1]
            t = min(1.0, max(0.0, (ex * dx + ey * dy) / square)) if square > 0 else 0.0
            off = np.hypot(ex - t * dx, ey - t * dy)
            if off > worst:
                worst, at = off, i
        if worst > tolerance:
            keep[at] = True
            stack[depth, 0], stack[depth, 1] = a, at
            stack[depth + 1, 0], stack[depth + 1, 1] = at, b
            depth += 2


def fit_bezier(
    xy: NDArray[np.float64], corner: NDArray[np.bool_], closed: bool, tolerance: float
) -> NDArray[np.float64]:
    """Return the control points of a chain of cubic Béziers that runs within `tolerance` of a polyline's points.

    Least squares with refined parameters, halved at the worst point where one curve does not do; the chain is smooth
    except at corners (Schneider 1990, "An algorithm for automatically fitting digitized curves").

    Args:
        xy: (N, 2) points, N >= 2, densely and about evenly spaced; a closed one ends where it starts.
        corner: (N,) where the curve may turn sharply.
        closed: whether the curve is smooth from its end to its start too, unless that is a corner.
        tolerance: greatest distance of any point from the curve.

    Returns:
        (3n + 1, 2).
    """
    control = np.empty((3 * len(xy), 2))
    return control[: _fit(np.ascontiguousarray(xy), np.ascontiguousarray(corner), closed, tolerance, control)].copy()


@njit(cache=True)
def _fit(xy, corner, closed, tolerance, control):
    """Fill in the control points. Returns how many."""
    count = len(xy)
    control[0, 0], control[0, 1] = xy[0, 0], xy[0, 1]
    used = 1
    # Stretches that are still to be fitted: their ends, and the directions in which the curve leaves these.
    ends = np.empty((count + 1, 2), np.int64)
    ways = np.empty((count + 1, 4))
    curve = np.empty((4, 2))
    t = np.empty(count)
    first = 0
    while first < count - 1:
        last = first + 1
        while last < count - 1 and not corner[last]:
            last += 1
        ends[0, 0], ends[0, 1] = first, last
        _tangent(xy, first, last, 1, ways[0])
        _tangent(xy, last, first, -1, ways[0, 2:])
        if closed and first == 0 and last == count - 1 and not corner[0]:
            _unit(ways[0, 0] - ways[0, 2], ways[0, 1] - ways[0, 3], ways[0])
            ways[0, 2], ways[0, 3] = -ways[0, 0], -ways[0, 1]
        depth = 1
        while depth > 0:
            depth -= 1
            a, b = ends[depth]
            error, at = _fit_one(xy, a, b, ways[depth], tolerance, curve, t)
            if error <= tolerance or b - a < 2:
                for k in range(1, 4):
                    control[used, 0], control[used, 1] = curve[k, 0], curve[k, 1]
                    used += 1
                continue
            # The second half lies deeper in the stack, and so comes later.
            low, high = max(a, at - 2), min(b, at + 2)
            ends[depth + 1, 0], ends[depth + 1, 1] = a, at
            ways[depth + 1, 0], ways[depth + 1, 1] = ways[depth, 0], ways[depth, 1]
            _unit(xy[high, 0] - xy[low, 0], xy[high, 1] - xy[low, 1], ways[depth])
            ways[depth + 1, 2], ways[depth + 1, 3] = -ways[depth, 0], -ways[depth, 1]
            ends[depth, 0] = at
            depth += 2
        first = last
    return used


@njit(cache=True)
def _unit(x, y, way):
    length = np.hypot(x, y)
    way[0], way[1] = (x / length, y / length) if length > 1e-12 else (1.0, 0.0)


@njit(cache=True)
def _tangent(xy, at, limit, step, way):
    """Set the direction in which the points leave `at`, towards `limit`."""
    k = at + 3 * step
    if (limit - k) * step < 0:
        k = limit
    while k != limit and abs(xy[k, 0] - xy[at, 0]) + abs(xy[k, 1] - xy[at, 1]) < 1e-6:
        k += step
    _unit(xy[k, 0] - xy[at, 0], xy[k, 1] - xy[at, 1], way)


@njit(cache=True)
def _fit_one(xy, a, b, way, tolerance, curve, t):
    """Fit one cubic to the points a..b, leaving their ends as `way` says. Returns its error and the worst point."""
    count = b - a + 1
    t[0] = 0.0
    for i in range(1, count):
        t[i] = t[i - 1] + np.hypot(xy[a + i, 0] - xy[a + i - 1, 0], xy[a + i, 1] - xy[a + i - 1, 1])
    length = t[count - 1]
    x0, y0, x3, y3 = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1]
    curve[0, 0], curve[0, 1], curve[3, 0], curve[3, 1] = x0, y0, x3, y3
    if count == 2 or length < 1e-9:
        curve[1, 0], curve[1, 1] = x0 + (x3 - x0) / 3, y0 + (y3 - y0) / 3
        curve[2, 0], curve[2, 1] = x3 - (x3 - x0) / 3, y3 - (y3 - y0) / 3
        return 0.0, a
    for i in range(count):
        t[i] /= length
    chord = np.hypot(x3 - x0, y3 - y0)
    best, at = np.inf, a + count // 2
    for turn in range(5):
        c11 = c12 = c22 = x1 = x2 = 0.0
        for i in range(count):
            s, r = t[i], 1 - t[i]
            b1, b2 = 3 * s * r * r, 3 * s * s * r
            b0, b3 = r * r * r + b1, b2 + s * s * s
            c11 += b1 * b1
            c12 += b1 * b2
            c22 += b2 * b2
            rx, ry = xy[a + i, 0] - b0 * x0 - b3 * x3, xy[a + i, 1] - b0 * y0 - b3 * y3
            x1 += b1 * (rx * way[0] + ry * way[1])
            x2 += b2 * (rx * way[2] + ry * way[3])
        c12 *= way[0] * way[2] + way[1] * way[3]
        det = c11 * c22 - c12 * c12
        alpha = beta = -1.0
        if abs(det) > 1e-9 * c11 * c22:
            alpha, beta = (x1 * c22 - x2 * c12) / det, (x2 * c11 - x1 * c12) / det
        if alpha < 1e-3 * chord or beta < 1e-3 * chord or alpha > 3 * length or beta > 3 * length:
            alpha = beta = length / 3
        curve[1, 0], curve[1, 1] = x0 + alpha * way[0], y0 + alpha * way[1]
        curve[2, 0], curve[2, 1] = x3 + beta * way[2], y3 + beta * way[3]
        error, worst = 0.0, a + count // 2
        for i in range(1, count - 1):
            s, r = t[i], 1 - t[i]
            off = slope = pull = 0.0
            for k in range(2):
                p0, p1, p2, p3 = curve[0, k], curve[1, k], curve[2, k], curve[3, k]
                e = r * r * r * p0 + 3 * r * r * s * p1 + 3 * r * s * s * p2 + s * s * s * p3 - xy[a + i, k]
                d1 = 3 * (r * r * (p1 - p0) + 2 * r * s * (p2 - p1) + s * s * (p3 - p2))
                d2 = 6 * (r * (p2 - 2 * p1 + p0) + s * (p3 - 2 * p2 + p1))
                off += e * e
                pull += e * d1
                slope += d1 * d1 + e * d2
            if off > error:
                error, worst = off, a + i
            # One Newton step moves the parameter to the curve's nearest point.
            if slope > 1e-9:
                t[i] = min(1.0, max(0.0, s - pull / slope))
        error = np.sqrt(error)
        if error < best:
            best, at = error, worst
        if error <= tolerance:
            return error, worst
        if error > 4 * tolerance and turn == 0:
            break
    return best, at
