"""The planner: grows a painting from large strokes to small ones, refining all of them together, within a budget.

It is an anytime planner: whatever moment it is stopped at, the strokes so far are a painting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour
from airbrush_cli.painter import pace
from airbrush_cli.painter.clock import Clock
from airbrush_cli.painter.loss import compare, shrunk, srgb_encoded, srgb_mse
from airbrush_cli.painter.strategist import Strategist, spacing_mm
from airbrush_cli.painter.technician import SPEED, StepSizes, Technician
from airbrush_cli.schemas.paint import Level, PaintSettings
from airbrush_cli.schemas.stroke import rounded
from airbrush_cli.twin.model import Twin

if TYPE_CHECKING:
    from airbrush_cli.twin.comparison import Comparison
    from airbrush_cli.twin.model import Tape

log = logging.getLogger(__name__)

# Reference milliseconds (two cores) of one step: fixed, per thousand strokes, per megapixel, per both.
_STEP_WORK = (1.5, 14.5, 0.5, 32.0)
_PERCEPTION_WORK = 290.0  # per megapixel
_PROPOSAL_WORK = (155.0, 110.0)  # per megapixel, per thousand strokes wanted

# However short the budget, the schedule takes so many steps: enough for a rough painting.
_LEAST_STEPS = 40

# The finish begins no later than at this share of the budget, however short that is.
_LATEST_FINISH = 0.8

# Spacing of reseeded strokes as a share of that of all strokes: they go where detail is missing.
_FINER = 0.25

# A stroke that changes no 8-bit value of the picture shows nothing.
_INVISIBLE = 0.5 / 255


@dataclass(frozen=True)
class Progress:
    """A moment of the plan."""

    strokes: int
    psnr: float
    fraction: float
    seconds_left: float
    picture: NDArray[np.float32]  # (h, w, 3) linear RGB, at the level of the moment


@dataclass(frozen=True)
class _Moment:
    """What the schedule asks for."""

    colour: float  # how far the time for colour has gone, 0..1
    finishing: bool
    scale: float  # of the page's pixels
    rate: float  # factor of the step sizes


Observer = Callable[[Progress], None]
Perception = Callable[[NDArray[np.float32]], tuple[float, NDArray[np.float32]]]
"""Maps an (h, w, 3) sRGB picture in [0, 1] to its perceptual distance from the target and the gradient of that."""


class Planner:
    """Plans one painting.

    Args:
        target: (H, W, 3) linear RGB, within the gamut of the inks.
        twin: the digital twin.
        strategist: where strokes come from.
        settings: paint.yaml.
        clock: the budget.
        perception: perceptual distance, or None to do without.
        observe: called after every step.
        climb_mm_s: how fast the nozzle can rise and sink.
        photograph: (H, W, 3) sRGB in 0..255, the target before it was mapped into the gamut: what the finish compares
            with, because who looks at the painting does. The target if None.
    """

    def __init__(
        self,
        target: NDArray[np.float32],
        twin: Twin,
        strategist: Strategist,
        settings: PaintSettings,
        clock: Clock,
        perception: Perception | None = None,
        observe: Observer | None = None,
        climb_mm_s: float = np.inf,
        photograph: NDArray[np.uint8] | None = None,
    ) -> None:
        self._climb = climb_mm_s
        self._twin, self._strategist, self._settings, self._clock = twin, strategist, settings, clock
        self._perception = perception
        self._observe = observe
        self._generator = np.random.default_rng(settings.seed)
        steps = settings.steps
        self._technician = Technician(twin.luts, StepSizes(steps.position, steps.width, steps.speed, steps.ink))
        self._target = target
        self._photograph = photograph
        self._levels: dict[float, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        self._goals: dict[float, NDArray[np.float32]] = {}
        self._last: Comparison | None = None  # of the last step, before it moved the strokes
        self._perceived: NDArray[np.float32] | None = None
        self._since_perceived = 0

    @property
    def strokes(self) -> NDArray[np.float64]:
        """The strokes so far, (N, 15), in painting order."""
        return self._technician.strokes

    def run(self) -> NDArray[np.float64]:
        """Plan until the budget is over and return the strokes as they will be saved."""
        growth = sorted(self._settings.growth, key=lambda round_: round_.at)
        reseed = self._settings.reseed
        reseeds = sorted(at for at in reseed.at if at < reseed.until)
        steps = since = 0
        while (fraction := min(self._clock.fraction, steps / _LEAST_STEPS)) < 1.0:
            steps, since = steps + 1, since + 1
            moment = self._moment(fraction)
            while growth and moment.colour >= growth[0].at:
                self._grow(round(growth.pop(0).share * self._settings.strokes), moment.scale)
            if reseeds and moment.colour >= reseeds[0] and since > reseed.steps:
                reseeds = [at for at in reseeds if at > moment.colour]
                self._select(moment.scale)
                self._invite(moment.scale)
                since = 0
            if moment.colour >= reseed.until:
                self._select(moment.scale)
            if not len(self.strokes):
                break  # nothing to paint: the paper is the picture
            self._step(moment)
        return self.finish()

    def finish(self, twin: Twin | None = None) -> NDArray[np.float64]:
        """Return the strokes as they will be saved, judged by a twin: the planner's own if None."""
        twin = twin or self._twin
        self._select(1.0, twin)
        return shown(self.strokes, twin, self._size(1.0))

    def _moment(self, fraction: float) -> _Moment:
        """Say what is to be done at a fraction of the budget."""
        steps, finish = self._settings.steps, self._settings.finish
        turn = max(finish.at, min(finish.after / self._clock.seconds, _LATEST_FINISH))
        if fraction < turn:
            place = fraction / turn
            return _Moment(place, False, _scale(self._settings.levels, place), _cosine(1.0, steps.colour, place))
        place = (fraction - turn) / max(1.0 - turn, 1e-6)
        return _Moment(1.0, True, _scale(finish.levels, place), _cosine(steps.colour, steps.final, place))

    def _level(self, scale: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The target at a scale, as (linear, sRGB)."""
        if scale not in self._levels:
            if scale == 1:
                srgb = colour.linear_to_srgb(np.clip(self._target, 0, 1))
                self._levels[scale] = self._target.astype(np.float32), srgb.astype(np.float32)
            else:
                height, width = self._target.shape[:2]
                size = (max(1, round(width * scale)), max(1, round(height * scale)))
                # Each is averaged in its own scale: the mean of sRGB values is what all squared errors are least for.
                linear, srgb = self._level(1.0)
                self._levels[scale] = shrunk(linear, size), shrunk(srgb, size)
        return self._levels[scale]

    def _goal(self, scale: float) -> NDArray[np.float32]:
        """What the finish compares with, at a scale: sRGB."""
        if self._photograph is None:
            return self._level(scale)[1]
        if scale not in self._goals:
            self._goals[scale] = shrunk(self._photograph.astype(np.float32) / np.float32(255), self._size(scale))
        return self._goals[scale]

    def _size(self, scale: float) -> tuple[int, int]:
        height, width = self._level(scale)[0].shape[:2]
        return width, height

    def _grow(self, total: int, scale: float) -> None:
        wanted = total - len(self.strokes)
        if wanted <= 0:
            return
        canvas = self._twin.render(self.strokes, self._size(scale))
        self._add(canvas, wanted, spacing_mm(total), scale)

    def _invite(self, scale: float) -> None:
        """Put more strokes than there may be where the error is largest; the next selection shows which ones stay."""
        count = int(self._settings.reseed.share * self._settings.strokes)
        if not count:
            return
        canvas = self._twin.render(self.strokes, self._size(scale))
        self._add(canvas, count, _FINER * spacing_mm(self._settings.strokes), scale)
        self._spend(scale)

    def _add(self, canvas: NDArray[np.float32], count: int, spacing: float, scale: float) -> None:
        target = self._level(scale)[0]
        self._technician.add(self._strategist.propose(target, canvas, count, spacing, self._generator))
        pixels, wanted = _PROPOSAL_WORK
        self._clock.spend(pixels * target.size / 3e6 + wanted * count / 1000)

    def _select(self, scale: float, twin: Twin | None = None) -> None:
        """Take out the strokes whose loss would be felt least, until there are no more than may be."""
        excess = len(self.strokes) - self._settings.strokes
        if excess <= 0:
            return
        twin = twin or self._twin
        picture, tape = twin.forward(self.strokes, self._size(scale))
        cost = removal_cost(twin, picture, tape, self._level(scale)[1])
        keep = np.ones(len(self.strokes), bool)
        keep[np.argsort(cost, kind="stable")[:excess]] = False
        self._technician.keep(keep)
        self._spend(scale)

    def _step(self, moment: _Moment) -> None:
        goal = self._goal(moment.scale) if moment.finishing else self._level(moment.scale)[1]
        pull = self._perceptual_pull(goal) if self._perception and moment.finishing else None
        self._last = compared = compare(self._twin, self.strokes, goal, pull)
        # Prices are shares of the error: what is minimised is log(error) + weight LPIPS + hour hours, times the error.
        by_strokes = compared.by_strokes
        by_strokes[:, SPEED] += self._settings.hour * compared.error / 3600.0 * pace.by_speed(self.strokes)
        self._technician.step(by_strokes, moment.rate)
        self._technician.strokes = pace.climbable(self.strokes, self._climb)
        self._spend(moment.scale)
        if self._observe:
            self._observe(
                Progress(
                    min(len(self.strokes), self._settings.strokes),
                    float(-10 * np.log10(max(compared.error, 1e-10))),
                    min(self._clock.fraction, 1.0),
                    self._clock.seconds_left,
                    compared.painted,
                )
            )

    def _spend(self, scale: float) -> None:
        """Account for a step, or for what takes about as long."""
        width, height = self._size(scale)
        megapixels, thousands = width * height / 1e6, len(self.strokes) / 1000
        fixed, each, pixels, both = _STEP_WORK
        self._clock.spend(fixed + each * thousands + megapixels * (pixels + both * thousands))

    def _perceptual_pull(self, goal: NDArray[np.float32]) -> NDArray[np.float32]:
        """LPIPS's gradient with respect to linear light, at its price: that of the picture that the last step painted.

        It changes slowly: a few steps share one.
        """
        assert self._perception
        if self._last is None or self._last.painted.shape != goal.shape:
            self._last = compare(self._twin, self.strokes, goal)
        stale = self._perceived is None or self._perceived.shape != goal.shape
        if stale or self._since_perceived >= self._settings.finish.every:
            srgb, slope = srgb_encoded(self._last.painted)
            _, gradient = self._perception(srgb)
            self._perceived = gradient * slope
            self._since_perceived = 0
            self._clock.spend(_PERCEPTION_WORK * goal.size / 3e6)
        self._since_perceived += 1
        assert self._perceived is not None
        return np.float32(self._settings.finish.weight * self._last.error) * self._perceived


def removal_cost(
    twin: Twin, picture: NDArray[np.float32], tape: Tape, target: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return (N,) changes of the mean squared error if a stroke were not there; negative where it would help.

    Removing a stroke takes d off the picture: sum((r − s d)²) − sum(r²) = sum((s d)²) − 2 sum(r s d), with r the
    sRGB error and s the slope of sRGB. The second term is the gradient along the stroke's own opacity.

    Args:
        twin: that painted the strokes.
        picture: (H, W, 3) linear RGB, what it painted, and `tape` of that.
        target: (H, W, 3) sRGB.
    """
    _, gradient = srgb_mse(picture, target)
    energy, _ = twin.influence(tape, srgb_encoded(picture)[1])
    return energy / picture.size - twin.opacity_pull(tape, gradient)


def shown(strokes: NDArray[np.float64], twin: Twin, size_px: tuple[int, int]) -> NDArray[np.float64]:
    """Return strokes as a file holds them: rounded, and without those that show nothing on a page of that size."""
    strokes = rounded(strokes)
    while len(strokes):
        picture, tape = twin.forward(strokes, size_px)
        peak = twin.influence(tape, srgb_encoded(picture)[1])[1]
        if (peak >= _INVISIBLE).all():
            break
        strokes = strokes[peak >= _INVISIBLE]
    return strokes


def _scale(levels: list[Level], place: float) -> float:
    return [level for level in levels if level.at <= place or level.at == 0][-1].scale


def _cosine(first: float, last: float, place: float) -> float:
    """Go from first to last while place goes from 0 to 1, slowly at both ends."""
    return last + (first - last) * 0.5 * (1 + np.cos(np.pi * min(place, 1.0)))
