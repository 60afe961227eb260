"""Strokes onto paper on the CPU, with numpy arrays: many strokes with gradients, one stroke in place, batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.twin import cpu
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.strokes import Polylines, expand, expand_backward
from airbrush_cli.units import A4_MM


@dataclass(frozen=True, eq=False)
class Tape:
    """What `backward` needs to know about a `forward`."""

    strokes: NDArray[np.float64]
    luts: Luts
    painted: cpu.Tape


def forward(
    strokes: NDArray,
    luts: Luts,
    size_px: tuple[int, int],
    canvas: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = A4_MM,
) -> tuple[NDArray[np.float32], Tape]:
    """Paint strokes in order.

    Args:
        strokes: (N, 15), stroke.v1 columns.
        luts: look-up tables, which name the layering model too.
        size_px: (width, height) of the raster.
        canvas: (H, W, 3) linear RGB in [0, 1] to paint on; white if None. It is not changed.
        page_mm: (width, height) of the page that the raster covers.

    Returns:
        The painted raster, (H, W, 3) float32 linear RGB in [0, 1], and the tape for `backward`.
    """
    strokes = np.array(strokes, np.float64).reshape(-1, 15)
    out, tape = cpu.forward(expand(strokes, luts), size_px, luts.layering, canvas, page_mm)
    return out, Tape(strokes, luts, tape)


def backward(
    tape: Tape, gradient: NDArray[np.float32], want_canvas: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
    """Pull the gradient of a loss by the painted raster, (H, W, 3), back to the strokes.

    Returns:
        (N, 15) float64 gradient by the stroke parameters, and (H, W, 3) by the canvas if `want_canvas`, else None.
    """
    nodes, ink, canvas = cpu.backward(tape.painted, gradient, want_canvas)
    return expand_backward(tape.strokes, tape.luts, nodes, ink), canvas


def render(
    strokes: NDArray,
    luts: Luts,
    size_px: tuple[int, int],
    canvas: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = A4_MM,
) -> NDArray[np.float32]:
    """Paint strokes; `forward` without the tape."""
    return forward(strokes, luts, size_px, canvas, page_mm)[0]


def render_polylines(
    polylines: Polylines,
    luts: Luts,
    size_px: tuple[int, int],
    canvas: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = A4_MM,
) -> NDArray[np.float32]:
    """Paint paths of spots, as `forward` does strokes; see `Polylines` and `look_up` for sigma and opacity."""
    return cpu.forward(polylines, size_px, luts.layering, canvas, page_mm)[0]


def paint_in_place(
    strokes: NDArray, luts: Luts, canvas: NDArray[np.float32], page_mm: tuple[float, float] = A4_MM
) -> None:
    """Paint one stroke (15,), or a few (N, 15), on `canvas` itself, touching only what they cover.

    Args:
        strokes: stroke.v1 columns.
        luts: look-up tables.
        canvas: contiguous (H, W, 3) float32 linear RGB.
        page_mm: (width, height) of the page that the canvas covers.
    """
    polylines = expand(np.asarray(strokes, np.float64).reshape(-1, 15), luts)
    cpu.paint_in_place(polylines, luts.layering, canvas, page_mm)


def paint_batch_in_place(
    strokes: NDArray, luts: Luts, canvases: NDArray[np.float32], page_mm: tuple[float, float] = A4_MM
) -> None:
    """Paint a stroke, or a few, on each canvas, as `paint_in_place` does, on all processors.

    Args:
        strokes: (B, 15), or (B, k, 15); stroke.v1 columns.
        luts: look-up tables.
        canvases: contiguous (B, H, W, 3) float32 linear RGB.
        page_mm: (width, height) of the page that each canvas covers.
    """
    if len(strokes) != len(canvases):
        raise ValueError(f"{len(strokes)} strokes for {len(canvases)} canvases")
    polylines = expand(np.asarray(strokes, np.float64).reshape(-1, 15), luts)
    cpu.paint_batch_in_place(polylines, luts.layering, canvases, page_mm)
