"""How far a picture is from its target, and in which direction it should change.

Colour error is the mean squared difference of sRGB values: sRGB's transfer curve is close to perceptually even, and it
is the scale that PSNR is given in. The twin works in linear light, so the gradient is taken through the curve.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour

# The transfer curve and its derivative over the square root of linear light, where both are smooth enough for
# linear interpolation between 1024 entries (error below 1e-5).
_ENTRIES = 1024


def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    linear = np.linspace(0.0, 1.0, _ENTRIES + 1) ** 2
    slope = np.where(linear <= 0.0031308, 12.92, 1.055 / 2.4 * np.maximum(linear, 1e-9) ** (1 / 2.4 - 1))
    return colour.linear_to_srgb(linear).astype(np.float32), slope.astype(np.float32)


_CURVE, _SLOPE = _tables()


@numba.njit(parallel=True, fastmath=True, cache=True, error_model="numpy")
def _srgb_error(
    picture: NDArray, target: NDArray, curve: NDArray, slope: NDArray, gradient: NDArray
) -> NDArray:  # pragma: no cover (compiled)
    height, width, _ = picture.shape
    rows = np.empty(height, np.float64)
    scale = np.float32(2.0 / (height * width * 3))
    for i in numba.prange(height):
        total = 0.0
        for j in range(width):
            for k in range(3):
                root = np.sqrt(min(max(picture[i, j, k], np.float32(0)), np.float32(1))) * np.float32(curve.size - 1)
                index = min(int(root), curve.size - 2)
                part = root - np.float32(index)
                value = curve[index] + part * (curve[index + 1] - curve[index])
                error = value - target[i, j, k]
                total += error * error
                gradient[i, j, k] = scale * error * (slope[index] + part * (slope[index + 1] - slope[index]))
        rows[i] = total
    return rows


def srgb_mse(
    picture: NDArray[np.float32], target: NDArray[np.float32], gradient: NDArray[np.float32] | None = None
) -> tuple[float, NDArray[np.float32]]:
    """Mean squared sRGB error and its gradient.

    Args:
        picture: (H, W, 3) linear RGB.
        target: (H, W, 3) sRGB in [0, 1].
        gradient: where to write the gradient; a new array if None.

    Returns:
        the error, and its gradient with respect to `picture`.
    """
    if gradient is None:
        gradient = np.empty_like(picture)
    rows = _srgb_error(picture, target, _CURVE, _SLOPE, gradient)
    return float(rows.sum() / picture.size), gradient


def srgb_slope(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return d sRGB / d light at (H, W, 3) linear RGB, clipped to [0, 1]."""
    return _SLOPE[np.rint(np.sqrt(np.clip(picture, 0.0, 1.0)) * _ENTRIES).astype(np.int32)]
