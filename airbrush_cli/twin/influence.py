"""What each polyline of a painting shows: the change that its removal would make.

Films above a polyline let a share of every change through. Removing film i therefore changes the finished picture by
exactly T a (k − m C), with C the colour beneath it, a its coverage and T the product of (1 − a m) of the films above.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from airbrush_cli.twin import kernels
from airbrush_cli.twin.cpu import NO_RASTER, Tape, share
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
    FILM,
    FIXED,
    SIDE,
)


def influence(tape: Tape, weight: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure what the removal of each polyline would change.

    Args:
        tape: of the painting.
        weight: (H, W, 3) factors on the change of each pixel's linear light, the slope of sRGB for instance.

    Returns:
        (N,) sums over pixels and channels of the squared weighted change, and (N,) largest weighted changes.
    """
    pair_energy, pair_peak = np.zeros(len(tape.members)), np.zeros(len(tape.members))
    pitch_x, pitch_y = tape.pitch_mm
    below = NO_RASTER if tape.canvas is None else tape.canvas
    weight = np.ascontiguousarray(weight, np.float32)

    def task(worker: int, count: int) -> None:
        _influence(
            worker, count, tape.table, tape.polylines.starts, tape.reach, tape.films, tape.band_starts, tape.members,
            pitch_x, pitch_y, tape.canvas is None, below, weight, pair_energy, pair_peak,
        )  # fmt: skip

    share(task)
    count = len(tape.polylines)
    energy = np.bincount(tape.members, pair_energy, count)
    peak = np.zeros(count)
    np.maximum.at(peak, tape.members, pair_peak)
    return energy, peak


@njit(**kernels._OPTIONS)
def _influence(
    worker, workers, table, starts, reach, films, band_starts, members, pitch_x, pitch_y, blank, canvas, weight,
    energy, peak,
):  # fmt: skip
    """Add to `energy` and raise `peak`, (P,) each, per (band, polyline) pair."""
    bands = band_starts.shape[0] - 1
    columns = (weight.shape[1] + SIDE - 1) // SIDE
    most, longest = kernels._list_capacity(bands, workers, worker, band_starts, starts)
    lists = np.empty((columns, most, 3), np.int32)
    depth = np.empty(columns, np.int64)
    distance = np.empty((longest, columns))
    scratch = np.empty(FIXED + most * FILM, np.float32)
    kernels._grid(scratch, pitch_x, pitch_y)
    for band in range(worker, bands, workers):
        kernels._list_tiles(
            band, band_starts[band], band_starts[band + 1], members, table, starts, reach, columns, pitch_x, pitch_y,
            distance, depth, lists,
        )  # fmt: skip
        cy = (band + 0.5) * SIDE * pitch_y
        for tile in range(columns):
            cx = (tile + 0.5) * SIDE * pitch_x
            if blank:
                for i in range(_P3):
                    scratch[_C0 + i] = _ONE
            else:
                kernels._load(scratch, _C0, canvas, band * SIDE, tile * SIDE)
            for i in range(depth[tile]):
                s = members[lists[tile, i, 0]]
                a, b = lists[tile, i, 1], lists[tile, i, 2]
                film = np.uint64(FIXED + i * FILM)
                kernels._nearest(scratch, film, table, starts[s] + a, b - a, cx, cy)
                f = films[s]
                kernels._composite(scratch, film, True, f[0], f[1], f[2], f[3], f[4], f[5])
            for i in range(_P3):
                scratch[_G0 + i] = _ONE
            kernels._load(scratch, _GO, weight, band * SIDE, tile * SIDE)
            for i in range(depth[tile] - 1, -1, -1):
                pair = lists[tile, i, 0]
                total, most_seen = _strip(scratch, np.uint64(FIXED + i * FILM), films[members[pair]])
                energy[pair] += total
                peak[pair] = max(peak[pair], most_seen)


@njit(**kernels._OPTIONS)
def _strip(scratch, film, layer):
    """Take a film off and return the sum of squares and the maximum of its weighted share in the picture."""
    total, most = np.float32(0.0), np.float32(0.0)
    for c in range(3):
        k, m = layer[c], layer[c + 3]
        through, weight, beneath = _G0 + c * _P, _GO + c * _P, film + _P4 + c * _P
        for i in range(_P):
            sigma = scratch[film + _P2 + i]
            q = min(scratch[film + i] / (sigma * sigma), _CUT2)
            h = (_CUT2 - q) * (_H0 + q * (_H1 + q * _H2))
            a = scratch[film + _P3 + i] * h * h
            change = abs(scratch[weight + i] * scratch[through + i] * a * (k - m * scratch[beneath + i]))
            total += change * change
            most = max(most, change)
            scratch[through + i] *= _ONE - a * m
    return total, most
