"""The coordinates in which curves are refined: their modes, along and across.

If the control points of a Bézier curve move by d, the curve moves by the sum of B_i(t) d_i, whose square integrates to
d·M d, with M the integrals of B_i B_j. The eigenvectors of M are the curve's modes: how it winds, bends, tilts and
shifts. Hardly any is felt in the gradient of another, as control points are in each other's. The same holds for the
directions along a stroke, in which it shows least that it moves, and across. An optimiser that measures each
coordinate by itself, as Adam does, therefore gets further in these.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

_POINTS = 4
_DEGREE = _POINTS - 1
_MASS = [
    [comb(_DEGREE, i) * comb(_DEGREE, j) / comb(2 * _DEGREE, i + j) for j in range(_POINTS)] for i in range(_POINTS)
]
_MODES = np.linalg.eigh(np.array(_MASS))[1]  # in columns

# A stroke whose ends are nearer than this to each other has no direction of its own (mm).
_SHORT = 0.3


def frames(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 2, 2) unit vectors along and across curves, given by control points x y x y ..., (N, 8)."""
    chord = points[:, 6:8] - points[:, :2]
    length = np.linalg.norm(chord, axis=1, keepdims=True)
    along = np.where(length > _SHORT, chord / np.maximum(length, _SHORT), [1.0, 0.0])
    return np.stack([along, np.stack([-along[:, 1], along[:, 0]], axis=1)], axis=1)


def into(moves: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return moves of control points, or gradients by them, (N, 8), by modes: rotated."""
    local = np.einsum("nij,nkj->nki", frame, moves.reshape(-1, _POINTS, 2))
    return np.einsum("nki,km->nmi", local, _MODES).reshape(-1, 8)


def out_of(moves: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return moves by modes as those of control points, (N, 8): the inverse of `into`."""
    local = np.einsum("nmi,km->nki", moves.reshape(-1, _POINTS, 2), _MODES)
    return np.einsum("nij,nki->nkj", frame, local).reshape(-1, 8)
