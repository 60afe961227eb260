"""Calibration: the layout of the test sheets, what was laid out, the measurements of a print, and how a scan is read.

A patch is one horizontal band of ink, sprayed in one pass at one height and speed. Its colour is that of the middle of
the band, where the spot is densest. A layering patch is two bands, the second over half of the first.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from airbrush_cli.schemas.base import Document, Model, NonNegative, Positive, SizeMm, Unit

LinearRgb = tuple[Unit, Unit, Unit]
Ink = tuple[Unit, Unit, Unit]
PointMm = tuple[NonNegative, NonNegative]
Prefix = Annotated[str, Field(pattern="^[A-Z]$")]
Kind = Literal["colour", "spot", "layering"]
# One digit of a label each.
MAX_STEPS = 10
# Codes that a sheet's corner marks can tell apart.
CODES = 250


def _distinct(name: str, values: list[float]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{name}: {value:g} stands twice")


class ColourGrid(Model):
    """Every mix of the steps, at one height and speed. Label: prefix and the numbers of the steps of c, m and y."""

    label_prefix: Prefix = "C"
    z_mm: NonNegative
    v_mm_s: Positive
    length_mm: Positive
    steps: Annotated[list[Unit], Field(min_length=2, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _check(self) -> ColourGrid:
        _distinct("steps", self.steps)
        return self


class SpotGrid(Model):
    """One ink at every height and speed. Label: prefix and the numbers of the steps of z and v."""

    label_prefix: Prefix = "P"
    ink: Ink
    length_mm: Positive
    z_steps_mm: Annotated[list[NonNegative], Field(min_length=2, max_length=MAX_STEPS)]
    v_steps_mm_s: Annotated[list[Positive], Field(min_length=2, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _check(self) -> SpotGrid:
        _distinct("z_steps_mm", self.z_steps_mm)
        _distinct("v_steps_mm_s", self.v_steps_mm_s)
        return self


class LayeringGrid(Model):
    """Pairs of inks, the second over half of the first, at the height and speed of the colour grid."""

    label_prefix: Prefix = "L"
    length_mm: Positive  # of each of the three parts: base, both, top
    pairs: Annotated[list[tuple[Ink, Ink]], Field(min_length=3, max_length=100)]


class Fiducials(Model):
    """Pen-drawn square marks that a scan is rectified and recognised by; centres in mm from the top left corner."""

    size_mm: Annotated[float, Field(ge=6)]
    centres_mm: Annotated[list[PointMm], Field(min_length=4, max_length=4)]


class CalibrationLayout(Model):
    """calibration_layout.yaml."""

    margin_mm: tuple[NonNegative, NonNegative]  # left and right; top and bottom
    gap_mm: NonNegative
    label_mm: Annotated[float, Field(ge=1.5)]
    pen_width_mm: Positive
    colour_grid: ColourGrid
    spot_grid: SpotGrid
    layering: LayeringGrid
    fiducials: Fiducials

    @model_validator(mode="after")
    def _labels_differ(self) -> CalibrationLayout:
        prefixes = [self.colour_grid.label_prefix, self.spot_grid.label_prefix, self.layering.label_prefix]
        if len(set(prefixes)) < 3:
            raise ValueError(f"label_prefix: must differ between the grids (found {', '.join(prefixes)})")
        return self


class Band(Model):
    """One pass of the nozzle, from left to right."""

    x_mm: tuple[float, float]
    ink: Ink


class Patch(Model):
    """A labelled patch."""

    label: str
    kind: Kind
    y_mm: float
    z_mm: NonNegative
    v_mm_s: Positive
    bands: Annotated[list[Band], Field(min_length=1, max_length=2)]
    measured_mm: list[tuple[float, float]]  # stretches of x: one, or base, both and top of a layering patch
    reach_mm: Positive  # how far from the middle of the band paint was expected
    box_mm: tuple[float, float, float, float]  # left, top, right, bottom, label included


class Sheet(Model):
    """One page."""

    name: str
    code: Annotated[int, Field(ge=0, lt=CODES)]  # the corner marks are 4 code + 0 … 3 of ArUco's DICT_5X5_1000
    pen_gcode: str
    cmy_gcode: str
    picture: str
    patches: list[Patch]


class CalibrationManifest(Document):
    """calibration_manifest.yaml: the sheets that `calibrate gen` wrote. File names are relative to its folder."""

    SCHEMA: ClassVar[str] = "calibration.v1"

    made_by: str
    machine_profile: str
    page_mm: SizeMm
    pen_width_mm: Positive
    fiducials: Fiducials
    measurements: str
    sheets: list[Sheet]

    @property
    def patches(self) -> list[Patch]:
        """The patches of all sheets."""
        return [patch for sheet in self.sheets for patch in sheet.patches]


class ColourMeasurement(Model):
    """A colour patch: linear RGB in the middle of the band."""

    rgb_linear_measured: LinearRgb | None = None


class SpotMeasurement(Model):
    """A spot patch.

    `alpha_measured`: the share of the paper's luminance that is missing in the middle of the band. `width_mm`: across
    the band, between the places where half of that is missing.
    """

    alpha_measured: Unit | None = None
    width_mm: Positive | None = None
    shape_description: str | None = None


class LayeringMeasurement(Model):
    """A layering patch: linear RGB in the middle of the first band alone, the second alone, and both."""

    base_rgb_linear_measured: LinearRgb | None = None
    top_rgb_linear_measured: LinearRgb | None = None
    overlap_rgb_linear_measured: LinearRgb | None = None


class ManualCalibrationResults(Model):
    """manual_calibration_results.yaml: measurements by label.

    Colours are divided by `paper_rgb_linear_measured`, the paper beside the patches; leave it out if the colours are
    relative to the paper already.
    """

    manifest: str = "calibration_manifest.yaml"
    scanner_dpi: Positive | None = None  # a note of what the sheets were scanned with
    paper_rgb_linear_measured: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    colour: dict[str, ColourMeasurement] = Field(default_factory=dict)
    spot: dict[str, SpotMeasurement] = Field(default_factory=dict)
    layering: dict[str, LayeringMeasurement] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, data: Any) -> Any:
        """A section or label whose lines are all commented out reads as nothing."""
        if not isinstance(data, dict):
            return data
        result = dict(data)
        for name in ("colour", "spot", "layering"):
            section = result.get(name, {})
            if section is None:
                result[name] = {}
            elif isinstance(section, dict):
                result[name] = {label: {} if value is None else value for label, value in section.items()}
        return result


class Homography(Model):
    """Perspective correction by the fiducials."""

    enabled: bool = True


class PatchSampling(Model):
    """How a patch's colour is taken from a scan."""

    method: Literal["median", "mean"] = "median"
    roi_margin_px: Annotated[int, Field(ge=0)] = 6  # left out at each end of a measured stretch, of 0.1 mm


class ScannerProfile(Model):
    """scanner_profile_v1.yaml."""

    input_color_space: Literal["srgb", "linear_rgb"] = "srgb"
    linearize: bool = True
    deskew: bool = True
    homography: Homography = Homography()
    patch_sampling: PatchSampling = PatchSampling()
