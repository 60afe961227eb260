"""CPU backend of the twin's second stage: shares the kernels' bands among threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.schemas.luts import Layering
from airbrush_cli.threads import share, workers
from airbrush_cli.twin import binning, kernels
from airbrush_cli.twin.strokes import Polylines
from airbrush_cli.units import A4_MM

# Several tasks per worker, so that one that is held up does not hold up all.
_TASKS_PER_WORKER = 4
NO_RASTER = np.empty((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Tape:
    """What the backward pass needs to know about a forward pass."""

    polylines: Polylines
    layering: Layering
    page_mm: tuple[float, float]
    canvas: NDArray[np.float32] | None
    size_px: tuple[int, int]
    table: NDArray[np.float64]
    films: NDArray[np.float32]
    members: NDArray[np.int64]
    node_starts: NDArray[np.int64]
    covers: list[tuple[NDArray[np.int32], NDArray[np.int64]]]


def films(ink: NDArray, layering: Layering) -> NDArray[np.float32]:
    """Return per film k and m, (N, 6), of the layering formula C + a (k − m C)."""
    opaque = layering == "alpha_over"
    k, m = (ink, np.ones_like(ink)) if opaque else (np.zeros_like(ink), 1.0 - ink)
    return np.concatenate([k, m], axis=1).astype(np.float32)


def forward(
    polylines: Polylines,
    size_px: tuple[int, int],
    layering: Layering,
    canvas: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = A4_MM,
) -> tuple[NDArray[np.float32], Tape]:
    """Paint polylines, in order.

    Args:
        polylines: what to paint.
        size_px: (width, height) of the raster.
        layering: `alpha_over` or `multiply`.
        canvas: (H, W, 3) linear RGB to paint on; white if None. It is not changed.
        page_mm: (width, height) of the page that the raster covers.

    Returns:
        The painted (H, W, 3) float32 raster, and the tape for `backward`.
    """
    width, height = size_px
    if canvas is not None and canvas.shape != (height, width, 3):
        raise ValueError(f"canvas must have the shape {(height, width, 3)}, not {canvas.shape}")
    canvas = None if canvas is None else np.ascontiguousarray(canvas, np.float32)
    out = np.empty((height, width, 3), np.float32)
    return out, _paint(polylines, layering, canvas, page_mm, out, tasks=task_count())


def paint_in_place(
    polylines: Polylines, layering: Layering, canvas: NDArray[np.float32], page_mm: tuple[float, float] = A4_MM
) -> None:
    """Paint a few polylines on `canvas` itself, (H, W, 3) float32, touching only what they cover."""
    if canvas.ndim != 3 or canvas.shape[2] != 3 or canvas.dtype != np.float32 or not canvas.flags.c_contiguous:
        raise ValueError("a canvas to paint in place must be a contiguous (H, W, 3) float32 array")
    _paint(polylines, layering, canvas, page_mm, canvas, tasks=1)


def paint_batch_in_place(
    polylines: Polylines, layering: Layering, canvases: NDArray[np.float32], page_mm: tuple[float, float] = A4_MM
) -> None:
    """Paint polylines in place, as many on each of `canvases`, (B, H, W, 3) float32: the first few on the first."""
    if canvases.ndim != 4 or canvases.shape[3] != 3 or canvases.dtype != np.float32 or not canvases.flags.c_contiguous:
        raise ValueError("canvases to paint in place must be a contiguous (B, H, W, 3) float32 array")
    count, height, width, _ = canvases.shape
    pitch_x, pitch_y = page_mm[0] / width, page_mm[1] / height
    coats, rows = films(polylines.ink, layering), canvases.reshape(count, height, -1)
    tasks = min(count, workers())
    share(
        lambda task: kernels.paint_batch(task, tasks, polylines.nodes, polylines.starts, coats, pitch_x, pitch_y, rows),
        tasks,
    )


def task_count() -> int:
    return 1 if workers() == 1 else _TASKS_PER_WORKER * workers()


def binned(
    polylines: Polylines, height: int, page_mm: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the chord table and reach of polylines, and what `binning.bin_bands` says of a raster of that height."""
    table, reach = binning.chord_table(polylines.nodes, polylines.starts)
    bands = -(-height // binning.TILE_H)
    return table, reach, *binning.bin_bands(polylines.nodes, polylines.starts, reach, bands, page_mm[1] / height)


def _paint(
    polylines: Polylines,
    layering: Layering,
    canvas: NDArray[np.float32] | None,
    page_mm: tuple[float, float],
    out: NDArray[np.float32],
    tasks: int,
) -> Tape:
    height, width, _ = out.shape
    starts = polylines.starts
    table, reach, band_starts, members, node_starts = binned(polylines, height, page_mm)
    pitch_x, pitch_y = page_mm[0] / width, page_mm[1] / height
    coats = films(polylines.ink, layering)
    below = NO_RASTER if canvas is None else lines(canvas)

    def task(index: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        covers: tuple[NDArray[np.int32], NDArray[np.int64]] = kernels.paint(
            index, tasks, table, starts, reach, coats, band_starts, members, pitch_x, pitch_y,
            canvas is None, canvas is out, below, lines(out),
        )  # fmt: skip
        return covers

    covers = share(task, tasks)
    return Tape(polylines, layering, page_mm, canvas, (width, height), table, coats, members, node_starts, covers)


def lines(raster: NDArray[np.float32]) -> NDArray[np.float32]:
    return raster.reshape(raster.shape[0], -1)


def backward(
    tape: Tape, gradient: NDArray[np.float32], want_canvas: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32] | None]:
    """Pull the gradient of a painted raster back.

    Args:
        tape: from `forward`.
        gradient: (H, W, 3) of the loss by the painted raster.
        want_canvas: whether to return that by the canvas too.

    Returns:
        Gradients of the nodes (M, 4), the ink (N, 3), and the canvas (H, W, 3) or None.
    """
    width, height = tape.size_px
    if gradient.shape != (height, width, 3):
        raise ValueError(f"gradient must have the shape {(height, width, 3)}, not {gradient.shape}")
    gradient = np.ascontiguousarray(gradient, np.float32)
    canvas_gradient = np.empty_like(gradient) if want_canvas else None
    starts = tape.polylines.starts
    pair_nodes = np.zeros((tape.node_starts[-1], 4))
    pair_inks = np.zeros((len(tape.members), 3))
    pitch_x, pitch_y = tape.page_mm[0] / width, tape.page_mm[1] / height
    opaque = np.float32(tape.layering == "alpha_over")
    below = NO_RASTER if tape.canvas is None else lines(tape.canvas)

    def task(index: int) -> None:
        kernels.paint_backward(
            index, len(tape.covers), tape.table, starts, tape.films, opaque, np.float32(1.0) - opaque, tape.members,
            tape.node_starts, *tape.covers[index], pitch_x, pitch_y, tape.canvas is None, below, lines(gradient),
            want_canvas, NO_RASTER if canvas_gradient is None else lines(canvas_gradient), pair_nodes, pair_inks,
        )  # fmt: skip

    share(task, len(tape.covers))
    return *gathered(tape.polylines, tape.members, tape.node_starts, pair_nodes, pair_inks), canvas_gradient


def gathered(
    polylines: Polylines,
    members: NDArray[np.int64],
    node_starts: NDArray[np.int64],
    pair_nodes: NDArray,
    pair_inks: NDArray,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum gradients per (band, polyline) pair to those of the nodes (M, 4) and the ink (N, 3)."""
    by_nodes, by_inks = np.zeros((len(polylines.nodes), 4)), np.zeros((len(polylines), 3))
    kernels.gather(polylines.starts, members, node_starts, pair_nodes, pair_inks, by_nodes, by_inks)
    return by_nodes, by_inks
