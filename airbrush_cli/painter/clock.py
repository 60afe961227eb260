"""Budgets: how far a plan has come, and when it must end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Tells the planner how much of its budget is spent."""

    def spend(self, work: float) -> None:
        """Account for work done, in reference milliseconds."""

    @property
    def seconds(self) -> float:
        """The whole budget; that of work in seconds of the reference machine."""

    @property
    def fraction(self) -> float:
        """Spent share of the budget; 1 or more when it is over."""

    @property
    def seconds_left(self) -> float:
        """Estimate, for people."""


class WorkClock:
    """A budget of work: always the same steps, so the same strokes, however busy the machine is."""

    def __init__(self, total: float, now: Callable[[], float] = time.monotonic) -> None:
        self._total, self._spent = total, 0.0
        self._now, self._start = now, now()

    def spend(self, work: float) -> None:
        self._spent += work

    @property
    def seconds(self) -> float:
        return self._total / 1000.0

    @property
    def fraction(self) -> float:
        return self._spent / self._total

    @property
    def seconds_left(self) -> float:
        elapsed = self._now() - self._start
        return elapsed / max(self.fraction, 1e-3) * max(0.0, 1.0 - self.fraction)


class WallClock:
    """A budget of seconds: as many steps as fit."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = max(seconds, 1e-3)
        self._now, self._start = now, now()

    def spend(self, work: float) -> None:
        """Time passes by itself."""

    @property
    def fraction(self) -> float:
        return (self._now() - self._start) / self.seconds

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.seconds - (self._now() - self._start))
