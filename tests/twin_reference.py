"""The twin in plain float64 numpy: slow, and the yardstick for every backend.

Written from the definition in airbrush_cli/twin/__init__.py, sharing no code with the kernels.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.profile import C1, C2

CHORDS, DOT_MM, RAMP_MM = 16, 0.05, 0.5


def profile(q: NDArray) -> NDArray:
    """Opacity of the spot at q = d² / sigma², 1 in the middle."""
    return np.where(q < 9.0, ((1 - q / 9) * (1 + C1 * q + C2 * q**2)) ** 2, 0.0)


def bilinear(table: NDArray, rows: NDArray, columns: NDArray, r: float, c: float) -> float:
    """Interpolate, going on straight beyond the grid."""
    i = int(np.clip(np.searchsorted(rows, r, side="right") - 1, 0, len(rows) - 2))
    j = int(np.clip(np.searchsorted(columns, c, side="right") - 1, 0, len(columns) - 2))
    a, b = (r - rows[i]) / (rows[i + 1] - rows[i]), (c - columns[j]) / (columns[j + 1] - columns[j])
    cell = table[i : i + 2, j : j + 2].astype(float)
    return float(np.array([1 - a, a]) @ cell @ np.array([1 - b, b]))


def ink_colour(luts: Luts, cmy: NDArray) -> NDArray:
    """Trilinear look-up of one ink mixture."""
    cell = luts.colour.astype(float)
    for amount in cmy:
        steps = cell.shape[0] - 1
        i = int(np.clip(np.floor(amount * steps), 0, steps - 1))
        place = amount * steps - i
        cell = cell[i] * (1 - place) + cell[i + 1] * place
    return cell


def expand(stroke: NDArray, luts: Luts) -> tuple[NDArray, NDArray]:
    """Nodes (9, 4) and ink (3,) of one stroke."""
    points = stroke[:8].reshape(4, 2)
    middle = points.mean(axis=0)
    rho2 = ((points - middle) ** 2).sum(axis=1).mean()
    shrink, ramp = (tau * (2 - tau) for tau in (min(1.0, rho2 / DOT_MM**2), min(1.0, rho2 / RAMP_MM**2)))
    t = np.linspace(0, 1, CHORDS + 1)[:, None]
    curve = (
        (1 - t) ** 3 * points[0] + 3 * t * (1 - t) ** 2 * points[1] + 3 * t**2 * (1 - t) * points[2] + t**3 * points[3]
    )
    z = stroke[8:10].mean() + ramp * (t[:, 0] - 0.5) * (stroke[9] - stroke[8])
    v = stroke[10:12].mean() + ramp * (t[:, 0] - 0.5) * (stroke[11] - stroke[10])
    sigma = [bilinear(luts.sigma_mm, luts.z_mm, luts.v_mm_s, a, b) for a, b in zip(z, v, strict=True)]
    opacity = [bilinear(luts.opacity, luts.z_mm, luts.v_mm_s, a, b) for a, b in zip(z, v, strict=True)]
    return np.column_stack([middle + shrink * (curve - middle), sigma, opacity]), ink_colour(luts, stroke[12:15])


def coverage(nodes: NDArray, points: NDArray) -> NDArray:
    """Coverage of a polyline (n, 4) at points (..., 2) in mm."""
    best = np.full(points.shape[:-1], np.inf)
    sigma, opacity = np.ones_like(best), np.zeros_like(best)
    for start, end in itertools.pairwise(nodes):
        e = end[:2] - start[:2]
        length2 = e @ e
        u = np.clip((points - start[:2]) @ e / length2, 0, 1) if length2 > 1e-18 else np.zeros_like(best)
        d2 = ((points - start[:2] - u[..., None] * e) ** 2).sum(axis=-1)
        closer = d2 < best
        best = np.where(closer, d2, best)
        sigma = np.where(closer, start[2] + u * (end[2] - start[2]), sigma)
        opacity = np.where(closer, start[3] + u * (end[3] - start[3]), opacity)
    return opacity * profile(best / sigma**2)


def centres(width: int, height: int, page_mm: tuple[float, float]) -> NDArray:
    """Pixel centres in mm, (H, W, 2)."""
    x, y = (np.arange(width) + 0.5) * page_mm[0] / width, (np.arange(height) + 0.5) * page_mm[1] / height
    return np.stack(np.meshgrid(x, y), axis=-1)


def composite(coverages: list[NDArray], ink: NDArray, layering: str, canvas: NDArray) -> NDArray:
    """Lay films, coverages (H, W) and ink (N, 3), on a canvas (H, W, 3)."""
    out = canvas.astype(float)
    for a, colour in zip(coverages, ink, strict=True):
        a = a[..., None]
        out = out * (1 - a) + colour * a if layering == "alpha_over" else out * (1 - a * (1 - colour))
    return out


def render_polylines(
    nodes: list[NDArray], ink: NDArray, layering: str, canvas: NDArray, page_mm: tuple[float, float] = (210.0, 297.0)
) -> NDArray:
    """Paint polylines, a list of (n, 4), with ink (N, 3), on a canvas (H, W, 3)."""
    points = centres(canvas.shape[1], canvas.shape[0], page_mm)
    return composite([coverage(line, points) for line in nodes], ink, layering, canvas)


def render(strokes: NDArray, luts: Luts, canvas: NDArray, page_mm: tuple[float, float] = (210.0, 297.0)) -> NDArray:
    """Paint strokes (N, 15) on a canvas (H, W, 3)."""
    expanded = [expand(stroke, luts) for stroke in strokes]
    nodes, ink = [line for line, _ in expanded], np.array([colour for _, colour in expanded]).reshape(-1, 3)
    return render_polylines(nodes, ink, luts.layering, canvas, page_mm)


def gradient(
    strokes: NDArray,
    luts: Luts,
    canvas: NDArray,
    upstream: NDArray,
    page_mm: tuple[float, float] = (210.0, 297.0),
    step: float = 1e-6,
) -> NDArray:
    """Central differences of sum(upstream * render(strokes)) by every stroke parameter."""
    points = centres(canvas.shape[1], canvas.shape[0], page_mm)
    expanded = [expand(stroke, luts) for stroke in strokes]
    covers, inks = [coverage(line, points) for line, _ in expanded], np.array([ink for _, ink in expanded])
    out = np.zeros_like(strokes)
    for n, parameter in np.ndindex(*strokes.shape):
        sides = []
        for side in (-step, step):
            moved = strokes[n].copy()
            moved[parameter] += side
            line, ink = expand(moved, luts)
            cover = coverage(line, points)
            sides.append(
                composite(
                    [*covers[:n], cover, *covers[n + 1 :]],
                    np.array([*inks[:n], ink, *inks[n + 1 :]]),
                    luts.layering,
                    canvas,
                )
            )
        out[n, parameter] = (upstream * (sides[1] - sides[0])).sum() / (2 * step)
    return out
