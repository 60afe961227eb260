"""pen_vectors.v1: the paths of the pen layer, in drawing order, in millimetres of the image frame."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from airbrush_cli.schemas.base import Document, Model, Positive, SizeMm

# A micrometre: finer than any plotter, coarse enough to keep the file small.
DECIMALS = 3

Point = tuple[float, float]


class PenPath(Model):
    """One stroke of the pen: a polyline (`points`) or a chain of cubic Béziers (`bezier`), never both.

    `bezier` holds 3n + 1 control points: p1 p2 p3 p4, then p2 p3 p4 of each further curve. A closed path ends where it
    starts: its last point repeats its first.
    """

    points: Annotated[list[Point], Field(min_length=2)] | None = None
    bezier: Annotated[list[Point], Field(min_length=4)] | None = None
    closed: bool = False
    width_mm: Positive | None = None  # the drawn line's own width; the pen's, when it is left out

    @model_validator(mode="after")
    def _one_kind(self) -> PenPath:
        if (self.points is None) == (self.bezier is None):
            raise ValueError("a path must have either points or bezier")
        if self.bezier is not None and len(self.bezier) % 3 != 1:
            raise ValueError(f"bezier must have 3n + 1 control points (found {len(self.bezier)})")
        if self.closed and self.vertices[0] != self.vertices[-1]:
            raise ValueError("a closed path must end at the point where it starts")
        return self

    @property
    def vertices(self) -> list[Point]:
        """The points or control points."""
        return self.bezier if self.bezier is not None else self.points or []


class PenVectors(Document):
    """A pen.yaml file."""

    SCHEMA: ClassVar[str] = "pen_vectors.v1"

    page_mm: SizeMm
    pen_width_mm: Positive
    paths: list[PenPath]

    @model_validator(mode="after")
    def _inside(self) -> PenVectors:
        width, height = self.page_mm.x, self.page_mm.y
        for index, path in enumerate(self.paths):
            for x, y in path.vertices:
                if not (0.0 <= x <= width and 0.0 <= y <= height):
                    raise ValueError(
                        f"paths.{index}: ({x:g}, {y:g}) lies outside the page of {width:g} x {height:g} mm"
                    )
        return self


def to_yaml(document: PenVectors) -> str:
    """Return the text of a pen layer file, one path a line.

    Written by hand rather than by a YAML library: the layout is fixed, and thousands of paths take milliseconds.
    """
    lines = [
        f"schema: {PenVectors.SCHEMA}",
        f"page_mm: {{x: {document.page_mm.x}, y: {document.page_mm.y}}}",
        f"pen_width_mm: {document.pen_width_mm}",
        "paths:" if document.paths else "paths: []",
    ]
    for path in document.paths:
        kind = "bezier" if path.bezier is not None else "points"
        points = ", ".join(f"[{_short(x)}, {_short(y)}]" for x, y in path.vertices)
        closed = ", closed: true" if path.closed else ""
        width = f", width_mm: {_short(path.width_mm)}" if path.width_mm is not None else ""
        lines.append(f"- {{{kind}: [{points}]{closed}{width}}}")
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    return f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
