"""What the GPU backends share: the first stage in torch, and the ways in. Each brings its `paint`, the second stage."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airbrush_cli.schemas.luts import Backend, Layering
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.strokes import CHORDS, DOT_MM, RAMP_MM, WEIGHTS
from airbrush_cli.units import A4_MM

# From nodes (N, CHORDS + 1, 4), ink (N, 3), layering, canvas (H, W, 3) and page_mm to light (H, W, 3), differentiably.
Paint = Callable[[Tensor, Tensor, Layering, Tensor, tuple[float, float]], Tensor]


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


def films(ink: Tensor, layering: Layering) -> Tensor:
    """Return per film k and m, (N, 6), of the layering formula C + a (k − m C), for ink (N, 3)."""
    k, m = (ink, torch.ones_like(ink)) if layering == "alpha_over" else (torch.zeros_like(ink), 1.0 - ink)
    return torch.cat([k, m], dim=1)


def _paint(backend: Backend) -> Paint:
    if backend == "nvdiffrast":
        from airbrush_cli.twin import nvdiff

        return nvdiff.paint
    from airbrush_cli.twin import cuda

    return cuda.paint


def render(
    strokes: Tensor,
    canvas: Tensor | None,
    luts: Luts,
    size_px: tuple[int, int],
    page_mm: tuple[float, float] = A4_MM,
    backend: Backend = "triton",
) -> Tensor:
    """Paint strokes in order, differentiably; as `autograd.render`, for tensors on a GPU.

    Args:
        backend: `triton` or `nvdiffrast`; for the others see `autograd.render`.

    Raises:
        ValueError: the canvas is not (H, W, 3).
    """
    width, height = size_px
    if canvas is None:
        canvas = torch.ones(height, width, 3, device=strokes.device)
    if canvas.shape != (height, width, 3):
        raise ValueError(f"canvas must have the shape {(height, width, 3)}, not {tuple(canvas.shape)}")
    nodes, ink = expand(strokes, luts)
    return _paint(backend)(nodes, ink, luts.layering, canvas, page_mm)


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
    backend: Backend = "triton",
    device: str = "cuda",
) -> tuple[NDArray[np.float32], Tape]:
    """As the CPU's `render.forward`, by a GPU backend."""
    leaf = torch.tensor(np.asarray(strokes, np.float64).reshape(-1, 15), device=device, requires_grad=True)
    below = None if canvas is None else torch.from_numpy(canvas).to(device)
    painted = render(leaf, below, luts, size_px, page_mm, backend)
    return painted.detach().cpu().numpy(), Tape(leaf, canvas, painted)


def backward(tape: Tape, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
    """As the CPU's `render.backward`, without the canvas: (N, 15). A tape can be pulled back more than once."""
    if not tape.painted.requires_grad:  # no stroke reaches the page
        return np.zeros(tape.strokes.shape)
    upstream = torch.from_numpy(np.ascontiguousarray(gradient)).to(tape.painted.device)
    (by_strokes,) = torch.autograd.grad(tape.painted, tape.strokes, upstream, retain_graph=True)
    found: NDArray[np.float64] = by_strokes.cpu().numpy()
    return found
