"""env_airbrush_v1.yaml: resolutions, frames and limits that simulation and training share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airbrush_cli.schemas.base import Count, Model, NonNegative, SizeMm, SizePx

OF_ENVIRONMENT = "env."
"""What overrides of these settings begin with, among those of a trainer's."""


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


class Observation(Model):
    """Channels beyond the nine of target, canvas and their difference."""

    coordinates: bool = False  # two: where each pixel's centre lies, 0..1 from left and from top
    strokes_left: bool = False  # one: share of the stroke cap that is left

    @property
    def channels(self) -> int:
        """How many channels an observation has."""
        return 9 + 2 * self.coordinates + self.strokes_left


class Environment(Model):
    """The whole file."""

    units: Literal["mm"] = "mm"
    work_area_mm: SizeMm
    resolutions: Resolutions
    coordinate_frames: CoordinateFrames = CoordinateFrames()
    observation: Observation = Observation()
    stroke_cap: Count = 1500
    strokes_per_step: Count = 1
    renderer: RendererSettings = RendererSettings()
