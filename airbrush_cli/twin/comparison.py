"""Strokes against a picture, in one pass on the CPU: paint, compare, and pull the error back, tile by tile.

The squared error is a sum over pixels, so a tile's part of the gradient is known as soon as the tile is painted: what
`render.forward`, a loss and `render.backward` do one after the other costs less if it is done while the tile's
films are at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.encoding import encode
from airbrush_cli.threads import share
from airbrush_cli.twin import cpu, kernels
from airbrush_cli.twin.binning import KERNEL, TILE_H, TILE_W
from airbrush_cli.twin.kernels import _C0, _G0, _ONE, _P3, _ZERO
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.strokes import expand, expand_backward
from airbrush_cli.units import A4_MM


@dataclass(frozen=True, eq=False)
class Comparison:
    """Strokes compared with a picture."""

    painted: NDArray[np.float32]
    """(H, W, 3) linear RGB."""
    error: float
    """Mean squared difference of sRGB values."""
    by_strokes: NDArray[np.float64]
    """(N, 15), the gradient of the error, and of what else pulls, by the strokes' parameters."""


def compare(
    strokes: NDArray[np.float64],
    luts: Luts,
    target: NDArray[np.float32],
    pull: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = A4_MM,
) -> Comparison:
    """Paint strokes on white paper and compare them with a picture.

    Args:
        strokes: (N, 15), stroke.v1 columns.
        luts: look-up tables, which name the layering model too.
        target: (H, W, 3) sRGB in [0, 1].
        pull: (H, W, 3), a gradient by the painted light to add to that of the error.
        page_mm: (width, height) of the page that the raster covers.
    """
    strokes = np.array(strokes, np.float64).reshape(-1, 15)
    height, width, _ = target.shape
    polylines = expand(strokes, luts)
    starts = polylines.starts
    table, reach, band_starts, members, node_starts = cpu.binned(polylines, height, page_mm)
    pitch_x, pitch_y = page_mm[0] / width, page_mm[1] / height
    coats = cpu.films(polylines.ink, luts.layering)
    opaque = np.float32(luts.layering == "alpha_over")
    painted = np.empty((height, width, 3), np.float32)
    errors = np.zeros(len(band_starts) - 1)
    pair_nodes, pair_inks = np.zeros((node_starts[-1], 4)), np.zeros((len(members), 3))
    wanted = cpu.lines(np.ascontiguousarray(target, np.float32))
    pulling = cpu.NO_RASTER if pull is None else cpu.lines(np.ascontiguousarray(pull, np.float32))
    tasks = cpu.task_count()

    def task(index: int) -> None:
        _compare(
            index, tasks, table, starts, reach, coats, opaque, np.float32(1.0) - opaque, band_starts, members,
            node_starts, pitch_x, pitch_y, wanted, pull is not None, pulling, cpu.lines(painted), errors, pair_nodes,
            pair_inks,
        )  # fmt: skip

    share(task, tasks)
    by_nodes, by_inks = cpu.gathered(polylines, members, node_starts, pair_nodes, pair_inks)
    return Comparison(painted, float(errors.sum()) / target.size, expand_backward(strokes, luts, by_nodes, by_inks))


@njit(**KERNEL)
def _compare(
    worker, workers, table, starts, reach, films, ink_one, ink_colour, band_starts, members, node_starts,
    pitch_x, pitch_y, target, pulled, pull, out, errors, node_gradient, ink_gradient,
):  # fmt: skip
    """Paint the bands worker, worker + workers, ... into `out`, sum their squared errors into `errors` (bands,), and
    add the gradients per (band, polyline) pair to node_gradient and ink_gradient, as `kernels.paint_backward` does."""
    bands = band_starts.shape[0] - 1
    height, width = out.shape[0], out.shape[1] // 3
    columns = (width + TILE_W - 1) // TILE_W
    scale = np.float32(2.0 / (3.0 * height * width))
    most = 1
    for band in range(worker, bands, workers):
        most = max(most, band_starts[band + 1] - band_starts[band])
    lists, depth = np.empty((columns, most, 3), np.int32), np.empty(columns, np.int64)
    ends = np.empty((columns, 2), np.int64)
    tile = kernels._new_tile(pitch_x, pitch_y)
    stack = np.empty((64, kernels._FILM), np.float32)
    for band in range(worker, bands, workers):
        pairs = band_starts[band], band_starts[band + 1]
        kernels.list_band(band, pairs, members, table, starts, reach, columns, pitch_x, pitch_y, ends, depth, lists)
        cy = (band + 0.5) * TILE_H * pitch_y
        total = 0.0
        for column in range(columns):
            cx = (column + 0.5) * TILE_W * pitch_x
            if depth[column] > stack.shape[0]:
                stack = np.empty((2 * depth[column], kernels._FILM), np.float32)
            for i in range(_P3):
                tile[_C0 + i] = _ONE
            films_here = 0
            for i in range(depth[column]):
                pair, a, b = lists[column, i, 0], lists[column, i, 1], lists[column, i, 2]
                s = members[pair]
                kernels._nearest(tile, stack[films_here], table, starts[s] + a, b - a, cx, cy)
                f = films[s]
                if kernels._composite(tile, stack[films_here], True, f[0], f[1], f[2], f[3], f[4], f[5]):
                    for c in range(3):
                        lists[column, films_here, c] = lists[column, i, c]
                    films_here += 1
            kernels._store(tile, _C0, out, band, column)

            if (band + 1) * TILE_H > height or (column + 1) * TILE_W > width:
                # What lies beyond the edges is black in both pictures: no error there, and nothing pulls.
                kernels._load(tile, _C0, out, band, column)
            kernels._load(tile, _G0, target, band, column)
            error = _ZERO  # in float32, so that the loop runs on whole vectors
            for i in range(_P3):
                value, slope = encode(tile[_C0 + i])
                missing = value - tile[_G0 + i]
                error += missing * missing
                tile[_G0 + i] = scale * missing * slope
            total += error
            if pulled:
                # The colours have been used: their slots are free.
                kernels._load(tile, _C0, pull, band, column)
                for i in range(_P3):
                    tile[_G0 + i] += tile[_C0 + i]
            for i in range(films_here - 1, -1, -1):
                pair, a, b = lists[column, i, 0], lists[column, i, 1], lists[column, i, 2]
                s = members[pair]
                f = films[s]
                owners = kernels._peel(
                    tile, stack[i], f[0], f[1], f[2], f[3], f[4], f[5], ink_one, ink_colour, ink_gradient[pair]
                )
                kernels._pull_back(
                    tile, stack[i], table, starts[s] + a, b - a, owners, cx, cy, node_gradient, node_starts[pair] + a
                )
        errors[band] = total
