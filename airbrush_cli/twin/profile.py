"""The profile of a spot: how opacity falls off with distance from the middle.

A Gaussian exp(−q/2), q = d²/sigma², closed to zero at 3 sigma without a jump, as the square of a cubic:

    f(q) = ((1 − q/9) (1 + C1 q + C2 q²))²  for q < 9,  0 beyond.

C1 and C2 are those two numbers for which the profile has the Gaussian's full width at half maximum (f(2 ln 2) = 1/2)
and the Gaussian's volume (the integral of f over q is 2: the same paint). It stays within 0.012 of the Gaussian, is
continuous with its first derivative, and costs no exponential.
"""

from __future__ import annotations

import math

# Where the spot ends: d² / sigma².
CUT2 = 9.0


def _coefficients() -> tuple[float, float]:
    half = 2.0 * math.log(2.0)
    # f(half) = 1/2 makes C1 a linear function of C2 ...
    offset = (math.sqrt(0.5) / (1.0 - half / CUT2) - 1.0) / half
    # ... and the volume 2 a quadratic equation for C2. With s = q/9, b = 9 C1, c = 81 C2, the integral of f over q is
    # 9 ∫ (1−s)² (1 + b s + c s²)² ds, whose terms are Beta functions ∫ (1−s)² sⁿ ds = 2 / ((n+1)(n+2)(n+3)).
    beta = [2.0 / ((n + 1) * (n + 2) * (n + 3)) for n in range(5)]
    b0, b1 = CUT2 * offset, -half / CUT2  # b = b0 + b1 c, because C1 = offset - half C2
    square = beta[2] * b1 * b1 + 2.0 * beta[3] * b1 + beta[4]
    linear = 2.0 * beta[1] * b1 + 2.0 * beta[2] * (b0 * b1 + 1.0) + 2.0 * beta[3] * b0
    constant = beta[0] + 2.0 * beta[1] * b0 + beta[2] * b0 * b0 - 2.0 / CUT2
    c = (-linear + math.sqrt(linear * linear - 4.0 * square * constant)) / (2.0 * square)
    c2 = c / CUT2**2
    return offset - half * c2, c2


C1, C2 = _coefficients()
