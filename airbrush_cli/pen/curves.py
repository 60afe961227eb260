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


@njit(cache=True)
def simplify(xy: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return an (N, 2) polyline with those points alone that keep it within `tolerance` (Douglas and Peucker 1973)."""
    count = len(xy)
    keep = np.zeros(count, np.bool_)
    keep[0] = keep[count - 1] = True
    stack = [(0, count - 1)]
    while len(stack) > 0:
        a, b = stack.pop()
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
            stack.append((a, at))
            stack.append((at, b))
    return xy[keep]


@njit(cache=True)
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
    count = len(xy)
    control = [xy[0].copy()]
    control.pop()
    control.append(xy[0].copy())
    first = 0
    while first < count - 1:
        last = first + 1
        while last < count - 1 and not corner[last]:
            last += 1
        start, end = _tangent(xy, first, last, 1), _tangent(xy, last, first, -1)
        if closed and first == 0 and last == count - 1 and not corner[0]:
            start = _unit(start - end)
            end = -start
        _fit_smooth(xy, first, last, start, end, tolerance, control)
        first = last
    result = np.empty((len(control), 2))
    for k in range(len(control)):
        result[k] = control[k]
    return result


@njit(cache=True, inline="always")
def _unit(v):
    length = np.hypot(v[0], v[1])
    return v / length if length > 1e-12 else np.array([1.0, 0.0])


@njit(cache=True)
def _tangent(xy, at, limit, way):
    """Return the direction in which the points leave `at`, towards `limit`."""
    far = at + way * 3
    if (limit - far) * way < 0:
        far = limit
    v = xy[far] - xy[at]
    k = far
    while v[0] * v[0] + v[1] * v[1] < 1e-12 and k != limit:
        k += way
        v = xy[k] - xy[at]
    return _unit(v)


@njit(cache=True)
def _fit_smooth(xy, first, last, start, end, tolerance, control):
    stack = [(first, last, start, end)]
    curve = np.empty((4, 2))
    while len(stack) > 0:
        a, b, u, v = stack.pop()
        error, at = _fit_one(xy, a, b, u, v, tolerance, curve)
        if error <= tolerance or b - a < 2:
            for k in range(1, 4):
                control.append(curve[k].copy())
            continue
        low, high = max(a, at - 2), min(b, at + 2)
        w = _unit(xy[high] - xy[low])
        stack.append((at, b, w, v))
        stack.append((a, at, u, -w))


@njit(cache=True)
def _fit_one(xy, a, b, u, v, tolerance, curve):
    """Fit one cubic to the points a..b with end tangents u and v. Returns its error and the worst point."""
    count = b - a + 1
    t = np.zeros(count)
    for i in range(1, count):
        t[i] = t[i - 1] + np.hypot(xy[a + i, 0] - xy[a + i - 1, 0], xy[a + i, 1] - xy[a + i - 1, 1])
    length = t[count - 1]
    curve[0], curve[3] = xy[a], xy[b]
    if count == 2 or length < 1e-9:
        curve[1], curve[2] = xy[a] + (xy[b] - xy[a]) / 3, xy[b] - (xy[b] - xy[a]) / 3
        return 0.0, a
    t /= length
    best, at = np.inf, a
    for turn in range(5):
        c11 = c12 = c22 = x1 = x2 = 0.0
        for i in range(count):
            s, r = t[i], 1 - t[i]
            b1, b2 = 3 * s * r * r, 3 * s * s * r
            b0, b3 = r * r * r + b1, b2 + s * s * s
            c11 += b1 * b1
            c12 += b1 * b2
            c22 += b2 * b2
            rx = xy[a + i, 0] - b0 * curve[0, 0] - b3 * curve[3, 0]
            ry = xy[a + i, 1] - b0 * curve[0, 1] - b3 * curve[3, 1]
            x1 += b1 * (rx * u[0] + ry * u[1])
            x2 += b2 * (rx * v[0] + ry * v[1])
        c12 *= u[0] * v[0] + u[1] * v[1]
        det = c11 * c22 - c12 * c12
        chord = np.hypot(curve[3, 0] - curve[0, 0], curve[3, 1] - curve[0, 1])
        alpha = beta = -1.0
        if abs(det) > 1e-9 * c11 * c22:
            alpha, beta = (x1 * c22 - x2 * c12) / det, (x2 * c11 - x1 * c12) / det
        if alpha < 1e-3 * chord or beta < 1e-3 * chord or alpha > 3 * length or beta > 3 * length:
            alpha = beta = length / 3
        curve[1], curve[2] = curve[0] + alpha * u, curve[3] + beta * v
        error, worst = 0.0, a + count // 2
        for i in range(1, count - 1):
            s, r = t[i], 1 - t[i]
            ex, ey, fx, fy, gx, gy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            ex = (
                r * r * r * curve[0, 0]
                + 3 * r * r * s * curve[1, 0]
                + 3 * r * s * s * curve[2, 0]
                + s * s * s * curve[3, 0]
            )
            ey = (
                r * r * r * curve[0, 1]
                + 3 * r * r * s * curve[1, 1]
                + 3 * r * s * s * curve[2, 1]
                + s * s * s * curve[3, 1]
            )
            ex -= xy[a + i, 0]
            ey -= xy[a + i, 1]
            off = np.hypot(ex, ey)
            if off > error:
                error, worst = off, a + i
            # One Newton step moves the parameter to the curve's nearest point.
            for k in range(2):
                p0, p1, p2, p3 = curve[0, k], curve[1, k], curve[2, k], curve[3, k]
                d1 = 3 * (r * r * (p1 - p0) + 2 * r * s * (p2 - p1) + s * s * (p3 - p2))
                d2 = 6 * (r * (p2 - 2 * p1 + p0) + s * (p3 - 2 * p2 + p1))
                if k == 0:
                    fx, gx = d1, d2
                else:
                    fy, gy = d1, d2
            slope = fx * fx + fy * fy + ex * gx + ey * gy
            if slope > 1e-9:
                t[i] = min(1.0, max(0.0, s - (ex * fx + ey * fy) / slope))
        if error < best:
            best, at = error, worst
        if error <= tolerance:
            return error, worst
        if error > 4 * tolerance and turn == 0:
            break
    return best, at
