"""paint.yaml: how a painting is planned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airbrush_cli.schemas.base import Count, Model, NonNegative, Positive, Unit

Effort = Literal["draft", "standard", "best"]
DEFAULT_MACHINE = "machine_grbl_airbrush_v1.yaml"


class Work(Model):
    """Budgets of work by effort, in milliseconds of two reference cores."""

    draft: Positive
    standard: Positive
    best: Positive


class Growth(Model):
    """When strokes are added: at `at` of the time for colour, until `share` of all strokes are there."""

    at: Unit
    share: Unit


class Level(Model):
    """From `at` of its phase on, the plan is refined at `scale` of render_px."""

    at: Unit
    scale: Annotated[float, Field(gt=0, le=1)]


class Steps(Model):
    """Step sizes of the gradient descent; see painter/technician.py."""

    position: Positive = 0.24
    width: Positive = 0.08
    speed: Positive = 0.2
    ink: Positive = 0.05
    colour: Unit = 0.14  # factor that they have come down to where the finish begins
    final: Unit = 0.02  # and at the end


class Reseed(Model):
    """More strokes come than there may be, where they gain most; those that show least then go."""

    at: tuple[
        Unit, ...
    ] = ()  # moments at which they come, as shares of the time for colour; before it the last are judged
    share: Unit = 0.1  # how many come, of all strokes
    steps: Count = 10  # at least between two such moments: on a slow machine, or in a short time, there are fewer
    until: Unit = 0.9  # moment from which there are no more than there may be


class Finish(Model):
    """The second phase: small steps, with LPIPS's own gradient; before it lies the time for colour."""

    at: Unit = 0.35  # share of the budget at which it starts
    after: NonNegative = 10.0  # seconds of the budget that colour gets at least, if that leaves a fifth of it
    levels: list[Level]
    net: Literal["alex", "vgg", "squeeze"] = "alex"
    weight: NonNegative = 2.0  # of LPIPS beside the logarithm of the mean squared error
    every: Count = 10  # steps between fresh LPIPS gradients


class PaintSettings(Model):
    """The whole file."""

    strokes: Annotated[int, Field(ge=1, le=1500)] = 1500
    effort: Effort = "standard"
    seed: Annotated[int, Field(ge=0)] = 0
    physics: str = "sim/physics_v1.yaml"
    machine: str = DEFAULT_MACHINE  # which gives way to that of a job's G-code
    hour: NonNegative = 0.015  # share of the squared error that an hour less of spraying is worth
    lpips_weights: str | None = None
    work: Work
    growth: list[Growth]
    levels: list[Level]
    steps: Steps = Steps()
    reseed: Reseed = Reseed()
    finish: Finish
