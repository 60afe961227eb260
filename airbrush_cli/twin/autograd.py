"""The twin as one differentiable torch operation, on the device where the strokes are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from airbrush_cli.twin import render as on_cpu
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.model import resolve_backend
from airbrush_cli.units import A4_MM


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        strokes: Tensor,
        canvas: Tensor | None,
        luts: Luts,
        size_px: tuple[int, int],
        page_mm: tuple[float, float],
    ) -> Tensor:
        below = None if canvas is None else canvas.detach().cpu().numpy()
        out, ctx.tape = on_cpu.forward(strokes.detach().cpu().numpy(), luts, size_px, below, page_mm)
        ctx.strokes_like = strokes.dtype, strokes.device
        ctx.canvas_like = None if canvas is None else (canvas.dtype, canvas.device)
        return torch.from_numpy(out).to(strokes.device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:  # type: ignore[override]
        by_strokes, by_canvas = on_cpu.backward(ctx.tape, gradient.detach().cpu().numpy(), ctx.needs_input_grad[1])
        dtype, device = ctx.strokes_like
        strokes = torch.from_numpy(by_strokes).to(device, dtype)
        if by_canvas is None:
            return strokes, None, None, None, None
        dtype, device = ctx.canvas_like
        return strokes, torch.from_numpy(by_canvas).to(device, dtype), None, None, None


def render(
    strokes: Tensor,
    canvas: Tensor | None,
    luts: Luts,
    size_px: tuple[int, int],
    page_mm: tuple[float, float] = A4_MM,
) -> Tensor:
    """Paint strokes in order, differentiably.

    Args:
        strokes: (N, 15), stroke.v1 columns.
        canvas: (H, W, 3) linear RGB in [0, 1]; white paper if None.
        luts: look-up tables.
        size_px: (width, height) of the raster.
        page_mm: (width, height) of the page that the raster covers.

    Returns:
        (H, W, 3) float32 linear RGB on the strokes' device; gradients flow to `strokes` and `canvas`.
    """
    if strokes.is_cuda and resolve_backend("cuda") == "triton":
        from airbrush_cli.twin import gpu

        return gpu.render(strokes, canvas, luts, size_px, page_mm)
    return _Render.apply(strokes, canvas, luts, size_px, page_mm)  # type: ignore[no-untyped-call]
