"""Who paints: which strategist proposes, and whether the technician refines, so that each can be seen alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import units
from airbrush_cli.painter.plan import shown
from airbrush_cli.painter.strategist import ErrorStrategist, Strategist, spacing_mm
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.schemas.stroke import project
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.model import Twin

# Of the strokes of one who does not look: mm/s, and the amount of every ink.
_SPEED, _INK = 12.0, 0.3


def make_strategist(luts: Luts, policy: Path | None = None, looks: bool = True, device: str = "cpu") -> Strategist:
    """Return who proposes strokes.

    Args:
        luts: look-up tables.
        policy: a trained strategist's checkpoints/best.pt; the built-in one if None.
        looks: False for one that does not look at the picture, so that the technician alone is seen.
        device: `cpu` or `cuda`, where a trained one thinks.

    Raises:
        InputError: the policy cannot be read.
    """
    if not looks:
        return BlindStrategist(luts)
    if policy is None:
        return ErrorStrategist(luts)
    from airbrush_cli.learning.strategist import PolicyStrategist, load_policy

    return PolicyStrategist(load_policy(policy, device), luts)


class BlindStrategist:
    """Spreads strokes evenly over the page, whatever the picture."""

    def __init__(self, luts: Luts, page_mm: tuple[float, float] = units.A4_MM) -> None:
        self._luts, self._page = luts, page_mm

    def propose(
        self,
        target: NDArray[np.float32],
        canvas: NDArray[np.float32],
        count: int,
        spacing_mm: float,
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        """See `Strategist`: short strokes of one pale grey, at random places in random directions."""
        centre = generator.uniform((0.0, 0.0), self._page, (count, 2))
        direction = generator.uniform(0.0, np.pi, count)
        along = spacing_mm * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
        points = centre[:, None] + along[:, None] * np.array([-0.5, -1 / 6, 1 / 6, 0.5])[None, :, None]
        sigma = np.maximum.accumulate(self._luts.sigma_mm.mean(axis=1).astype(np.float64))
        strokes = np.empty((count, 15))
        strokes[:, :8] = points.reshape(count, 8)
        strokes[:, 8:10] = np.interp(0.42 * spacing_mm, sigma, self._luts.z_mm)
        strokes[:, 10:12] = _SPEED
        strokes[:, 12:] = _INK
        return project(strokes)


class Sketch:
    """A painting by the strategist alone: the planner's rounds, and no refinement.

    Args:
        target: (H, W, 3) linear RGB.
        twin: the digital twin.
        strategist: who proposes.
        settings: paint.yaml.
    """

    def __init__(
        self, target: NDArray[np.float32], twin: Twin, strategist: Strategist, settings: PaintSettings
    ) -> None:
        self._target, self._twin, self._strategist, self._settings = target, twin, strategist, settings
        self.strokes: NDArray[np.float64] = np.empty((0, 15))

    def run(self) -> NDArray[np.float64]:
        """Paint all rounds and return the strokes as they will be saved."""
        generator = np.random.default_rng(self._settings.seed)
        height, width = self._target.shape[:2]
        for growth in sorted(self._settings.growth, key=lambda growth: growth.at):
            total = round(growth.share * self._settings.strokes)
            wanted = total - len(self.strokes)
            if wanted <= 0:
                continue
            canvas = self._twin.render(self.strokes, (width, height))
            proposed = self._strategist.propose(self._target, canvas, wanted, spacing_mm(total), generator)
            self.strokes = np.vstack([self.strokes, proposed])
        return self.finish()

    def finish(self, twin: Twin | None = None) -> NDArray[np.float64]:
        """Return the strokes so far as they will be saved, judged by a twin: its own if None."""
        height, width = self._target.shape[:2]
        return shown(self.strokes, twin or self._twin, (width, height))
