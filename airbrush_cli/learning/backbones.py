"""Convolutional backbones: observations in, a map of features out. The map is never pooled here.

Normalisation is by groups of channels (Wu & He 2018) and not by the batch: what the network answers must not depend on
what else is in the batch, nor differ between acting and learning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_GROUPS = 8


class Backbone(nn.Module):
    """A chain of stages.

    Args:
        stages: what is computed, one after the other.
        channels: of the map that comes out.
        recompute: compute each stage again in the backward pass rather than keep what is in it (less memory).
    """

    def __init__(self, stages: Sequence[nn.Module], channels: int, recompute: bool = False) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = channels
        self._recompute = recompute

    def forward(self, x: Tensor) -> Tensor:
        """Return the map of features (B, channels, h, w) of observations (B, C, H, W)."""
        for stage in self.stages:
            again = self._recompute and torch.is_grad_enabled()
            x = checkpoint(stage, x, use_reentrant=False) if again else stage(x)
        return x


class _Block(nn.Module):
    """ResNet's basic block (He et al. 2016), normalised by groups."""

    def __init__(self, channels: int, out: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, dilation, dilation, bias=False)
        self.second = nn.Conv2d(out, out, 3, 1, dilation, dilation, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(_GROUPS, out) for _ in range(2)])
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.GroupNorm(_GROUPS, out))
        nn.init.zeros_(self.norms[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(y)) + self.shortcut(x))


def _stem(channels: int, out: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, kernel, 2, kernel // 2, bias=False), nn.GroupNorm(_GROUPS, out), nn.ReLU()]


def _resnet(blocks: tuple[int, ...], channels: int, recompute: bool) -> Backbone:
    stages: list[nn.Module] = [nn.Sequential(*_stem(channels, 64, 7), nn.MaxPool2d(3, 2, 1))]
    width = 64
    for level, count in enumerate(blocks):
        out = 64 * 2**level
        first = _Block(width, out, stride=1 if level == 0 else 2)
        stages.append(nn.Sequential(first, *[_Block(out, out) for _ in range(count - 1)]))
        width = out
    return Backbone(stages, width, recompute)


def _small(channels: int, recompute: bool) -> Backbone:
    """For CPUs: a quarter of the observation's size, and dilated blocks in place of depth."""
    stages: list[nn.Module] = [nn.Sequential(*_stem(channels, 24, 5)), _Block(24, 48, stride=2)]
    stages += [_Block(48, 48, dilation=dilation) for dilation in (1, 2, 4)]
    return Backbone(stages, 48, recompute)


_BUILDERS: dict[str, Callable[[int, bool], Backbone]] = {
    "resnet34": lambda channels, recompute: _resnet((3, 4, 6, 3), channels, recompute),
    "resnet18": lambda channels, recompute: _resnet((2, 2, 2, 2), channels, recompute),
    "small": _small,
}


def build(name: str, channels: int, recompute: bool = False) -> Backbone:
    """Return the backbone `resnet34`, `resnet18` or `small` for observations of so many channels."""
    return _BUILDERS[name](channels, recompute)
