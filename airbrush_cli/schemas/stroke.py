"""stroke.v1: the strokes of a painting, in millimetres of the image frame.

In memory they are one (N, 15) float64 array with the columns `x1 y1 x2 y2 x3 y3 x4 y4 z0 z1 v0 v1 c m y`: the control
points of a cubic Bézier, height (mm) and speed (mm/s) at its start and end, and ink amounts. `LOW` and `HIGH` are the
one place where the bounds of these numbers stand; every scale is computed from them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from airbrush_cli.schemas.base import Document, Interval, Model

BOUNDS: dict[str, tuple[float, float]] = {"x": (0.0, 210.0), "y": (0.0, 297.0), "z": (0.0, 30.0), "speed": (1.0, 300.0)}
COLUMNS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "z0", "z1", "v0", "v1", "c", "m", "y")
_KINDS = ("x", "y") * 4 + ("z", "z", "speed", "speed")
LOW: NDArray[np.float64] = np.array([BOUNDS[kind][0] for kind in _KINDS] + [0.0] * 3)
HIGH: NDArray[np.float64] = np.array([BOUNDS[kind][1] for kind in _KINDS] + [1.0] * 3)
LOW.setflags(write=False)
HIGH.setflags(write=False)

# A tenth of a micrometre: finer than any machine, coarse enough to keep the file small.
DECIMALS = 4


def _between(kind: str) -> Any:
    return Field(ge=BOUNDS[kind][0], le=BOUNDS[kind][1])


X = Annotated[float, _between("x")]
Y = Annotated[float, _between("y")]
Z = Annotated[float, _between("z")]
Speed = Annotated[float, _between("speed")]
Ink = Annotated[float, Field(ge=0.0, le=1.0)]


class Bezier(Model):
    """Control points of a cubic Bézier curve, mm."""

    p1: tuple[X, Y]
    p2: tuple[X, Y]
    p3: tuple[X, Y]
    p4: tuple[X, Y]


class ZProfile(Model):
    """Nozzle height at the start and end of the stroke, mm."""

    z0: Z
    z1: Z


class SpeedProfile(Model):
    """Speed at the start and end of the stroke, mm/s."""

    v0: Speed
    v1: Speed


class Cmy(Model):
    """Ink amounts."""

    c: Ink
    m: Ink
    y: Ink


class Stroke(Model):
    """One stroke."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
    bezier: Bezier
    z_profile: ZProfile
    speed_profile: SpeedProfile
    color_cmy: Cmy


class Units(Model):
    """The units of the file; only these are read."""

    xy: Literal["mm"] = "mm"
    z: Literal["mm"] = "mm"
    speed: Literal["mm/s"] = "mm/s"


class Bounds(Model):
    """The bounds that the strokes were planned within."""

    x: Interval
    y: Interval
    z: Interval
    speed: Interval


class StrokeMetadata(Model):
    """What made the strokes."""

    sim_version: str = "1.0.0"
    luts_sha256: str | None = None
    seed: int | None = None


class StrokesDocument(Document):
    """A strokes.yaml file."""

    SCHEMA: ClassVar[str] = "stroke.v1"

    units: Units = Units()
    bounds: Bounds = Bounds(**BOUNDS)
    metadata: StrokeMetadata = StrokeMetadata()
    strokes: list[Stroke]

    @model_validator(mode="after")
    def _unique_ids(self) -> StrokesDocument:
        seen: set[str] = set()
        for stroke in self.strokes:
            if stroke.id in seen:
                raise ValueError(f"strokes: the id {stroke.id} stands twice")
            seen.add(stroke.id)
        return self

    @property
    def ids(self) -> list[str]:
        """The stroke ids, in painting order."""
        return [stroke.id for stroke in self.strokes]

    def to_array(self) -> NDArray[np.float64]:
        """Return the strokes as (N, 15), in painting order."""
        rows = [
            [
                *(*s.bezier.p1, *s.bezier.p2, *s.bezier.p3, *s.bezier.p4),
                *(s.z_profile.z0, s.z_profile.z1, s.speed_profile.v0, s.speed_profile.v1),
                *(s.color_cmy.c, s.color_cmy.m, s.color_cmy.y),
            ]
            for s in self.strokes
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 15)


def project(strokes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clamp (..., 15) strokes to their bounds."""
    return np.clip(strokes, LOW, HIGH)


def rounded(strokes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 15) strokes as the file will hold them: projected and rounded to `DECIMALS`."""
    return np.round(project(np.asarray(strokes, np.float64)), DECIMALS)


def to_yaml(strokes: NDArray[np.float64], ids: list[str], metadata: StrokeMetadata) -> str:
    """Return the text of a strokes file, one stroke a line.

    Written by hand rather than by a YAML library: the layout is fixed, and 1500 strokes take milliseconds.
    """
    header = [
        f"schema: {StrokesDocument.SCHEMA}",
        "units: {xy: mm, z: mm, speed: mm/s}",
        "bounds: {" + ", ".join(f"{key}: [{low}, {high}]" for key, (low, high) in BOUNDS.items()) + "}",
        "metadata: {"
        + ", ".join(f"{key}: {value}" for key, value in metadata.model_dump(exclude_none=True).items())
        + "}",
        "strokes:" if len(strokes) else "strokes: []",
    ]
    lines = []
    for stroke_id, row in zip(ids, rounded(strokes).tolist(), strict=True):
        x1, y1, x2, y2, x3, y3, x4, y4, z0, z1, v0, v1, c, m, y = (f"{value:.{DECIMALS}f}" for value in row)
        lines.append(
            f"- {{id: {stroke_id}, bezier: {{p1: [{x1}, {y1}], p2: [{x2}, {y2}], p3: [{x3}, {y3}], p4: [{x4}, {y4}]}}, "
            f"z_profile: {{z0: {z0}, z1: {z1}}}, speed_profile: {{v0: {v0}, v1: {v1}}}, "
            f"color_cmy: {{c: {c}, m: {m}, y: {y}}}}}"
        )
    return "\n".join(header + lines) + "\n"
