"""Strategists: where strokes come from. The one here needs no training: it looks where the error is largest."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from airbrush_cli import colour, units
from airbrush_cli.geometry import bernstein
from airbrush_cli.schemas.stroke import project
from airbrush_cli.twin.luts import Luts

# Speed of a proposed stroke, mm/s: slow enough to cover well, with room to move both ways.
_SPEED = 12.0
# Spot sigma and greatest length of a proposed stroke, in spacings.
_WIDTH, _LENGTH = 0.12, 10.0
# Steps of a proposed line from its middle to an end.
_STEPS = 12
# Sum of sRGB differences within which colours count as one.
_SAME = 0.15


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
    """Puts strokes where the blurred error is large: thin, along the picture's lines, in the colour that is missing.

    Thin and long, because that is what strokes become under refinement: a thin one finds the detail that it is to show
    sooner than a wide one sheds what it covers.
    """

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
        wanted = colour.linear_to_srgb(np.clip(target, 0, 1)).astype(np.float32)
        there = colour.linear_to_srgb(np.clip(canvas, 0, 1)).astype(np.float32)
        error = _blurred(np.square(_blurred(wanted - there, 0.5 * blur)).sum(axis=2), blur)

        columns, rows = _spread(error, count, spacing_mm * px_per_mm, generator)
        if not len(columns):
            return np.empty((0, 15))
        size = spacing_mm * generator.uniform(0.7, 1.3, len(columns))
        angle, coherence = _edge_directions(wanted, blur)
        length = _LENGTH * size * (0.25 + 0.75 * coherence[rows, columns])
        smooth = _blurred(wanted, 0.25 * blur)
        # A line may go on while its colour is nearer to that of its middle than what is there now.
        missing = np.abs(smooth[rows, columns] - there[rows, columns]).sum(axis=1)
        starts = np.stack([columns + 0.5, rows + 0.5], axis=-1)
        lines = _streamlines(starts, length * px_per_mm, angle, coherence, smooth, np.maximum(missing, _SAME))

        height_mm = self._heights(_WIDTH * size)
        cover = self._opacities(height_mm)[:, None]
        mean_target = _blurred(target, 0.7 * blur)[rows, columns]
        mean_canvas = _blurred(canvas, 0.7 * blur)[rows, columns]
        strokes = np.empty((len(columns), 15))
        strokes[:, :8] = units.px_to_mm(_fitted(lines), self.page_mm, (width, height)).reshape(-1, 8)
        strokes[:, 8:10] = height_mm[:, None]
        strokes[:, 10:12] = _SPEED
        strokes[:, 12:15] = self._inks.pick(mean_canvas + (mean_target - mean_canvas) / cover)
        return project(strokes)

    def _heights(self, sigma_mm: NDArray) -> NDArray:
        """Nozzle heights whose spot, at the proposed speed, has the wanted sigma."""
        column = int(np.abs(self.luts.v_mm_s - _SPEED).argmin())
        widths = np.maximum.accumulate(self.luts.sigma_mm[:, column].astype(np.float64))
        return np.interp(sigma_mm, widths, self.luts.z_mm)

    def _opacities(self, height_mm: NDArray) -> NDArray:
        column = int(np.abs(self.luts.v_mm_s - _SPEED).argmin())
        return np.clip(np.interp(height_mm, self.luts.z_mm, self.luts.opacity[:, column]), 0.2, 1.0)


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
    # Gumbel noise makes the largest score a draw in proportion to the error (Gumbel-max trick): first the best pixel of
    # each cell, then the best cells.
    score = np.log(np.maximum(error, 1e-12)) + 0.5 * generator.gumbel(size=error.shape)
    top, left = (np.flatnonzero(np.diff(cells, prepend=-1)) for cells in (rows, columns))
    highest = np.maximum.reduceat(np.maximum.reduceat(score, top, axis=0), left, axis=1)
    best = np.flatnonzero(score == highest[rows][:, columns])
    total = np.add.reduceat(np.add.reduceat(error, top, axis=0), left, axis=1)[
        rows[best // width], columns[best % width]
    ]
    rank = np.log(np.maximum(total, 1e-12)) + 0.5 * generator.gumbel(size=len(best))
    chosen = best[np.argsort(-rank, kind="stable")[:count]]
    chosen = chosen[error.ravel()[chosen] > 1e-6]
    return chosen % width, chosen // width


def _edge_directions(picture: NDArray, sigma_px: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the direction along edges (radians) and its coherence (0..1), (H, W), from the structure tensor.

    The tensor is summed over channels (Di Zenzo 1986): edges between colours of one lightness count too.
    """
    xx, yy, xy = np.zeros((3, *picture.shape[:2]), np.float32)
    for channel in np.moveaxis(_blurred(picture, max(0.6, 0.35 * sigma_px)), -1, 0):
        channel = np.ascontiguousarray(channel)
        gx, gy = cv2.Sobel(channel, cv2.CV_32F, 1, 0), cv2.Sobel(channel, cv2.CV_32F, 0, 1)
        xx, yy, xy = xx + gx * gx, yy + gy * gy, xy + gx * gy
    xx, yy, xy = (_blurred(tensor, max(0.6, 0.5 * sigma_px)) for tensor in (xx, yy, xy))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return angle, np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-9)


def _streamlines(
    starts: NDArray[np.float64],
    length_px: NDArray[np.float64],
    angle: NDArray,
    coherence: NDArray,
    picture: NDArray,
    tolerance: NDArray,
) -> NDArray[np.float64]:
    """Follow a field of directions both ways, as brush strokes follow a picture (Hertzmann 1998).

    Args:
        starts: (n, 2) pixels in the middle of the lines.
        length_px: (n,) how long they may become.
        angle: (H, W) directions, each as good as its opposite; where coherence (H, W) is low, lines go straight on.
        picture: (H, W, 3) sRGB. A line stops where it differs from the line's middle by more than its tolerance, (n,).

    Returns:
        (n, 2 _STEPS + 1, 2) points in pixels.
    """
    height, width = angle.shape
    columns, rows = starts.astype(int).T
    middle, first = picture[rows, columns], angle[rows, columns]
    step = (length_px / (2 * _STEPS))[:, None]
    halves = []
    for sign in (-1.0, 1.0):
        place, heading = starts.copy(), sign * np.stack([np.cos(first), np.sin(first)], axis=-1)
        going = np.ones(len(starts), bool)
        line = []
        for _ in range(_STEPS):
            ahead = place + step * heading
            going &= ((ahead >= 0) & (ahead < (width, height))).all(axis=1)
            place = np.where(going[:, None], ahead, place)
            column, row = place.astype(int).T
            going &= np.abs(picture[row, column] - middle).sum(axis=1) < tolerance
            turn = angle[row, column]
            field = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
            field *= np.where((field * heading).sum(axis=1) < 0, -1.0, 1.0)[:, None]
            trust = coherence[row, column][:, None]
            heading = heading * (1 - trust) + field * trust
            heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
            line.append(place)
        halves.append(line)
    return np.stack([*halves[0][::-1], starts, *halves[1]], axis=1)


def _fitted(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the control points (n, 4, 2) of the cubic Béziers nearest to lines (n, k, 2), at equidistant t."""
    t = np.linspace(0, 1, lines.shape[1])
    return np.einsum("ck,nkd->ncd", np.linalg.pinv(bernstein(t)), lines)
