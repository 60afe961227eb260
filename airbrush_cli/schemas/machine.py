"""machine.v1: a painting machine and its GRBL controller.

Positions are in the machine frame: mm, origin at the work area's lower left corner, +Y up, Z the height over the paper.
The controller's settings are written as its `$$` prints them, `$110: 18000`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from airbrush_cli.schemas.base import Count, Document, Interval, Model, NonNegative, Positive
from airbrush_cli.units import A4_MM


class WorkArea(Model):
    """What the tool can reach, from 0 on every axis; `z: 0` is a machine without a Z axis."""

    x: Positive
    y: Positive
    z: NonNegative


class Feeds(Model):
    """Fastest feeds, mm/s."""

    max_xy_mm_s: Positive = 300.0
    max_z_mm_s: Positive = 20.0


class Point2(Model):
    """A point or an offset in the plane, mm."""

    x: float = 0.0
    y: float = 0.0


class Point3(Model):
    """A point, mm."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class Zone(Model):
    """An axis-parallel box, mm."""

    x: Interval
    y: Interval
    z: Interval

    @property
    def centre(self) -> tuple[float, float, float]:
        """The middle of the box."""
        return (sum(self.x) / 2, sum(self.y) / 2, sum(self.z) / 2)


class MacroFiles(Model):
    """Files of G-code with placeholders (docs/gcode.md), in `include_dir`, a folder relative to the profile's file.

    A machine without `air_on` cannot paint, one without `pen_down` cannot draw.
    """

    include_dir: str = "macros"
    start: str | None = None
    end: str | None = None
    purge: str | None = None
    mix: str | None = None
    air_on: str | None = None
    air_off: str | None = None
    pen_up: str | None = None
    pen_down: str | None = None


class Purge(Model):
    """When the nozzle is purged.

    Policies: before `every_stroke`; `on_colour_change`, when an ink differs by more than `colour_step` from what the
    nozzle was last purged for; `by_volume_mm`, when `volume_mm` of path have been painted since. Every file starts with
    one purge.
    """

    policy: Literal["every_stroke", "on_colour_change", "by_volume_mm"] = "every_stroke"
    colour_step: Annotated[float, Field(ge=0, le=1)] = 0.02
    volume_mm: Positive = 2000.0


class Safety(Model):
    """Limits that every move is checked against, and the zone that is kept for purging."""

    soft_limits: bool = True
    purge_zone_mm: Zone | None = None


class Pen(Model):
    """The pen."""

    offset_mm: Point2 = Point2()  # where the pen's tip is, seen from the nozzle
    up_mm: NonNegative = 5.0
    down_mm: NonNegative = 0.0
    feed_mm_s: Positive = 40.0


class Path(Model):
    """How curves become straight moves."""

    tolerance_mm: Positive = 0.05  # between curve and chords, in the plane and in height
    speed_step: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the speed, between consecutive moves


class GrblSettings(Model):
    """What a GRBL 1.1f controller stores: the settings that decide time and limits, by their `$` numbers.

    Defaults are those of the machine in the shipped airbrush profile.
    """

    model_config = ConfigDict(populate_by_name=True)

    step_idle_delay_ms: Annotated[int, Field(alias="$1", ge=0, le=255)] = 255
    junction_deviation_mm: Annotated[NonNegative, Field(alias="$11")] = 0.01
    arc_tolerance_mm: Annotated[Positive, Field(alias="$12")] = 0.002
    soft_limits: Annotated[int, Field(alias="$20", ge=0, le=1)] = 0
    homing: Annotated[int, Field(alias="$22", ge=0, le=1)] = 0
    laser_mode: Annotated[int, Field(alias="$32", ge=0, le=1)] = 0
    x_steps_per_mm: Annotated[Positive, Field(alias="$100")] = 80.0
    y_steps_per_mm: Annotated[Positive, Field(alias="$101")] = 80.0
    z_steps_per_mm: Annotated[Positive, Field(alias="$102")] = 400.0
    x_max_rate: Annotated[Positive, Field(alias="$110")] = 18000.0
    y_max_rate: Annotated[Positive, Field(alias="$111")] = 18000.0
    z_max_rate: Annotated[Positive, Field(alias="$112")] = 1200.0
    x_acceleration: Annotated[Positive, Field(alias="$120")] = 1500.0
    y_acceleration: Annotated[Positive, Field(alias="$121")] = 1500.0
    z_acceleration: Annotated[Positive, Field(alias="$122")] = 200.0
    x_max_travel: Annotated[Positive, Field(alias="$130")] = 210.0
    y_max_travel: Annotated[Positive, Field(alias="$131")] = 297.0
    z_max_travel: Annotated[Positive, Field(alias="$132")] = 30.0

    @property
    def steps_per_mm(self) -> tuple[float, float, float]:
        """Steps per mm of X, Y and Z."""
        return (self.x_steps_per_mm, self.y_steps_per_mm, self.z_steps_per_mm)

    @property
    def max_rate(self) -> tuple[float, float, float]:
        """Fastest rates of X, Y and Z, mm/min."""
        return (self.x_max_rate, self.y_max_rate, self.z_max_rate)

    @property
    def acceleration(self) -> tuple[float, float, float]:
        """Accelerations of X, Y and Z, mm/s²."""
        return (self.x_acceleration, self.y_acceleration, self.z_acceleration)

    @property
    def max_travel(self) -> tuple[float, float, float]:
        """Travel of X, Y and Z, mm."""
        return (self.x_max_travel, self.y_max_travel, self.z_max_travel)


class Machine(Document):
    """A machine profile."""

    SCHEMA: ClassVar[str] = "machine.v1"

    work_area_mm: WorkArea = WorkArea(x=A4_MM[0], y=A4_MM[1], z=30.0)
    gcode_flavor: Literal["grbl_1.1f"] = "grbl_1.1f"
    units: Literal["mm"] = "mm"
    feed_units: Literal["mm/min"] = "mm/min"
    feeds: Feeds = Feeds()
    macros: MacroFiles = MacroFiles()
    safety: Safety = Safety()
    paper_mm: Point2 = Point2()  # where the paper's lower left corner lies
    park_mm: Point3 = Point3(z=30.0)
    travel_z_mm: NonNegative = 5.0  # least height of the nozzle over the paper while it travels
    nozzle_z_mm: NonNegative = 10.0  # height of the nozzle of a machine without a Z axis
    zero_at_start: bool = False  # G92 X0 Y0 Z0 first: where the tool stands is the origin
    purge: Purge = Purge()
    pen: Pen = Pen()
    path: Path = Path()
    controller_lines_per_s: Count = 250  # what the controller can take without running dry
    grbl: GrblSettings = GrblSettings()

    @property
    def has_z(self) -> bool:
        """Whether there is a Z axis."""
        return self.work_area_mm.z > 0

    @property
    def limits(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """The soft limits, (low, high) of X, Y and Z."""
        return ((0.0, self.work_area_mm.x), (0.0, self.work_area_mm.y), (0.0, self.work_area_mm.z))

    @model_validator(mode="after")
    def _check(self) -> Machine:
        inside = {"park_mm": self.park_mm}
        if self.safety.purge_zone_mm:
            zone = self.safety.purge_zone_mm
            inside["safety.purge_zone_mm (centre)"] = Point3(x=zone.centre[0], y=zone.centre[1], z=zone.centre[2])
        for name, point in inside.items():
            position: Any = (point.x, point.y, point.z if self.has_z else 0.0)
            for axis, value, (low, high) in zip("xyz", position, self.limits, strict=True):
                if not low <= value <= high:
                    raise ValueError(f"{name}: {axis} must lie in the work area, {low:g} to {high:g} (found {value:g})")
        if self.has_z and self.travel_z_mm > self.work_area_mm.z:
            raise ValueError(
                f"travel_z_mm: must lie in the work area, at most {self.work_area_mm.z:g} (found {self.travel_z_mm:g})"
            )
        if self.zero_at_start and (self.park_mm.x, self.park_mm.y, self.park_mm.z) != (0.0, 0.0, 0.0):
            raise ValueError(
                "zero_at_start: needs park_mm {x: 0, y: 0, z: 0}, "
                "or the next file takes the parking place for its origin"
            )
        return self
