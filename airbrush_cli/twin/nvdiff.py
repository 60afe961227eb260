"""GPU backend of the twin's second stage by nvdiffrast: ribbons of triangles tell which pixels each stroke may reach.

Light and its gradients are computed at those pixels in torch, exactly as the twin is defined: a rasteriser rounds
corners to fractions of a pixel, so it is asked only where to look, generously. Strokes come in batches; the rectangles
around the strokes of one batch lie side by side in one raster, which is rasterised in one call. Then the films of a
batch are laid on the canvas layer by layer: first the lowest film of every pixel, then the next.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import nvdiffrast.torch as rasteriser
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding
from torch.utils.checkpoint import checkpoint

from airbrush_cli.schemas.luts import Layering
from airbrush_cli.twin.gpu import films
from airbrush_cli.twin.profile import C1, C2, CUT2
from airbrush_cli.twin.strokes import CHORDS

# Pixels of a batch's rectangles, by which its memory is bounded (a larger rectangle makes a batch of its own).
_BATCH_PX = 1 << 21
# A box from -1 to 1 along and across a chord, as two triangles. They overlap along the diagonal, so that no rounding of
# their corners leaves a gap.
_BOX = ((-1.0, -1.0), (1.4, -1.0), (-1.0, 1.4), (1.0, 1.0), (-1.4, 1.0), (1.0, -1.4))


@functools.lru_cache(maxsize=8)
def _context(device: torch.device) -> rasteriser.RasterizeCudaContext:
    return rasteriser.RasterizeCudaContext(device=device)


def ribbons(nodes: Tensor, margin_mm: float) -> Tensor:
    """Cover everything that strokes reach with triangles, chord by chord.

    Args:
        nodes: (N, CHORDS + 1, 4): x, y (mm), sigma (mm) and opacity.
        margin_mm: how much wider than the spots' cut-off.

    Returns:
        (N, CHORDS, 6, 2) corners in mm, two triangles for each chord.
    """
    start, vector = nodes[:, :-1, :2], nodes[:, 1:, :2] - nodes[:, :-1, :2]
    length = vector.norm(dim=2, keepdim=True)
    # A chord of no length is a disc: any direction will do.
    along = torch.where(length > 1e-9, vector / length.clamp(min=1e-9), torch.tensor([1.0, 0.0]).to(vector))
    across = torch.stack([-along[..., 1], along[..., 0]], dim=2)
    radius = math.sqrt(CUT2) * torch.maximum(nodes[:, :-1, 2:3], nodes[:, 1:, 2:3]) + margin_mm
    box = torch.tensor(_BOX).to(vector)
    middle = start + 0.5 * vector
    by_length, by_width = (0.5 * length + radius) * along, radius * across
    return middle[:, :, None] + box[:, :1] * by_length[:, :, None] + box[:, 1:] * by_width[:, :, None]


def shelves(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Lay rectangles (n, 2) side by side in rows, the highest first (next-fit decreasing height, Coffman et al. 1980).

    Returns:
        (n, 2) top left corners, and the width and height of the whole, which is about square.
    """
    width = max(int(sizes[:, 0].max()), math.isqrt(int(sizes.prod(axis=1).sum())))
    corners = np.empty_like(sizes)
    x, y, row = 0, 0, 0
    for i in np.argsort(-sizes[:, 1], kind="stable"):
        if x + sizes[i, 0] > width:
            x, y, row = 0, y + row, 0
        corners[i] = x, y
        x += int(sizes[i, 0])
        row = max(row, int(sizes[i, 1]))
    return corners, (width, y + row)


@dataclass(frozen=True)
class _Grid:
    """The pixels of a page."""

    size_px: tuple[int, int]
    pitch_mm: tuple[float, float]

    def rectangles(self, nodes: Tensor) -> NDArray[np.int64]:
        """First column and row, and width and height in pixels, (N, 4), of what strokes reach of the page."""
        reach = math.sqrt(CUT2) * nodes[..., 2:3]
        low, high = (nodes[..., :2] - reach).amin(dim=1), (nodes[..., :2] + reach).amax(dim=1)
        # Pixels whose centres lie inside.
        first = np.ceil(low.cpu().numpy() / self.pitch_mm - 0.5).clip(0, self.size_px)
        last = np.floor(high.cpu().numpy() / self.pitch_mm + 0.5).clip(0, self.size_px)
        return np.concatenate([first, last - first], axis=1).astype(np.int64)

    def centres(self, pixels: Tensor) -> Tensor:
        """(P, 2) mm of pixels (P,), counted row by row."""
        width = self.size_px[0]
        places = torch.stack([pixels % width, pixels // width], dim=1).to(torch.float64) + 0.5
        return places * self.pitch(pixels.device)

    def pitch(self, device: torch.device) -> Tensor:
        """`pitch_mm` as a tensor."""
        return torch.tensor(self.pitch_mm, dtype=torch.float64, device=device)


def _reached(nodes: Tensor, rectangles: NDArray[np.int64], grid: _Grid) -> tuple[Tensor, Tensor]:
    """Stroke and pixel of the page, (P,) each, of the pixels that strokes (N, CHORDS + 1, 4) may reach.

    They are those pixels of the rectangles (N, 4) that lie under a triangle, whosever: too many do no harm.
    """
    device = nodes.device
    corners, (width, height) = shelves(rectangles[:, 2:])
    move = torch.tensor(corners - rectangles[:, :2], device=device)[:, None, None]
    mesh = ribbons(nodes, 0.5 * math.hypot(*grid.pitch_mm)) / grid.pitch(device) + move
    # Row 0 is clip space's lowest, y = -1, and here the top of the page: no flip.
    clip = (2.0 * mesh / torch.tensor([width, height], device=device) - 1.0).reshape(1, -1, 2)
    clip = torch.cat([clip, torch.zeros_like(clip[..., :1]), torch.ones_like(clip[..., :1])], dim=2)
    triangles = torch.arange(clip.shape[1], dtype=torch.int32, device=device).reshape(-1, 3)
    found, _ = rasteriser.rasterize(_context(device), clip.float().contiguous(), triangles, (height, width))

    column, row, wide, high = torch.tensor(rectangles, device=device).T
    area = wide * high
    stroke = torch.arange(len(nodes), device=device).repeat_interleave(area)
    inside = torch.arange(len(stroke), device=device) - (area.cumsum(dim=0) - area)[stroke]
    across, down = inside % wide[stroke], inside // wide[stroke]
    left, top = torch.tensor(corners, device=device).T
    # The fourth channel is the number of the triangle from 1, and 0 where there is none.
    under = found[0, :, :, 3].flatten()[(top[stroke] + down) * width + left[stroke] + across] > 0.0
    pixel = (row[stroke] + down) * grid.size_px[0] + column[stroke] + across
    return stroke[under], pixel[under]


def _nearest(chords: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Place (0..1) on chords (P, 8) nearest to points (P, 2), and its squared distance."""
    offset, vector = points - chords[:, :2], chords[:, 4:6]
    length2 = vector.square().sum(dim=1)
    inverse = torch.where(length2 > 1e-18, 1.0 / length2.clamp(min=1e-18), 0.0)
    place = ((offset * vector).sum(dim=1) * inverse).clamp(0.0, 1.0)
    return place, (offset - place[:, None] * vector).square().sum(dim=1)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Where a batch of strokes lies: entries are the pixels of each film, layer by layer.

    Attributes:
        pixels: (U,) of the page, those under the most films first.
        layers: how many pixels each layer has: always the first ones of `pixels`.
        stroke: (P,) the film of each entry; chord: (P,) its nearest one, counted over all strokes.
    """

    pixels: Tensor
    layers: list[int]
    stroke: Tensor
    chord: Tensor


def _find(chords: Tensor, stroke: Tensor, pixel: Tensor, grid: _Grid) -> _Batch:
    """Sort entries, (P,) strokes and pixels with the strokes in order, into layers, and find their nearest chords."""
    pixel, by_pixel = pixel.sort(stable=True)
    touched, index, films_over = pixel.unique_consecutive(return_inverse=True, return_counts=True)
    layer = torch.arange(len(pixel), device=pixel.device) - (films_over.cumsum(dim=0) - films_over)[index]
    deepest_first = films_over.argsort(descending=True, stable=True)
    column = torch.empty_like(deepest_first)
    column[deepest_first] = torch.arange(len(column), device=pixel.device)
    order = (layer * len(column) + column[index]).argsort()
    stroke, points = stroke[by_pixel][order], grid.centres(pixel[order])
    nearest = torch.full((len(order),), torch.inf, dtype=points.dtype, device=points.device)
    chord = torch.zeros_like(stroke)
    for k in range(CHORDS):
        _, distance2 = _nearest(chords[stroke * CHORDS + k], points)
        closer = distance2 < nearest
        nearest, chord = torch.where(closer, distance2, nearest), torch.where(closer, k, chord)
    layers: list[int] = layer.bincount().tolist()
    return _Batch(touched[deepest_first], layers, stroke, stroke * CHORDS + chord)


def _lay(chords: Tensor, film: Tensor, light: Tensor, batch: _Batch, grid: _Grid) -> Tensor:
    """Lay the films (N, 6) of a batch on the light (U, 3) of its pixels."""
    points = grid.centres(torch.cat([batch.pixels[:count] for count in batch.layers]))
    # An embedding is a choice of rows whose gradient a GPU sums after sorting: without atomics, alike every time.
    near, km = embedding(batch.chord, chords), embedding(batch.stroke, film)
    place, distance2 = _nearest(near, points)
    sigma, opacity = near[:, 2] + place * near[:, 6], near[:, 3] + place * near[:, 7]
    q = (distance2 / sigma.square()).clamp(max=CUT2)
    cover = (opacity * ((1.0 - q / CUT2) * (1.0 + q * (C1 + q * C2))).square()).to(light)[:, None]
    done = []
    for a, k, m in zip(*(part.split(batch.layers) for part in (cover, km[:, :3], km[:, 3:])), strict=True):
        light, rest = light[: len(a)], light[len(a) :]
        done.append(rest)
        light = light + a * (k - m * light)
    return torch.cat([light, *reversed(done)])


def paint(nodes: Tensor, ink: Tensor, layering: Layering, canvas: Tensor, page_mm: tuple[float, float]) -> Tensor:
    """Lay strokes on a canvas, in order, differentiably; arguments and result as for `cuda.paint`.

    Raises:
        RuntimeError: nvdiffrast failed.
    """
    height, width, _ = canvas.shape
    grid = _Grid((width, height), (page_mm[0] / width, page_mm[1] / height))
    film = films(ink, layering).float()
    chords = torch.cat([nodes[:, :-1], nodes[:, 1:] - nodes[:, :-1]], dim=2).flatten(0, 1)
    light = canvas.float().reshape(-1, 3)
    rectangles = grid.rectangles(nodes.detach())
    areas = rectangles[:, 2:].prod(axis=1)
    on_page = np.flatnonzero(areas)
    ends = np.flatnonzero(np.diff(np.cumsum(areas[on_page]) // _BATCH_PX)) + 1
    for chosen in filter(len, np.split(on_page, ends)):
        members = torch.tensor(chosen, device=nodes.device)
        with torch.no_grad():
            stroke, pixel = _reached(nodes[members], rectangles[chosen], grid)
            if not len(pixel):
                continue
            batch = _find(chords, members[stroke], pixel, grid)
        # Recomputed in the backward pass rather than kept: a painting of any size needs the memory of one batch.
        below = light.index_select(0, batch.pixels)
        laid = checkpoint(_lay, chords, film, below, batch, grid, use_reentrant=False, preserve_rng_state=False)
        light = light.index_copy(0, batch.pixels, laid)
    return light.reshape(height, width, 3)
