"""The planner: what it must never do, whatever the picture; budgets; the same seed, the same strokes."""

from __future__ import annotations

import numpy as np
import pytest

from airbrush_cli import colour, config
from airbrush_cli.painter.clock import WallClock, WorkClock
from airbrush_cli.painter.gamut import map_to_gamut
from airbrush_cli.painter.loss import srgb_encoded, srgb_mse
from airbrush_cli.painter.plan import Planner, Progress
from airbrush_cli.painter.strategist import ErrorStrategist
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.schemas.stroke import HIGH, LOW, rounded
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.model import Twin

LUTS = synthetic_luts()
SIZE = (114, 160)


def plan(srgb: np.ndarray, strokes: int = 60, work: float = 400, **options: object) -> np.ndarray:
    settings = config.load("paint", PaintSettings, None, [f"strokes={strokes}", *options.pop("overrides", [])])  # type: ignore[misc]
    target = map_to_gamut(srgb, LUTS).linear
    return Planner(target, Twin(LUTS), ErrorStrategist(LUTS), settings, WorkClock(work), **options).run()  # type: ignore[arg-type]


def psnr(strokes: np.ndarray, srgb: np.ndarray) -> float:
    picture = colour.linear_to_srgb8(Twin(LUTS).render(strokes, SIZE)).astype(float)
    return float(10 * np.log10(255**2 / np.mean((picture - srgb) ** 2)))


def scene() -> np.ndarray:
    """A disc and a stripe before a gradient."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    picture = np.stack([120 + x, 200 - 0.5 * y, 90 + 0.6 * y], axis=-1)
    picture[(x - 50) ** 2 + (y - 70) ** 2 < 900] = (210, 90, 60)
    picture[abs(x + y - 190) < 6] = (60, 70, 150)
    return picture.clip(0, 255).astype(np.uint8)


def test_a_white_page_needs_no_stroke() -> None:
    assert len(plan(np.full((SIZE[1], SIZE[0], 3), 255, np.uint8))) == 0


@pytest.mark.parametrize("kind", ["black", "checkerboard", "noise", "scene"])
def test_plans_keep_to_bounds_and_every_stroke_shows(kind: str) -> None:
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    pictures = {
        "black": np.zeros((*x.shape, 3), np.uint8),
        "checkerboard": np.repeat((255 * ((x // 8 + y // 8) % 2)).astype(np.uint8)[..., None], 3, axis=2),
        "noise": np.random.default_rng(0).integers(0, 256, (*x.shape, 3), dtype=np.uint8),
        "scene": scene(),
    }
    strokes = plan(pictures[kind])
    assert 0 < len(strokes) <= 60
    assert (strokes >= LOW).all() and (strokes <= HIGH).all()
    assert np.array_equal(strokes, rounded(strokes))
    twin = Twin(LUTS)
    picture, tape = twin.forward(strokes, SIZE)
    assert np.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1
    assert (twin.influence(tape, srgb_encoded(picture)[1])[1] >= 0.5 / 255).all()
    assert psnr(strokes, pictures[kind]) > psnr(strokes[:0], pictures[kind])


def test_more_work_and_more_strokes_are_better() -> None:
    picture = scene()
    few, rough, good = plan(picture, 15, 300), plan(picture, 120, 150), plan(picture, 120, 1200)
    assert psnr(few, picture) < psnr(good, picture)
    assert psnr(rough, picture) < psnr(good, picture)
    assert psnr(good, picture) > 28


def test_the_same_seed_gives_the_same_strokes() -> None:
    picture = scene()
    assert np.array_equal(plan(picture), plan(picture))
    assert not np.array_equal(plan(picture), plan(picture, overrides=["seed=1"]))


def test_a_wall_clock_ends_and_an_interrupted_plan_is_a_painting() -> None:
    moment = iter(np.arange(0, 100, 0.01))
    assert WallClock(0.5, lambda: next(moment)).fraction < 1
    settings = config.load("paint", PaintSettings, None, ["strokes=60"])
    target = map_to_gamut(scene(), LUTS).linear

    def interrupt(progress: Progress) -> None:
        if progress.fraction > 0.5:
            raise KeyboardInterrupt

    planner = Planner(target, Twin(LUTS), ErrorStrategist(LUTS), settings, WorkClock(400), observe=interrupt)
    with pytest.raises(KeyboardInterrupt):
        planner.run()
    assert psnr(planner.finish(), scene()) > 20


def test_a_budget_that_is_over_before_it_began_still_paints() -> None:
    settings = config.load("paint", PaintSettings, None, ["strokes=60"])
    target = map_to_gamut(scene(), LUTS).linear
    clock = WallClock(1e-9)
    assert psnr(Planner(target, Twin(LUTS), ErrorStrategist(LUTS), settings, clock).run(), scene()) > 18


def test_perception_pulls_the_plan() -> None:
    """A perceptual gradient that asks for more red gets it."""
    calls = []

    def redder(picture: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(picture)
        gradient = np.zeros_like(picture)
        gradient[..., 0] = -1 / picture[..., 0].size
        return 0.0, gradient

    overrides = [
        "finish.at=0.3",
        "finish.after=0",
        "finish.weight=20",
        "levels=[{at: 0, scale: 1}]",
        "finish.levels=[{at: 0, scale: 1}]",
    ]
    plain, pulled = plan(scene(), overrides=overrides), plan(scene(), overrides=overrides, perception=redder)
    assert calls
    twin = Twin(LUTS)
    assert twin.render(pulled, SIZE)[..., 0].mean() > twin.render(plain, SIZE)[..., 0].mean() + 0.005


def test_loss_gradient_is_that_of_the_loss() -> None:
    generator = np.random.default_rng(2)
    picture = generator.random((5, 7, 3)).astype(np.float32)
    target = generator.random((5, 7, 3)).astype(np.float32)
    value, gradient = srgb_mse(picture, target)
    exact = np.mean((colour.linear_to_srgb(picture.astype(float)) - target) ** 2)
    assert value == pytest.approx(exact, rel=1e-4)
    direction = generator.standard_normal(picture.shape) * np.minimum(picture, 1 - picture)
    step = 1e-4
    slope = [np.mean((colour.linear_to_srgb(picture + sign * step * direction) - target) ** 2) for sign in (1, -1)]
    assert (gradient * direction).sum() == pytest.approx((slope[0] - slope[1]) / (2 * step), rel=2e-3)


def test_the_curve_is_srgb() -> None:
    light = np.linspace(0, 1, 9000, dtype=np.float32).reshape(30, 100, 3)
    values, slopes = srgb_encoded(light)
    assert np.allclose(values, colour.linear_to_srgb(light.astype(float)), atol=3e-6)
    up, down = (colour.linear_to_srgb(light.astype(float) + step) for step in (1e-6, -1e-6))
    exact = (up - down) / 2e-6
    assert np.allclose(slopes, exact, rtol=1e-3)
    assert (srgb_encoded(np.ones((40, 37, 3), np.float32))[0] == 1).all()  # paper, to the bit
    outside = np.array([[[-0.5, 1.5, 0.2]]], np.float32)
    assert np.allclose(srgb_encoded(outside)[0], colour.linear_to_srgb(np.array([0.0, 1.0, 0.2])), atol=3e-6)


@pytest.mark.parametrize("layering", ["alpha_over", "multiply"])
def test_gamut(layering: str) -> None:
    luts = synthetic_luts(layering)  # type: ignore[arg-type]
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    grey = np.repeat(ramp[None, :, None], 3, axis=2)
    mapped = map_to_gamut(grey, luts)
    assert np.allclose(mapped.linear[0, 60:], colour.srgb8_to_linear(grey)[0, 60:], atol=2e-3)
    if layering == "alpha_over":  # the inks leave 2 % of the light
        assert mapped.linear.min() > 0.015
        assert 0.1 < mapped.out_of_gamut < 0.2
        assert mapped.delta_e > 1
    else:  # two layers leave 0.04 %
        assert mapped.out_of_gamut < 0.02


def test_newcomers_beyond_the_number_of_strokes_leave_an_interrupted_plan() -> None:
    settings = config.load("paint", PaintSettings, None, ["strokes=60"])
    target = map_to_gamut(scene(), LUTS).linear
    most = 0

    def interrupt(progress: object) -> None:
        nonlocal most
        most = max(most, len(planner.strokes))
        if most > 60:
            raise KeyboardInterrupt

    planner = Planner(target, Twin(LUTS), ErrorStrategist(LUTS), settings, WorkClock(800), observe=interrupt)
    with pytest.raises(KeyboardInterrupt):
        planner.run()
    assert 60 < most <= 66  # up to a tenth more, to be judged
    assert 0 < len(planner.finish()) <= 60


@pytest.mark.parametrize(("seconds", "share"), [(100.0, 0.35), (20.0, 0.5), (5.0, 0.8)])
def test_colour_gets_its_seconds_first(seconds: float, share: float) -> None:
    """The finish begins at its share of the budget, later if that is less than ten seconds, at four fifths at last."""
    asked: list[float] = []

    class Clock(WorkClock):
        seconds = 0.0

    def perception(picture: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(clock.fraction)
        return 0.0, np.zeros_like(picture)

    clock = Clock(1500)
    Clock.seconds = seconds
    settings = config.load("paint", PaintSettings, None, ["strokes=30", "finish.after=10", "reseed.at=[]"])
    target = map_to_gamut(scene(), LUTS).linear
    Planner(target, Twin(LUTS), ErrorStrategist(LUTS), settings, clock, perception).run()
    assert asked[0] == pytest.approx(share, abs=0.03)
