"""Strategists: where strokes come from. The one here needs no training: it looks where the error is largest."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from airbrush_cli import colour, units
from airbrush_cli.schemas.stroke import project
from airbrush_cli.twin.luts import Luts

# Speed of a proposed stroke, mm/s: slow enough to cover well, with room to move both ways.
_SPEED = 12.0


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
            spacing_mm: distance between strokes of this round; their size follows from it.
            generator: source of randomness.
        """
        ...


class ErrorStrategist:
    """Puts strokes where the blurred error is large, along the picture's edges, in the colour that is missing."""

    def __init__(self, luts: Luts, page_mm: tuple[float, float] = units.A4_MM) -> None:
        self.luts = luts
        self.page_mm = page_mm
        self._inks = InkPicker(luts)

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
        blur = 0.3 * spacing_mm * px_per_mm
        wanted = colour.linear_to_srgb(np.clip(target, 0, 1))
        there = colour.linear_to_srgb(np.clip(canvas, 0, 1))
        signed = _blurred(wanted - there, 0.5 * blur)
        error = _blurred(np.square(signed).sum(axis=2), blur)

        columns, rows = _spread(error, count, spacing_mm * px_per_mm, generator)
        direction, coherence = _edge_directions(wanted, blur, columns, rows)
        centre = units.px_to_mm(np.stack([columns + 0.5, rows + 0.5], axis=-1), self.page_mm, (width, height))

        size = spacing_mm * generator.uniform(0.7, 1.3, len(columns))
        length = size * (0.5 + 1.5 * coherence)
        sigma = 0.42 * size / (1.0 + 0.6 * coherence)
        along = np.stack([np.cos(direction), np.sin(direction)], axis=-1) * length[:, None]
        points = centre[:, None, :] + along[:, None, :] * np.array([-0.5, -1 / 6, 1 / 6, 0.5])[None, :, None]

        height_mm = self._heights(sigma)
        cover = self._opacities(height_mm)[:, None]
        mean_target = _blurred(target, 0.7 * blur)[rows, columns]
        mean_canvas = _blurred(canvas, 0.7 * blur)[rows, columns]
        ink = self._inks.pick(mean_canvas + (mean_target - mean_canvas) / cover)
        strokes = np.empty((len(columns), 15))
        strokes[:, :8] = points.reshape(-1, 8)
        strokes[:, 8:10] = height_mm[:, None]
        strokes[:, 10:12] = _SPEED
        strokes[:, 12:15] = ink
        return project(strokes)

    def _heights(self, sigma_mm: NDArray) -> NDArray:
        """Nozzle heights whose spot, at the proposed speed, has the wanted sigma."""
        column = int(np.abs(self.luts.v_mm_s - _SPEED).argmin())
        widths = np.maximum.accumulate(self.luts.sigma_mm[:, column].astype(np.float64))
        return np.interp(sigma_mm, widths, self.luts.z_mm)

    def _opacities(self, height_mm: NDArray) -> NDArray:
        column = int(np.abs(self.luts.v_mm_s - _SPEED).argmin())
        return np.clip(np.interp(height_mm, self.luts.z_mm, self.luts.opacity[:, column]), 0.2, 1.0)


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


def _blurred(picture: NDArray, sigma_px: float) -> NDArray:
    return cv2.GaussianBlur(np.ascontiguousarray(picture, np.float32), (0, 0), max(sigma_px, 0.3))


def _spread(
    error: NDArray, count: int, spacing_px: float, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pixels with a chance that grows with their error, at most one for each cell of the spacing."""
    height, width = error.shape
    cell = max(1.0, 0.7 * spacing_px)
    over = max(1, int(np.ceil(height / cell))), max(1, int(np.ceil(width / cell)))
    rows = np.minimum((np.arange(height) / cell).astype(int), over[0] - 1)
    columns = np.minimum((np.arange(width) / cell).astype(int), over[1] - 1)
    cells = rows[:, None] * over[1] + columns[None, :]
    # Gumbel noise makes the largest score a draw in proportion to the error (Gumbel-max trick): first the best pixel of
    # each cell, then the best cells.
    score = np.log(np.maximum(error, 1e-12)) + 0.5 * generator.gumbel(size=error.shape)
    order = np.lexsort((score.ravel(), cells.ravel()))
    last = np.flatnonzero(np.diff(cells.ravel()[order], append=-1))
    best = order[last]
    total = np.log(np.maximum(np.bincount(cells.ravel(), error.ravel(), over[0] * over[1]), 1e-12))
    rank = total[cells.ravel()[best]] + 0.5 * generator.gumbel(size=len(best))
    chosen = best[np.argsort(-rank, kind="stable")[:count]]
    chosen = chosen[error.ravel()[chosen] > 1e-6]
    return chosen % width, chosen // width


def _edge_directions(
    picture: NDArray, sigma_px: float, columns: NDArray, rows: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the direction along edges (radians) and its coherence (0..1) from the structure tensor at some pixels."""
    luma = _blurred(picture.mean(axis=2), max(0.6, 0.35 * sigma_px))
    gx, gy = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    xx, yy, xy = (_blurred(product, sigma_px)[rows, columns] for product in (gx * gx, gy * gy, gx * gy))
    spread = np.hypot(xx - yy, 2 * xy)
    return 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2, spread / np.maximum(xx + yy, 1e-9)
