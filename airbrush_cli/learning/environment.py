"""AirbrushPainter-v0: a Gymnasium environment in which a stroke is an action, and a closer picture the reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from airbrush_cli.learning import actions
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.targets import Target
from airbrush_cli.metrics import Lpips
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.training import Tile
from airbrush_cli.twin.luts import Luts

ID = "AirbrushPainter-v0"


def observation_space(settings: Environment) -> spaces.Box:
    """Return the space of observations: (C, Ho, Wo) float32 in [0, 1]."""
    width, height = settings.resolutions.obs_px.wh
    return spaces.Box(0.0, 1.0, (settings.observation.channels, height, width), np.float32)


def action_space(settings: Environment) -> spaces.Box:
    """Return the space of actions: 15 numbers in [-1, 1] for each stroke of a step."""
    return spaces.Box(-1.0, 1.0, (actions.SIZE * settings.strokes_per_step,), np.float32)


class AirbrushPainter(gymnasium.Env[Any, Any]):
    """One canvas, painted stroke by stroke.

    An observation is `Canvases.observe`; an action is one stroke or a few, scaled to [-1, 1] by stroke.v1's bounds; the
    reward is by how much LPIPS falls; an episode ends at the stroke cap. `reset` draws a target with the environment's
    own generator, or takes `options={"target": index}`.

    Args:
        settings: env_airbrush_v1.yaml.
        targets: the pictures to draw from, of the size render_px.
        luts: look-up tables.
        lpips: the metric.
        tile: how LPIPS is tiled.
        render_mode: None or `rgb_array`, for which `render` returns the canvas; it does so always.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - gymnasium's own form

    def __init__(
        self,
        settings: Environment,
        targets: Sequence[Target],
        luts: Luts,
        lpips: Lpips,
        tile: Tile | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.observation_space = observation_space(settings)
        self.action_space = action_space(settings)
        self._targets = targets
        self._canvas = Canvases(1, settings, luts, lpips, tile)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Lay white paper before a target; see the class."""
        super().reset(seed=seed)
        given = (options or {}).get("target")
        index = int(self.np_random.integers(len(self._targets))) if given is None else int(given)
        self._canvas.begin([0], [self._targets[index]])
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Paint; see the class."""
        reward = self._canvas.paint(actions.to_strokes(action)[None])
        return self._observation(), float(reward[0]), bool(self._canvas.done()[0]), False, self._info()

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """Return the canvas, (Hr, Wr, 3) sRGB."""
        return self._canvas.picture(0)

    def _observation(self) -> NDArray[np.float32]:
        return self._canvas.observe()[0].cpu().numpy()

    def _info(self) -> dict[str, Any]:
        canvas = self._canvas
        return {"lpips": float(canvas.distance[0]), "strokes": int(canvas.strokes[0]), "target": canvas.target(0).name}


gymnasium.register(ID, entry_point="airbrush_cli.learning.environment:AirbrushPainter")
