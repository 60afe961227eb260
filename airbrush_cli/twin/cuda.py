"""GPU backend of the twin: the first stage in torch, the second in Triton kernels; all tensors stay on the device."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airbrush_cli.twin import triton_kernels as kernels
from airbrush_cli.twin.binning import SHORT_MM
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.profile import CUT2
from airbrush_cli.twin.strokes import CHORDS, DOT_MM, RAMP_MM, WEIGHTS
from airbrush_cli.units import A4_MM

# Coarse parts of positions are multiples of this many mm: exact in float32 on any page.
_COARSE_MM = 1.0 / 64.0
_CULL_BLOCK = 128


@functools.lru_cache(maxsize=8)
def _tables(luts: Luts, device: torch.device) -> dict[str, Tensor]:
    arrays = {"z": luts.z_mm, "v": luts.v_mm_s, "sigma": luts.sigma_mm, "opacity": luts.opacity, "colour": luts.colour}
    return {name: torch.tensor(np.array(array), dtype=torch.float64, device=device) for name, array in arrays.items()}


def _cells(axis: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Cell and place in it, as strokes.py finds them."""
    cell = (torch.searchsorted(axis, value.detach().contiguous(), right=True) - 1).clamp(0, len(axis) - 2)
    return cell, ((value - axis[cell]) / (axis[cell + 1] - axis[cell])).clamp(-0.01, 1.01)


def expand(strokes: Tensor, luts: Luts) -> tuple[Tensor, Tensor]:
    """Turn (N, 15) strokes into nodes (N, CHORDS + 1, 4) and ink (N, 3), float64, differentiably."""
    tables = _tables(luts, strokes.device)
    strokes = strokes.to(torch.float64)
    points = strokes[:, :8].reshape(-1, 4, 2)
    middle = points.mean(dim=1, keepdim=True)
    rho2 = (points - middle).square().sum(dim=2).mean(dim=1)
    tau, ramp = (rho2 / DOT_MM**2).clamp(max=1.0), (rho2 / RAMP_MM**2).clamp(max=1.0)
    tau, ramp = tau * (2.0 - tau), ramp * (2.0 - ramp)
    weights = torch.tensor(WEIGHTS, device=strokes.device)
    positions = middle + tau[:, None, None] * torch.einsum("tj,njc->ntc", weights, points - middle)
    offsets = ramp[:, None] * torch.linspace(-0.5, 0.5, CHORDS + 1, dtype=torch.float64, device=strokes.device)
    z = strokes[:, 8:10].mean(dim=1, keepdim=True) + offsets * (strokes[:, 9:10] - strokes[:, 8:9])
    v = strokes[:, 10:12].mean(dim=1, keepdim=True) + offsets * (strokes[:, 11:12] - strokes[:, 10:11])
    (i, a), (j, b) = _cells(tables["z"], z), _cells(tables["v"], v)
    spot = []
    for table in (tables["sigma"], tables["opacity"]):
        low = table[i, j] * (1.0 - b) + table[i, j + 1] * b
        high = table[i + 1, j] * (1.0 - b) + table[i + 1, j + 1] * b
        spot.append(low * (1.0 - a) + high * a)
    ink: Tensor = tables["colour"]
    steps = torch.tensor([size - 1 for size in ink.shape[:3]], device=strokes.device)
    amounts = strokes[:, 12:] * steps
    cell = amounts.detach().floor().clamp(min=0).minimum(steps - 1).long()
    place = (amounts - cell).clamp(-0.01, 1.01)
    colour = strokes.new_zeros(len(strokes), 3)
    for corner in range(8):
        bits = torch.tensor([corner >> 2, corner >> 1 & 1, corner & 1], device=strokes.device)
        weight = torch.where(bits == 1, place, 1.0 - place).prod(dim=1, keepdim=True)
        at = cell + bits
        colour = colour + weight * ink[at[:, 0], at[:, 1], at[:, 2]]
    return torch.cat([positions, torch.stack(spot, dim=2)], dim=2), colour


class _Scene:
    """Strokes cut into chords and listed by tile."""

    def __init__(self, nodes: Tensor, ink: Tensor, luts: Luts, size_px: tuple[int, int], page_mm: tuple[float, float]):
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
        opaque = luts.layering == "alpha_over"
        k, m = (ink, torch.ones_like(ink)) if opaque else (torch.zeros_like(ink), 1.0 - ink)
        self.films = torch.cat([k, m], dim=1).float().contiguous()
        self.ink_terms = (1.0, 0.0) if opaque else (0.0, 1.0)
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
        ctx: Any,
        nodes: Tensor,
        ink: Tensor,
        canvas: Tensor,
        luts: Luts,
        size_px: tuple[int, int],
        page_mm: tuple[float, float],
    ) -> Tensor:
        scene = _Scene(nodes, ink, luts, size_px, page_mm)
        canvas = canvas.float().contiguous()
        out = torch.empty_like(canvas)
        kernels.paint[(scene.columns * scene.bands,)](
            scene.chords, scene.films, *scene.geometry, canvas, out, CHORDS=CHORDS
        )
        ctx.scene = scene
        ctx.save_for_backward(canvas)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:  # type: ignore[override]
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
        return nodes[:, : CHORDS + 1], inks[:, :3], canvas_gradient, None, None, None


def render(
    strokes: Tensor, canvas: Tensor | None, luts: Luts, size_px: tuple[int, int], page_mm: tuple[float, float] = A4_MM
) -> Tensor:
    """Paint strokes in order, differentiably; as `autograd.render`, for tensors on a GPU.

    Raises:
        ValueError: the canvas is not (H, W, 3).
    """
    width, height = size_px
    if canvas is None:
        canvas = torch.ones(height, width, 3, device=strokes.device)
    if canvas.shape != (height, width, 3):
        raise ValueError(f"canvas must have the shape {(height, width, 3)}, not {tuple(canvas.shape)}")
    nodes, ink = expand(strokes, luts)
    out: Tensor = _Paint.apply(nodes, ink, canvas, luts, size_px, page_mm)  # type: ignore[no-untyped-call]
    return out


@dataclass(frozen=True, eq=False)
class Tape:
    """A painting on the GPU and what it was made from."""

    strokes: Tensor
    canvas: NDArray[np.float32] | None
    painted: Tensor


def forward(
    strokes: NDArray[np.float64],
    luts: Luts,
    size_px: tuple[int, int],
    canvas: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = A4_MM,
    device: str = "cuda",
) -> tuple[NDArray[np.float32], Tape]:
    """As `render.forward`, on the GPU."""
    leaf = torch.tensor(np.asarray(strokes, np.float64).reshape(-1, 15), device=device, requires_grad=True)
    below = None if canvas is None else torch.from_numpy(canvas).to(device)
    painted = render(leaf, below, luts, size_px, page_mm)
    return painted.detach().cpu().numpy(), Tape(leaf, canvas, painted)


def backward(tape: Tape, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
    """As `render.backward`, without the canvas: (N, 15). A tape can be pulled back more than once."""
    upstream = torch.from_numpy(np.ascontiguousarray(gradient)).to(tape.painted.device)
    (by_strokes,) = torch.autograd.grad(tape.painted, tape.strokes, upstream, retain_graph=True)
    found: NDArray[np.float64] = by_strokes.cpu().numpy()
    return found
