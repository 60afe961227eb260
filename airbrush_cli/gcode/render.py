"""Pictures of what G-code paints, for jobs and for files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour, documents, units
from airbrush_cli.errors import InputError
from airbrush_cli.gcode.replay import replay
from airbrush_cli.gcode.tables import luts_of
from airbrush_cli.imaging.load import load_image
from airbrush_cli.job import JobFolder
from airbrush_cli.metrics.fidelity import psnr
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors

_PEN_WIDTH_MM = 0.5


def picture_of(
    sources: list[bytes], machine: Machine, folder: JobFolder | None, physics: Path | None = None
) -> NDArray[np.uint8]:
    """Return the (H, W, 3) sRGB picture that files paint, one over the other, at a job's size and with its pen.

    Raises:
        InputError: the job was painted with other look-up tables than `physics` (or the shipped settings) names.
    """
    size, width, made_with = units.RENDER_PX, _PEN_WIDTH_MM, None
    if folder:
        painted = folder.job.provenance.get("paint")
        made_with = painted.luts_sha256 if painted else None
        size = folder.job.resolutions.render_px.wh
        width = documents.load(folder.path(folder.job.inputs.pen_layer_path), PenVectors).pen_width_mm
    luts = luts_of(made_with, physics, str(folder.manifest) if folder else "")
    picture: NDArray[np.float32] | None = None
    for data in sources:
        picture = replay(data, machine, luts, size, pen_width_mm=width, canvas=picture)
    assert picture is not None, "there is at least one file"
    return colour.linear_to_srgb8(picture)


def painting_distance(picture: NDArray[np.uint8], folder: JobFolder) -> float | None:
    """Return the PSNR of a picture against the job's painting.png, dB; None for a job without one.

    Raises:
        InputError: the painting cannot be read, or is of another size.
    """
    name = folder.job.artifacts.painting_out
    if name is None:
        return None
    painting = load_image(folder.path(name))
    if painting.shape != picture.shape:
        raise InputError(f"{folder.path(name)}: not the painting of this job")
    return psnr(picture, painting)
