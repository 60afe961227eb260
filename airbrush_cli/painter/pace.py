"""How long the machine sprays, how that changes with the strokes' speeds, and which speeds it can keep to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.geometry import bernstein
from airbrush_cli.schemas.stroke import BOUNDS

# Chords of a path; speed goes in a line from the first end to the other over the curve's parameter.
_CHORDS = 16
_WEIGHTS = bernstein(np.linspace(0.0, 1.0, _CHORDS + 1))
_LATE = (np.arange(_CHORDS) + 0.5) / _CHORDS


def seconds(strokes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) how long strokes (N, 15) take at their own speeds: no travel, no waiting for paint."""
    chords, speeds = _chords(strokes)
    return np.asarray((chords / speeds).sum(axis=1))


def by_speed(strokes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 2) the derivatives of `seconds` by the speeds at both ends, s per mm/s; never above 0."""
    chords, speeds = _chords(strokes)
    pull = -chords / np.square(speeds)
    return np.stack([pull @ (1.0 - _LATE), pull @ _LATE], axis=1)


def climbable(strokes: NDArray[np.float64], climb_mm_s: float) -> NDArray[np.float64]:
    """Return strokes (N, 15) no faster than the nozzle can rise or sink along them, on average.

    A machine slows down where its Z axis cannot follow, and then lays more ink than was planned.
    """
    if np.isinf(climb_mm_s):
        return strokes
    lengths, rises = _chords(strokes)[0].sum(axis=1), np.abs(strokes[:, 9] - strokes[:, 8])
    most = climb_mm_s * lengths / np.maximum(rises, 1e-9)
    kept = strokes.copy()
    kept[:, 10:12] = np.minimum(strokes[:, 10:12], np.maximum(most, BOUNDS["speed"][0])[:, None])
    return kept


def _chords(strokes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the chords' lengths in mm and the speeds in their middles in mm/s, both (N, _CHORDS)."""
    points = np.einsum("tk,nkd->ntd", _WEIGHTS, strokes[:, :8].reshape(-1, 4, 2))
    chords = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    first, last = strokes[:, 10, None], strokes[:, 11, None]
    return chords, np.maximum(first + (last - first) * _LATE, BOUNDS["speed"][0])
