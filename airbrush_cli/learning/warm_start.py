"""What the network learns before PPO: to imitate plans, and to go down the gradient of the error through the twin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from airbrush_cli import colour
from airbrush_cli.learning import actions, sheet
from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.learning.plans import Demonstration
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.schemas.training import CloneSettings, TwinSettings

# How much a wrong position, height, speed and ink count in imitating, all of them in [-1, 1].
_WEIGHTS = (4.0,) * 8 + (1.0,) * 2 + (0.3,) * 2 + (1.0,) * 3
# The same stroke painted from its other end.
_REVERSED = (6, 7, 4, 5, 2, 3, 0, 1, 9, 8, 11, 10, 12, 13, 14)
# Squared error of sRGB below which a picture counts as done: relative gains are not counted in noise.
_NO_ERROR = 1e-3
_MAX_GRAD_NORM = 1.0


class Lesson(Protocol):
    """A part of training that moves the network while canvases are painted."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What moves the network."""

    def run(self, rounds: int, progress: float) -> dict[str, float]:
        """Paint a step on every canvas so many times, learning from each; return figures for the curve.

        Args:
            rounds: how many times.
            progress: share of this part of training that is done, 0..1.
        """


class Cloning:
    """Imitates plans: proposals are compared with the nearest of the plan's next strokes, and the plan goes on.

    Which of the next strokes comes first is the planner's whim, so any of them is right, from either end. Of several
    proposals for one step each is given a stroke of its own, so that all together are as near as can be.

    Args:
        network: what learns.
        env: whose canvases are painted.
        demonstrations: what is imitated.
        settings: of this stage.
    """

    def __init__(
        self,
        network: StrategistNetwork,
        env: AirbrushVecEnv,
        demonstrations: Sequence[Demonstration],
        settings: CloneSettings,
    ) -> None:
        self._network, self._env, self._settings = network, env, settings
        self._demonstrations = demonstrations
        self._by_target = {demonstration.target.sha256: demonstration for demonstration in demonstrations}
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)

    def run(self, rounds: int, progress: float = 0.0) -> dict[str, float]:
        """See `Lesson`."""
        env, canvases = self._env, self._env.canvases
        env.targets = [demonstration.target for demonstration in self._demonstrations]
        total = 0.0
        for _ in range(rounds):
            plans = [self._plan(i) for i in range(len(canvases))]
            over = [i for i, plan in enumerate(plans) if canvases.strokes[i] >= len(plan)]
            if over:
                env.begin(over)
                plans = [self._plan(i) for i in range(len(canvases))]
            proposed = self._network(canvases.observe())[0].reshape(len(canvases), -1, actions.SIZE)
            ahead = max(self._settings.lookahead, proposed.shape[1])
            coming = [plan[done : done + ahead] for plan, done in zip(plans, canvases.strokes, strict=True)]
            loss = torch.stack([distance(*pair) for pair in zip(proposed, coming, strict=True)]).mean()
            _descend(self.optimizer, loss, self._network.parameters())
            count = self._env.canvases.settings.strokes_per_step
            canvases.lay(np.stack([_next(plan, canvases.strokes[i], count) for i, plan in enumerate(plans)]))
            total += float(loss.detach())
        return {"warm_start_loss": total / rounds}

    def _plan(self, index: int) -> np.ndarray:
        return self._by_target[self._env.canvases.target(index).sha256].strokes


class Descent:
    """Follows the gradient: the network proposes, the twin paints, and the loss of the picture is pulled back.

    A few steps (`horizon`) are painted one after another, each seen by the next, and the error that is left after them
    is pulled back through all of them together: the first ones learn to prepare what the last ones finish. With one
    step it is greedy.

    Args:
        network: what learns.
        env: whose canvases are painted.
        settings: of this stage.
    """

    def __init__(self, network: StrategistNetwork, env: AirbrushVecEnv, settings: TwinSettings) -> None:
        self._network, self._env, self._settings = network, env, settings
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)

    def run(self, rounds: int, progress: float = 0.0) -> dict[str, float]:
        """See `Lesson`."""
        canvases = self._env.canvases
        losses = []
        perceiving = self._settings.lpips_weight if progress >= self._settings.lpips_from else 0.0
        while rounds:
            if (done := canvases.done()).any():
                self._env.begin(np.flatnonzero(done).tolist())
            steps = min(rounds, self._settings.horizon, self._steps_left())
            before = canvases.light.clone()  # canvases are painted in place
            strokes = torch.cat([self._propose() for _ in range(steps)], dim=1)
            light = sheet.render(strokes, before, canvases.luts, canvases.page_mm)
            loss = self._loss(before, light, perceiving)
            _descend(self.optimizer, loss, self._network.parameters())
            losses.append(float(loss.detach()))
            rounds -= steps
        canvases.measure()
        return {"warm_start_loss": sum(losses) / len(losses), "lpips": float(canvases.distance.mean())}

    def _steps_left(self) -> int:
        """Return after how many steps the first canvas has all its strokes."""
        canvases = self._env.canvases
        left = canvases.settings.stroke_cap - int(canvases.strokes.max())
        return -(-left // canvases.settings.strokes_per_step)

    def _propose(self) -> Tensor:
        """Lay the next step on the canvases and return its strokes (B, k, 15), with gradients."""
        canvases = self._env.canvases
        proposed = self._network(canvases.observe())[0]
        noise = self._settings.noise * torch.randn_like(proposed)
        strokes = actions.to_stroke_tensor((proposed + noise).clamp(-1.0, 1.0))
        canvases.lay(strokes.detach().cpu().numpy())
        return strokes

    def _loss(self, before: Tensor, light: Tensor, perceiving: float) -> Tensor:
        canvases = self._env.canvases
        with torch.no_grad():
            at_first = _error(before, canvases.wanted)[0]
        after, srgb = _error(light, canvases.wanted)
        loss = ((after - at_first) / (at_first + _NO_ERROR)).mean()
        if perceiving:
            loss = loss + perceiving * canvases.perceived(srgb).mean()
        return loss


def distance(proposed: Tensor, coming: np.ndarray) -> Tensor:
    """Return how far proposals (k, 15), in [-1, 1], are from strokes (n, 15) of a plan, each from one of its own."""
    choices = torch.as_tensor(actions.from_strokes(coming), device=proposed.device, dtype=torch.float32)
    either = torch.stack([choices, choices[:, _REVERSED]])
    weights = torch.tensor(_WEIGHTS, device=proposed.device)
    errors = ((proposed[:, None, None] - either).square() * weights).sum(dim=-1).amin(dim=1)
    pairs = linear_sum_assignment(errors.detach().cpu().numpy())
    return errors[pairs].mean()


def stagger(env: AirbrushVecEnv, horizon: int) -> None:
    """Let the canvases' first episodes end one after another, so that a batch holds early and late states.

    They end a multiple of the horizon's steps apart, so that it is cut short nowhere.
    """
    cap, together = env.canvases.settings.stroke_cap, horizon * env.canvases.settings.strokes_per_step
    env.canvases.strokes[:] = np.arange(env.num_envs) * cap // env.num_envs // together * together


def _error(light: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean squared sRGB errors (B,), and the pictures (B, 3, H, W) in sRGB."""
    # Below a thousandth of white the transfer curve is so steep that its gradient would drown all others.
    srgb = colour.linear_to_srgb(light.clamp(1e-3, 1.0)).permute(0, 3, 1, 2)
    return (srgb - wanted).square().mean(dim=(1, 2, 3)), srgb


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: Iterable[Any]) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, _MAX_GRAD_NORM)
    optimizer.step()


def _next(plan: np.ndarray, first: int, count: int) -> np.ndarray:
    """The next strokes of a plan, (count, 15); past its end, its last one again."""
    return plan[np.minimum(np.arange(first, first + count), len(plan) - 1)]
