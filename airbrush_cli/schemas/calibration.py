"""Calibration: the layout of the test sheets, the measurements of a print, and how a scan is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airbrush_cli.schemas.base import Count, Model, NonNegative, Positive, Unit

LinearRgb = tuple[Unit, Unit, Unit]
PointMm = tuple[NonNegative, NonNegative]
Prefix = Annotated[str, Field(pattern="^[A-Z]$")]


class ColourGrid(Model):
    """Patches of ink mixes: every combination of the steps."""

    label_prefix: Prefix = "C"
    origin_mm: PointMm
    patch_mm: Positive
    gap_mm: NonNegative
    columns: Count
    steps: Annotated[list[Unit], Field(min_length=2)]


class SpotGrid(Model):
    """Short lines at every height and speed: spot width and opacity."""

    label_prefix: Prefix = "P"
    origin_mm: PointMm
    patch_mm: Positive
    gap_mm: NonNegative
    z_steps_mm: Annotated[list[NonNegative], Field(min_length=2)]
    v_steps_mm_s: Annotated[list[Positive], Field(min_length=2)]


class LayeringGrid(Model):
    """Pairs of inks, one sprayed over half of the other."""

    label_prefix: Prefix = "L"
    origin_mm: PointMm
    patch_mm: Positive
    gap_mm: NonNegative
    pairs: Annotated[list[tuple[tuple[Unit, Unit, Unit], tuple[Unit, Unit, Unit]]], Field(min_length=1)]


class Fiducials(Model):
    """Pen-drawn marks that a scan is rectified by, mm from the top left corner."""

    size_mm: Positive
    centres_mm: Annotated[list[PointMm], Field(min_length=4)]


class CalibrationLayout(Model):
    """calibration_layout.yaml."""

    colour_grid: ColourGrid
    spot_grid: SpotGrid
    layering: LayeringGrid
    fiducials: Fiducials


class ColourMeasurement(Model):
    """A colour patch, linear RGB with paper white at 1."""

    rgb_linear_measured: LinearRgb | None = None


class SpotMeasurement(Model):
    """A spot patch."""

    alpha_measured: Unit | None = None
    width_mm: Positive | None = None
    shape_description: str | None = None


class LayeringMeasurement(Model):
    """A layering patch, linear RGB."""

    base_rgb_linear_measured: LinearRgb | None = None
    top_rgb_linear_measured: LinearRgb | None = None
    overlap_rgb_linear_measured: LinearRgb | None = None


class ManualCalibrationResults(Model):
    """manual_calibration_results.yaml: measurements by label."""

    scanner_dpi: Positive | None = None
    colour: dict[str, ColourMeasurement] = Field(default_factory=dict)
    spot: dict[str, SpotMeasurement] = Field(default_factory=dict)
    layering: dict[str, LayeringMeasurement] = Field(default_factory=dict)


class Homography(Model):
    """Perspective correction by the fiducials."""

    enabled: bool = True


class PatchSampling(Model):
    """How a patch's colour is taken from a scan."""

    method: Literal["median", "mean"] = "median"
    roi_margin_px: Annotated[int, Field(ge=0)] = 6


class ScannerProfile(Model):
    """scanner_profile_v1.yaml."""

    input_color_space: Literal["srgb", "linear_rgb"] = "srgb"
    linearize: bool = True
    deskew: bool = True
    homography: Homography = Homography()
    patch_sampling: PatchSampling = PatchSampling()
