"""Drawing a pen layer onto a raster, as the pen will."""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.colour import linear_to_srgb, srgb_to_linear
from airbrush_cli.compiled import njit
from airbrush_cli.pen.curves import flatten
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.units import mm_to_px


def coverage(document: PenVectors, size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Return how much of each pixel the pen covers, (height, width) in 0..1.

    A pixel's share is counted on 8 x 8 points in it, so that neighbouring lines of a hatching close without a seam.
    """
    width, height = size_px
    page = (document.page_mm.x, document.page_mm.y)
    points = np.zeros((height, width), np.uint64)
    radius = document.pen_width_mm * np.sqrt(width * height / (page[0] * page[1])) / 2
    for path in document.paths:
        _stroke(points, mm_to_px(flatten(path), page, size_px), radius)
    return np.bitwise_count(points).astype(np.float32) / np.float32(64)


def draw_over(rgb: NDArray[np.uint8], document: PenVectors) -> NDArray[np.uint8]:
    """Return the (H, W, 3) sRGB picture with the pen layer drawn over it in black, at the pen's width.

    Pixels that the pen covers in part are mixed in linear light.
    """
    result = rgb.copy()
    if document.paths:
        cover = coverage(document, (rgb.shape[1], rgb.shape[0]))
        touched = cover > 0
        light = srgb_to_linear(rgb[touched].astype(np.float32) / 255) * (1 - cover[touched][:, None])
        result[touched] = np.round(linear_to_srgb(light) * 255).astype(np.uint8)
    return result


@njit(cache=True)
def _stroke(cover, points, radius):
    """Set the bits of those points of each pixel that a polyline passes within `radius`, row by row."""
    height, width = cover.shape
    reach = radius + 1.0
    all_points = ~np.uint64(0)
    for k in range(len(points) - 1):
        ax, ay, bx, by = points[k, 0], points[k, 1], points[k + 1, 0], points[k + 1, 1]
        dx, dy = bx - ax, by - ay
        square = dx * dx + dy * dy
        top, bottom = max(0, int(min(ay, by) - reach)), min(height, int(max(ay, by) + reach) + 1)
        left, right = max(0, int(min(ax, bx) - reach)), min(width, int(max(ax, bx) + reach) + 1)
        for i in range(top, bottom):
            for j in range(left, right):
                if cover[i, j] == all_points:
                    continue
                away = _away(j + 0.5 - ax, i + 0.5 - ay, dx, dy, square)
                if away <= radius - 0.71:
                    cover[i, j] = all_points
                elif away < radius + 0.71:
                    bits, bit = cover[i, j], np.uint64(1)
                    for row in range(8):
                        for column in range(8):
                            x, y = j + (column + 0.5) / 8 - ax, i + (row + 0.5) / 8 - ay
                            if _away(x, y, dx, dy, square) <= radius:
                                bits |= bit
                            bit = bit << np.uint64(1)
                    cover[i, j] = bits


@njit(cache=True)
def _away(x, y, dx, dy, square):
    """Return the distance of (x, y) from the line from (0, 0) to (dx, dy), `square` its squared length."""
    t = min(1.0, max(0.0, (x * dx + y * dy) / square)) if square > 0 else 0.0
    return np.hypot(x - t * dx, y - t * dy)
