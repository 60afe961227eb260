"""How long spraying takes: against a fine sum, its derivatives against differences, and what it does to a plan."""

from __future__ import annotations

import numpy as np
import pytest

from airbrush_cli import colour, config
from airbrush_cli.geometry import bernstein
from airbrush_cli.painter import pace
from airbrush_cli.painter.clock import WorkClock
from airbrush_cli.painter.plan import Planner
from airbrush_cli.painter.strategist import ErrorStrategist
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.model import Twin
from tests.learning_setting import picture


def test_seconds_are_length_over_speed() -> None:
    strokes = np.random.default_rng(0).uniform(LOW, HIGH, (50, 15))
    strokes[:, 10:12] = np.random.default_rng(1).uniform(20, 200, (50, 2))
    t = np.linspace(0, 1, 4001)
    points = np.einsum("tk,nkd->ntd", bernstein(t), strokes[:, :8].reshape(-1, 4, 2))
    middle = 0.5 * (t[1:] + t[:-1])
    speeds = strokes[:, 10:11] + (strokes[:, 11:12] - strokes[:, 10:11]) * middle
    exact = (np.linalg.norm(np.diff(points, axis=1), axis=-1) / speeds).sum(axis=1)
    assert pace.seconds(strokes) == pytest.approx(exact, rel=0.02)
    line = np.array([[0, 0, 30, 0, 60, 0, 90, 0, 5, 5, 10, 10, 0, 0, 0]], float)
    assert pace.seconds(line) == pytest.approx(9.0)
    assert pace.seconds(np.empty((0, 15))).shape == (0,)


def test_derivatives_are_those_of_the_seconds() -> None:
    strokes = np.random.default_rng(0).uniform(LOW, HIGH, (20, 15))
    strokes[0, 2:8] = np.tile(strokes[0, :2], 3)  # a dot takes no time
    found = pace.by_speed(strokes)
    for end in range(2):
        step = np.zeros(15)
        step[10 + end] = 1e-4
        differences = (pace.seconds(strokes + step) - pace.seconds(strokes - step)) / 2e-4
        inside = strokes[:, 10:12].min(axis=1) > 2
        assert found[inside, end] == pytest.approx(differences[inside], rel=1e-4, abs=1e-9)
    assert (found <= 0).all() and np.abs(found[0]).max() < 1e-12


def test_strokes_climb_no_faster_than_the_machine() -> None:
    strokes = np.random.default_rng(0).uniform(LOW, HIGH, (50, 15))
    strokes[0, 9] = strokes[0, 8]
    kept = pace.climbable(strokes, 20.0)
    lengths = pace.seconds(np.concatenate([strokes[:, :10], np.ones((50, 2)), strokes[:, 12:]], axis=1))  # at 1 mm/s
    rise = np.abs(kept[:, 9] - kept[:, 8]) / lengths
    assert (rise[:, None] * kept[:, 10:12] <= 20.0 + 1e-6).all()
    assert (kept[:, 10:12] <= strokes[:, 10:12]).all() and (kept[0] == strokes[0]).all()
    assert np.array_equal(pace.climbable(strokes, np.inf), strokes)
    still = strokes.copy()
    still[:, 2:8] = np.tile(still[:, :2], 3)  # dots: as slow as strokes can be
    assert (pace.climbable(still, 20.0)[1:, 10:12] == 1.0).all()


def test_hours_that_count_become_fewer() -> None:
    linear = colour.srgb8_to_linear(picture(1, (114, 160)))
    twin = Twin(synthetic_luts(), "cpu")
    hours, errors = [], []
    for hour in (0.0, 0.1):
        settings = config.load("paint", PaintSettings, None, ["strokes=60", f"hour={hour}"])
        strokes = Planner(linear, twin, ErrorStrategist(twin.luts), settings, WorkClock(400)).run()
        hours.append(pace.seconds(strokes).sum())
        error = colour.linear_to_srgb(twin.render(strokes, (114, 160))) - colour.linear_to_srgb(linear)
        errors.append(np.square(error).mean())
    assert hours[1] < 0.5 * hours[0]
    assert errors[1] < 1.5 * errors[0]
