"""Matching pursuit: the lines of paint that would take most of the error off a canvas.

A pixel of colour C that should be w and is covered by a share a of colour k errs by |w − C − a (k − C)|², so paint
gains 2 a (w − C)·(k − C) − a² |k − C|². Summed across a line of given width, that is s + k·v − m |k|² at each point of
it, with s, v and m that do not depend on the line's colour: s and v are blurred pictures, m a number. So the sums of s
and v along a line say which colour is best for it, and what it gains (Mallat & Zhang, Matching pursuits with
time-frequency dictionaries, 1993). Colours are sRGB values, as if those mixed: where paint covers well that makes
little difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.geometry import bernstein
from airbrush_cli.threads import share

# Half the length of the first straight piece of a line (px), the directions tried for it.
_HALF, _DIRECTIONS = 4, 12
# Then a line grows from both its ends by steps (px), each in that of so many directions to either side, so far apart
# (radians), in which this step and the next would gain most, until for so many steps it has gained nothing.
_STEP, _TURNS, _TURN, _PATIENCE = 2, 2, 0.25, 6
# Steps from the first piece to an end of a line, at most.
_MOST = 80
# Points of a line to which the cubic Bézier is fitted, and points of that at which its gain is summed.
_FIT, _WALK = 25, 49
# A line is left out if more of it than this lies on better lines.
_OVERLAP = 0.3
_BLOCKS = 16

_FITTING = np.ascontiguousarray(np.linalg.pinv(bernstein(np.linspace(0, 1, _FIT))))
_WALKING = bernstein(np.linspace(0, 1, _WALK))

_KERNEL = {"cache": True, "fastmath": True, "error_model": "numpy", "nogil": True}
_HELPER = {"fastmath": True, "error_model": "numpy", "forceinline": True}


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of paint, cubic Béziers, and what they would gain."""

    points: NDArray[np.float64]  # (N, 4, 2), pixels
    width: NDArray[np.int64]  # (N,), which of the widths
    colour: NDArray[np.float64]  # (N, 3), sRGB
    gain: NDArray[np.float64]  # (N,), decrease of the sum of squared errors

    def __len__(self) -> int:
        return len(self.gain)

    def __getitem__(self, index: NDArray[np.int64] | slice) -> Lines:
        return Lines(self.points[index], self.width[index], self.colour[index], self.gain[index])


@dataclass(frozen=True, eq=False)
class Gains:
    """What lines of each width would gain, by place.

    Attributes:
        maps: (L, H, W, 4) float32, s and the three of v for each pixel of length.
        square: (L,) float32, m.
        sigma_px: (L,) widths.
        low, high: (3,) float32, bounds of the colours that there are, sRGB.
    """

    maps: NDArray[np.float32]
    square: NDArray[np.float32]
    sigma_px: NDArray[np.float64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        wanted: NDArray[np.float32],
        there: NDArray[np.float32],
        sigma_px: NDArray[np.float64],
        opacity: NDArray[np.float64],
        colours: tuple[NDArray, NDArray],
    ) -> Gains:
        """Measure what lines would gain.

        Args:
            wanted: (H, W, 3) sRGB.
            there: (H, W, 3) sRGB, what is on the paper so far.
            sigma_px: (L,) of the Gaussian cross-sections of lines.
            opacity: (L,) heights of those.
            colours: lowest and highest sRGB values of a line, (3,) each.
        """
        missing = wanted - there
        once = np.dstack([-np.einsum("hwc,hwc->hw", missing, there), missing])
        twice = np.dstack([-np.einsum("hwc,hwc->hw", there, there), 2 * there])
        # The integrals across a line of its coverage, twice, and of its square, which is narrower.
        single, square = 2 * opacity * sigma_px * np.sqrt(2 * np.pi), np.square(opacity) * sigma_px * np.sqrt(np.pi)
        maps = np.empty((len(sigma_px), *missing.shape[:2], 4), np.float32)
        for out, sigma, by, by_square in zip(maps, sigma_px, single, square, strict=True):
            cv2.addWeighted(_blurred(once, sigma), by, _blurred(twice, sigma / np.sqrt(2)), by_square, 0, dst=out)
        low, high = (np.asarray(bound, np.float32) for bound in colours)
        return cls(maps, square.astype(np.float32), sigma_px, low, high)

    def best(self) -> NDArray[np.float32]:
        """Return (H, W): what paint can gain at each place, for its area, if it takes the best colour there."""
        gain = np.empty(self.maps.shape[1:3], np.float32)
        edges = np.linspace(0, len(gain), _BLOCKS + 1).astype(np.int64)
        sigma = self.sigma_px.astype(np.float32)
        share(lambda block: _best(edges[block], edges[block + 1], self.maps, self.square, sigma, gain), _BLOCKS)
        return gain


def _blurred(picture: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur, at a fraction of the size where the result is as smooth as that."""
    height, width = picture.shape[:2]
    shrink = 2 ** max(int(np.log2(max(sigma_px, 1.0) / 1.5)), 0)
    small = max(width // shrink, 1), max(height // shrink, 1)
    out = cv2.resize(picture, small, interpolation=cv2.INTER_AREA) if shrink > 1 else picture
    out = cv2.GaussianBlur(out, (0, 0), max(sigma_px / shrink, 0.3))
    out = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR) if shrink > 1 else out
    return out.astype(np.float32, copy=False)


def follow(gains: Gains, starts: NDArray[np.float64]) -> Lines:
    """Return the best line found through each start, (n, 2) pixels."""
    count = len(starts)
    points, width = np.empty((count, 4, 2)), np.empty(count, np.int64)
    colour, gain = np.empty((count, 3)), np.empty(count)
    edges = np.linspace(0, count, _BLOCKS + 1).astype(np.int64)

    def task(block: int) -> None:
        _follow(
            edges[block], edges[block + 1], gains.maps, gains.square, gains.low, gains.high, starts, _FITTING, _WALKING,
            points, width, colour, gain,
        )  # fmt: skip

    share(task, _BLOCKS)
    return Lines(points, width, colour, gain)


def apart(lines: Lines, count: int, radius_px: NDArray, size_px: tuple[int, int]) -> Lines:
    """Return up to `count` lines, best first, that hardly overlap.

    Args:
        lines: to choose from.
        count: how many are wanted.
        radius_px: (L,) how far a line of each width reaches.
        size_px: (width, height) of the picture.
    """
    order = np.argsort(-lines.gain, kind="stable")
    order = order[lines.gain[order] > 0]
    taken = np.zeros(size_px[::-1], np.bool_)
    return lines[_apart(order, count, lines.points, lines.width, np.asarray(radius_px, float), _WALKING, taken)]


@njit(**_KERNEL)
def _best(first, last, maps, square, sigma, gain):
    """Write the rows first to last of what paint can gain for its area, (H, W)."""
    for i in range(first, last):
        gain[i] = 0.0
        for width in range(maps.shape[0]):
            for j in range(maps.shape[2]):
                s, v = maps[width, i, j, 0], maps[width, i, j, 1:]
                here = s + (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) / (np.float32(4.0) * square[width])
                gain[i, j] = max(gain[i, j], here / sigma[width])


@njit(**_HELPER)
def _add(maps, width, x, y, sums, factor):
    """Add the maps' values at a place, the nearest one inside the picture, to the (4,) sums."""
    i = min(max(int(y), 0), maps.shape[1] - 1)
    j = min(max(int(x), 0), maps.shape[2] - 1)
    for c in range(4):
        sums[c] += factor * maps[width, i, j, c]


@njit(**_HELPER)
def _best_colour(sums, weight, low, high, colour):
    """Write the best colour of a line whose maps sum to `sums` and m to `weight`, and return what it gains."""
    gain = sums[0]
    for c in range(3):
        colour[c] = min(max(0.5 * sums[c + 1] / weight, low[c]), high[c])
        gain += colour[c] * (sums[c + 1] - weight * colour[c])
    return gain


@njit(**_HELPER)
def _straight(maps, width, x, y, dx, dy, sums):
    sums[:] = 0.0
    for t in range(-_HALF, _HALF + 1):
        _add(maps, width, x + t * dx, y + t * dy, sums, 1.0)


@njit(**_HELPER)
def _grow(maps, width, square, low, high, x, y, heading, sums, steps, side, colour):
    """Grow one end of a line. Write its points into `side`, add to `sums`, and return how many points to keep, and the
    new sum of pixels."""
    here, trial = sums.copy(), np.empty(4)
    best, kept, idle, count = _best_colour(sums, square * steps, low, high, colour), 0, 0, steps
    for n in range(_MOST):
        _best_colour(here, square * count, low, high, colour)
        most, ahead = -1e30, heading
        for turn in range(-_TURNS, _TURNS + 1):
            angle = heading + turn * _TURN
            trial[:] = 0.0
            for step in (_STEP, 2 * _STEP):
                _add(maps, width, x + step * np.cos(angle), y + step * np.sin(angle), trial, 1.0)
            gain = trial[0] + colour[0] * trial[1] + colour[1] * trial[2] + colour[2] * trial[3]
            if gain > most:
                most, ahead = gain, angle
        heading = ahead
        for _ in range(_STEP):
            x, y = x + np.cos(heading), y + np.sin(heading)
            _add(maps, width, x, y, here, 1.0)
        if x < 0 or y < 0 or x >= maps.shape[2] or y >= maps.shape[1]:
            break
        side[n, 0], side[n, 1] = x, y
        count += _STEP
        gain = _best_colour(here, square * count, low, high, colour)
        if gain > best:
            best, kept, idle, steps = gain, n + 1, 0, count
            sums[:] = here
        else:
            idle += 1
            if idle > _PATIENCE:
                break
    return kept, steps


@njit(**_HELPER)
def _fit(path, length, fitting, points):
    """Write the control points (4, 2) of the Bézier nearest to the `length` points of a path, taken as equidistant."""
    points[:] = 0.0
    for k in range(fitting.shape[1]):
        place = k * (length - 1) / (fitting.shape[1] - 1)
        i = min(int(place), length - 2)
        part = place - i
        for d in range(2):
            value = path[i, d] + part * (path[i + 1, d] - path[i, d])
            for c in range(4):
                points[c, d] += fitting[c, k] * value


@njit(**_KERNEL)
def _follow(first, last, maps, square, low, high, starts, fitting, walking, points, width, colour, gain):
    """Find the best lines through starts[first:last] and write them into the rest, as `Lines` holds them."""
    sums, curve, tint = np.empty(4), np.empty((4, 2)), np.empty(3)
    sides, path = np.empty((2, _MOST, 2)), np.empty((2 * _MOST + 2 * _HALF + 1, 2))
    for s in range(first, last):
        gain[s] = -1e30
        x, y = starts[s, 0], starts[s, 1]
        for w in range(maps.shape[0]):
            most, heading = -1e30, 0.0
            for d in range(_DIRECTIONS):
                angle = np.pi * d / _DIRECTIONS
                _straight(maps, w, x, y, np.cos(angle), np.sin(angle), sums)
                value = _best_colour(sums, square[w] * (2 * _HALF + 1), low, high, tint)
                if value > most:
                    most, heading = value, angle
            dx, dy = np.cos(heading), np.sin(heading)
            _straight(maps, w, x, y, dx, dy, sums)
            back, steps = _grow(
                maps, w, square[w], low, high, x - _HALF * dx, y - _HALF * dy, heading + np.pi, sums,
                2 * _HALF + 1, sides[0], tint,
            )  # fmt: skip
            ahead, steps = _grow(
                maps, w, square[w], low, high, x + _HALF * dx, y + _HALF * dy, heading, sums, steps, sides[1], tint
            )
            n = 0
            for i in range(back - 1, -1, -1):
                path[n, 0], path[n, 1] = sides[0, i, 0], sides[0, i, 1]
                n += 1
            for t in range(-_HALF, _HALF + 1, _STEP):
                path[n, 0], path[n, 1] = x + t * dx, y + t * dy
                n += 1
            for i in range(ahead):
                path[n, 0], path[n, 1] = sides[1, i, 0], sides[1, i, 1]
                n += 1
            _fit(path, n, fitting, curve)
            # What counts is the curve: a winding path may not be one.
            sums[:] = 0.0
            length, px, py = 1e-3, 0.0, 0.0
            for t in range(walking.shape[0]):
                cx, cy = 0.0, 0.0
                for c in range(4):
                    cx += walking[t, c] * curve[c, 0]
                    cy += walking[t, c] * curve[c, 1]
                if t > 0:
                    piece = np.hypot(cx - px, cy - py)
                    _add(maps, w, 0.5 * (cx + px), 0.5 * (cy + py), sums, piece)
                    length += piece
                px, py = cx, cy
            value = _best_colour(sums, square[w] * length, low, high, tint)
            if value > gain[s]:
                gain[s], width[s] = value, w
                points[s] = curve
                colour[s] = tint


@njit(**_KERNEL)
def _apart(order, count, points, width, radius, walking, taken):
    """Return those of `order`, `count` at most, that overlap `taken` (H, W) little; mark what they cover there."""
    chosen = np.empty(count, np.int64)
    n = 0
    for s in order:
        if n == count:
            break
        hit, total = 0, 0
        for t in range(walking.shape[0]):
            x, y = 0.0, 0.0
            for c in range(4):
                x += walking[t, c] * points[s, c, 0]
                y += walking[t, c] * points[s, c, 1]
            if 0 <= x < taken.shape[1] and 0 <= y < taken.shape[0]:
                total += 1
                hit += taken[int(y), int(x)]
        if hit > _OVERLAP * total or total == 0:
            continue
        chosen[n] = s
        n += 1
        r = radius[width[s]]
        for t in range(walking.shape[0]):
            x, y = 0.0, 0.0
            for c in range(4):
                x += walking[t, c] * points[s, c, 0]
                y += walking[t, c] * points[s, c, 1]
            for i in range(max(int(y - r), 0), min(int(y + r) + 1, taken.shape[0])):
                for j in range(max(int(x - r), 0), min(int(x + r) + 1, taken.shape[1])):
                    taken[i, j] = True
    return chosen[:n]
