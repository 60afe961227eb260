"""paint.yaml: how a painting is planned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airbrush_cli.schemas.base import Count, Model, NonNegative, Positive, Unit

Effort = Literal["draft", "standard", "best"]


class Work(Model):
    """Budgets of work by effort, in milliseconds of two reference cores."""

    draft: Positive
    standard: Positive
    best: Positive


class Growth(Model):
    """When strokes are added: at `at` of the budget, until `share` of all strokes are there."""

    at: Unit
    share: Unit


class Level(Model):
    """From `at` of the budget on, the plan is refined at `scale` of render_px."""

    at: Unit
    scale: Annotated[float, Field(gt=0, le=1)]


class Steps(Model):
    """Step sizes of the gradient descent; see painter/technician.py."""

    position: Positive = 0.24
    width: Positive = 0.08
    speed: Positive = 0.2
    ink: Positive = 0.05
    colour: Unit = 0.2  # factor that they have come down to where the finish with LPIPS begins
    final: Unit = 0.05  # and at the end


class Reseed(Model):
    """Strokes that show little are moved to where the error is large."""

    at: tuple[Unit, ...] = ()  # moments, as shares of the budget
    share: Unit = 0.1  # of all strokes, at most


class Perception(Model):
    """The finish with LPIPS's own gradient."""

    net: Literal["alex", "vgg", "squeeze"] = "alex"
    at: Unit = 0.45  # share of the budget at which it starts
    weight: NonNegative = 0.01
    every: Count = 3  # steps between fresh LPIPS gradients


class PaintSettings(Model):
    """The whole file."""

    strokes: Annotated[int, Field(ge=1, le=1500)] = 1500
    effort: Effort = "standard"
    seed: Annotated[int, Field(ge=0)] = 0
    physics: str = "sim/physics_v1.yaml"
    machine: str = "machine_grbl_airbrush_v1.yaml"
    lpips_weights: str | None = None
    work: Work
    growth: list[Growth]
    levels: list[Level]
    steps: Steps = Steps()
    reseed: Reseed = Reseed()
    perception: Perception = Perception()
