"""The technician: gradient descent on all strokes at once, through the twin.

Steps are Adam's (Kingma & Ba 2015), taken in coordinates in which a step of one size means about the same for every
stroke: positions by the modes of its curve and in units of its own spot, heights in units of what changes the spot by a
fixed share, speeds as logarithms, ink as the square root of the light that it lets through. After every step strokes
are projected to stroke.v1's bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.painter import modes
from airbrush_cli.schemas.stroke import project
from airbrush_cli.twin.luts import Luts

SPEED = slice(10, 12)
"""Columns of a stroke's speeds."""
_POSITION, _HEIGHT, _INK = slice(0, 8), slice(8, 10), slice(12, 15)
_DECAY = (0.9, 0.95)


@dataclass(frozen=True)
class StepSizes:
    """Adam's step sizes, before the schedule's factor."""

    position: float = 0.24  # spot sigmas
    width: float = 0.08  # relative change of the spot's sigma
    speed: float = 0.2  # relative change of the speed
    ink: float = 0.05  # square root of transmitted light, 0..1


class Technician:
    """Strokes under refinement, with the optimiser's memory of each."""

    def __init__(self, luts: Luts, sizes: StepSizes) -> None:
        self.strokes: NDArray[np.float64] = np.empty((0, 15))
        self._mean = np.empty((0, 15))
        self._square = np.empty((0, 15))
        self._age = np.empty((0, 1))
        self._sizes = sizes
        sigma = luts.sigma_mm.mean(axis=1).astype(np.float64)
        self._z_axis, self._sigma = luts.z_mm.astype(np.float64), sigma
        self._slope = max(float(sigma[-1] - sigma[0]) / max(float(luts.z_mm[-1] - luts.z_mm[0]), 1e-6), 1e-3)

    def add(self, strokes: NDArray[np.float64]) -> None:
        """Put new strokes on top of the others."""
        self.strokes = np.vstack([self.strokes, strokes])
        fresh = np.zeros((len(strokes), 15))
        self._mean = np.vstack([self._mean, fresh])
        self._square = np.vstack([self._square, fresh])
        self._age = np.vstack([self._age, fresh[:, :1]])

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Keep the strokes that `mask` marks, in their order."""
        self.strokes, self._mean, self._square, self._age = (
            values[mask] for values in (self.strokes, self._mean, self._square, self._age)
        )

    def step(self, gradient: NDArray[np.float64], rate: float) -> None:
        """Move all strokes against `gradient`, (N, 15), by `rate` times the step sizes."""
        light = np.sqrt(1.0 - self.strokes[:, _INK])
        chain = gradient.copy()
        chain[:, SPEED] *= self.strokes[:, SPEED]
        chain[:, _INK] *= -2.0 * np.maximum(light, 0.02)
        sigma = np.interp(self.strokes[:, _HEIGHT].mean(axis=1), self._z_axis, self._sigma)[:, None]
        # Adam divides by the gradient's own size, so scaling a coordinate scales its step.
        frame = modes.frames(self.strokes[:, _POSITION])
        chain[:, _POSITION] = modes.into(chain[:, _POSITION], frame)
        size = np.empty_like(chain)
        size[:, _POSITION] = self._sizes.position * sigma
        size[:, _HEIGHT] = self._sizes.width * sigma / self._slope
        size[:, SPEED] = self._sizes.speed
        size[:, _INK] = self._sizes.ink

        self._age += 1
        self._mean = _DECAY[0] * self._mean + (1 - _DECAY[0]) * chain
        self._square = _DECAY[1] * self._square + (1 - _DECAY[1]) * np.square(chain)
        mean = self._mean / (1 - _DECAY[0] ** self._age)
        deviation = np.sqrt(self._square / (1 - _DECAY[1] ** self._age))
        move = rate * size * mean / (deviation + 1e-12)
        move[:, _POSITION] = modes.out_of(move[:, _POSITION], frame)

        moved = self.strokes - move
        moved[:, SPEED] = self.strokes[:, SPEED] * np.exp(-move[:, SPEED])
        moved[:, _INK] = 1.0 - np.square(np.clip(light - move[:, _INK], 0.0, 1.0))
        self.strokes = project(moved)
