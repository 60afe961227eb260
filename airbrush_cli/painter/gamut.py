"""What the inks can reach: mapping a target into the gamut of the colour LUT, and saying what was out of it.

Opaque ink over paper and over other ink mixes light linearly, so the reachable colours are the convex hull of the LUT's
colours in linear RGB. Transparent ink multiplies: the hull then also holds the products of two layers. A colour outside
goes to the nearest reachable one in OKLab, where distances are close to what people see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import ConvexHull, QhullError, cKDTree

from airbrush_cli import colour
from airbrush_cli.twin.luts import Luts

_GRID = 33
# Points on the hull's surface among which the nearest is looked for.
_SURFACE = 100_000
# Of the way along a unit of linear light; below it a colour counts as reachable.
_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Mapped:
    """A target within the gamut, and how much of it was not."""

    linear: NDArray[np.float32]  # (H, W, 3), linear RGB
    out_of_gamut: float  # share of pixels, 0..1
    delta_e: float  # mean ΔE2000 of those pixels to where they went; 0 if there are none


def reachable_colours(luts: Luts) -> NDArray[np.float64]:
    """Return (n, 3) linear RGB colours whose convex hull is the gamut."""
    colours = np.unique(luts.colour.reshape(-1, 3).astype(np.float64), axis=0)
    colours = np.vstack([colours, np.ones((1, 3))])
    if luts.layering == "multiply":
        corners = colours[_hull(colours).vertices]
        colours = np.vstack([colours, (corners[:, None] * corners[None]).reshape(-1, 3)])
    return colours


def _hull(points: NDArray[np.float64]) -> ConvexHull:
    try:
        return ConvexHull(points)
    except QhullError:  # flat, as with inks of one hue: joggled, it has a volume
        return ConvexHull(points, qhull_options="QJ")


def map_to_gamut(srgb: NDArray[np.uint8], luts: Luts) -> Mapped:
    """Map an (H, W, 3) sRGB picture into the gamut of the inks."""
    linear = colour.srgb8_to_linear(srgb)
    hull = _hull(reachable_colours(luts))
    planes = hull.equations.astype(np.float32)
    flat = linear.reshape(-1, 3)
    excess = np.full(len(flat), -np.inf, np.float32)
    for normal in planes:  # plane by plane: a whole (pixels, planes) product would take gigabytes
        np.maximum(excess, flat @ normal[:3] + normal[3], out=excess)
    outside = excess > _TOLERANCE
    mapped = flat.copy()
    if outside.any():
        mapped[outside] = _nearest(flat[outside], hull)
        sample = np.flatnonzero(outside)[:: max(1, int(outside.sum()) // 20_000)]
        lab = [colour.linear_rgb_to_lab(pixels[sample].astype(np.float64)) for pixels in (flat, mapped)]
        delta_e = float(colour.delta_e2000(*lab).mean())
    else:
        delta_e = 0.0
    return Mapped(mapped.reshape(linear.shape), float(outside.mean()), delta_e)


def _nearest(pixels: NDArray[np.float32], hull: ConvexHull) -> NDArray[np.float32]:
    """Return the reachable colours nearest to (n, 3) linear RGB pixels, by OKLab distance to the hull's surface."""
    # The rounder the hull, the more and the smaller its triangles.
    steps = int(np.clip(np.sqrt(2 * _SURFACE / len(hull.simplices)), 4, 64))
    surface = _sample_surface(hull, steps)
    tree = cKDTree(colour.linear_rgb_to_oklab(surface))
    axis = np.linspace(0.0, 1.0, _GRID)
    # The map is smooth and the pixels are many: it is computed on a grid in sRGB, in whose scale it is evenly smooth.
    grid = colour.srgb_to_linear(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
    inside = (grid.reshape(-1, 3) @ hull.equations[:, :3].T + hull.equations[:, 3]).max(axis=1) <= _TOLERANCE
    index = tree.query(colour.linear_rgb_to_oklab(grid.reshape(-1, 3)))[1]
    shift = np.where(inside[:, None], 0.0, surface[index] - grid.reshape(-1, 3)).reshape(grid.shape)
    interpolate = RegularGridInterpolator((axis, axis, axis), shift, bounds_error=False, fill_value=None)
    return (pixels + interpolate(colour.linear_to_srgb(np.clip(pixels, 0, 1)))).astype(np.float32)


def _sample_surface(hull: ConvexHull, steps: int) -> NDArray[np.float64]:
    """Return points spread over the triangles of a hull."""
    u, v = np.meshgrid(*[np.linspace(0, 1, steps)] * 2)
    keep = u + v <= 1
    weights = np.stack([1 - u[keep] - v[keep], u[keep], v[keep]], axis=-1)
    points = weights @ hull.points[hull.simplices]
    return np.unique(np.clip(points.reshape(-1, 3), 0, 1).round(4), axis=0)
