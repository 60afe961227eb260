"""Many canvases as one tall page, so that one call of the twin paints and differentiates all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from airbrush_cli.twin import autograd
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.profile import CUT2


def render(strokes: Tensor, canvases: Tensor, luts: Luts, page_mm: tuple[float, float]) -> Tensor:
    """Paint k strokes on each of B canvases, differentiably.

    The canvases lie below one another with gaps that no spot reaches across, so what is painted off the edge of one
    does not show on the next.

    Args:
        strokes: (B, k, 15), stroke.v1 columns.
        canvases: (B, H, W, 3) linear RGB.
        luts: look-up tables.
        page_mm: (width, height) of the page that each canvas covers.

    Returns:
        (B, H, W, 3) float32 linear RGB, with gradients for both tensors.
    """
    count, height, width, _ = canvases.shape
    pitch = page_mm[1] / height
    gap = math.ceil(math.sqrt(CUT2) * float(luts.sigma_mm.max()) / pitch) + 1
    sheet = torch.cat([canvases, canvases.new_ones(count, gap, width, 3)], dim=1).reshape(-1, width, 3)
    down = torch.arange(count, device=strokes.device, dtype=strokes.dtype) * ((height + gap) * pitch)
    offset = torch.zeros_like(strokes)
    offset[..., 1:8:2] = down[:, None, None]
    painted = autograd.render(
        (strokes + offset).reshape(-1, strokes.shape[-1]),
        sheet,
        luts,
        (width, len(sheet)),
        (page_mm[0], len(sheet) * pitch),
    )
    return painted.reshape(count, height + gap, width, 3)[:, :height]
