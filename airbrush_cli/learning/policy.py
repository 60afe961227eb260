"""The strategist's network as a policy of Stable-Baselines3: a Gaussian around what the network proposes."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.training import Agent, Compute


class StrategistPolicy(ActorCriticPolicy):
    """Actor and critic for `AirbrushPainter`.

    Args:
        environment, agent, compute: as plain data, because SB3 keeps a policy's arguments in its files.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        environment: dict[str, Any],
        agent: dict[str, Any],
        compute: dict[str, Any],
        **others: Any,
    ) -> None:
        self._environment = Environment(**environment)
        self._agent, self._compute = Agent(**agent), Compute(**compute)
        others["features_extractor_class"] = FlattenExtractor  # unused: the network takes the observation as it is
        others["log_std_init"] = self._agent.log_std_init
        super().__init__(observation_space, action_space, lr_schedule, **others)

    def _build(self, lr_schedule: Schedule) -> None:
        assert self.action_space.shape
        self.mlp_extractor = None  # type: ignore[assignment]
        self.network = StrategistNetwork(self._environment, self._agent, self._compute)
        self.log_std = nn.Parameter(torch.full(self.action_space.shape, float(self.log_std_init)))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=lr_schedule(1), eps=1e-5)

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions (B, 15 k), values (B, 1) and log-probabilities (B,)."""
        distribution, values = self._answer(obs)
        chosen = distribution.get_actions(deterministic=deterministic)
        return chosen, values, distribution.log_prob(chosen)

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values, log-probabilities and entropies of actions."""
        distribution, values = self._answer(obs)
        return values, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the distribution of actions."""
        return self._answer(obs)[0]

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Return values (B, 1)."""
        return self._answer(obs)[1]

    def _answer(self, obs: PyTorchObs) -> tuple[Distribution, Tensor]:
        assert isinstance(obs, Tensor) and isinstance(self.action_dist, DiagGaussianDistribution)
        means, values = self.network(obs.float())
        return self.action_dist.proba_distribution(means, self.log_std), values

    def _get_constructor_parameters(self) -> dict[str, Any]:
        kept = super()._get_constructor_parameters()
        dropped = ("features_extractor_class", "features_extractor_kwargs", "log_std_init")
        settings = {"environment": self._environment, "agent": self._agent, "compute": self._compute}
        given = {name: model.model_dump() for name, model in settings.items()}
        return {**{key: value for key, value in kept.items() if key not in dropped}, **given}
