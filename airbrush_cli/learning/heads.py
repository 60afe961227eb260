"""What turns features into strokes: heatmaps with a soft-argmax, or pooled features that know where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from airbrush_cli import colour
from airbrush_cli.geometry import bernstein
from airbrush_cli.learning.actions import SIZE
from airbrush_cli.schemas.environment import Environment

POINTS = 4
"""Control points of a stroke: heatmaps for each."""

_HIDDEN = 128
# Gain of the last layers, so that training begins near what the biases say.
_GAIN = 0.3
# How long half a stroke is at first, in widths of the page, and how far from its home its heat reaches (standard
# deviation, in sides of the page): of the first strokes, which cover the page, and of the last ones times √strokes.
_LONG, _WIDE = (0.65, 3.2), (0.15, 1.0)
# Height and speed at first, in [-1, 1]: near what height is allowed; slow, because fast strokes leave next to no ink to
# learn from, and so near the bound that speed must change in small steps.
_HIGH, _SLOW, _SPEED_STEP = 0.7, -0.975, 0.1
# Height, speed and ink: how many numbers, and the gain of their last layer.
_NUMBERS = ((2, 0.1), (2, 0.3), (3, 0.1))
# The low-discrepancy sequence R2 (Roberts 2018), and the golden angle.
_R2, _GOLDEN = (0.7548777, 0.5698403), 2.399963
# Points of a cubic Bézier curve at t = 0, 1/4, ... 1, from its control points.
_BERNSTEIN = torch.from_numpy(bernstein(np.linspace(0.0, 1.0, 5))).float()
# Control points along a line from -1 to 1.
_ALONG = torch.linspace(-1.0, 1.0, POINTS)


class _Within(torch.autograd.Function):
    """Clips to [-1, 1], and stops only gradients that lead further out: what has gone too far finds back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(-1.0, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        outwards = ((x > 1.0) & (gradient < 0.0)) | ((x < -1.0) & (gradient > 0.0))
        return gradient.masked_fill(outwards, 0.0)


def soft_argmax(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return where each heatmap is hot: (B, K, 2), x and y in [0, 1], and the heat itself, (B, K, h, w) of sum 1.

    The mean of the pixels' centres, (j + 0.5) / w and (i + 0.5) / h, weighted by the softmax of the logits over the
    temperature: the lower, the sharper.
    """
    batch, count, height, width = logits.shape
    heat = torch.softmax(logits.float().reshape(batch, count, -1) / temperature, dim=-1).reshape(logits.shape)
    columns = (torch.arange(width, device=logits.device, dtype=torch.float32) + 0.5) / width
    rows = (torch.arange(height, device=logits.device, dtype=torch.float32) + 0.5) / height
    x = (heat.sum(dim=2) * columns).sum(dim=-1)
    y = (heat.sum(dim=3) * rows).sum(dim=-1)
    return torch.stack([x, y], dim=-1), heat


def strokes_done(observation: Tensor, environment: Environment) -> Tensor | None:
    """Return the share of strokes (B,) that were painted before observations (B, C, H, W), if these tell."""
    return 1.0 - observation[:, -1, 0, 0] if environment.observation.strokes_left else None


class HeatmapHead(nn.Module):
    """Control points from heatmaps over the spatial map; height, speed and ink from what lies along the curve.

    Each stroke has a home, near which its heat is before it is learnt where it goes: what all could do, none would do,
    because the mean of many good places is a bad one. Homes spread evenly over the page; where observations tell how
    many strokes are left, every step has other ones, of first long and then short strokes. A single stroke for an
    observation that does not tell has no home.

    The other numbers see the mean of the features (what the picture is like), and the features and the observation
    along the curve: its colours are what the ink has to make. The ink begins as the complement of the target's light.

    Args:
        channels: of the features.
        environment: what is observed, and how many strokes at a time.
        temperature: of the soft-argmax.
    """

    def __init__(self, channels: int, environment: Environment, temperature: float) -> None:
        super().__init__()
        self._environment, self.temperature = environment, temperature
        self.strokes = environment.strokes_per_step
        self.heat = nn.Conv2d(channels, POINTS * self.strokes, 1)
        seen = 2 * channels + environment.observation.channels
        # z0 z1, v0 v1, c m y
        self.rest = nn.ModuleList([perceptron(seen, numbers, gain) for numbers, gain in _NUMBERS])
        self.complement = nn.Linear(3, 3)
        with torch.no_grad():
            self.heat.weight.mul_(_GAIN)
            self.heat.bias.zero_()  # type: ignore[union-attr]
            self.complement.weight.copy_(-2.0 * torch.eye(3))
            self.complement.bias.fill_(1.0)

    def forward(self, features: Tensor, observation: Tensor) -> Tensor:
        """Return (B, 15 k) actions for features (B, C, h, w) and the observation that they are of."""
        batch, features = len(features), features.float()
        logits = self.heat(features)
        done = strokes_done(observation, self._environment)
        if done is not None or self.strokes > 1:
            logits = logits - self.temperature * self._cold(features, done)
        points, _ = soft_argmax(logits, self.temperature)
        points = 2.0 * points.reshape(batch, self.strokes, POINTS, 2) - 1.0
        along = _BERNSTEIN.to(points) @ points
        # The means of maps at points of the curve, (B, k, C).
        here = [
            functional.grid_sample(seen, along, padding_mode="border", align_corners=False).mean(dim=3).mT
            for seen in (features, observation)
        ]
        everywhere = features.mean(dim=(2, 3))[:, None].expand(-1, self.strokes, -1)
        seen = torch.cat([everywhere, *here], dim=-1)
        height, speed, ink = (part(seen) for part in self.rest)
        light = colour.srgb_to_linear(here[1][..., :3].clamp(0.0, 1.0))
        rest = [_HIGH + height, _SLOW + _SPEED_STEP * speed, ink + self.complement(light)]
        rest = [_Within.apply(part) for part in rest]  # type: ignore[no-untyped-call]
        return torch.cat([points.flatten(2), *rest], dim=-1).reshape(batch, SIZE * self.strokes)

    def _cold(self, features: Tensor, done: Tensor | None) -> Tensor:
        """Return by how much the maps are colder (B, 4 k, h, w) away from the homes of their control points."""
        page = self._environment.work_area_mm
        first = 0.0 if done is None else done[:, None] * self._environment.stroke_cap
        late = features.new_full((1,), 0.5) if done is None else done
        long, wide = (_between(*ends, late, self._environment.stroke_cap) for ends in (_LONG, _WIDE))
        number = first + torch.arange(1, self.strokes + 1, device=features.device)[None]
        middles = (0.5 + number[..., None] * features.new_tensor(_R2)) % 1.0
        angle = number * _GOLDEN * late[:, None]  # the first ones lie across, like a ground
        direction = torch.stack([angle.cos(), angle.sin() * (page.x / page.y)], dim=-1) * long[:, None, None]
        homes = middles[:, :, None] + direction[:, :, None] * _ALONG.to(features)[:, None]
        homes = homes.clamp(0.0, 1.0).flatten(1, 2)
        rows, columns = ((torch.arange(size, device=features.device) + 0.5) / size for size in features.shape[2:])
        x, y = (columns - homes[..., :1]).square(), (rows - homes[..., 1:]).square()
        return (x[:, :, None, :] + y[:, :, :, None]) / (2.0 * wide.square())[:, None, None, None]


def _between(first: float, last: float, late: Tensor, strokes: int) -> Tensor:
    """Return what goes from `first` to the smaller `last` over √strokes as `late` goes from 0 to 1."""
    return first + (min(first, last / strokes**0.5) - first) * late


class CoordConvHead(nn.Module):
    """All 15 numbers from pooled features that know where they are: the backbone saw coordinates too.

    Pooled by their mean and by their maximum: of something small, the mean over the map leaves next to nothing.
    """

    def __init__(self, channels: int, strokes: int) -> None:
        super().__init__()
        self.numbers = perceptron(2 * channels, SIZE * strokes, _GAIN)

    def forward(self, features: Tensor, observation: Tensor) -> Tensor:
        """Return (B, 15 k) actions for features (B, C, h, w)."""
        features = features.float()
        return torch.tanh(self.numbers(torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)))


def perceptron(numbers: int, out: int, gain: float) -> nn.Sequential:
    """Return a network with one hidden layer whose answers are about `gain` at first."""
    last = nn.Linear(_HIDDEN, out)
    nn.init.orthogonal_(last.weight, gain)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(numbers, _HIDDEN), nn.ReLU(), last)
