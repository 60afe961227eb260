"""Painting with a trained network: its file, and the strategist that the planner calls."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from airbrush_cli import colour, files, units
from airbrush_cli.errors import InputError
from airbrush_cli.learning import actions
from airbrush_cli.learning.canvases import extra_channels
from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.painter.strategist import ErrorStrategist
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.training import Agent, Compute
from airbrush_cli.twin import render
from airbrush_cli.twin.luts import Luts

FORMAT = "airbrush.strategist.v1"
_LARGEST_FILE = 2_000_000_000


@dataclass(frozen=True, eq=False)
class Trained:
    """A network and the environment that it was trained in."""

    network: StrategistNetwork
    environment: Environment


def save_policy(path: Path, network: StrategistNetwork, agent: Agent, environment: Environment) -> None:
    """Write a network as plain tensors and plain data: nothing in the file can run."""
    data = io.BytesIO()
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    torch.save(
        {
            "format": FORMAT,
            "agent": agent.model_dump(mode="json"),
            "environment": environment.model_dump(mode="json"),
            "weights": weights,
        },
        data,
    )
    files.write_bytes(path, data.getvalue())


def load_policy(path: Path, device: str = "cpu") -> Trained:
    """Read a file of `save_policy`.

    Raises:
        InputError: no such file, or not a strategist.
    """
    data = files.read_bytes(path, _LARGEST_FILE)
    try:
        loaded: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if loaded.get("format") != FORMAT:
            raise ValueError(f"its format is {loaded.get('format')}, not {FORMAT}")
        agent, environment = Agent(**loaded["agent"]), Environment(**loaded["environment"])
        network = StrategistNetwork(environment, agent, Compute(precision="fp32"))
        network.load_state_dict(loaded["weights"])
    except ValidationError as error:
        raise InputError(f"{path}: not a strategist: {error.error_count()} settings are wrong") from error
    except Exception as error:  # a damaged file fails in many ways
        why = f": {error}" if type(error) is ValueError else ""
        raise InputError(f"{path}: not a trained strategist, as checkpoints/best.pt of a run is{why}") from error
    return Trained(network.eval().to(device), environment)


class PolicyStrategist:
    """Proposes strokes one after another, each on a canvas that has those before it.

    Beyond as many as it was trained for, the built-in strategist goes on: what it never saw it does badly.

    Args:
        trained: from `load_policy`.
        luts: look-up tables.
        page_mm: (width, height) of the page.
    """

    def __init__(self, trained: Trained, luts: Luts, page_mm: tuple[float, float] = units.A4_MM) -> None:
        self._network, self._settings = trained.network, trained.environment
        self._luts, self._page = luts, page_mm
        self._beyond = ErrorStrategist(luts, page_mm)

    def propose(
        self,
        target: NDArray[np.float32],
        canvas: NDArray[np.float32],
        count: int,
        spacing_mm: float,
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        """See `painter.strategist.Strategist`. The network gives the same canvas the same strokes.

        The network knows how many strokes are left of those that it was trained for. The spacing says how many there
        will be on the page after this round, so it says at which one this round begins.
        """
        total = round(self._page[0] * self._page[1] / spacing_mm**2)
        first = max(0, total - count)
        own = min(count, max(0, self._settings.stroke_cap - first))
        strokes = self._think(target, canvas, first, own) if own else np.empty((0, actions.SIZE))
        if own == count:
            return strokes
        page = np.array(canvas, np.float32, order="C")
        render.paint_in_place(strokes, self._luts, page, self._page)
        return np.vstack([strokes, self._beyond.propose(target, page, count - own, spacing_mm, generator)])

    def _think(
        self, target: NDArray[np.float32], canvas: NDArray[np.float32], first: int, count: int
    ) -> NDArray[np.float64]:
        """Return the network's next strokes, (count, 15), on a canvas that has `first` of them."""
        resolutions = self._settings.resolutions
        wanted = _planar(_shrunk(target, resolutions.render_px.wh))
        light = np.ascontiguousarray(_shrunk(canvas, resolutions.render_px.wh))
        device = next(self._network.parameters()).device
        found: list[NDArray[np.float64]] = []
        while len(found) < count:
            seen = self._observe(wanted, _planar(light), first + len(found)).to(device)
            with torch.inference_mode():
                proposed = self._network(seen)[0].cpu().numpy()
            strokes = actions.to_strokes(proposed)[0]
            render.paint_in_place(strokes, self._luts, light, self._page)
            found.extend(strokes)
        return np.array(found[:count])

    def _observe(self, wanted: Tensor, there: Tensor, painted: int) -> Tensor:
        width, height = self._settings.resolutions.obs_px.wh
        state = torch.cat([wanted, there, (wanted - there).abs()])[None]
        seen = functional.interpolate(state, (height, width), mode="area")
        return torch.cat([seen, *extra_channels(self._settings, np.array([painted]), seen)], dim=1).clamp(0.0, 1.0)


def _shrunk(picture: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Resample (H, W, 3) linear light to (width, height)."""
    width, height = size_px
    if picture.shape[:2] == (height, width):
        return picture.copy()
    planes = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
    return functional.interpolate(planes, (height, width), mode="area")[0].permute(1, 2, 0).contiguous().numpy()


def _planar(light: NDArray[np.float32]) -> Tensor:
    """Return linear light (H, W, 3) as sRGB (3, H, W)."""
    srgb = colour.linear_to_srgb(np.clip(light, 0.0, 1.0)).astype(np.float32)
    return torch.from_numpy(srgb).permute(2, 0, 1)
