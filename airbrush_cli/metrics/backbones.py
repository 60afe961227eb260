"""The convolutional parts of AlexNet, VGG16 and SqueezeNet 1.1 that LPIPS listens to, numbered as torchvision does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from airbrush_cli import lpips_weights
from airbrush_cli.lpips_weights import MissingWeights

# Batches and maps (pixels) for which a convolution is quicker as matrix products; measured on two cores with AVX-512.
_MANY, _SMALL_MAP = 24, 32


class Backbone(nn.Module):
    """A chain of layers, of which some (`taps`) are listened to."""

    def __init__(self, layers: list[nn.Module], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        self._taps = frozenset(taps)

    def listen(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the outputs (B, C, h, w) of the layers listened to, for pictures (B, 3, H, W).

        One at a time, because the first layers of a large picture take hundreds of megabytes each.
        """
        for i, layer in enumerate(self.features):
            if isinstance(layer, nn.Conv2d) and _is_small(x, layer):
                x = _convolved_by_pixel(x, layer)
            elif isinstance(layer, nn.Conv2d) and layer.stride != (1, 1) and x.requires_grad and x.device.type == "cpu":
                x = _Strided.apply(x, layer)
            else:
                x = layer(x)
            if i in self._taps:
                yield x


def _is_small(x: Tensor, layer: nn.Conv2d) -> bool:
    """Whether a convolution is of many maps so small that much of what its kernels see is padding."""
    return (
        layer.stride == (1, 1)
        and x.shape[0] >= _MANY
        and x.shape[2] * x.shape[3] <= _SMALL_MAP
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
    )


def _convolved_by_pixel(x: Tensor, layer: nn.Module) -> Tensor:
    """Return what a convolution to the same size returns, computed as matrix products over the batch.

    There is one for each pixel that comes out and each row of the kernel: the padding is never multiplied with, and
    nothing is copied, because with the channels last a row of a map and a row of a kernel are rows of matrices.
    """
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    x, kernel = (t.permute(0, 2, 3, 1).contiguous() for t in (x, layer.weight))
    (batch, height, width, _), (_, tall, wide, _) = x.shape, kernel.shape
    out = layer.bias.expand(batch, height, width, -1).clone()
    for i in range(height):
        for j in range(width):
            above, left = i - tall // 2, j - wide // 2
            first, last = max(0, left), min(width, left + wide)
            for row in range(max(0, above), min(height, above + tall)):
                weights = kernel[:, row - above, first - left : last - left]
                out[:, i, j].addmm_(x[:, row, first:last].flatten(1), weights.flatten(1).t())
    return out.permute(0, 3, 1, 2)


class _Strided(torch.autograd.Function):
    """A convolution with a stride, whose gradient by the picture takes a third of the time that it takes torch.

    With the s x s pixels of a stride taken as channels of one pixel, the kernel has no stride, and is one that the
    library has fast code for. (The layers' weights are frozen: they get no gradient.)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Conv2d) -> Tensor:
        ctx.layer, ctx.size = layer, x.shape[-2:]
        return layer(x)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        layer, (height, width) = ctx.layer, ctx.size
        kernel, stride, padding = layer.weight, layer.stride[0], int(layer.padding[0])
        side = -(-kernel.shape[-1] // stride)
        rest = side * stride - kernel.shape[-1]
        kernel = functional.pad(kernel, (0, rest, 0, rest)).unflatten(3, (side, stride)).unflatten(2, (side, stride))
        kernel = kernel.permute(0, 1, 3, 5, 2, 4).flatten(1, 3).contiguous(memory_format=torch.channels_last)
        folded = functional.conv_transpose2d(gradient, kernel).unflatten(1, (-1, stride, stride))
        pixels = folded.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
        below, right = padding + height - pixels.shape[2], padding + width - pixels.shape[3]
        # Negative margins cut off; what the kernels never came to gets none.
        return functional.pad(pixels, (-padding, right, -padding, below)), None


class _Fire(nn.Module):
    """SqueezeNet's module (Iandola et al. 2016): few channels, then many by 1x1 and by 3x3."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu_()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu_()


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _alexnet() -> Backbone:
    layers = [nn.Conv2d(3, 64, 11, 4, 2), _relu(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), _relu(), nn.MaxPool2d(3, 2)]
    for channels, more in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(channels, more, 3, padding=1), _relu()]
    return Backbone(layers, taps=(1, 4, 7, 9, 11))


def _vgg16() -> Backbone:
    layers: list[nn.Module] = []
    taps: list[int] = []
    channels = 3
    for more, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        if taps:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, more, 3, padding=1), _relu()]
            channels = more
        taps.append(len(layers) - 1)
    return Backbone(layers, tuple(taps))


def _squeezenet() -> Backbone:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2), _relu()]
    channels = 64
    for fires in (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256))):
        layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        for squeezed, expanded in fires:
            layers.append(_Fire(channels, squeezed, expanded))
            channels = 2 * expanded
    return Backbone(layers, taps=(1, 4, 7, 9, 10, 11, 12))


_BUILDERS = {"alex": _alexnet, "vgg": _vgg16, "squeeze": _squeezenet}


def architecture(net: str) -> Backbone:
    """Return the backbone of `net` ("alex", "vgg" or "squeeze"), untrained."""
    return _BUILDERS[net]()


def build(net: str, path: Path) -> Backbone:
    """Return the backbone of `net` with the weights in the file `path`, frozen.

    Raises:
        MissingWeights: the file cannot be read, or belongs to another network.
    """
    # Without storage of its own the network is made in no time; the tensors of the file become its weights. With the
    # channels last in memory, convolutions on the CPU take two thirds of the time.
    with torch.device("meta"):
        backbone = architecture(net)
    weights = lpips_weights.load(path)
    layouts = {1: torch.contiguous_format, 4: torch.channels_last}
    try:
        backbone.load_state_dict(
            {name: w.contiguous(memory_format=layouts[w.ndim]) for name, w in weights.items()}, assign=True
        )
    except (RuntimeError, LookupError) as error:
        raise MissingWeights(f"{path}: not the weights of {lpips_weights.BACKBONES[net].name}") from error
    return backbone.requires_grad_(False).eval()
