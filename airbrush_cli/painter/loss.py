"""How far a picture is from its target, and in which direction it should change.

Colour error is the mean squared difference of sRGB values: sRGB's transfer curve is close to perceptually even, and it
is the scale that PSNR is given in. The twin works in linear light, so the gradient is taken through the curve.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.encoding import encode
from airbrush_cli.threads import share
from airbrush_cli.twin import comparison
from airbrush_cli.twin.comparison import Comparison
from airbrush_cli.twin.model import Twin

_BLOCKS = 16

_ZERO = np.float32(0)


@njit(fastmath=True, cache=True, error_model="numpy", nogil=True)
def _srgb_error(picture, target, scale, gradient, first, last):
    """Write the gradient of the rows first..last, (H, 3 W), and return their sum of squared errors."""
    total = 0.0
    for i in range(first, last):
        light, wanted, out = picture[i], target[i], gradient[i]
        line = _ZERO
        for j in range(np.uint64(light.size)):
            value, slope = encode(light[j])
            error = value - wanted[j]
            line += error * error
            out[j] = scale * error * slope
        total += line
    return total


def compare(
    twin: Twin, strokes: NDArray[np.float64], target: NDArray[np.float32], pull: NDArray[np.float32] | None = None
) -> Comparison:
    """Paint strokes on white paper, compare them with a picture, and say how the error changes with them.

    Args:
        twin: that paints.
        strokes: (N, 15), stroke.v1 columns.
        target: (H, W, 3) sRGB in [0, 1].
        pull: (H, W, 3), a gradient by the painted light to add to that of the error.

    Raises:
        BackendError: the GPU failed.
    """
    if twin.backend == "cpu":
        return comparison.compare(strokes, twin.luts, target, pull)
    picture, tape = twin.forward(strokes, (target.shape[1], target.shape[0]))
    error, gradient = srgb_mse(picture, target)
    if pull is not None:
        gradient += pull
    return Comparison(picture, error, twin.backward(tape, gradient))


def srgb_mse(picture: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """Mean squared sRGB error and its gradient.

    Args:
        picture: (H, W, 3) linear RGB.
        target: (H, W, 3) sRGB in [0, 1].

    Returns:
        the error, and its gradient with respect to `picture`, (H, W, 3).
    """
    gradient = np.empty(picture.shape, np.float32)
    scale = np.float32(2.0 / picture.size)
    light, wanted, out = _lines(picture), _lines(target), _lines(gradient)
    # Blocks of a fixed number, so that the sum is the same however many workers there are.
    edges = _edges(len(picture))
    parts = share(lambda block: float(_srgb_error(light, wanted, scale, out, edges[block], edges[block + 1])), _BLOCKS)
    return sum(parts) / picture.size, gradient


@njit(fastmath=True, cache=True, error_model="numpy", nogil=True)
def _encode(picture, values, slopes, first, last):
    for i in range(first, last):
        light, value, slope = picture[i], values[i], slopes[i]
        for j in range(np.uint64(light.size)):
            value[j], slope[j] = encode(light[j])


def srgb_encoded(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the sRGB values of (H, W, 3) linear RGB, clipped to [0, 1], and their derivatives by the light."""
    values, slopes = np.empty(picture.shape, np.float32), np.empty(picture.shape, np.float32)
    light, value, slope = _lines(picture), _lines(values), _lines(slopes)
    edges = _edges(len(picture))
    share(lambda block: _encode(light, value, slope, edges[block], edges[block + 1]), _BLOCKS)
    return values, slopes


def shrunk(picture: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Average an (H, W, 3) picture over the pixels of a smaller one of that (width, height)."""
    return np.asarray(cv2.resize(picture, size_px, interpolation=cv2.INTER_AREA), np.float32)


def _lines(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """View an (H, W, 3) raster as (H, 3 W): one loop runs over all of a line."""
    return np.ascontiguousarray(picture, np.float32).reshape(len(picture), -1)


def _edges(rows: int) -> NDArray[np.int64]:
    return np.linspace(0, rows, _BLOCKS + 1).astype(np.int64)
