"""LPIPS, the learned perceptual distance, as a figure and as a loss.

R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018), version 0.1. The
weights of its layers are those in the `lpips` package, and the values are the package's to rounding (the tests hold the
two together). Its code is not imported: it computes the target's features anew in every call, and it imports
torchvision, which takes as long as torch itself and fails next to a torch of another build (`operator
torchvision::nms does not exist`). The three backbones are small enough to be spelt out in `backbones`.

Everything runs in FP32, also under autocast; on CUDA, TF32 is off in the forward pass.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from airbrush_cli import lpips_weights
from airbrush_cli.compiled import njit
from airbrush_cli.lpips_weights import MissingWeights
from airbrush_cli.metrics import backbones
from airbrush_cli.threads import share

SMALLEST_SIDE = 32
"""Pixels; in smaller pictures a layer of the networks is left without input."""

# LPIPS expects pictures in -1..1 and normalises them by ImageNet's statistics in that scale.
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)

# Pixels that go through the network at a time, few enough for caches or memory to hold their features, and the fewest
# pictures that are worth a thread.
_PIXELS_AT_A_TIME, _FEWEST = {"cpu": 1 << 18, "cuda": 1 << 24}, 24

# Parts of a layer's pixels: a fixed number, so that sums are the same however many threads there are.
_BLOCKS = 16

# All three networks halve the picture four times, so tiles that start at multiples of 16 see the grid of the whole.
_GRID = 16


class LpipsTarget(NamedTuple):
    """What LPIPS needs to know of a picture that others are compared with: the features of its layers."""

    layers: list[Tensor]
    """Each (B, C, h, w), of unit length along C."""
    size: torch.Size
    """(H, W) of the picture."""


class Lpips:
    """The LPIPS distance with one backbone on one device."""

    def __init__(self, net: str = "alex", folder: Path | None = None, device: torch.device | str = "cpu") -> None:
        """Load a backbone and the weights of its layers.

        Args:
            net: "alex" (the usual one for reporting), "vgg" (the usual one as a loss) or "squeeze".
            folder: where backbones lie; if None, where `lpips_weights.find` looks.
            device: where to compute.

        Raises:
            MissingWeights: no backbone is to be had.
        """
        self.net = net
        self.device = torch.device(device)
        path = lpips_weights.obtain(net, folder)
        self._backbone = backbones.build(net, path).to(self.device)
        self._weights = [w.to(self.device) for w in _layer_weights(net)]
        mean, deviation = (torch.tensor(values, device=self.device)[:, None, None] for values in (_MEAN, _DEVIATION))
        self._scale, self._shift = 2 / deviation, (-1 - mean) / deviation

    def distance(self, a: NDArray, b: NDArray, tile: int = 0, overlap: int = 64) -> float:
        """Return the distance of two pictures, 0 for equal ones.

        Args:
            a, b: sRGB (H, W, 3), uint8 or floating point in 0..1, sides of 32 pixels or more.
            tile: side in pixels of the tiles to compute in, to bound memory; 0 takes the picture whole.
            overlap: pixels that neighbouring tiles share, blended by Hann windows.

        Raises:
            ValueError: shapes differ, or a side is too short.
        """
        x, y = self._tensor(a), self._tensor(b)
        _check(x, y.shape[-2:])
        with torch.inference_mode(), _fp32(self.device):
            if not tile:
                return float(sum(near.mean() for near in self._compare(x, self._features(y))))
            total = 0.0
            for rows, row_weights in _tiles(x.shape[-2], tile, overlap):
                for columns, column_weights in _tiles(x.shape[-1], tile, overlap):
                    window = torch.outer(row_weights, column_weights).to(self.device)
                    for near in self._compare(x[..., rows, columns], self._features(y[..., rows, columns])):
                        at_pixels = functional.interpolate(near[:, None], window.shape, mode="bilinear")[0, 0]
                        total += float((at_pixels * window).sum(dtype=torch.float64))
            return total / (x.shape[-2] * x.shape[-1])

    def target(self, y: Tensor) -> LpipsTarget:
        """Return the features of `y`, sRGB (B, 3, H, W) in 0..1, to be compared with in `loss`."""
        _check(y)
        with torch.no_grad(), _fp32(self.device):
            return LpipsTarget(list(self._features(y)), y.shape[-2:])

    def loss(self, x: Tensor, target: LpipsTarget) -> Tensor:
        """Return the distances (B,) of pictures `x`, sRGB (B, 3, H, W) in 0..1, from a target, with gradients for `x`.

        Raises:
            ValueError: `x` and the target differ in size, or a side is too short.
        """
        _check(x, target.size)
        with _fp32(self.device):
            if self.device.type == "cpu":
                layers = zip(self._listen(x), target.layers, self._weights, strict=True)
                return torch.stack([_Nearness.apply(*layer) for layer in layers]).sum(0)
            return torch.stack([near.mean((-2, -1)) for near in self._compare(x, target.layers)]).sum(0)

    def distances(self, x: Tensor, target: LpipsTarget) -> Tensor:
        """Return what `loss` returns, without gradients: quicker for many pictures on the CPU.

        Every thread takes pictures of its own through all layers, a few at a time, and waits for no other in between.
        """
        _check(x, target.size)
        on_cpu = self.device.type == "cpu"
        threads = torch.get_num_threads() if on_cpu else 1
        most = max(1, _PIXELS_AT_A_TIME[self.device.type] // (x.shape[2] * x.shape[3]))
        parts = -(-len(x) // min(most, max(_FEWEST, -(-len(x) // threads))))
        edges = [len(x) * part // parts for part in range(parts + 1)]
        found = torch.zeros(len(x), device=self.device)
        together = parts > 1 and threads > 1

        def measure(part: int) -> None:
            if together and torch.get_num_threads() > 1:
                torch.set_num_threads(1)  # each computes alone
            here = slice(edges[part], edges[part + 1])
            with torch.no_grad():
                wanted = [layer[here] for layer in target.layers]
                if not on_cpu:
                    found[here] = self.loss(x[here], LpipsTarget(wanted, target.size))
                    return
                for ours, theirs, weights in zip(self._listen(x[here]), wanted, self._weights, strict=True):
                    _add_distances(_rows(ours), _rows(theirs), weights.numpy().ravel(), found[here].numpy())

        if together:
            share(measure, parts)
            torch.set_num_threads(threads)  # what a thread says of itself becomes that of new threads
        else:
            for part in range(parts):
                measure(part)
        return found

    def _compare(self, x: Tensor, layers: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield each layer's distances (B, h, w)."""
        for ours, theirs, weights in zip(self._features(x), layers, self._weights, strict=True):
            yield functional.conv2d((ours - theirs).square(), weights)[:, 0]

    def _features(self, x: Tensor) -> Iterator[Tensor]:
        """Yield each layer's features (B, C, h, w), scaled to unit length along C."""
        for layer in self._listen(x):
            yield layer / (torch.linalg.vector_norm(layer, dim=1, keepdim=True) + 1e-10)

    def _listen(self, x: Tensor) -> Iterator[Tensor]:
        """Yield each layer's features (B, C, h, w) as they are."""
        x = x.to(self.device, torch.float32, memory_format=torch.channels_last)
        return self._backbone.listen(torch.addcmul(self._shift, x, self._scale))

    def _tensor(self, picture: NDArray) -> Tensor:
        white = 255 if picture.dtype == np.uint8 else 1
        tensor = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device, torch.float32)
        return tensor.permute(2, 0, 1)[None] / white


class _Nearness(torch.autograd.Function):
    """The distances (B,) of a layer's features (B, C, h, w) from a target's, of unit length, on the CPU.

    Normalising, comparing and weighing features takes a dozen passes over them with torch, forth and back: here it
    takes one for both.
    """

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, weights: Tensor) -> Tensor:
        rows, wanted, found = _rows(ours.detach()), _rows(theirs), torch.zeros(len(ours))
        pull = np.empty_like(rows)
        edges = np.linspace(0, rows.shape[1], _BLOCKS + 1).astype(np.int64)
        for b in range(len(rows)):

            def compare(block: int, b: int = b) -> float:
                span = slice(edges[block], edges[block + 1])
                return float(_distance_and_pull(rows[b, span], wanted[b, span], weights.numpy().ravel(), pull[b, span]))

            found[b] = sum(share(compare, _BLOCKS)) / rows.shape[1]
        ctx.pull = torch.from_numpy(pull).unflatten(1, ours.shape[-2:]).permute(0, 3, 1, 2)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        height, width = ctx.pull.shape[-2:]
        return ctx.pull * (gradient / (height * width))[:, None, None, None], None, None


@njit(fastmath={"reassoc", "contract", "nsz"}, cache=True, error_model="numpy", nogil=True)
def _distance_and_pull(ours, theirs, weights, pull):
    """Return the sum of the distances of features (pixels, C), of which `theirs` are of unit length, and write the
    gradient of that."""
    sum_of_all = 0.0
    for i in range(ours.shape[0]):
        square = np.float32(0.0)
        for c in range(ours.shape[1]):
            square += ours[i, c] * ours[i, c]
        length = np.sqrt(square)
        scale = np.float32(1.0) / (length + np.float32(1e-10))
        total, along = np.float32(0.0), np.float32(0.0)
        for c in range(ours.shape[1]):
            error = ours[i, c] * scale - theirs[i, c]
            slope = weights[c] * error
            total += slope * error
            along += slope * ours[i, c]
            pull[i, c] = np.float32(2.0) * slope * scale
        shrink = np.float32(2.0) * along * scale * scale / length if length > np.float32(0.0) else np.float32(0.0)
        for c in range(ours.shape[1]):
            pull[i, c] -= shrink * ours[i, c]
        sum_of_all += total
    return sum_of_all


@njit(fastmath={"reassoc", "contract", "nsz"}, cache=True, error_model="numpy", nogil=True)
def _add_distances(ours, theirs, weights, found):
    """Add to `found` (B,) the distances of features (B, pixels, C), of which `theirs` are of unit length."""
    for b in range(ours.shape[0]):
        total = np.float32(0.0)
        for i in range(ours.shape[1]):
            square = np.float32(0.0)
            for c in range(ours.shape[2]):
                square += ours[b, i, c] * ours[b, i, c]
            scale = np.float32(1.0) / (np.sqrt(square) + np.float32(1e-10))
            for c in range(ours.shape[2]):
                error = ours[b, i, c] * scale - theirs[b, i, c]
                total += weights[c] * error * error
        found[b] += total / np.float32(ours.shape[1])


def _rows(layer: Tensor) -> NDArray[np.float32]:
    """(B, C, h, w) as (B, pixels, C); no copy if the channels are last in memory."""
    return layer.permute(0, 2, 3, 1).flatten(1, 2).contiguous().numpy()


def _check(x: Tensor, size: torch.Size | None = None) -> None:
    height, width = x.shape[-2:]
    if x.ndim != 4 or x.shape[1] != 3 or min(height, width) < SMALLEST_SIDE:
        raise ValueError(f"LPIPS needs (B, 3, H, W) of {SMALLEST_SIDE} pixels or more a side, found {tuple(x.shape)}")
    if size and size != x.shape[-2:]:
        raise ValueError(f"LPIPS compares pictures of one size, found {width}x{height} and {size[1]}x{size[0]}")


def _layer_weights(net: str) -> list[Tensor]:
    """Read the weights (1, C, 1, 1) of each layer from the data of the installed `lpips` package."""
    package = importlib.util.find_spec("lpips")
    if package is None or not package.submodule_search_locations:
        raise MissingWeights("the lpips package is not installed: pip install lpips")
    path = Path(package.submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[name] for name in sorted(state)]


@contextmanager
def _fp32(device: torch.device) -> Iterator[None]:
    with (
        torch.autocast(device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, benchmark=torch.backends.cudnn.benchmark, allow_tf32=False),
    ):
        yield


def _tiles(length: int, tile: int, overlap: int) -> list[tuple[slice, Tensor]]:
    """Cut an axis into overlapping tiles, with weights (Hann windows) that add up to 1 at every pixel."""
    tile = max(tile, 4 * _GRID)
    step = max((tile - overlap) // _GRID * _GRID, _GRID)
    last = max(0, -(-(length - tile) // _GRID) * _GRID)
    starts = [*range(0, last, step), last]
    slices = [slice(start, min(start + tile, length)) for start in starts]
    windows = [torch.hann_window(s.stop - s.start + 2, periodic=False, dtype=torch.float64)[1:-1] for s in slices]
    total = torch.zeros(length, dtype=torch.float64)
    for s, window in zip(slices, windows, strict=True):
        total[s] += window
    return [(s, (window / total[s]).float()) for s, window in zip(slices, windows, strict=True)]
