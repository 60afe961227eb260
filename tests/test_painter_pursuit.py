"""Lines found by matching pursuit: what they would gain, that they are found, and that they help."""

from __future__ import annotations

import numpy as np
import pytest

from airbrush_cli import colour
from airbrush_cli.geometry import bernstein
from airbrush_cli.painter.loss import srgb_mse
from airbrush_cli.painter.pursuit import Gains, Lines, apart, follow
from airbrush_cli.painter.strategist import ErrorStrategist, spacing_mm
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.model import Twin

BOUNDS = np.zeros(3), np.ones(3)
SIGMA, OPACITY = np.array([1.2, 2.5, 9.0]), np.array([0.9, 0.8, 0.6])


def test_gain_is_the_error_that_a_line_takes_off() -> None:
    """Along an upright line on pictures that change from left to right alone, summed pixel by pixel."""
    generator = np.random.default_rng(3)
    x = np.arange(160)
    wanted, there = (
        np.stack([0.5 + 0.3 * np.sin(x / generator.uniform(3, 30) + generator.uniform(0, 6)) for _ in range(3)], axis=1)
        for _ in range(2)
    )
    gains = Gains.of(
        *(np.tile(rows.astype(np.float32), (70, 1, 1)) for rows in (wanted, there)), SIGMA, OPACITY, BOUNDS
    )
    for sigma, opacity, maps, square in zip(SIGMA, OPACITY, gains.maps, gains.square, strict=True):
        for place in (60, 80, 97):
            tint = generator.random(3)
            cover = opacity * np.exp(-0.5 * np.square((x - place) / sigma))[:, None]
            after = there + cover * (tint - there)
            exact = (np.square(wanted - there) - np.square(wanted - after)).sum()
            s, v = maps[35, place, 0], maps[35, place, 1:]
            scale = (cover * np.abs(tint - there)).sum()
            assert s + tint @ v - square * (tint @ tint) == pytest.approx(exact, abs=0.02 * scale)


def painted_arc() -> tuple[np.ndarray, np.ndarray]:
    """Grey paper with one line of paint bent around (80, 130), and the same without."""
    y, x = np.mgrid[0:120, 0:160] + 0.5
    cover = 0.9 * np.exp(-0.5 * np.square((np.hypot(x - 80, y - 130) - 70) / 1.2)) * (y < 95)
    there = np.full((120, 160, 3), 0.6, np.float32)
    wanted = there + cover[..., None] * (np.array([0.9, 0.3, 0.2]) - there)
    return wanted.astype(np.float32), there


def test_a_bent_line_is_found_with_its_width_and_colour() -> None:
    wanted, there = painted_arc()
    generator = np.random.default_rng(0)
    angle = generator.uniform(0.7, 2.4, 50)
    starts = np.stack([80 + 70 * np.cos(angle), 130 - 70 * np.sin(angle)], axis=-1) + generator.normal(0, 0.5, (50, 2))
    lines = follow(Gains.of(wanted, there, SIGMA, OPACITY, BOUNDS), starts)
    assert np.median(lines.gain) == pytest.approx(np.square(wanted - there).sum(), rel=0.12)
    best = lines[np.argsort(-lines.gain)[:30]]
    assert (best.width == 0).all()
    assert best.colour == pytest.approx(np.array([[0.9, 0.3, 0.2]] * 30), abs=0.05)
    x, y = np.moveaxis(bernstein(np.linspace(0, 1, 40)) @ best.points, -1, 0)
    assert np.abs(np.hypot(x - 80, y - 130) - 70).max() < 1.5
    assert np.ptp(x, axis=1).min() > 100


def test_a_line_keeps_to_the_colours_that_there_are() -> None:
    bounds = np.full(3, 0.35), np.full(3, 0.7)
    lines = follow(Gains.of(*painted_arc(), SIGMA, OPACITY, bounds), np.array([[80.5, 60.5]]))
    assert lines.colour[0] == pytest.approx([0.7, 0.35, 0.35])


def test_lines_apart_are_the_best_ones_that_do_not_overlap() -> None:
    along = np.linspace(10, 90, 4)
    rows = np.array([20.0, 20.5, 40.0, 42.0, 60.0, 80.0])
    points = np.stack([np.broadcast_to(along, (6, 4)), np.broadcast_to(rows[:, None], (6, 4))], axis=-1)
    gain = np.array([1.0, 2.0, 5.0, 4.0, -1.0, 3.0])
    lines = Lines(points, np.zeros(6, np.int64), np.zeros((6, 3)), gain)
    assert apart(lines, 10, np.array([2.0]), (100, 100)).gain.tolist() == [5.0, 3.0, 2.0]
    assert apart(lines, 2, np.array([2.0]), (100, 100)).gain.tolist() == [5.0, 3.0]
    assert len(apart(lines, 10, np.array([0.1]), (100, 100))) == 4


@pytest.mark.parametrize(("size", "least"), [((20, 30), 0.05), ((113, 160), 0.2)])
def test_proposals_bring_the_canvas_closer_at_once(
    size: tuple[int, int], least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    luts = synthetic_luts()
    twin = Twin(luts, "cpu")
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / size[1]
    wanted = np.stack([0.5 + 0.3 * np.sin(9 * x), 0.8 - 0.4 * y, 0.4 + 0.3 * np.cos(7 * x + 5 * y)], axis=-1)
    target = colour.srgb_to_linear(wanted).astype(np.float32)
    canvas = np.ones_like(target)
    proposed = []
    for workers in ("1", "2"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", workers)
        strategist = ErrorStrategist(luts)
        proposed.append(strategist.propose(target, canvas, 20, spacing_mm(20), np.random.default_rng(1)))
    assert np.array_equal(*proposed)
    assert 0 < len(proposed[0]) <= 20
    before = srgb_mse(canvas, wanted.astype(np.float32))[0]
    assert srgb_mse(twin.render(proposed[0], size, canvas), wanted.astype(np.float32))[0] < (1 - least) * before
    assert len(strategist.propose(target, target, 20, spacing_mm(20), np.random.default_rng(1))) == 0
