"""The twin's first stage: strokes (N, 15) to polylines of spots, and gradients back to the 15 parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.geometry import bernstein
from airbrush_cli.twin.luts import Luts

# Chords per stroke.
CHORDS = 16
# A stroke whose control points lie closer together than this (root mean square distance from their mean, mm) is drawn
# in towards a dot, so that gradients exist for strokes of no length.
DOT_MM = 0.05
# The same for what z and v change along the stroke: no machine changes them much within a fraction of a millimetre, and
# where along so short a stroke the nearest point lies is beyond float32.
RAMP_MM = 0.5
# Of the control points in the nodes of a stroke, (CHORDS + 1, 4).
WEIGHTS = bernstein(np.linspace(0.0, 1.0, CHORDS + 1))
# Beyond this no paper lies (mm).
_FAR_MM = 1e6
# Look-ups go on straight for this part of a cell beyond the grid (so that derivatives exist at the bounds), then stay.
_MARGIN = 0.01
# What that may add to an opacity.
_OVER = 0.01

_OPTIONS = {"cache": True, "error_model": "numpy", "nogil": True}
# See binning.py on helpers.
_HELPER = {"error_model": "numpy", "forceinline": True}


@dataclass(frozen=True, eq=False)
class Polylines:
    """Paths of spots.

    Attributes:
        nodes: (M, 4) float64: x, y (mm, image frame), sigma (mm) and opacity (0..1), all polylines in a row.
        starts: (N + 1,) int64, polyline i has the nodes starts[i] to starts[i + 1], at least two.
        ink: (N, 3) linear RGB of the film.

    Raises:
        ValueError: shapes do not agree, a polyline is shorter, a number is not finite, sigma is not positive, or
            opacity is not in [0, 1].
    """

    nodes: NDArray[np.float64]
    starts: NDArray[np.int64]
    ink: NDArray[np.float64]

    def __post_init__(self) -> None:
        nodes, starts, ink = self.nodes, self.starts, self.ink
        if nodes.ndim != 2 or nodes.shape[1] != 4 or ink.shape != (len(starts) - 1, 3):
            raise ValueError("polylines need nodes (M, 4), starts (N + 1,) and ink (N, 3)")
        if starts[0] != 0 or starts[-1] != len(nodes) or (np.diff(starts) < 2).any():
            raise ValueError("starts must go from 0 to the number of nodes, in steps of at least 2")
        # One comparison finds what is not finite too: the kernels would compute array indices from it.
        if not (np.abs(nodes[:, :2]) < _FAR_MM).all() or not ((nodes[:, 2] > 0) & (nodes[:, 2] < _FAR_MM)).all():
            raise ValueError("positions must be finite, and sigma finite and positive")
        if not ((nodes[:, 3] >= -_OVER) & (nodes[:, 3] <= 1 + _OVER)).all() or not np.isfinite(ink).all():
            raise ValueError("opacity must be in [0, 1], and ink finite")

    def __len__(self) -> int:
        return len(self.ink)


@njit(**_HELPER)
def _cell(axis, value, hint):
    """Return the cell of an increasing axis that holds `value` (searched from `hint`), and the place in it."""
    i = hint
    while i > 0 and value < axis[i]:
        i -= 1
    while i < axis.shape[0] - 2 and value >= axis[i + 1]:
        i += 1
    width = axis[i + 1] - axis[i]
    place = (value - axis[i]) / width
    if place < -_MARGIN:
        return i, -_MARGIN, 0.0
    if place > 1.0 + _MARGIN:
        return i, 1.0 + _MARGIN, 0.0
    return i, place, 1.0 / width


@njit(**_HELPER)
def _bilinear(table, i, j, a, b):
    """Return the value at place (a, b) of cell (i, j), and its derivatives by a and b."""
    t00, t01 = float(table[i, j]), float(table[i, j + 1])
    t10, t11 = float(table[i + 1, j]), float(table[i + 1, j + 1])
    low = t00 + (t01 - t00) * b
    high = t10 + (t11 - t10) * b
    return low + (high - low) * a, high - low, (t01 - t00) * (1.0 - a) + (t11 - t10) * a


@njit(**_HELPER)
def _shrink(stroke):
    """Return the mean control point, and the factors by which positions and by which z and v are drawn in towards their
    means, each with its derivative by rho²."""
    mx = 0.25 * (stroke[0] + stroke[2] + stroke[4] + stroke[6])
    my = 0.25 * (stroke[1] + stroke[3] + stroke[5] + stroke[7])
    rho2 = 0.0
    for j in range(4):
        rho2 += 0.25 * ((stroke[2 * j] - mx) ** 2 + (stroke[2 * j + 1] - my) ** 2)
    tau = min(1.0, rho2 / (DOT_MM * DOT_MM))
    ramp = min(1.0, rho2 / (RAMP_MM * RAMP_MM))
    return (
        mx,
        my,
        tau * (2.0 - tau),
        (2.0 - 2.0 * tau) / (DOT_MM * DOT_MM),
        ramp * (2.0 - ramp),
        (2.0 - 2.0 * ramp) / (RAMP_MM * RAMP_MM),
    )


@njit(**_HELPER)
def _ink(colour, amounts, value, slope):
    """Trilinear look-up of (3,) amounts: `value` (3,) and `slope` (3 amounts, 3 channels)."""
    cell = np.empty(3, np.int64)
    place = np.empty(3)
    scale = np.empty(3)
    for d in range(3):
        steps = colour.shape[d] - 1
        x = amounts[d] * steps
        i = min(max(int(x), 0), steps - 1)
        cell[d] = i
        p = x - i
        place[d] = min(max(p, -_MARGIN), 1.0 + _MARGIN)
        scale[d] = steps if place[d] == p else 0.0
    for channel in range(3):
        value[channel] = 0.0
        for d in range(3):
            slope[d, channel] = 0.0
    for corner in range(8):
        i, j, k = corner >> 2, (corner >> 1) & 1, corner & 1
        wi = place[0] if i else 1.0 - place[0]
        wj = place[1] if j else 1.0 - place[1]
        wk = place[2] if k else 1.0 - place[2]
        si = scale[0] if i else -scale[0]
        sj = scale[1] if j else -scale[1]
        sk = scale[2] if k else -scale[2]
        for channel in range(3):
            c = colour[cell[0] + i, cell[1] + j, cell[2] + k, channel]
            value[channel] += wi * wj * wk * c
            slope[0, channel] += si * wj * wk * c
            slope[1, channel] += wi * sj * wk * c
            slope[2, channel] += wi * wj * sk * c


@njit(**_OPTIONS)
def _expand(strokes, weights, z_axis, v_axis, sigma, opacity, colour, nodes, ink):
    count = weights.shape[0]
    slope = np.empty((3, 3))
    for s in range(strokes.shape[0]):
        p = strokes[s]
        mx, my, shrink, _, ramp, _ = _shrink(p)
        zi, vi = 0, 0
        for i in range(count):
            x, y = 0.0, 0.0
            for j in range(4):
                x += weights[i, j] * (p[2 * j] - mx)
                y += weights[i, j] * (p[2 * j + 1] - my)
            r = (i / (count - 1) - 0.5) * ramp
            zi, a, _ = _cell(z_axis, 0.5 * (p[8] + p[9]) + r * (p[9] - p[8]), zi)
            vi, b, _ = _cell(v_axis, 0.5 * (p[10] + p[11]) + r * (p[11] - p[10]), vi)
            node = nodes[s * count + i]
            node[0] = mx + shrink * x
            node[1] = my + shrink * y
            node[2], _, _ = _bilinear(sigma, zi, vi, a, b)
            node[3], _, _ = _bilinear(opacity, zi, vi, a, b)
        _ink(colour, p[12:15], ink[s], slope)


@njit(**_OPTIONS)
def _expand_backward(strokes, weights, z_axis, v_axis, sigma, opacity, colour, node_gradient, ink_gradient, gradient):
    count = weights.shape[0]
    value, slope = np.empty(3), np.empty((3, 3))
    for s in range(strokes.shape[0]):
        p = strokes[s]
        out = gradient[s]
        mx, my, shrink, shrink_slope, ramp, ramp_slope = _shrink(p)
        zi, vi = 0, 0
        dz, dv = p[9] - p[8], p[11] - p[10]
        by_shrink, by_ramp, sum_x, sum_y = 0.0, 0.0, 0.0, 0.0
        z_mean, v_mean, z_tilt, v_tilt = 0.0, 0.0, 0.0, 0.0
        for j in range(15):
            out[j] = 0.0
        for i in range(count):
            g = node_gradient[s * count + i]
            x, y = 0.0, 0.0
            for j in range(4):
                x += weights[i, j] * (p[2 * j] - mx)
                y += weights[i, j] * (p[2 * j + 1] - my)
                out[2 * j] += shrink * weights[i, j] * g[0]
                out[2 * j + 1] += shrink * weights[i, j] * g[1]
            sum_x += g[0]
            sum_y += g[1]
            r = i / (count - 1) - 0.5
            zi, a, by_z = _cell(z_axis, 0.5 * (p[8] + p[9]) + r * ramp * dz, zi)
            vi, b, by_v = _cell(v_axis, 0.5 * (p[10] + p[11]) + r * ramp * dv, vi)
            _, sigma_a, sigma_b = _bilinear(sigma, zi, vi, a, b)
            _, opacity_a, opacity_b = _bilinear(opacity, zi, vi, a, b)
            gz = (g[2] * sigma_a + g[3] * opacity_a) * by_z
            gv = (g[2] * sigma_b + g[3] * opacity_b) * by_v
            z_mean += gz
            v_mean += gv
            z_tilt += gz * r
            v_tilt += gv * r
            by_shrink += g[0] * x + g[1] * y
            by_ramp += r * (gz * dz + gv * dv)
        by_rho2 = by_shrink * shrink_slope + by_ramp * ramp_slope
        for j in range(4):
            out[2 * j] += 0.25 * (1.0 - shrink) * sum_x + by_rho2 * 0.5 * (p[2 * j] - mx)
            out[2 * j + 1] += 0.25 * (1.0 - shrink) * sum_y + by_rho2 * 0.5 * (p[2 * j + 1] - my)
        out[8] = 0.5 * z_mean - ramp * z_tilt
        out[9] = 0.5 * z_mean + ramp * z_tilt
        out[10] = 0.5 * v_mean - ramp * v_tilt
        out[11] = 0.5 * v_mean + ramp * v_tilt
        _ink(colour, p[12:15], value, slope)
        for d in range(3):
            for channel in range(3):
                out[12 + d] += slope[d, channel] * ink_gradient[s, channel]


def _tables(luts: Luts) -> tuple[NDArray, ...]:
    return luts.z_mm, luts.v_mm_s, luts.sigma_mm, luts.opacity, luts.colour


def expand(strokes: NDArray[np.float64], luts: Luts) -> Polylines:
    """Turn (N, 15) strokes (stroke.v1 columns) into polylines of CHORDS chords."""
    count = len(strokes)
    nodes, ink = np.empty((count * (CHORDS + 1), 4)), np.empty((count, 3))
    _expand(np.ascontiguousarray(strokes, np.float64), WEIGHTS, *_tables(luts), nodes, ink)
    return Polylines(nodes, np.arange(count + 1, dtype=np.int64) * (CHORDS + 1), ink)


def expand_backward(
    strokes: NDArray[np.float64], luts: Luts, node_gradient: NDArray[np.float64], ink_gradient: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pull gradients of nodes (M, 4) and ink (N, 3) back to the (N, 15) stroke parameters."""
    gradient = np.empty((len(strokes), 15))
    _expand_backward(
        np.ascontiguousarray(strokes, np.float64), WEIGHTS, *_tables(luts), node_gradient, ink_gradient, gradient
    )
    return gradient


@njit(**_OPTIONS)
def _look_up(z, v, z_axis, v_axis, sigma, opacity, out):
    zi, vi = 0, 0
    for n in range(z.shape[0]):
        zi, a, _ = _cell(z_axis, z[n], zi)
        vi, b, _ = _cell(v_axis, v[n], vi)
        out[n, 0], _, _ = _bilinear(sigma, zi, vi, min(max(a, 0.0), 1.0), min(max(b, 0.0), 1.0))
        out[n, 1], _, _ = _bilinear(opacity, zi, vi, min(max(a, 0.0), 1.0), min(max(b, 0.0), 1.0))


def look_up(luts: Luts, z_mm: NDArray, v_mm_s: NDArray) -> NDArray[np.float64]:
    """Return (n, 2) sigma (mm) and opacity at (n,) heights and speeds, which are clamped to the tables' axes."""
    out = np.empty((len(z_mm), 2))
    z, v = np.ascontiguousarray(z_mm, np.float64), np.ascontiguousarray(v_mm_s, np.float64)
    _look_up(z, v, luts.z_mm, luts.v_mm_s, luts.sigma_mm, luts.opacity, out)
    return out


@njit(**_OPTIONS)
def _inks(colour, amounts, out):
    slope = np.empty((3, 3))
    for n in range(amounts.shape[0]):
        _ink(colour, amounts[n], out[n], slope)


def ink_colour(luts: Luts, cmy: NDArray) -> NDArray[np.float64]:
    """Return the linear RGB (n, 3) of (n, 3) ink amounts."""
    amounts = np.ascontiguousarray(cmy, np.float64)
    out = np.empty((len(amounts), 3))
    _inks(luts.colour, amounts, out)
    return out
