"""Paintings in progress: B canvases, painted, looked at and measured together. Both environments are made of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from airbrush_cli import colour
from airbrush_cli.learning import sheet, sight
from airbrush_cli.learning.targets import Target
from airbrush_cli.metrics import Lpips, LpipsTarget
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.training import Tile
from airbrush_cli.twin import render
from airbrush_cli.twin.luts import Luts


class Canvases:
    """B canvases with a target each, on one device.

    Args:
        count: B.
        settings: resolutions, stroke cap and channels.
        luts: look-up tables.
        lpips: the metric; its device is where everything is computed.
        tile: how LPIPS is tiled; size 0 takes pictures whole and remembers the targets' features.
        pin_memory: whether targets go to a GPU from page-locked memory.

    Attributes:
        light: (B, Hr, Wr, 3) float32 tensor, linear RGB at render_px.
        strokes: (B,) how many strokes each has.
        distance: (B,) float64, the LPIPS distance of each from its target at reward_px.
    """

    def __init__(
        self,
        count: int,
        settings: Environment,
        luts: Luts,
        lpips: Lpips,
        tile: Tile | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.settings, self.luts, self.lpips = settings, luts, lpips
        self.device = lpips.device
        self._tile = tile or Tile()
        self._pin = pin_memory and self.device.type == "cuda"
        self.page_mm = (settings.work_area_mm.x, settings.work_area_mm.y)
        width, height = settings.resolutions.render_px.wh
        self.light = torch.ones(count, height, width, 3, device=self.device)
        self.strokes = np.zeros(count, np.int64)
        self.distance = np.zeros(count)
        self._targets: list[Target | None] = [None] * count
        self._state = torch.zeros(count, 9, height, width, device=self.device)  # target, canvas, difference; sRGB
        self._features: LpipsTarget | None = None

    def __len__(self) -> int:
        return len(self.light)

    def begin(self, which: Sequence[int], targets: Sequence[Target]) -> None:
        """Lay white paper on the canvases `which`, to be painted towards `targets` (sRGB of the size render_px)."""
        index = torch.as_tensor(which, device=self.device)
        wanted = np.stack([target.srgb for target in targets])
        if wanted.shape[1:3] != self.light.shape[1:3]:
            raise ValueError(f"targets must be {self.light.shape[2]}x{self.light.shape[1]} pixels")
        pages = torch.from_numpy(wanted)
        pages = (pages.pin_memory() if self._pin else pages).to(self.device)
        self._state[index, :3] = pages.permute(0, 3, 1, 2).float() / 255
        for i, target in zip(which, targets, strict=True):
            self._targets[i] = target
        self.strokes[list(which)] = 0
        self._remember(index)
        self.light[index] = 1.0
        self._state[index, 3:6] = 1.0
        self._state[index, 6:] = 1.0 - self._state[index, :3]
        self.distance[list(which)] = self._measure(index)

    def paint(self, strokes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Paint strokes (B, k, 15) on the canvases and return by how much LPIPS fell, (B,)."""
        self.lay(strokes)
        before = self.distance
        self.measure()
        return before - self.distance

    def lay(self, strokes: NDArray[np.float64]) -> None:
        """Paint strokes (B, k, 15) without measuring what they do."""
        if self.device.type == "cpu":
            render.paint_batch_in_place(strokes, self.luts, self.light.numpy(), self.page_mm)
            light = self.light
        else:
            with torch.no_grad():
                light = sheet.render(torch.as_tensor(strokes, device=self.device), self.light, self.luts, self.page_mm)
        self.take(light, strokes.shape[1])

    def take(self, light: Tensor, strokes: int) -> None:
        """Take (B, Hr, Wr, 3) light that was painted elsewhere, with so many more strokes, without measuring it."""
        self.light = light.detach().contiguous()
        self.strokes += strokes
        self._see()

    def measure(self) -> None:
        """Bring `distance` up to date."""
        self.distance = self._measure()

    def observe(self) -> Tensor:
        """Return what a policy sees, (B, C, Ho, Wo) float32 on the device.

        Channels: target, canvas and their absolute difference in sRGB; then, if the settings say so, x and y of the
        pixels' centres, and the share of strokes that is left. All in [0, 1].
        """
        width, height = self.settings.resolutions.obs_px.wh
        seen = _resized(self._state, (height, width))
        return torch.cat([seen, *extra_channels(self.settings, self.strokes, seen)], dim=1).clamp_(0.0, 1.0)

    @property
    def wanted(self) -> Tensor:
        """The targets, (B, 3, Hr, Wr) sRGB in [0, 1]."""
        return self._state[:, :3]

    def target(self, index: int) -> Target:
        """Return the target of a canvas that was begun."""
        target = self._targets[index]
        assert target, "begin comes first"
        return target

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a canvas as (Hr, Wr, 3) sRGB."""
        return colour.linear_to_srgb8(self.light[index].cpu().numpy())

    def perceived(self, srgb: Tensor) -> Tensor:
        """Return the distances (B,) of (B, 3, Hr, Wr) sRGB from the targets, with gradients for the pictures."""
        assert self._features, "begin comes first, and LPIPS must not be tiled"
        return self.lpips.loss(self._at_reward_size(srgb), self._features)

    def done(self) -> NDArray[np.bool_]:
        """Return (B,) which canvases have all their strokes."""
        return self.strokes >= self.settings.stroke_cap

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs, beside the targets."""
        return {
            "light": self.light.cpu().clone(),
            "strokes": torch.from_numpy(self.strokes.copy()),
            "distance": torch.from_numpy(self.distance.copy()),
        }

    def restore(self, state: dict[str, Tensor], targets: Sequence[Target]) -> None:
        """Go on from a `state`, with the targets that the canvases had."""
        self.begin(range(len(self)), targets)
        self.light = state["light"].to(self.device).clone()
        self.strokes = state["strokes"].numpy().copy()
        self.distance = state["distance"].numpy().copy()
        self._see()

    def _see(self) -> None:
        """Bring what is seen of the canvases up to date with their light."""
        if self.device.type == "cpu":
            sight.look(self.light.numpy(), self._state.numpy())
        else:
            self._state[:, 3:6] = colour.linear_to_srgb(self.light.clamp(0.0, 1.0)).permute(0, 3, 1, 2)
            self._state[:, 6:] = (self._state[:, :3] - self._state[:, 3:6]).abs()

    def _at_reward_size(self, pictures: Tensor) -> Tensor:
        width, height = self.settings.resolutions.reward_px.wh
        return _resized(pictures, (height, width))

    def _remember(self, index: Tensor) -> None:
        """Compute the features of new targets, once for the whole episode."""
        if self._tile.size:
            return
        fresh = self.lpips.target(self._at_reward_size(self._state[index, :3]))
        if self._features is None:
            layers = [layer.new_zeros(len(self), *layer.shape[1:]) for layer in fresh.layers]
            layout = torch.channels_last
            self._features = LpipsTarget([layer.contiguous(memory_format=layout) for layer in layers], fresh.size)
        for layer, new in zip(self._features.layers, fresh.layers, strict=True):
            layer[index] = new

    def _measure(self, which: Tensor | None = None) -> NDArray[np.float64]:
        """Return the distances of the canvases `which`, or of all."""
        state = self._state if which is None else self._state[which]
        pictures = self._at_reward_size(state[:, 3:6])
        if self._tile.size:
            pairs = zip(pictures, self._at_reward_size(state[:, :3]), strict=True)
            return np.array(
                [self.lpips.distance(_hwc(a), _hwc(b), self._tile.size, self._tile.overlap) for a, b in pairs]
            )
        assert self._features
        features = self._features
        if which is not None:
            features = LpipsTarget([layer[which] for layer in features.layers], features.size)
        return self.lpips.distances(pictures, features).double().cpu().numpy()


def extra_channels(settings: Environment, painted: NDArray[np.int64], like: Tensor) -> list[Tensor]:
    """Return what an observation has beyond its nine channels, (B, c, Ho, Wo) each; see `Canvases.observe`.

    Args:
        settings: which there are.
        painted: (B,) strokes that are on the canvases.
        like: (B, 9, Ho, Wo), whose size and device are wanted.
    """
    count, _, height, width = like.shape
    more = []
    if settings.observation.coordinates:
        columns = (torch.arange(width, device=like.device) + 0.5) / width
        rows = (torch.arange(height, device=like.device) + 0.5) / height
        grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])
        more.append(grid.expand(count, -1, -1, -1))
    if settings.observation.strokes_left:
        left = np.clip(1.0 - painted / settings.stroke_cap, 0.0, 1.0).astype(np.float32)
        more.append(torch.from_numpy(left).to(like.device)[:, None, None, None].expand(-1, 1, height, width))
    return more


def _resized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    return pictures if pictures.shape[2:] == size else functional.interpolate(pictures, size, mode="area")


def _hwc(picture: Tensor) -> NDArray[np.float32]:
    return picture.permute(1, 2, 0).contiguous().cpu().numpy()
