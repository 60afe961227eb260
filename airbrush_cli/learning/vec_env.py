"""B environments as one: Stable-Baselines3's VecEnv over one batch of canvases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from airbrush_cli.learning import actions
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.environment import action_space, observation_space
from airbrush_cli.learning.targets import Target


class AirbrushVecEnv(VecEnv):
    """The same rewards and observations as B `AirbrushPainter`, seeded seed, seed + 1, ..., painted in one batch.

    Observations stay on the canvases' device (`canvases.observe`) and become an array when SB3 asks for them.

    Args:
        canvases: where it is painted.
        targets: the pictures to draw from; may be replaced at any time, from the next episodes on.
    """

    def __init__(self, canvases: Canvases, targets: Sequence[Target]) -> None:
        self.canvases, self.targets = canvases, targets
        self.render_mode = "rgb_array"
        super().__init__(len(canvases), observation_space(canvases.settings), action_space(canvases.settings))
        self.generators = [np.random.default_rng() for _ in range(self.num_envs)]
        self.returns = np.zeros(self.num_envs)
        self._strokes: NDArray[np.float64] = np.empty(0)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed environment i with seed + i, from the next reset on."""
        if seed is not None:
            self.generators = [np.random.default_rng(seed + i) for i in range(self.num_envs)]
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def reset(self) -> NDArray[np.float32]:  # type: ignore[override]
        """Begin an episode everywhere."""
        self.begin(range(self.num_envs))
        return self._array(self.canvases.observe())

    def step_async(self, actions_: NDArray) -> None:
        """Take the actions (B, 15 k); they are painted in `step_wait`."""
        self._strokes = actions.to_strokes(actions_)

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict]]:  # type: ignore[override]
        """Paint. Where an episode ends the next one begins, and its last observation is in the info, as SB3 has it."""
        rewards = self.canvases.paint(self._strokes)
        self.returns += rewards
        done = self.canvases.done()
        infos: list[dict[str, Any]] = [
            {"lpips": float(distance), "strokes": int(strokes), "TimeLimit.truncated": False}
            for distance, strokes in zip(self.canvases.distance, self.canvases.strokes, strict=True)
        ]
        seen = self.canvases.observe()
        if done.any():
            last = self._array(seen)
            ended = np.flatnonzero(done)
            for i in ended:
                infos[i]["terminal_observation"] = last[i]
                infos[i]["episode"] = {"r": float(self.returns[i]), "l": int(self.canvases.strokes[i])}
            self.begin(ended.tolist())
            seen = self.canvases.observe()
        return self._array(seen), rewards.astype(np.float32), done, infos

    def begin(self, which: Iterable[int]) -> None:
        """Begin an episode on the canvases `which`, each with a target of its own draw."""
        which = list(which)
        chosen = [self.targets[int(self.generators[i].integers(len(self.targets)))] for i in which]
        self.canvases.begin(which, chosen)
        self.returns[which] = 0.0

    @staticmethod
    def _array(seen: Tensor) -> NDArray[np.float32]:
        return seen.cpu().numpy()

    def close(self) -> None:
        """Nothing is held open."""

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return the canvases as sRGB."""
        return [self.canvases.picture(i) for i in range(self.num_envs)]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, the same for all environments."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the batch; it cannot differ between environments."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Refuse: there is no environment of its own behind an index."""
        raise NotImplementedError(f"{method_name}: the canvases are one batch")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Nothing wraps a canvas."""
        return [False for _ in self._get_indices(indices)]
