"""Colour: sRGB, linear light, XYZ, CIE Lab, OKLab and CIEDE2000, for arrays whose last axis holds the channels.

Light is linear RGB with the primaries of sRGB (ITU-R BT.709) and the white D65; 0 is no light and 1 is paper white.
Unless its name or docstring says so, a function neither clips nor rounds: what lies outside the gamut stays there.
float32 stays float32 and float64 stays float64.

The functions serve numpy arrays and torch tensors alike (this module imports no torch): they are written with operators
and with `where`, taken from the library that the values come from. On tensors they carry gradients, finite everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", bound=Any)
"""A floating-point numpy array or torch tensor."""

Matrix = Sequence[Sequence[float]]

_WHITE_XY = (0.3127, 0.3290)
_PRIMARIES_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def _xyz_of_xy(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _primaries_matrix() -> NDArray[np.float64]:
    """Return the matrix linear RGB → XYZ by SMPTE RP 177: its columns are the primaries, scaled so that they add up to
    white. The four digits that IEC 61966-2-1 prints are this matrix rounded; unrounded, greys have no hue at all."""
    primaries = np.stack([_xyz_of_xy(*xy) for xy in _PRIMARIES_XY], axis=1)
    return primaries * np.linalg.solve(primaries, _xyz_of_xy(*_WHITE_XY))


_RGB_TO_XYZ = _primaries_matrix().tolist()
_XYZ_TO_RGB = np.linalg.inv(_RGB_TO_XYZ).tolist()
_WHITE_XYZ = _xyz_of_xy(*_WHITE_XY).tolist()

# B. Ottosson, "A perceptual color space for image processing" (2020, matrices of 2021): linear sRGB → cone responses,
# and their cube roots → OKLab. The way back uses computed inverses, so that a round trip loses nothing.
_RGB_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LMS_TO_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_LMS_TO_RGB = np.linalg.inv(_RGB_TO_LMS).tolist()
_OKLAB_TO_LMS = np.linalg.inv(_LMS_TO_OKLAB).tolist()

# CIE 15: f(t) is a cube root above (6/29)³ and its tangent below.
_LAB_EPSILON = (6 / 29) ** 3
_LAB_SLOPE = (29 / 6) ** 2 / 3
_LAB_OFFSET = 4 / 29


def _library(values: Any) -> Any:
    """Return the package (numpy or torch) that `values` belongs to."""
    return sys.modules[type(values).__module__.partition(".")[0]]


def _transform(matrix: Matrix, values: Values) -> Values:
    """Multiply each vector of `values` (..., 3) by `matrix`: written out, because plain numbers keep the dtype."""
    x, y, z = values[..., 0], values[..., 1], values[..., 2]
    return _library(values).stack([a * x + b * y + c * z for a, b, c in matrix], -1)


def _cube_root(values: Values) -> Values:
    """Return the real cube root. Its slope at 0 is infinite: there the gradient is 0 instead, and no NaN spreads."""
    library = _library(values)
    magnitude = abs(values)
    return library.sign(values) * library.where(magnitude > 1e-30, magnitude, 1e-30) ** (1 / 3)


def srgb_to_linear(srgb: Values) -> Values:
    """Decode sRGB values (any shape, 0..1) to linear light (IEC 61966-2-1). Below 0 the linear part goes on."""
    dark = srgb <= 0.04045
    # Each branch sees only values it is made for: the power's gradient is NaN below zero, and NaN times zero is NaN.
    bright = _library(srgb).where(dark, 1.0, srgb)
    return _library(srgb).where(dark, srgb / 12.92, ((bright + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: Values) -> Values:
    """Encode linear light (any shape, 0..1) as sRGB values (IEC 61966-2-1). Below 0 the linear part goes on."""
    dark = linear <= 0.0031308
    bright = _library(linear).where(dark, 1.0, linear)
    return _library(linear).where(dark, linear * 12.92, 1.055 * bright ** (1 / 2.4) - 0.055)


_LINEAR_OF_SRGB8 = srgb_to_linear(np.arange(256) / 255).astype(np.float32)
_SRGB8_OF_LINEAR = np.rint(255 * linear_to_srgb(np.arange(65536) / 65535)).astype(np.uint8)


def srgb8_to_linear(srgb8: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Decode 8-bit sRGB (any shape) to linear light in 0..1, by table."""
    return _LINEAR_OF_SRGB8[srgb8]


def linear_to_srgb8(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Encode linear light (any shape) as 8-bit sRGB, clipped to 0..1 first; the reverse of `srgb8_to_linear`.

    By a table of 65536 steps: a value within 0.03 of a rounding boundary may take the neighbouring code.
    """
    steps = np.clip(linear, 0, 1) * linear.dtype.type(65535) + linear.dtype.type(0.5)
    return _SRGB8_OF_LINEAR[steps.astype(np.uint16)]


def linear_rgb_to_xyz(rgb: Values) -> Values:
    """Convert linear RGB (..., 3) to CIE 1931 XYZ (..., 3), white at Y = 1."""
    return _transform(_RGB_TO_XYZ, rgb)


def xyz_to_linear_rgb(xyz: Values) -> Values:
    """Convert CIE 1931 XYZ (..., 3), white at Y = 1, to linear RGB (..., 3)."""
    return _transform(_XYZ_TO_RGB, xyz)


def luminance(rgb: Values) -> Values:
    """Return the relative luminance Y (...) of linear RGB (..., 3): 0 black, 1 white."""
    r, g, b = _RGB_TO_XYZ[1]
    return r * rgb[..., 0] + g * rgb[..., 1] + b * rgb[..., 2]


def linear_rgb_to_lab(rgb: Values) -> Values:
    """Convert linear RGB (..., 3) to CIE 1976 L*a*b* (..., 3) under D65: L 0..100 (CIE 15:2004)."""
    library = _library(rgb)
    xyz = linear_rgb_to_xyz(rgb)

    def f(t: Values) -> Values:
        dark = t <= _LAB_EPSILON
        return library.where(dark, _LAB_SLOPE * t + _LAB_OFFSET, library.where(dark, 1.0, t) ** (1 / 3))

    x, y, z = (f(xyz[..., i] / _WHITE_XYZ[i]) for i in range(3))
    return library.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_to_linear_rgb(lab: Values) -> Values:
    """Convert CIE 1976 L*a*b* (..., 3) under D65 to linear RGB (..., 3); outside the gamut of sRGB it leaves 0..1."""
    library = _library(lab)

    def inverse_f(t: Values) -> Values:
        return library.where(t <= 6 / 29, (t - _LAB_OFFSET) / _LAB_SLOPE, t**3)

    y = (lab[..., 0] + 16) / 116
    x, z = y + lab[..., 1] / 500, y - lab[..., 2] / 200
    return xyz_to_linear_rgb(library.stack([inverse_f(t) * w for t, w in zip((x, y, z), _WHITE_XYZ, strict=True)], -1))


def linear_rgb_to_oklab(rgb: Values) -> Values:
    """Convert linear RGB (..., 3) to OKLab (..., 3): L 0..1, a and b about -0.4..0.4 (Ottosson 2020)."""
    return _transform(_LMS_TO_OKLAB, _cube_root(_transform(_RGB_TO_LMS, rgb)))


def oklab_to_linear_rgb(oklab: Values) -> Values:
    """Convert OKLab (..., 3) to linear RGB (..., 3); outside the gamut of sRGB it leaves 0..1."""
    return _transform(_LMS_TO_RGB, _transform(_OKLAB_TO_LMS, oklab) ** 3)


def delta_e2000(lab1: NDArray[np.floating], lab2: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the CIEDE2000 colour difference (...) of two L*a*b* arrays (..., 3); shapes broadcast, kL = kC = kH = 1.

    Formula and the handling of its corner cases: G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference
    formula: implementation notes, supplementary test data, and mathematical observations" (2005), by its numbers.
    """
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(lab1, -1, 0), np.moveaxis(lab2, -1, 0)

    # (2)-(7): a is stretched near the neutral axis; hues in degrees 0..360, 0 where there is no chroma.
    c_mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(c_mean7 / (c_mean7 + 25.0**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360

    # (8)-(14): differences and means, hues the short way round; a colour without chroma takes the other one's hue.
    neutral = c1 * c2 == 0
    far = abs(h2 - h1) > 180
    turn = np.where(neutral, 0, h2 - h1 - far * np.copysign(360, h2 - h1))
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    h_mean = np.where(neutral, h1 + h2, (h1 + h2) / 2 + 180 * far) % 360

    # (15)-(21): weights.
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    s_c = 1 + 0.045 * c_mean
    s_h = 1 + 0.015 * c_mean * t
    rotation = 30 * np.exp(-(((h_mean - 275) / 25) ** 2))
    c_mean7 = c_mean**7
    r_t = -2 * np.sqrt(c_mean7 / (c_mean7 + 25.0**7)) * np.sin(np.radians(2 * rotation))

    # (22)
    l_term, c_term, h_term = (l2 - l1) / s_l, (c2 - c1) / s_c, delta_h / s_h
    return np.sqrt(l_term**2 + c_term**2 + h_term**2 + r_t * c_term * h_term)
