"""nvdiffrast's rasteriser in numpy, as its documentation describes it, for machines without a GPU.

It is worse than the real one in the one thing that the twin must stand: the real one rounds corners to a sixteenth of a
pixel, and anew where it clips a triangle; this one moves every corner of every triangle by up to that, at random.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor


class RasterizeCudaContext:
    """Stands for a rasteriser's context."""

    def __init__(self, device: Any = None) -> None:
        self.device = device


def rasterize(
    glctx: RasterizeCudaContext,
    pos: Tensor,
    tri: Tensor,
    resolution: tuple[int, int],
    ranges: Tensor | None = None,
    grad_db: bool = True,
) -> tuple[Tensor, Tensor]:
    """Instanced mode: (u, v, z/w, triangle_id), (B, H, W, 4), and derivatives of u and v, here zero.

    Args:
        pos: (B, V, 4) float32 in clip space; row 0 of the picture is at y = -1.
        tri: (T, 3) int32.
        resolution: (height, width).

    Raises:
        RuntimeError: a tensor is not what nvdiffrast takes.
    """
    assert isinstance(glctx, RasterizeCudaContext)
    height, width = resolution
    for tensor, kind in ((pos, torch.float32), (tri, torch.int32)):
        if tensor.dtype != kind or not tensor.is_contiguous() or not tensor.numel():
            raise RuntimeError(f"tensors must be contiguous and not empty, and this one {kind}")
    if ranges is not None or pos.ndim != 3 or pos.shape[2] != 4 or tri.shape[1:] != (3,) or min(height, width) < 1:
        raise RuntimeError("instance mode - pos must have shape [>0, >0, 4]")
    generator = np.random.default_rng(0)
    out = np.zeros((len(pos), height, width, 4), np.float32)
    for picture, vertices in zip(out, pos.numpy().astype(float), strict=True):
        depth = np.full((height, width), np.inf)
        for number, corners in enumerate(vertices[tri.numpy()], 1):
            screen = (corners[:, :2] / corners[:, 3:] + 1.0) / 2.0 * (width, height)
            screen += generator.uniform(-1 / 16, 1 / 16, (3, 2))
            ends = np.stack([np.floor(screen.min(axis=0)), np.ceil(screen.max(axis=0))])
            (left, top), (right, bottom) = ends.clip(0, (width, height)).astype(int)
            rows, columns = slice(top, bottom), slice(left, right)
            y, x = np.mgrid[rows, columns] + 0.5
            # Twice the area of the triangle opposite to each corner.
            areas = [_area(screen[1], screen[2], x, y), _area(screen[2], screen[0], x, y)]
            areas.append(_area(screen[0], screen[1], x, y))
            whole = areas[0] + areas[1] + areas[2]
            with np.errstate(invalid="ignore", divide="ignore"):
                weights = np.stack(areas, axis=-1) / whole[..., None]
            place = weights @ (corners[:, 2] / corners[:, 3])
            seen = (weights >= 0.0).all(axis=-1) & (np.abs(place) <= 1.0) & (place < depth[rows, columns])
            depth[rows, columns][seen] = place[seen]
            picture[rows, columns][seen] = np.stack(
                [weights[..., 0], weights[..., 1], place, np.full(place.shape, number)], axis=-1
            )[seen]
    return torch.from_numpy(out), torch.zeros(out.shape)


def _area(a: Any, b: Any, x: Any, y: Any) -> Any:
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])


def install(patch: pytest.MonkeyPatch) -> None:
    """Let `import nvdiffrast.torch` find this module."""
    package = types.ModuleType("nvdiffrast")
    package.torch = sys.modules[__name__]  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "nvdiffrast", package)
    patch.setitem(sys.modules, "nvdiffrast.torch", sys.modules[__name__])
