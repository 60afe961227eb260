"""env_airbrush_v1.yaml: resolutions, frames and limits that simulation and training share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airbrush_cli.schemas.base import Count, Model, NonNegative, SizeMm, SizePx


class Resolutions(Model):
    """Three independent rasters: physics, what a policy sees, what it is rewarded on."""

    render_px: SizePx
    obs_px: SizePx
    reward_px: SizePx


class CoordinateFrames(Model):
    """Image frame and machine frame; the flip between them happens once, when G-code is written."""

    image_origin: Literal["top_left"] = "top_left"
    machine_origin: Literal["bottom_left"] = "bottom_left"
    flip_y_for_gcode: Literal[True] = True


class RendererSettings(Model):
    """How the twin is run inside the environment."""

    tile_size: Annotated[int, Field(ge=0)] = 0  # 0: full frame
    tile_overlap: Annotated[int, Field(ge=0)] = 0
    technician_steps: Count = 12
    early_stop_delta: NonNegative = 1e-4
    project_params_each_step: bool = True


class Environment(Model):
    """The whole file."""

    units: Literal["mm"] = "mm"
    work_area_mm: SizeMm
    resolutions: Resolutions
    coordinate_frames: CoordinateFrames = CoordinateFrames()
    stroke_cap: Count = 1500
    renderer: RendererSettings = RendererSettings()
