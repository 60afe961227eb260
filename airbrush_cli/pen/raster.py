"""Rasters: how deep a pixel lies in the ink, and reading between pixels."""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit

FRAME = 2  # empty pixels around a mask, so that no neighbour lies beyond the raster


def framed_depth(mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32], tuple[int, int]]:
    """Cut a mask, (H, W) of 0 and 1 with any 1, to what is set in it, and measure how deep that is.

    Returns:
        the cut mask within a frame of zeros; each set pixel's distance to the nearest zero, px; (left, top), what to
        add to its pixel coordinates to have the mask's.
    """
    left, top, width, height = cv2.boundingRect(mask)
    cut = mask[top : top + height, left : left + width]
    framed = cv2.copyMakeBorder(cut, FRAME, FRAME, FRAME, FRAME, cv2.BORDER_CONSTANT, value=0).astype(np.uint8)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float32)
    return framed, depth, (left - FRAME, top - FRAME)


@njit(cache=True)
def sample(values, x, y):
    """Return the value of an (H, W) raster at (x, y) in pixel coordinates, bilinear, the border's beyond it."""
    height, width = values.shape
    x, y = min(max(x - 0.5, 0.0), width - 1.0), min(max(y - 0.5, 0.0), height - 1.0)
    j, i = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    u, v = x - j, y - i
    right, below = min(j + 1, width - 1), min(i + 1, height - 1)
    top = (1 - u) * values[i, j] + u * values[i, right]
    return (1 - v) * top + v * ((1 - u) * values[below, j] + u * values[below, right])


@njit(cache=True)
def to_edge(soft, x, y, dx, dy, level, reach):
    """Return how far it is from (x, y) to where `soft` falls below `level` along the unit vector (dx, dy).

    Returns -1 if that lies beyond `reach` px.
    """
    before = sample(soft, x, y)
    t = 0.0
    while t < reach:
        t += 0.5
        value = sample(soft, x + t * dx, y + t * dy)
        if value < level:
            return t - 0.5 * (level - value) / max(before - value, 1e-6)
        before = value
    return -1.0
