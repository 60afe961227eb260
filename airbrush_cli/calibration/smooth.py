"""Smooth functions through scattered, noisy samples: kriging with a polynomial trend, tuned by leaving samples out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# What is tried: length scales (in units where the samples span 1), and how much of the variance is noise.
_SCALES = (0.3, 0.5, 0.8, 1.3, 2.0, 3.5)
_NOISES = (1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


class Smooth:
    """A function of d coordinates with k values, fitted to n samples.

    Universal kriging with a Matérn 5/2 covariance (C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine
    Learning", 2006, (4.17) and section 2.7). Length scale and noise are those that predict left-out samples best; the
    closed form of leaving one out is section 5.4.2's.

    Args:
        points: (n, d) coordinates, best of about the range 0 to 1.
        values: (n, k).
        noise: (n,) relative standard deviations of the samples' noise.
        degree: of the trend, in each coordinate at most 1, or altogether at most 2.
    """

    def __init__(self, points: Floats, values: Floats, noise: Floats | None = None, degree: int = 1) -> None:
        self._points = points
        noise = np.ones(len(points)) if noise is None else noise
        variance = (noise / np.sqrt(np.mean(noise**2))) ** 2
        self._trend = _trend(points.shape[1], len(points), degree, points)
        best = np.inf
        distance = _distance(points, points)
        basis = self._basis(points)
        for scale, share in itertools.product(_SCALES, _NOISES):
            covariance = _matern(distance / scale) + share * np.diag(variance) + 1e-10 * np.eye(len(points))
            inverse = np.linalg.inv(covariance)
            weighted = inverse @ basis
            normal = basis.T @ weighted
            precision = inverse - weighted @ np.linalg.solve(normal, weighted.T)
            dual = precision @ values
            left_out = dual / np.maximum(np.diag(precision), 1e-12)[:, None]
            score = float(np.mean((left_out / noise[:, None]) ** 2))
            if score < best:
                best = score
                self._scale, self._dual = scale, dual
                self._slopes = np.linalg.solve(normal, weighted.T @ values)
                self.left_out = values - left_out
        """(n, k) predictions of each sample from all others."""

    def __call__(self, points: Floats) -> Floats:
        """Return (m, k) values at (m, d) points."""
        covariance = _matern(_distance(points, self._points) / self._scale)
        result: Floats = covariance @ self._dual + self._basis(points) @ self._slopes
        return result

    def _basis(self, points: Floats) -> Floats:
        return np.stack([np.prod(points ** np.array(powers), axis=1) for powers in self._trend], axis=1)


def _trend(dimensions: int, samples: int, degree: int, points: Floats) -> Sequence[tuple[int, ...]]:
    """The powers of the trend's terms: as many as the samples can tell apart, with as many again to spare."""
    varied = [int(np.ptp(points[:, axis]) > 0) for axis in range(dimensions)]
    everything = list(itertools.product(range(degree + 1), repeat=dimensions))
    allowed = [p for p in everything if all(v or not n for v, n in zip(varied, p, strict=True))]
    chosen = [p for p in allowed if (max(p) <= 1 if degree == 1 else sum(p) <= degree)]
    basic = [p for p in allowed if sum(p) <= 1]
    for terms in (chosen, basic):
        rank = np.linalg.matrix_rank(np.stack([np.prod(points ** np.array(p), axis=1) for p in terms], axis=1))
        if 2 * len(terms) <= samples and rank == len(terms):
            return terms
    return [(0,) * dimensions]


def _distance(one: Floats, other: Floats) -> Floats:
    return np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=-1))


def _matern(distance: Floats) -> Floats:
    scaled = np.sqrt(5.0) * distance
    result: Floats = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return result


def falling(table: Floats) -> Floats:
    """Return the table (..., n, m) made to fall along its last two axes: midway between its envelopes from both sides.

    What falls already stays as it is.
    """
    for axis in (-1, -2):
        below = np.minimum.accumulate(table, axis=axis)
        above = np.flip(np.maximum.accumulate(np.flip(table, axis), axis=axis), axis)
        table = (below + above) / 2.0
    return table
