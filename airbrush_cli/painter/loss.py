"""How far a picture is from its target, and in which direction it should change.

Colour error is the mean squared difference of sRGB values: sRGB's transfer curve is close to perceptually even, and it
is the scale that PSNR is given in. The twin works in linear light, so the gradient is taken through the curve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour
from airbrush_cli.compiled import njit
from airbrush_cli.twin.cpu import share

# The transfer curve and its derivative over the square root of linear light, where both are smooth enough for
# linear interpolation between 1024 entries (error below 1e-5).
_ENTRIES = 1024
_BLOCKS = 16


def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    linear = np.linspace(0.0, 1.0, _ENTRIES + 1) ** 2
    slope = np.where(linear <= 0.0031308, 12.92, 1.055 / 2.4 * np.maximum(linear, 1e-9) ** (1 / 2.4 - 1))
    return colour.linear_to_srgb(linear).astype(np.float32), slope.astype(np.float32)


CURVE, _SLOPE = _tables()


@njit(fastmath=True, error_model="numpy", forceinline=True)
def cell(light, entries):
    """Return the interval of the curve's `entries` that holds some light, clipped to [0, 1], and the place in it."""
    root = np.sqrt(min(max(light, np.float32(0)), np.float32(1))) * np.float32(entries - 1)
    index = min(int(root), entries - 2)
    return index, root - np.float32(index)


@njit(fastmath=True, cache=True, error_model="numpy", nogil=True)
def _srgb_error(picture, target, curve, slope, gradient, first, last):
    """Write the gradient of the rows first..last and return their sum of squared errors."""
    height, width, _ = picture.shape
    scale = np.float32(2.0 / (height * width * 3))
    total = 0.0
    for i in range(first, last):
        for j in range(width):
            for k in range(3):
                index, part = cell(picture[i, j, k], curve.size)
                value = curve[index] + part * (curve[index + 1] - curve[index])
                error = value - target[i, j, k]
                total += error * error
                gradient[i, j, k] = scale * error * (slope[index] + part * (slope[index + 1] - slope[index]))
    return total


def srgb_mse(picture: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """Mean squared sRGB error and its gradient.

    Args:
        picture: (H, W, 3) linear RGB.
        target: (H, W, 3) sRGB in [0, 1].

    Returns:
        the error, and its gradient with respect to `picture`, (H, W, 3).
    """
    gradient = np.empty_like(picture)
    # Blocks of a fixed number, so that the sum is the same however many workers there are.
    edges = np.linspace(0, len(picture), _BLOCKS + 1).astype(np.int64)

    def task(block: int) -> float:
        return float(_srgb_error(picture, target, CURVE, _SLOPE, gradient, edges[block], edges[block + 1]))

    return sum(share(task, _BLOCKS)) / picture.size, gradient


@njit(fastmath=True, cache=True, error_model="numpy", nogil=True)
def _encode(picture, curve, slope, values, slopes, first, last):
    for i in range(first, last):
        for j in range(picture.shape[1]):
            for k in range(3):
                index, part = cell(picture[i, j, k], curve.size)
                values[i, j, k] = curve[index] + part * (curve[index + 1] - curve[index])
                slopes[i, j, k] = slope[index] + part * (slope[index + 1] - slope[index])


def srgb_encoded(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the sRGB values of (H, W, 3) linear RGB, clipped to [0, 1], and their derivatives by the light."""
    values, slopes = np.empty_like(picture), np.empty_like(picture)
    edges = np.linspace(0, len(picture), _BLOCKS + 1).astype(np.int64)
    share(lambda block: _encode(picture, CURVE, _SLOPE, values, slopes, edges[block], edges[block + 1]), _BLOCKS)
    return values, slopes
