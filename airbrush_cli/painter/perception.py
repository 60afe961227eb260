"""LPIPS as the planner sees it: a distance from one fixed target, and its gradient."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from airbrush_cli.metrics import Lpips


class LpipsGradient:
    """The LPIPS distance of pictures from a target.

    Args:
        lpips: the metric.
        target: (H, W, 3) sRGB.
    """

    def __init__(self, lpips: Lpips, target: NDArray[np.uint8]) -> None:
        self._lpips = lpips
        self._target = lpips.target(_tensor(target.astype(np.float32) / np.float32(255), lpips.device))

    def __call__(self, picture: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """Return the distance of an (H, W, 3) sRGB picture in [0, 1], and its gradient, (H, W, 3)."""
        pixels = _tensor(picture, self._lpips.device).requires_grad_()
        distance = self._lpips.loss(pixels, self._target).sum()
        (gradient,) = torch.autograd.grad(distance, pixels)
        return float(distance.detach()), np.ascontiguousarray(gradient[0].permute(1, 2, 0).cpu().numpy())


def _tensor(picture: NDArray[np.floating], device: torch.device | str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(device)
