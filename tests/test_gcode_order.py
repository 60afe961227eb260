"""Ordering for travel: a topological order of the overlap graph, and a short one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbrush_cli import config, documents, geometry
from airbrush_cli.gcode import order
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.stroke import HIGH, LOW

AIRBRUSH = documents.load(config.shipped("machine_grbl_airbrush_v1"), Machine)


def strokes(count: int, seed: int, size: float = 10.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.uniform(LOW, HIGH, (count, 15))
    made[:, 2:8] = np.tile(made[:, :2], 3) + np.cumsum(rng.normal(0, size / 3, (count, 3, 2)), axis=1).reshape(-1, 6)
    return np.clip(made, LOW, HIGH)


def closest(a: np.ndarray, b: np.ndarray) -> float:
    t = np.linspace(0, 1, 200)
    p, q = (geometry.bezier_point(one[:8].reshape(4, 2), t) for one in (a, b))
    return float(np.linalg.norm(p[:, None] - q[None], axis=2).min())


def test_overlap_is_that_of_the_paths_and_their_reach():
    made = strokes(25, 3, 30.0)
    reach = np.random.default_rng(0).uniform(1, 15, 25)
    graph = order.overlaps(made, reach)
    assert not np.tril(graph).any()
    for i in range(25):
        for j in range(i + 1, 25):
            gap = closest(made[i], made[j]) - reach[i] - reach[j]
            if abs(gap) > 1.0:  # the graph works with eight chords, this test with points
                assert graph[i, j] == (gap < 0)


def test_crossing_strokes_overlap_however_far_their_ends_are():
    across, down = np.zeros((2, 15))
    across[:8] = np.linspace([0, 100], [200, 100], 4).ravel()
    down[:8] = np.linspace([100, 0], [100, 200], 4).ravel()
    assert order.overlaps(np.stack([across, down]), np.array([0.1, 0.1])).tolist() == [[False, True], [False, False]]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10**6), st.floats(0.1, 20))
def test_overlapping_strokes_keep_their_order_and_none_is_lost(count, seed, reach):
    made = strokes(count, seed)
    chosen = order.for_travel(made, np.full(count, reach), AIRBRUSH)
    assert sorted(chosen.tolist()) == list(range(count))
    place = np.argsort(chosen)
    first, second = np.nonzero(order.overlaps(made, np.full(count, reach)))
    assert (place[first] < place[second]).all()
    assert order.trip(made, AIRBRUSH, chosen).travel_mm <= order.trip(made, AIRBRUSH).travel_mm + 1e-3


def test_scattered_strokes_save_most_of_the_way():
    made = strokes(300, 1)
    before = order.trip(made, AIRBRUSH).travel_mm
    after = order.trip(made, AIRBRUSH, order.for_travel(made, np.full(300, 3.0), AIRBRUSH)).travel_mm
    assert after < 0.3 * before


def test_the_same_strokes_get_the_same_order():
    made = strokes(80, 5)
    first, second = (order.for_travel(made, np.full(80, 4.0), AIRBRUSH) for _ in range(2))
    assert np.array_equal(first, second)


def test_strokes_that_all_overlap_stay_as_they_are():
    made = strokes(30, 2)
    assert order.for_travel(made, np.full(30, 400.0), AIRBRUSH).tolist() == list(range(30))


def test_nothing_is_gained_where_every_stroke_is_purged_for():
    machine = AIRBRUSH.model_copy(update={"purge": AIRBRUSH.purge.model_copy(update={"policy": "every_stroke"})})
    made = strokes(30, 2)
    assert order.for_travel(made, np.ones(30), machine).tolist() == list(range(30))
    assert order.trip(made, machine).purges == 30


def test_colour_changes_count_as_ways_to_the_purge_zone():
    machine = AIRBRUSH.model_copy(update={"purge": AIRBRUSH.purge.model_copy(update={"policy": "on_colour_change"})})
    made = strokes(60, 7)
    made[:, 12:] = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])[np.arange(60) % 3]
    before = order.trip(made, machine)
    after = order.trip(made, machine, order.for_travel(made, np.full(60, 0.5), machine))
    assert before.purges == 60
    assert after.purges < 10


@pytest.mark.parametrize("count", [0, 1])
def test_few_strokes(count):
    assert order.for_travel(strokes(count, 0), np.ones(count), AIRBRUSH).tolist() == list(range(count))
    assert order.trip(strokes(count, 0), AIRBRUSH).purges == count
