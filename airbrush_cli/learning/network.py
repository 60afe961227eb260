"""The strategist's network: an observation in, the stroke it proposes and what it expects of the canvas out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from airbrush_cli.geometry import bernstein
from airbrush_cli.learning import backbones
from airbrush_cli.learning.actions import SIZE
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.schemas.training import Agent, Compute

POINTS = 4
"""Control points of a stroke: heatmaps for each."""

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_HIDDEN = 128
# Gain of the last layers, so that training begins near the middle of every range.
_LAST_GAIN = 0.3
# How far from its home a stroke's heat reaches at first, in distances between homes.
_HOME = 0.5
# How steeply ink begins to depend on the colour that is wanted, before tanh.
_COMPLEMENT = 1.5
# The speed that strokes begin with, before tanh: fast ones leave next to no ink to learn from.
_SLOW = -1.5
# Points of a cubic Bézier curve at t = 0, 1/4, ... 1, from its control points.
_BERNSTEIN = torch.from_numpy(bernstein(np.linspace(0.0, 1.0, 5))).float()


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


def _homes(strokes: int) -> Tensor:
    """Return places of control points that spread strokes evenly over the page, (4 k, 2), x and y in [0, 1].

    The low-discrepancy sequence R2 (Roberts 2018).
    """
    steps = torch.arange(1, strokes + 1, dtype=torch.float32)[:, None]
    middles = (0.5 + steps * torch.tensor([0.7548777, 0.5698403])) % 1.0
    along = torch.tensor([[-0.3, 0.0], [-0.1, 0.0], [0.1, 0.0], [0.3, 0.0]]) / strokes**0.5
    return (middles[:, None] + along).clamp(0.0, 1.0).reshape(-1, 2)


def _far_from(homes: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Return the squared distances (n, h, w) of the pixels' centres from places (n, 2)."""
    rows, columns = ((torch.arange(count, device=homes.device) + 0.5) / count for count in size)
    return (columns - homes[:, 0, None]).square()[:, None, :] + (rows - homes[:, 1, None]).square()[:, :, None]


class HeatmapHead(nn.Module):
    """Control points from heatmaps over the spatial map; height, speed and ink from what lies along the curve.

    Of several strokes, each has a place of its own, near which its heat is before it is learnt where it goes: what all
    could do, none would do, because the mean of many good places is a bad one.

    The other numbers see the mean of the features (what the picture is like), and the features and the observation
    along the curve: its colours are what the ink has to make. The ink begins as the complement of the target's colour.
    """

    def __init__(self, channels: int, observed: int, strokes: int, temperature: float) -> None:
        super().__init__()
        self.strokes, self.temperature = strokes, temperature
        self.heat = nn.Conv2d(channels, POINTS * strokes, 1)
        self.homes = nn.Parameter(_homes(strokes)) if strokes > 1 else None
        seen = 2 * channels + observed
        # z0 z1, v0 v1, c m y
        self.rest = nn.ModuleList([_perceptron(seen, numbers) for numbers in (2, 2, 3)])
        self.complement = nn.Linear(3, 3)
        with torch.no_grad():
            self.rest[1][-1].bias.fill_(_SLOW)  # type: ignore[index, union-attr, operator]
            self.complement.weight.copy_(-2.0 * _COMPLEMENT * torch.eye(3))
            self.complement.bias.fill_(_COMPLEMENT)

    def forward(self, features: Tensor, observation: Tensor) -> Tensor:
        """Return (B, 15 k) actions for features (B, C, h, w) and the observation that they are of."""
        batch, features = len(features), features.float()
        logits = self.heat(features)
        if self.homes is not None:
            logits = logits - _far_from(self.homes, features.shape[2:]) * (self.strokes / _HOME**2)
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
        rest = [torch.tanh(part) for part in (height, speed, ink + self.complement(here[1][..., :3]))]
        return torch.cat([points.flatten(2), *rest], dim=-1).reshape(batch, SIZE * self.strokes)


class CoordConvHead(nn.Module):
    """All 15 numbers from pooled features that know where they are: the backbone saw coordinates too.

    Pooled by their mean and by their maximum: of something small, the mean over the map leaves next to nothing.
    """

    def __init__(self, channels: int, strokes: int) -> None:
        super().__init__()
        self.numbers = _perceptron(2 * channels, SIZE * strokes)

    def forward(self, features: Tensor, observation: Tensor) -> Tensor:
        """Return (B, 15 k) actions for features (B, C, h, w)."""
        features = features.float()
        return torch.tanh(self.numbers(torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)))


class StrategistNetwork(nn.Module):
    """Backbone, spatial head and critic.

    Args:
        observed: channels of an observation.
        strokes: proposed for each observation.
        agent: backbone, head and temperature.
        compute: precision inside, memory layout, compilation. Observations and answers are FP32.
    """

    def __init__(self, observed: int, strokes: int, agent: Agent, compute: Compute) -> None:
        super().__init__()
        self._with_coordinates = agent.spatial_head == "coordconv"
        self._precision = _PRECISIONS[compute.precision]
        self._layout = torch.channels_last if compute.channels_last else torch.contiguous_format
        channels = observed + 2 * self._with_coordinates
        self.backbone = backbones.build(agent.backbone, channels, compute.grad_checkpointing)
        width = self.backbone.channels
        self.head: nn.Module
        if self._with_coordinates:
            self.head = CoordConvHead(width, strokes)
        else:
            self.head = HeatmapHead(width, observed, strokes, agent.softargmax_temp)
        scale, shift = torch.ones(strokes, SIZE), torch.zeros(strokes, SIZE)
        scale[:, 8:10] = (agent.highest_mm - LOW[8]) / (HIGH[8] - LOW[8])
        shift[:, 8:10] = scale[:, 8:10] - 1.0
        self.register_buffer("scale", scale.ravel(), persistent=False)
        self.register_buffer("shift", shift.ravel(), persistent=False)
        self.critic = _perceptron(width + observed, 1)
        self.to(memory_format=self._layout)  # type: ignore[call-overload]
        if compute.torch_compile.enabled:
            self.backbone.compile(mode=compute.torch_compile.mode)  # in place: the weights keep their names

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions (B, 15 k) in [-1, 1] and values (B, 1), FP32, for observations (B, C, H, W) in [0, 1].

        The critic learns on features that it does not change: its first guesses are far off, and would undo what the
        actor was warmed up to.
        """
        with torch.autocast(observation.device.type, self._precision, enabled=self._precision is not torch.float32):
            features = self.backbone(self._seen(observation))
        assert features.ndim == 4, "the head needs the map, not its mean"
        actions = self.shift + self.scale * self.head(features, observation)
        known = torch.cat([features.detach().float().mean(dim=(2, 3)), observation.mean(dim=(2, 3))], dim=1)
        return actions, self.critic(known)

    def _seen(self, observation: Tensor) -> Tensor:
        x = 2.0 * observation - 1.0
        if self._with_coordinates:
            height, width = x.shape[2:]
            columns = (torch.arange(width, device=x.device) + 0.5) * (2.0 / width) - 1.0
            rows = (torch.arange(height, device=x.device) + 0.5) * (2.0 / height) - 1.0
            grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])
            x = torch.cat([x, grid.expand(len(x), -1, -1, -1)], dim=1)
        return x.contiguous(memory_format=self._layout)


def _perceptron(numbers: int, out: int) -> nn.Sequential:
    last = nn.Linear(_HIDDEN, out)
    nn.init.orthogonal_(last.weight, _LAST_GAIN)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(numbers, _HIDDEN), nn.ReLU(), last)
