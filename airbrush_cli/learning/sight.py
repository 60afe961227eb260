"""What a policy and LPIPS see of canvases, brought up to date on the CPU in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.encoding import encode
from airbrush_cli.threads import share, workers


@njit(fastmath=True, cache=True, error_model="numpy", nogil=True)
def _look(light, state, worker, workers):
    _, height, width, _ = light.shape
    for b in range(worker, light.shape[0], workers):
        for i in range(height):
            for k in range(3):
                for j in range(width):
                    value, _ = encode(light[b, i, j, k])
                    state[b, 3 + k, i, j] = value
                    state[b, 6 + k, i, j] = abs(state[b, k, i, j] - value)


def look(light: NDArray[np.float32], state: NDArray[np.float32]) -> None:
    """Write canvases, and by how much they differ from their targets, into what is seen of them.

    Args:
        light: (B, H, W, 3) linear RGB.
        state: (B, 9, H, W) sRGB: target, canvas, difference. The target stays, the others are written.
    """
    tasks = min(len(light), workers())
    share(lambda task: _look(light, state, task, tasks), tasks)
