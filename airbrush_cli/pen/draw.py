"""Drawing a pen layer onto a raster, as the pen will."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.pen.curves import flatten
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.units import mm_to_px

_SHIFT = 8  # cv2's fixed-point coordinates: 1/256 px
_SAMPLES = 4  # sub-pixels a pixel and axis that coverage is counted on


def coverage(document: PenVectors, size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Return how much of each pixel the pen covers, (height, width) in 0..1."""
    width, height = size_px
    page = (document.page_mm.x, document.page_mm.y)
    fine = np.zeros((height * _SAMPLES, width * _SAMPLES), np.uint8)
    fine_size = (width * _SAMPLES, height * _SAMPLES)
    for path in document.paths:
        points = mm_to_px(flatten(path), page, fine_size) - 0.5
        radius = document.pen_width_mm * fine_size[0] / page[0] / 2
        _stroke(fine, points, radius)
    return cv2.resize(fine, size_px, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)


def draw_over(rgb: NDArray[np.uint8], document: PenVectors) -> NDArray[np.uint8]:
    """Return the (H, W, 3) sRGB picture with the pen layer drawn over it in black, at the pen's width."""
    if not document.paths:
        return rgb.copy()
    cover = coverage(document, (rgb.shape[1], rgb.shape[0]))[..., None]
    return np.round(rgb * (1 - cover)).astype(np.uint8)


def _stroke(canvas: NDArray[np.uint8], points: NDArray, radius: float) -> None:
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    thickness = max(1, round(2 * radius))
    cv2.polylines(canvas, [fixed], False, 255, thickness, cv2.LINE_8, _SHIFT)
