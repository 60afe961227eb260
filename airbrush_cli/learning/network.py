"""The strategist's network: an observation in, the stroke it proposes and what it expects of the canvas out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airbrush_cli.learning import backbones
from airbrush_cli.learning.actions import SIZE
from airbrush_cli.learning.heads import CoordConvHead, HeatmapHead, perceptron, strokes_done
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.stroke import HIGH
from airbrush_cli.schemas.training import Agent, Compute

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# Gain of the critic's last layer.
_GAIN = 0.3
# Shares of the strokes between which the greatest height falls, geometrically, from the first strokes' to the last's.
_FALL = (0.2, 0.5)
_TOP_MM = float(HIGH[8])


class StrategistNetwork(nn.Module):
    """Backbone, spatial head and critic.

    Args:
        environment: what is observed, and how many strokes are proposed for each observation.
        agent: backbone, head, temperature and heights.
        compute: precision inside, memory layout, compilation. Observations and answers are FP32.
    """

    def __init__(self, environment: Environment, agent: Agent, compute: Compute) -> None:
        super().__init__()
        self._environment, self._agent = environment, agent
        observed, strokes = environment.observation.channels, environment.strokes_per_step
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
            self.head = HeatmapHead(width, environment, agent.softargmax_temp)
        self.critic = perceptron(width + observed, 1, _GAIN)
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
        actions = self._lowered(self.head(features, observation), observation)
        known = torch.cat([features.detach().float().mean(dim=(2, 3)), observation.mean(dim=(2, 3))], dim=1)
        return actions, self.critic(known)

    def _lowered(self, actions: Tensor, observation: Tensor) -> Tensor:
        """Scale heights, which fill [-1, 1], to what is allowed: much for the first strokes, less for the last ones."""
        agent, done = self._agent, strokes_done(observation, self._environment)
        first, last = agent.highest_mm, min(agent.highest_mm, agent.last_highest_mm or agent.highest_mm)
        late = (
            actions.new_zeros(len(actions)) if done is None else ((done - _FALL[0]) / (_FALL[1] - _FALL[0])).clamp(0, 1)
        )
        share = (first / _TOP_MM) * (last / first) ** late
        strokes = actions.reshape(len(actions), -1, SIZE)
        heights = (strokes[..., 8:10] + 1.0) * share[:, None, None] - 1.0
        return torch.cat([strokes[..., :8], heights, strokes[..., 10:]], dim=-1).flatten(1)

    def _seen(self, observation: Tensor) -> Tensor:
        x = 2.0 * observation - 1.0
        if self._with_coordinates:
            height, width = x.shape[2:]
            columns = (torch.arange(width, device=x.device) + 0.5) * (2.0 / width) - 1.0
            rows = (torch.arange(height, device=x.device) + 0.5) * (2.0 / height) - 1.0
            grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])
            x = torch.cat([x, grid.expand(len(x), -1, -1, -1)], dim=1)
        return x.contiguous(memory_format=self._layout)
