"""PPO on the batch of canvases: Stable-Baselines3's own, one rollout and one update at a time."""

from __future__ import annotations

import warnings
from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecNormalize

from airbrush_cli.learning.policy import StrategistPolicy
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.schemas.training import Train

# SB3's names of what an update did, and the names that our rows have.
_FIGURES = {
    "train/loss": "loss",
    "train/policy_gradient_loss": "policy_loss",
    "train/value_loss": "value_loss",
    "train/approx_kl": "approx_kl",
    "train/clip_fraction": "clip_fraction",
    "train/explained_variance": "explained_variance",
}


class _Rewards(BaseCallback):
    """Collects a rollout's rewards as they were before they were scaled."""

    def __init__(self, scaled: VecNormalize) -> None:
        super().__init__()
        self._scaled = scaled
        self.rewards: list[np.ndarray] = []

    def _on_rollout_start(self) -> None:
        self.rewards.clear()

    def _on_step(self) -> bool:
        self.rewards.append(self._scaled.get_original_reward())
        return True


class Learner:
    """PPO with its rewards scaled to unit variance, advanced by `run`.

    Args:
        env: the canvases.
        settings: train.yaml.
    """

    def __init__(self, env: AirbrushVecEnv, settings: Train) -> None:
        agent = settings.agent
        self.env = env
        self.scaled = VecNormalize(env, norm_obs=False, norm_reward=True, gamma=agent.gamma)
        rollout = agent.rollout_steps * env.num_envs
        with warnings.catch_warnings():
            # It says that a GPU is of little use to small policies, and that a last batch may be smaller.
            warnings.simplefilter("ignore", UserWarning)
            self.model = PPO(
                StrategistPolicy,
                self.scaled,
                learning_rate=agent.learning_rate,
                n_steps=agent.rollout_steps,
                batch_size=min(agent.batch_size, rollout),
                n_epochs=agent.passes,
                gamma=agent.gamma,
                gae_lambda=agent.gae_lambda,
                clip_range=agent.clip_param,
                ent_coef=agent.entropy_coef,
                vf_coef=agent.value_coef,
                max_grad_norm=agent.max_grad_norm,
                seed=settings.seed,
                device=env.canvases.device,
                policy_kwargs={
                    "environment": env.canvases.settings.model_dump(),
                    "agent": agent.model_dump(),
                    "compute": settings.compute.model_dump(),
                },
            )
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.model.ep_info_buffer, self.model.ep_success_buffer = deque(maxlen=1), deque(maxlen=1)  # SB3 fills them
        self._collector = _Rewards(self.scaled)
        self._collector.init_callback(self.model)

    @property
    def policy(self) -> StrategistPolicy:
        """The policy that is trained."""
        policy = self.model.policy
        assert isinstance(policy, StrategistPolicy)
        return policy

    def begin(self) -> None:
        """Begin episodes everywhere."""
        self._look(self.scaled.reset())
        self.model._last_episode_starts = np.ones(self.env.num_envs, bool)

    def set_learning_rate(self, rate: float) -> None:
        """Use another learning rate from the next update on."""
        self.model.learning_rate = rate
        self.model._setup_lr_schedule()

    def run(self) -> dict[str, float]:
        """Paint one rollout, update the policy, and return figures for the curve."""
        model = self.model
        model._total_timesteps = max(model.num_timesteps, 1)
        model.collect_rollouts(model.env, self._collector, model.rollout_buffer, model.n_steps)  # type: ignore[arg-type]
        model.train()
        logged = model.logger.name_to_value
        figures = {name: float(logged[key]) for key, name in _FIGURES.items() if key in logged}
        rewards = np.concatenate(self._collector.rewards)
        with torch.no_grad():
            entropy = float((0.5 * np.log(2 * np.pi * np.e) + self.policy.log_std).sum())
        return {
            "reward_mean": float(rewards.mean()),
            "reward_std": float(rewards.std()),
            "lpips": float(self.env.canvases.distance.mean()),
            **figures,
            "entropy": entropy,
            "learning_rate": float(model.lr_schedule(1.0)),
        }

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs beside the policy, its optimizer and the canvases."""
        scale = self.scaled.ret_rms
        return {
            "scale": {"mean": float(scale.mean), "var": float(scale.var), "count": float(scale.count)},
            "returns": torch.from_numpy(np.asarray(self.scaled.returns, np.float64)),
            "episode_starts": torch.from_numpy(np.asarray(self.model._last_episode_starts, bool).copy()),
            "steps": int(self.model.num_timesteps),
            "updates": int(self.model._n_updates),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; the canvases, the policy and the optimizer have been restored before."""
        scale = self.scaled.ret_rms
        scale.mean, scale.var = (np.array(state["scale"][key]) for key in ("mean", "var"))
        scale.count = state["scale"]["count"]
        self.scaled.returns = state["returns"].numpy().copy()
        self.model.num_timesteps, self.model._n_updates = state["steps"], state["updates"]
        self._look(self.env.canvases.observe().cpu().numpy())
        self.model._last_episode_starts = state["episode_starts"].numpy().copy()

    def _look(self, observation: Any) -> None:
        self.model._last_obs = observation
