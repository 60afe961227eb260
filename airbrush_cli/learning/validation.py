"""How good the strategist is alone: pictures that it is not trained on, painted in one batch, always the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from airbrush_cli import metrics
from airbrush_cli.learning import actions
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.learning.targets import Target


@dataclass(frozen=True, eq=False)
class Painted:
    """Pictures painted by the strategist alone."""

    strokes: NDArray[np.float64]  # (V, N, 15)
    lpips: NDArray[np.float64]  # (V,)
    psnr: NDArray[np.float64]  # (V,), dB
    gained: NDArray[np.float64]  # (V,), by how much LPIPS fell


def paint(network: StrategistNetwork, canvases: Canvases, targets: Sequence[Target], strokes: int) -> Painted:
    """Paint targets with what the network proposes, without noise.

    Args:
        network: the strategist.
        canvases: as many as targets.
        targets: what to paint.
        strokes: how many for each.
    """
    canvases.begin(range(len(targets)), targets)
    white = canvases.distance.copy()
    laid: list[NDArray[np.float64]] = []
    count = 0
    while count < strokes:
        with torch.no_grad():
            proposed = network(canvases.observe())[0].cpu().numpy()
        some = actions.to_strokes(proposed)[:, : strokes - count]
        canvases.lay(some)
        laid.append(some)
        count += some.shape[1]
    canvases.measure()
    psnr = [metrics.psnr(canvases.picture(i), target.srgb) for i, target in enumerate(targets)]
    return Painted(np.concatenate(laid, axis=1), canvases.distance.copy(), np.array(psnr), white - canvases.distance)
