"""Millimetres, pixels and machine coordinates.

Image frame: millimetres, origin at the top left corner of the page, +Y down. Pixel (row i, column j) of an H x W raster
covers [j, j+1) x [i, i+1) in pixel coordinates, its centre lies at (j + 0.5, i + 0.5).
Machine frame: millimetres, origin at the bottom left corner of the page, +Y up; it exists only in G-code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

A4_MM = (210.0, 297.0)
RENDER_PX = (908, 1280)


def mm_to_px(points: NDArray, page_mm: tuple[float, float], size_px: tuple[int, int]) -> NDArray:
    """Convert (..., 2) points in mm to pixel coordinates; `page_mm` and `size_px` are (width, height)."""
    return np.asarray(points) * (np.asarray(size_px, float) / np.asarray(page_mm, float))


def px_to_mm(points: NDArray, page_mm: tuple[float, float], size_px: tuple[int, int]) -> NDArray:
    """Convert (..., 2) pixel coordinates to mm; the inverse of `mm_to_px`."""
    return np.asarray(points) * (np.asarray(page_mm, float) / np.asarray(size_px, float))


def image_to_machine(points: NDArray, page_height_mm: float) -> NDArray:
    """Flip (..., 2) points in mm between image frame (+Y down) and machine frame (+Y up); its own inverse."""
    points = np.asarray(points, float)
    return np.stack([points[..., 0], page_height_mm - points[..., 1]], axis=-1)
