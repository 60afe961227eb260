"""luts.v1: the look-up tables of the digital twin; and the settings of the twin itself (sim/physics_v1.yaml)."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from airbrush_cli.schemas.base import Document, Model, Positive

Layering = Literal["alpha_over", "multiply"]
Backend = Literal["auto", "cpu", "triton", "nvdiffrast"]


def _increasing(axis: list[float]) -> list[float]:
    for before, after in itertools.pairwise(axis):
        if after <= before:
            raise ValueError(f"must increase from each value to the next (found {before:g}, {after:g})")
    return axis


Axis = Annotated[list[float], Field(min_length=2, max_length=1024), AfterValidator(_increasing)]
FileName = Annotated[str, Field(min_length=1, max_length=255)]
GridSize = Annotated[int, Field(ge=2, le=128)]


class InkGrid(Model):
    """Numbers of equidistant ink amounts per channel, from 0 to 1."""

    c: GridSize
    m: GridSize
    y: GridSize


class ColorLut(Model):
    """Ink amounts (c, m, y) to linear RGB; the file holds (Nc, Nm, Ny, 3) float32."""

    grid: InkGrid
    domain: tuple[Literal[0], Literal[1]] = (0, 1)
    values_path: FileName = "color_lut.pt"


class Axes(Model):
    """Heights (mm) and speeds (mm/s) of a table's rows and columns."""

    z: Axis
    v: Axis


class AlphaLut(Model):
    """Opacity in the middle of the spot at (z, v); the file holds (Nz, Nv) float32 in [0, 1]."""

    axes: Axes
    values_path: FileName = "alpha_lut.pt"


class PsfLut(Model):
    """Spot shape at (z, v); the file holds (Nz, Nv, K, K) float32 kernels of sum 1, K odd, centred.

    `pixel_mm` is the pitch of each kernel's samples in mm, (Nz, Nv).
    """

    axes: Axes
    pixel_mm: list[list[Positive]]
    values_path: FileName = "psf_lut.pt"

    @model_validator(mode="after")
    def _one_pitch_per_kernel(self) -> PsfLut:
        rows, columns = len(self.axes.z), len(self.axes.v)
        if len(self.pixel_mm) != rows or any(len(row) != columns for row in self.pixel_mm):
            raise ValueError(f"pixel_mm: must hold {rows} rows (z) of {columns} values (v)")
        return self


class LutMetadata(Model):
    """Where the tables come from. `synthetic` says that a formula made them, not a measurement.

    `sha256`: of the tables' files, by name.
    """

    synthetic: bool
    description: str = ""
    machine_profile: str = "grbl_airbrush.v1"
    date: str | None = None
    semver: str = "1.0.0"
    sha256: dict[FileName, str] | None = None


class LutsDocument(Document):
    """The metadata.yaml of a set of look-up tables. File names are relative to its folder."""

    SCHEMA: ClassVar[str] = "luts.v1"

    layering: Layering
    color_lut: ColorLut
    alpha_lut: AlphaLut
    psf_lut: PsfLut
    metadata: LutMetadata

    @model_validator(mode="after")
    def _same_axes(self) -> LutsDocument:
        if self.alpha_lut.axes != self.psf_lut.axes:
            raise ValueError("psf_lut.axes: must equal alpha_lut.axes")
        return self


class Rasterizer(Model):
    """Which backend renders; `auto` is the fastest that the device has."""

    backend: Backend = "auto"


class PhysicsConfig(Model):
    """configs/sim/physics_v1.yaml: the look-up tables and the backend of the twin."""

    luts_config: FileName
    rasterizer: Rasterizer = Rasterizer()
    color_space: Literal["linear_rgb"] = "linear_rgb"
