"""What each polyline of a painting shows: the change that its removal would make.

Films above a polyline let a share of every change through. Removing film i therefore changes the finished picture by
exactly T a (k − m C), with C the colour beneath it, a its coverage and T the product of (1 − a m) of the films above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.threads import share
from airbrush_cli.twin import kernels
from airbrush_cli.twin.binning import HELPER, KERNEL, TILE_H, TILE_W
from airbrush_cli.twin.cpu import NO_RASTER, Tape, lines
from airbrush_cli.twin.kernels import (
    _C0,
    _CUT2,
    _G0,
    _GO,
    _H0,
    _H1,
    _H2,
    _ONE,
    _P,
    _P2,
    _P3,
    _P4,
    _ZERO,
)


def influence(tape: Tape, weight: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure what the removal of each polyline would change.

    Args:
        tape: of the painting.
        weight: (H, W, 3) factors on the change of each pixel's linear light, the slope of sRGB for instance.

    Returns:
        (N,) sums over pixels and channels of the squared weighted change, and (N,) largest weighted changes.
    """
    width, height = tape.size_px
    pair_energy, pair_peak = np.zeros(len(tape.members)), np.zeros(len(tape.members))
    pitch_x, pitch_y = tape.page_mm[0] / width, tape.page_mm[1] / height
    below = NO_RASTER if tape.canvas is None else lines(tape.canvas)
    weights = lines(np.ascontiguousarray(weight, np.float32))

    def task(index: int) -> None:
        _influence(
            index, len(tape.covers), tape.table, tape.polylines.starts, tape.films, tape.members, *tape.covers[index],
            pitch_x, pitch_y, tape.canvas is None, below, weights, pair_energy, pair_peak,
        )  # fmt: skip

    share(task, len(tape.covers))
    count = len(tape.polylines)
    energy = np.bincount(tape.members, pair_energy, count).astype(np.float64)
    peak = np.zeros(count)
    np.maximum.at(peak, tape.members, pair_peak)
    return energy, peak


@njit(**KERNEL)
def _influence(
    worker, workers, table, starts, films, members, kept, tile_starts, pitch_x, pitch_y, blank, canvas, weight,
    energy, peak,
):  # fmt: skip
    """Add to `energy` and raise `peak`, (P,) each, per (band, polyline) pair; as `kernels.paint_backward` walks."""
    bands = (weight.shape[0] + TILE_H - 1) // TILE_H
    columns = (weight.shape[1] // 3 + TILE_W - 1) // TILE_W
    deepest = 1
    for n in range(tile_starts.shape[0] - 1):
        deepest = max(deepest, tile_starts[n + 1] - tile_starts[n])
    stack = np.empty((deepest, kernels._FILM), np.float32)
    tile = kernels._new_tile(pitch_x, pitch_y)
    n = -1
    for band in range(worker, bands, workers):
        cy = (band + 0.5) * TILE_H * pitch_y
        for column in range(columns):
            n += 1
            first, depth = tile_starts[n], tile_starts[n + 1] - tile_starts[n]
            if depth == 0:
                continue
            cx = (column + 0.5) * TILE_W * pitch_x
            if blank:
                for i in range(_P3):
                    tile[_C0 + i] = _ONE
            else:
                kernels._load(tile, _C0, canvas, band, column)
            for i in range(depth):
                s = members[kept[first + i, 0]]
                a, b = kept[first + i, 1], kept[first + i, 2]
                kernels._nearest(tile, stack[i], table, starts[s] + a, b - a, cx, cy)
                f = films[s]
                kernels._composite(tile, stack[i], True, f[0], f[1], f[2], f[3], f[4], f[5])
            for i in range(_P3):
                tile[_G0 + i] = _ONE
            kernels._load(tile, _GO, weight, band, column)
            for i in range(depth - 1, -1, -1):
                pair = kept[first + i, 0]
                total, most = _strip(tile, stack[i], films[members[pair]])
                energy[pair] += total
                peak[pair] = max(peak[pair], most)


@njit(**HELPER)
def _strip(tile, film, coat):
    """Take a film off and return the sum of squares and the maximum of its weighted share in the picture."""
    total, most = _ZERO, _ZERO
    for c in range(3):
        k, m = coat[c], coat[c + 3]
        through, weight, beneath = _G0 + c * _P, _GO + c * _P, _P4 + c * _P
        for i in range(_P):
            sigma = film[_P2 + i]
            q = min(film[i] / (sigma * sigma), _CUT2)
            h = (_CUT2 - q) * (_H0 + q * (_H1 + q * _H2))
            a = film[_P3 + i] * h * h
            change = abs(tile[weight + i] * tile[through + i] * a * (k - m * film[beneath + i]))
            total += change * change
            most = max(most, change)
            tile[through + i] *= _ONE - a * m
    return total, most
