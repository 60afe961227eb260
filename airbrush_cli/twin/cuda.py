"""GPU backend of the twin's second stage by Triton kernels; all tensors stay on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from airbrush_cli.schemas.luts import Layering
from airbrush_cli.twin import triton_kernels as kernels
from airbrush_cli.twin.binning import SHORT_MM
from airbrush_cli.twin.gpu import films
from airbrush_cli.twin.profile import CUT2
from airbrush_cli.twin.strokes import CHORDS

# Coarse parts of positions are multiples of this many mm: exact in float32 on any page.
_COARSE_MM = 1.0 / 64.0
_CULL_BLOCK = 128


class _Scene:
    """Strokes cut into chords and listed by tile."""

    def __init__(
        self, nodes: Tensor, ink: Tensor, layering: Layering, size_px: tuple[int, int], page_mm: tuple[float, float]
    ) -> None:
        device = nodes.device
        self.size_px, self.count = size_px, len(nodes)
        self.pitch = page_mm[0] / size_px[0], page_mm[1] / size_px[1]
        self.columns, self.bands = (-(-side // kernels.SIDE) for side in size_px)
        start, vector = nodes[:, :-1], nodes[:, 1:] - nodes[:, :-1]
        coarse = torch.round(start[..., :2] / _COARSE_MM) * _COARSE_MM
        rest = start[..., :2] - coarse
        length2 = vector[..., :2].square().sum(dim=2)
        inverse = torch.where(length2 > 1e-18, 1.0 / length2.clamp(min=1e-18), 0.0)
        extent = (nodes[:, :, :2] - nodes[:, :1, :2]).abs().amax(dim=(1, 2))
        short = (extent < SHORT_MM).to(nodes.dtype)[:, None].expand(-1, CHORDS)
        columns = [
            coarse[..., 0], rest[..., 0], coarse[..., 1], rest[..., 1], vector[..., 0], vector[..., 1], inverse,
            start[..., 2], vector[..., 2], start[..., 3], vector[..., 3], short,
        ]  # fmt: skip
        self.chords = torch.stack(columns, dim=2).float().contiguous()
        self.radii = (CUT2**0.5 * torch.maximum(nodes[:, :-1, 2], nodes[:, 1:, 2])).float().contiguous()
        self.films = films(ink, layering).float().contiguous()
        self.ink_terms = (1.0, 0.0) if layering == "alpha_over" else (0.0, 1.0)
        self.frame_x, self.frame_y = (
            _frame(count, pitch, device) for count, pitch in zip((self.columns, self.bands), self.pitch, strict=True)
        )
        self.tile_starts, self.members = self._list_tiles()

    def _list_tiles(self) -> tuple[Tensor, Tensor]:
        tiles = self.columns * self.bands
        device = self.chords.device
        covers = torch.zeros(tiles, max(self.count, 1), dtype=torch.int8, device=device)
        width, height = (kernels.SIDE * pitch for pitch in self.pitch)
        # A pixel's half diagonal of a tile, and what float32 positions on a page may be off by.
        half = 0.5 * (kernels.SIDE - 1) * float(np.hypot(*self.pitch)) + 1e-3
        if self.count:
            kernels.cull[self.count, -(-tiles // _CULL_BLOCK)](
                self.chords, self.radii, covers, self.count, tiles, self.columns, width, height, half,
                CHORDS=CHORDS, BLOCK=_CULL_BLOCK,
            )  # fmt: skip
        starts = torch.zeros(tiles + 1, dtype=torch.int64, device=device)
        starts[1:] = covers.sum(dim=1, dtype=torch.int64).cumsum(dim=0)
        return starts, covers.nonzero()[:, 1].to(torch.int32)

    @property
    def geometry(self) -> tuple[Any, ...]:
        """The arguments that both kernels share."""
        return (
            self.tile_starts, self.members, self.frame_x, self.frame_y, self.columns, *self.pitch, *self.size_px,
        )  # fmt: skip


def _frame(count: int, pitch: float, device: torch.device) -> Tensor:
    """Per tile along an axis its origin, exact in float32, and the first pixel's centre from there, mm: (count, 2)."""
    first = (np.arange(count) * kernels.SIDE + 0.5) * pitch
    origin = np.round((first + 0.5 * kernels.SIDE * pitch) / _COARSE_MM) * _COARSE_MM
    return torch.tensor(np.stack([origin, first - origin], axis=1), dtype=torch.float32, device=device)


class _Paint(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, nodes: Tensor, ink: Tensor, layering: Layering, canvas: Tensor, page_mm: tuple[float, float]
    ) -> Tensor:
        height, width, _ = canvas.shape
        scene = _Scene(nodes, ink, layering, (width, height), page_mm)
        canvas = canvas.float().contiguous()
        out = torch.empty_like(canvas)
        kernels.paint[(scene.columns * scene.bands,)](
            scene.chords, scene.films, *scene.geometry, canvas, out, CHORDS=CHORDS
        )
        ctx.scene = scene
        ctx.save_for_backward(canvas)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, Tensor, None]:  # type: ignore[override]
        scene: _Scene = ctx.scene
        (canvas,) = ctx.saved_tensors
        pairs, device = len(scene.members), canvas.device
        beneath = torch.empty(max(pairs, 1), 3, kernels.SIDE**2, device=device)
        pair_nodes = torch.empty(max(pairs, 1), kernels.NODES, 4, device=device)
        pair_inks = torch.empty(max(pairs, 1), 3, device=device)
        canvas_gradient = torch.empty_like(canvas)
        kernels.paint_backward[(scene.columns * scene.bands,)](
            scene.chords, scene.films, *scene.ink_terms, *scene.geometry, canvas, gradient.float().contiguous(),
            beneath, canvas_gradient, pair_nodes, pair_inks, CHORDS=CHORDS, num_warps=8,
        )  # fmt: skip
        order = torch.argsort(scene.members, stable=True)
        stroke_starts = torch.zeros(scene.count + 1, dtype=torch.int32, device=device)
        stroke_starts[1:] = torch.bincount(scene.members, minlength=scene.count).cumsum(dim=0)
        nodes = torch.zeros(scene.count, kernels.NODES, 4, dtype=torch.float64, device=device)
        inks = torch.zeros(scene.count, 4, dtype=torch.float64, device=device)
        if scene.count:
            kernels.gather[(scene.count,)](order, stroke_starts, pair_nodes, pair_inks, nodes, inks)
        return nodes[:, : CHORDS + 1], inks[:, :3], None, canvas_gradient, None


def paint(nodes: Tensor, ink: Tensor, layering: Layering, canvas: Tensor, page_mm: tuple[float, float]) -> Tensor:
    """Lay strokes on a canvas, in order, differentiably.

    Args:
        nodes: (N, CHORDS + 1, 4): x, y (mm, image frame), sigma (mm) and opacity.
        ink: (N, 3) linear RGB.
        layering: `alpha_over` or `multiply`.
        canvas: (H, W, 3) linear RGB.
        page_mm: (width, height) of the page that the canvas covers.

    Returns:
        (H, W, 3) float32 linear RGB.
    """
    out: Tensor = _Paint.apply(nodes, ink, layering, canvas, page_mm)  # type: ignore[no-untyped-call]
    return out
