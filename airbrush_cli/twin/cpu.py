"""CPU backend of the twin's second stage: shares the kernels' bands among threads."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.schemas.luts import Layering
from airbrush_cli.twin import kernels
from airbrush_cli.twin.strokes import Polylines
from airbrush_cli.units import A4_MM

NO_RASTER = np.empty((0, 0, 3), np.float32)


def workers() -> int:
    """Return how many threads render: NUMBA_NUM_THREADS, else the processors that this process may use."""
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    return max(1, int(given)) if given.isdigit() else len(os.sched_getaffinity(0))


@functools.lru_cache(maxsize=1)
def _pool(_process: int, size: int) -> ThreadPoolExecutor:
    # Keyed by process, because threads do not survive a fork.
    return ThreadPoolExecutor(size, thread_name_prefix="twin")


def share(task: Callable[[int, int], None]) -> None:
    """Call task(worker, workers) once per worker, in parallel; the kernels release the GIL."""
    count = workers()
    if count == 1:
        task(0, 1)
        return
    pool = _pool(os.getpid(), count)
    others = [pool.submit(task, worker, count) for worker in range(1, count)]
    task(0, count)
    for other in others:
        other.result()


@dataclass(frozen=True, eq=False)
class Tape:
    """What the backward pass needs to know about a forward pass."""

    polylines: Polylines
    layering: Layering
    page_mm: tuple[float, float]
    canvas: NDArray[np.float32] | None
    size_px: tuple[int, int]
    table: NDArray[np.float64]
    reach: NDArray[np.float64]
    films: NDArray[np.float32]
    band_starts: NDArray[np.int64]
    members: NDArray[np.int64]
    node_starts: NDArray[np.int64]

    @property
    def pitch_mm(self) -> tuple[float, float]:
        """Width and height of a pixel, mm."""
        return self.page_mm[0] / self.size_px[0], self.page_mm[1] / self.size_px[1]


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
    table, reach = kernels.chord_table(polylines.nodes, polylines.starts)
    bands = -(-height // kernels.SIDE)
    bins = kernels.bin_bands(polylines.nodes, polylines.starts, reach, bands, page_mm[1] / height)
    tape = Tape(polylines, layering, page_mm, canvas, size_px, table, reach, films(polylines.ink, layering), *bins)
    out = np.empty((height, width, 3), np.float32)
    pitch_x, pitch_y = tape.pitch_mm
    below = NO_RASTER if canvas is None else canvas

    def task(worker: int, count: int) -> None:
        kernels.paint(
            worker, count, table, polylines.starts, reach, tape.films, tape.band_starts, tape.members, pitch_x, pitch_y,
            canvas is None, below, out,
        )  # fmt: skip

    share(task)
    return out, tape


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
    pitch_x, pitch_y = tape.pitch_mm
    opaque = np.float32(tape.layering == "alpha_over")
    below = NO_RASTER if tape.canvas is None else tape.canvas

    def task(worker: int, count: int) -> None:
        kernels.paint_backward(
            worker, count, tape.table, starts, tape.reach, tape.films, opaque, np.float32(1.0) - opaque, tape.band_starts,
            tape.members, tape.node_starts, pitch_x, pitch_y, tape.canvas is None, below, gradient, want_canvas,
            NO_RASTER if canvas_gradient is None else canvas_gradient, pair_nodes, pair_inks,
        )  # fmt: skip

    share(task)
    node_gradient, ink_gradient = np.zeros((len(tape.polylines.nodes), 4)), np.zeros((len(tape.polylines), 3))
    kernels.gather(starts, tape.members, tape.node_starts, pair_nodes, pair_inks, node_gradient, ink_gradient)
    return node_gradient, ink_gradient, canvas_gradient
