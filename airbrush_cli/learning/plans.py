"""Plans of the built-in painter to learn from: painted jobs, or plans made here, at the size that is trained at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import config, documents
from airbrush_cli.errors import InputError
from airbrush_cli.learning.targets import Target, load_target
from airbrush_cli.painter.clock import WorkClock
from airbrush_cli.painter.gamut import map_to_gamut
from airbrush_cli.painter.plan import Planner
from airbrush_cli.painter.strategist import ErrorStrategist
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.schemas.stroke import StrokesDocument
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.model import Twin

NO_STROKES: NDArray[np.float64] = np.empty((0, 15))


@dataclass(frozen=True, eq=False)
class Demonstration:
    """A picture and strokes that paint it well, in order."""

    target: Target
    strokes: NDArray[np.float64]  # (N, 15)


def load_demonstrations(folder: Path, size_px: tuple[int, int]) -> list[Demonstration]:
    """Load the painted jobs in a folder, as `airbrush paint` leaves them.

    Raises:
        InputError: no painted jobs there, or files that cannot be read.
    """
    found = []
    for path in sorted(folder.glob("*/strokes.yaml")):
        strokes = documents.load(path, StrokesDocument).to_array()
        if len(strokes) and path.with_name("target.png").is_file():
            found.append(Demonstration(load_target(path.with_name("target.png"), size_px), strokes))
    if not found:
        raise InputError(f"{folder}: holds no painted jobs (`airbrush paint` makes them)")
    return found


def make_demonstrations(
    targets: Sequence[Target], luts: Luts, strokes: int, work: float, seed: int
) -> list[Demonstration]:
    """Plan targets with the built-in painter at their own size.

    Args:
        targets: what to plan.
        luts: look-up tables.
        strokes: at most so many for each.
        work: budget for each, milliseconds of two reference cores.
        seed: of the planner.
    """
    settings = config.load("paint", PaintSettings).model_copy(update={"strokes": strokes, "seed": seed})
    twin, strategist = Twin(luts, "cpu"), ErrorStrategist(luts)
    found = []
    for target in targets:
        linear = map_to_gamut(target.srgb, luts).linear
        plan = Planner(linear, twin, strategist, settings, WorkClock(work)).run()
        if len(plan):
            found.append(Demonstration(target, plan))
    return found
