"""PSNR and SSIM of sRGB pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW = 11
_SIGMA = 1.5


def _pair(a: NDArray, b: NDArray) -> float:
    """Check that `a` and `b` can be compared and return the value of white: 255 for uint8, 1 for floats."""
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(f"pictures differ in kind: {a.dtype}{a.shape} and {b.dtype}{b.shape}")
    return 255.0 if a.dtype == np.uint8 else 1.0


def psnr(a: NDArray, b: NDArray) -> float:
    """Return the peak signal-to-noise ratio in dB, infinite for equal pictures.

    Args:
        a, b: sRGB of one shape and dtype, uint8 or floating point in 0..1.

    Raises:
        ValueError: shapes or dtypes differ.
    """
    white = _pair(a, b)
    error = float(np.mean(np.square(np.subtract(a, b, dtype=np.float64))))
    return 10 * float(np.log10(white**2 / error)) if error else float("inf")


def ssim(a: NDArray, b: NDArray) -> float:
    """Return the structural similarity, 1 for equal pictures: the mean over the channels.

    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004): Gaussian window
    of 11x11 and sigma 1.5, K1 = 0.01, K2 = 0.03, averaged where the window lies wholly inside the picture. It is
    scikit-image's `structural_similarity(..., gaussian_weights=True, use_sample_covariance=False, channel_axis=-1)`.

    Args:
        a, b: sRGB (H, W) or (H, W, C) of one shape and dtype, uint8 or floating point in 0..1, at least 11x11.

    Raises:
        ValueError: shapes or dtypes differ, or a side is shorter than the window.
    """
    white = _pair(a, b)
    if min(a.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs {_WINDOW}x{_WINDOW} pixels or more, found {a.shape[1]}x{a.shape[0]}")
    c1, c2 = (0.01 * white) ** 2, (0.03 * white) ** 2
    inside = slice(_WINDOW // 2, -(_WINDOW // 2))

    def local_mean(values: NDArray) -> NDArray:
        return cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA)[inside, inside]

    def channel(x: NDArray, y: NDArray) -> float:
        mean_x, mean_y = local_mean(x), local_mean(y)
        products = mean_x * mean_y
        squares = mean_x**2 + mean_y**2
        covariance = local_mean(x * y) - products
        variances = local_mean(x * x + y * y) - squares
        return float(np.mean((2 * products + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))))

    channels = zip(np.moveaxis(np.atleast_3d(a), -1, 0), np.moveaxis(np.atleast_3d(b), -1, 0), strict=True)
    return float(np.mean([channel(x.astype(np.float64), y.astype(np.float64)) for x, y in channels]))
