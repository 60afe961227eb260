"""LPIPS as the planner sees it: a distance from one fixed target, and its gradient."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from airbrush_cli.metrics import Lpips, LpipsTarget
from airbrush_cli.metrics.perception import SMALLEST_SIDE
from airbrush_cli.painter.loss import shrunk


class LpipsGradient:
    """The LPIPS distance of pictures from a target, at whatever size the pictures come in.

    Args:
        lpips: the metric.
        target: (H, W, 3) sRGB.
    """

    def __init__(self, lpips: Lpips, target: NDArray[np.uint8]) -> None:
        self._lpips = lpips
        self._srgb = target.astype(np.float32) / np.float32(255)
        self._targets: dict[tuple[int, ...], LpipsTarget] = {}

    def __call__(self, picture: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """Return the distance of an (h, w, 3) sRGB picture in [0, 1], and its gradient, (h, w, 3).

        A picture too small for the network's layers is at no distance.
        """
        if min(picture.shape[:2]) < SMALLEST_SIDE:
            return 0.0, np.zeros_like(picture)
        pixels = _tensor(picture, self._lpips.device).requires_grad_()
        distance = self._lpips.loss(pixels, self._target(picture.shape)).sum()
        (gradient,) = torch.autograd.grad(distance, pixels)
        return float(distance.detach()), np.ascontiguousarray(gradient[0].permute(1, 2, 0).cpu().numpy())

    def _target(self, shape: tuple[int, ...]) -> LpipsTarget:
        if shape not in self._targets:
            self._targets.clear()  # a plan goes from size to size and does not come back
            srgb = shrunk(self._srgb, (shape[1], shape[0]))
            self._targets[shape] = self._lpips.target(_tensor(srgb, self._lpips.device))
        return self._targets[shape]


def _tensor(picture: NDArray[np.floating], device: torch.device | str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(device)
