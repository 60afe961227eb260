"""The twin with one set of look-up tables: what painting, replay and playback call."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.errors import InputError, JobError
from airbrush_cli.schemas.luts import Backend
from airbrush_cli.twin import cpu, render
from airbrush_cli.twin.influence import influence
from airbrush_cli.twin.luts import Luts

if TYPE_CHECKING:
    from airbrush_cli.twin import gpu

    Tape = render.Tape | gpu.Tape

log = logging.getLogger(__name__)


class BackendError(JobError):
    """The backend that refines strokes failed. Another one must not go on in its place: give the strokes up."""


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


def resolve_backend(device: str, wanted: Backend = "auto") -> Backend:
    """Return `cpu`, `triton` or `nvdiffrast`: what is wanted, or else the fastest that the resolved device has.

    Raises:
        InputError: triton or nvdiffrast is wanted without a CUDA device, or is not installed.
    """
    if wanted == "cpu" or (wanted == "auto" and device == "cpu"):
        return "cpu"
    if device == "cpu":
        raise InputError(f"rasterizer.backend {wanted}: needs --device cuda")
    if wanted == "nvdiffrast":
        try:
            importlib.import_module("nvdiffrast.torch")
        except ImportError as error:
            raise InputError(
                f"rasterizer.backend nvdiffrast: {_first_line(error)}; it is built from its own repository,"
                " github.com/NVlabs/nvdiffrast, and auto does without it"
            ) from error
        return "nvdiffrast"
    if importlib.util.find_spec("triton") is not None:
        return "triton"
    if wanted == "triton":
        raise InputError("rasterizer.backend triton: the package triton is not installed; torch's CUDA build brings it")
    log.warning("triton is not installed: the twin runs on the CPU")
    return "cpu"


class Twin:
    """A machine, its inks and its paper, simulated.

    Args:
        luts: look-up tables.
        device: `auto`, `cpu` or `cuda`.
        backend: `auto`, `cpu`, `triton` or `nvdiffrast`.

    What only renders falls back to the CPU when the GPU fails, with one warning. What refines (`forward`, `backward`)
    never changes backend on the way: it raises `BackendError`.
    """

    def __init__(self, luts: Luts, device: str = "auto", backend: Backend = "auto") -> None:
        self.luts = luts
        self.device = resolve_device(device)
        self.backend = resolve_backend(self.device, backend)
        self._render_backend = self.backend

    def forward(
        self, strokes: NDArray[np.float64], size_px: tuple[int, int], canvas: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], Tape]:
        """Paint (N, 15) strokes onto white paper or a canvas; see `render.forward`.

        Raises:
            BackendError: the GPU failed.
        """
        if self.backend == "cpu":
            return render.forward(strokes, self.luts, size_px, canvas)
        from airbrush_cli.twin import gpu

        try:
            return gpu.forward(strokes, self.luts, size_px, canvas, backend=self.backend)
        except RuntimeError as error:
            raise BackendError(f"the GPU failed: {_first_line(error)}") from error

    def backward(self, tape: Tape, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
        """Pull an (H, W, 3) gradient back to (N, 15).

        Raises:
            BackendError: the GPU failed.
        """
        if isinstance(tape, render.Tape):
            return render.backward(tape, gradient)[0]
        from airbrush_cli.twin import gpu

        try:
            return gpu.backward(tape, gradient)
        except RuntimeError as error:
            raise BackendError(f"the GPU failed: {_first_line(error)}") from error

    def render(
        self, strokes: NDArray[np.float64], size_px: tuple[int, int], canvas: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Paint, and keep nothing for gradients."""
        if self._render_backend != "cpu":
            try:
                return self.forward(strokes, size_px, canvas)[0]
            except BackendError as error:
                log.warning("%s; the CPU renders from here on", error)
                self._render_backend = "cpu"
        return render.render(strokes, self.luts, size_px, canvas)

    def influence(self, tape: Tape, weight: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each stroke shows; see `influence.influence`."""
        return influence(self._on_cpu(tape), weight)

    def opacity_pull(self, tape: Tape, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (N,) derivatives of a loss by the logarithm of each stroke's opacity."""
        painted = self._on_cpu(tape)
        nodes = cpu.backward(painted, gradient)[0]
        return np.add.reduceat(nodes[:, 3] * painted.polylines.nodes[:, 3], painted.polylines.starts[:-1])

    def _on_cpu(self, tape: Tape) -> cpu.Tape:
        """The tape of the same painting on the CPU, which measures what the GPU has no kernels for."""
        if isinstance(tape, render.Tape):
            return tape.painted
        height, width, _ = tape.painted.shape
        strokes = tape.strokes.detach().cpu().numpy()
        return render.forward(strokes, self.luts, (width, height), tape.canvas)[1].painted


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
