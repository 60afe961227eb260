"""job.v1: the manifest of a job folder. Every path is relative to it, so that a job can be moved and copied."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from airbrush_cli.schemas.base import Count, Document, Interval, Model, SizePx


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError(f"must be a path inside the job folder (found {path})")
    return path


Order = Literal["keep", "travel"]
"""Whether G-code keeps the planned order, or cuts travel where the picture allows it."""

JobPath = Annotated[str, AfterValidator(_inside)]
JobName = Annotated[str, Field(pattern=r"^[^/\x00-\x1f]+$", max_length=200)]


class Inputs(Model):
    """What the job is painted from."""

    source_image: str | None = None  # where the photograph was; kept for people, never opened
    source_sha256: str | None = None
    target_image_path: JobPath
    pen_layer_path: JobPath


class BoxMm(Model):
    """The volume that the machine may move in, mm."""

    x: Interval = (0.0, 210.0)
    y: Interval = (0.0, 297.0)
    z: Interval = (0.0, 30.0)


class Limits(Model):
    """What the plan must keep to."""

    max_strokes: Count = 1500
    bbox_mm: BoxMm = BoxMm()


class Pass(Model):
    """One pass of the machine: colour strokes or pen vectors."""

    name: Literal["cmy", "pen"]
    strokes_path: JobPath | None = None
    vectors_path: JobPath | None = None


class Artifacts(Model):
    """The files that painting writes."""

    painting_cmy_out: JobPath | None = None
    painting_out: JobPath | None = None
    heatmap_out: JobPath | None = None
    cmy_gcode_out: JobPath | None = None
    pen_gcode_out: JobPath | None = None
    machine_profile_out: JobPath | None = None  # a copy of the machine's profile, where it is none of the shipped ones


class Resolutions(Model):
    """Rasters that the job was prepared and painted at."""

    render_px: SizePx


class Figures(Model):
    """How close a picture is to its target, on 8-bit sRGB at render_px."""

    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    lpips_net: str | None = None


class Metrics(Model):
    """Figures of a painted job."""

    strokes: Annotated[int, Field(ge=0)]
    colour: Figures  # painting_cmy.png against target.png
    paper: Figures  # painting.png against target.png with the pen layer over it
    out_of_gamut: Annotated[float, Field(ge=0, le=1)] | None = None  # share of target pixels no ink mix reaches
    gamut_delta_e: float | None = None  # mean ΔE2000 of those pixels to the nearest reachable colour
    spray_hours: float | None = None  # at the strokes' own speeds, without travel
    reachable_psnr: float | None = None  # dB, painting_cmy.png against the target in its nearest reachable colours


class Provenance(Model):
    """What made the files: enough to make them again."""

    airbrush: str
    python: str | None = None
    torch: str | None = None
    numpy: str | None = None
    device: str | None = None
    backend: str | None = None
    seed: int | None = None
    luts_sha256: str | None = None
    layering: str | None = None
    config_sha256: str | None = None
    machine_sha256: str | None = None
    seconds: float | None = None
    options: dict[str, str | int | float | bool | None] = Field(default_factory=dict)


class Job(Document):
    """A job folder's manifest, `<job>_manifest.yaml`."""

    SCHEMA: ClassVar[str] = "job.v1"

    job: JobName
    state: Literal["preprocessed", "partial", "painted"] = "preprocessed"
    machine_profile: str = "grbl_airbrush.v1"
    inputs: Inputs
    limits: Limits = Limits()
    resolutions: Resolutions
    passes: tuple[Pass, ...] = ()
    artifacts: Artifacts = Artifacts()
    metrics: Metrics | None = None
    provenance: dict[str, Provenance] = Field(default_factory=dict)  # by command: preprocess, paint, gcode
