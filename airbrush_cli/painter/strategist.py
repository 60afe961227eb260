"""Strategists: where strokes come from. The one here needs no training: it finds what takes most of the error off."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from airbrush_cli import colour, units
from airbrush_cli.painter.pursuit import Gains, apart, follow
from airbrush_cli.schemas.stroke import project
from airbrush_cli.twin.luts import Luts

# Speed of a proposed stroke, in the slowest ones: the paint covers well, and there is room to move both ways.
_SLOW = 1.3
# Spot sigmas of proposed strokes, in the smallest ones.
_WIDTHS = np.array([1.1, 2.2, 4.4, 8.8])
# Places from which lines are tried, for each stroke that is wanted.
_TRIES = 8
# Gain of a square pixel that is not worth a line: less than one 8-bit step.
_LEAST = 1e-5


class Strategist(Protocol):
    """Proposes strokes that would bring a canvas closer to its target."""

    def propose(
        self,
        target: NDArray[np.float32],
        canvas: NDArray[np.float32],
        count: int,
        spacing_mm: float,
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return up to `count` strokes, (n, 15), in the order in which they should be painted.

        Args:
            target: (H, W, 3) linear RGB.
            canvas: (H, W, 3) linear RGB, what is on the paper so far.
            count: how many are wanted.
            spacing_mm: distance between strokes of this round.
            generator: source of randomness.
        """
        ...


class ErrorStrategist:
    """Puts strokes where they take most of the error off: lines found by matching pursuit (pursuit.py).

    They are as opaque as the airbrush paints, and most of them thin, because that is what strokes become under
    refinement.
    """

    def __init__(self, luts: Luts, page_mm: tuple[float, float] = units.A4_MM) -> None:
        self.page_mm = page_mm
        self._inks = InkPicker(luts)
        self._speed = _SLOW * float(luts.v_mm_s[0])
        column = int(np.abs(luts.v_mm_s - self._speed).argmin())
        sigma = np.maximum.accumulate(luts.sigma_mm[:, column].astype(np.float64))
        self._sigma_mm = np.array([width for width in _WIDTHS * sigma[0] if width <= sigma[-1]] or [sigma[0]])
        self._height_mm = np.interp(self._sigma_mm, sigma, luts.z_mm)
        self._opacity = np.interp(self._height_mm, luts.z_mm, luts.opacity[:, column])
        colours = colour.linear_to_srgb(luts.colour.reshape(-1, 3))
        self._colours = colours.min(axis=0), colours.max(axis=0)

    def propose(
        self,
        target: NDArray[np.float32],
        canvas: NDArray[np.float32],
        count: int,
        spacing_mm: float,
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        height, width = target.shape[:2]
        px_per_mm = width / self.page_mm[0]
        wanted = colour.linear_to_srgb(np.clip(target, 0, 1)).astype(np.float32)
        there = colour.linear_to_srgb(np.clip(canvas, 0, 1)).astype(np.float32)
        sigma_px = self._sigma_mm * px_per_mm
        gains = Gains.of(wanted, there, sigma_px, self._opacity, self._colours)
        columns, rows = _spread(gains.best(), _TRIES * count, spacing_mm * px_per_mm / np.sqrt(_TRIES), generator)
        starts = np.stack([columns + 0.5, rows + 0.5], axis=-1)
        lines = apart(follow(gains, starts), count, np.maximum(sigma_px, 1.0), (width, height))
        lines = lines[::-1]  # the best one on top
        strokes = np.empty((len(lines), 15))
        strokes[:, :8] = units.px_to_mm(lines.points, self.page_mm, (width, height)).reshape(-1, 8)
        strokes[:, 8:10] = self._height_mm[lines.width, None]
        strokes[:, 10:12] = self._speed
        strokes[:, 12:15] = self._inks.pick(colour.srgb_to_linear(lines.colour))
        return project(strokes)


def spacing_mm(strokes: int) -> float:
    """Return how far apart strokes lie if so many share an A4 page."""
    return float(np.sqrt(units.A4_MM[0] * units.A4_MM[1] / strokes))


class InkPicker:
    """Finds the ink mix whose colour is nearest to a wanted one, in OKLab."""

    def __init__(self, luts: Luts, steps: int = 24) -> None:
        axis = np.linspace(0.0, 1.0, steps)
        self._cmy = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        grid = [np.linspace(0.0, 1.0, size) for size in luts.colour.shape[:3]]
        colours = RegularGridInterpolator(grid, luts.colour.astype(np.float64))(self._cmy)
        self._tree = cKDTree(colour.linear_rgb_to_oklab(colours))

    def pick(self, linear: NDArray) -> NDArray[np.float64]:
        """Return (n, 3) CMY for (n, 3) linear RGB, which may lie outside [0, 1]."""
        return self._cmy[self._tree.query(colour.linear_rgb_to_oklab(np.clip(linear, 0.0, 1.0)))[1]]


def _spread(
    gain: NDArray, count: int, spacing_px: float, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pixels with a chance that grows with their gain, at most one for each cell of the spacing."""
    height, width = gain.shape
    cell = max(1.0, 0.7 * spacing_px)
    over = max(1, int(np.ceil(height / cell))), max(1, int(np.ceil(width / cell)))
    rows = np.minimum((np.arange(height) / cell).astype(int), over[0] - 1)
    columns = np.minimum((np.arange(width) / cell).astype(int), over[1] - 1)
    # Gumbel noise makes the largest score a draw in proportion to the gain (Gumbel-max trick): first the best pixel of
    # each cell, then the best cells.
    score = np.log(np.maximum(gain, 1e-12)) + 0.5 * generator.gumbel(size=gain.shape)
    top, left = (np.flatnonzero(np.diff(cells, prepend=-1)) for cells in (rows, columns))
    highest = np.maximum.reduceat(np.maximum.reduceat(score, top, axis=0), left, axis=1)
    best = np.flatnonzero(score == highest[rows][:, columns])
    total = np.add.reduceat(np.add.reduceat(gain, top, axis=0), left, axis=1)[
        rows[best // width], columns[best % width]
    ]
    rank = -np.log(np.maximum(total, 1e-12)) - 0.5 * generator.gumbel(size=len(best))
    if len(best) > count:
        near = np.argpartition(rank, count)[:count]
        best, rank = best[near], rank[near]
    chosen = best[np.argsort(rank, kind="stable")]
    chosen = chosen[gain.ravel()[chosen] > _LEAST]
    return chosen % width, chosen // width
