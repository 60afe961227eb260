"""The twin with one set of look-up tables: what painting, replay and playback call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.errors import InputError
from airbrush_cli.twin import cpu, render
from airbrush_cli.twin.influence import influence
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.render import Tape


def resolve_device(device: str) -> str:
    """Return `cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Raises:
        InputError: `cuda` is asked for, and torch sees none.
    """
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InputError("--device cuda: torch sees no CUDA device here; --device auto takes what there is")
    return "cpu"


class Twin:
    """A machine, its inks and its paper, simulated.

    Args:
        luts: look-up tables.
        device: `auto`, `cpu` or `cuda`.
    """

    def __init__(self, luts: Luts, device: str = "auto") -> None:
        self.luts = luts
        self.device = resolve_device(device)
        self.backend = "cpu"

    def forward(
        self, strokes: NDArray[np.float64], size_px: tuple[int, int], canvas: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], Tape]:
        """Paint (N, 15) strokes onto white paper or a canvas; see `render.forward`."""
        return render.forward(strokes, self.luts, size_px, canvas)

    def backward(self, tape: Tape, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
        """Pull an (H, W, 3) gradient back to (N, 15)."""
        return render.backward(tape, gradient)[0]

    def render(
        self, strokes: NDArray[np.float64], size_px: tuple[int, int], canvas: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Paint, and keep nothing for gradients."""
        return self.forward(strokes, size_px, canvas)[0]

    def influence(self, tape: Tape, weight: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each stroke shows; see `influence.influence`."""
        return influence(tape.painted, weight)

    def opacity_pull(self, tape: Tape, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (N,) derivatives of a loss by the logarithm of each stroke's opacity."""
        nodes = cpu.backward(tape.painted, gradient)[0]
        polylines = tape.painted.polylines
        return np.add.reduceat(nodes[:, 3] * polylines.nodes[:, 3], polylines.starts[:-1])
