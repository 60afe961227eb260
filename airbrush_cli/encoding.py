"""sRGB's transfer curve as compiled loops use it; `colour` has the same for whole arrays."""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit

# sRGB's x^(1/2.4), for light x from 0.0031308 to 1, is 1 + (r - 1) P(r) with r = x^(1/4): a polynomial P that is off by
# 2e-6 at most, white exactly white, and without branch or table, so that it runs on whole vectors.
_P0, _P1, _P2, _P3, _P4, _P5 = (
    np.float32(c) for c in (1.00435041, 0.87149305, -0.42048173, 0.38085204, -0.23203651, 0.06259243)
)
_KNEE, _STEEP = np.float32(0.0031308), np.float32(12.92)
_SCALE, _RISE = np.float32(1.055), np.float32(1.055 / 2.4)
_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(fastmath=True, error_model="numpy", forceinline=True)
def encode(light):
    """Return the sRGB value of a channel of linear light, clipped to [0, 1], and its derivative (IEC 61966-2-1)."""
    x = min(max(light, _ZERO), _ONE)
    r = np.sqrt(np.sqrt(x))
    above = (r - _ONE) * (_P0 + r * (_P1 + r * (_P2 + r * (_P3 + r * (_P4 + r * _P5)))))
    dark = x < _KNEE
    value = _STEEP * x if dark else _ONE + _SCALE * above
    slope = _STEEP if dark else _RISE * (_ONE + above) / max(x, _KNEE)
    return value, slope
