"""Settings of preprocess: how a picture is put on the page, and how its dark lines become the pen layer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airbrush_cli.schemas.base import Count, Model, NonNegative, Positive, SizeMm, SizePx
from airbrush_cli.units import A4_MM, RENDER_PX

Fit = Literal["contain", "cover", "stretch"]
Rotate = Literal["auto", "never"]
PenMode = Literal["auto", "threshold", "adaptive", "none"]
Fill = Literal["hatch", "outline", "none"]
Trace = Literal["centerline", "potrace", "vtracer"]


class PotraceSettings(Model):
    """Parameters of potrace, by its own names."""

    turdsize: Annotated[int, Field(ge=0)] = 2  # spots of up to so many px are left out
    turnpolicy: Literal["black", "white", "left", "right", "minority", "majority"] = "minority"
    alphamax: Annotated[float, Field(ge=0, le=4 / 3)] = 1.0  # 0: corners only, 4/3: none
    opttolerance: NonNegative = 0.2


class VtracerSettings(Model):
    """Parameters of vtracer, by its own names."""

    mode: Literal["spline", "polygon", "none"] = "spline"
    filter_speckle: Annotated[int, Field(ge=0, le=128)] = 4  # spots under so many px across are left out
    corner_threshold: Annotated[int, Field(ge=0, le=180)] = 60  # degrees
    length_threshold: Annotated[float, Field(ge=3.5, le=10)] = 4.0  # px
    max_iterations: Annotated[int, Field(ge=1, le=100)] = 10
    splice_threshold: Annotated[int, Field(ge=0, le=180)] = 45  # degrees
    path_precision: Annotated[int, Field(ge=0, le=16)] = 8  # decimals


class PenSettings(Model):
    """Which dark pixels become pen lines, and how these are drawn."""

    mode: PenMode = "auto"
    threshold_lab_l: Annotated[float, Field(ge=0, le=100)] = 10.0  # Lab L below which a pixel is black
    close_px: Annotated[int, Field(ge=0, le=15)] = 1  # gaps up to twice as wide are closed
    min_area_px: Annotated[int, Field(ge=0)] = 12  # smaller spots are no lines
    max_line_mm: Positive = 2.5  # what is thicker is an area
    fill: Fill = "hatch"
    trace: Trace = "centerline"
    pen_width_mm: Positive = 0.5
    tolerance_mm: Positive = 0.03  # how far a fitted curve may lie from the traced line
    curves: Literal["bezier", "polyline"] = "bezier"
    hatch_angle_deg: float = 45.0
    hatch_spacing: Annotated[float, Field(ge=0.5, le=10)] = 1.0  # pen widths between hatch lines
    join_mm: NonNegative = 0.3  # paths whose ends lie so near are drawn in one go
    potrace: PotraceSettings = PotraceSettings()
    vtracer: VtracerSettings = VtracerSettings()


class PreprocessConfig(Model):
    """The whole file configs/preprocess.yaml."""

    page_mm: SizeMm = SizeMm(x=A4_MM[0], y=A4_MM[1])
    render_px: SizePx = SizePx(w=RENDER_PX[0], h=RENDER_PX[1])
    fit: Fit = "contain"
    rotate: Rotate = "auto"
    max_megapixels: Count = 200
    pen: PenSettings = PenSettings()
