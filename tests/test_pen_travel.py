"""The travel optimiser: a valid tour, never longer than the greedy one, and far shorter on random segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbrush_cli.pen.travel import optimise_travel, travel_length
from tests.pen_drawings import nearest_neighbour


def brute_force(starts: np.ndarray, ends: np.ndarray) -> float:
    """The shortest of all tours, by dynamic programming over subsets (Held and Karp 1962)."""
    count = len(starts)
    points = np.stack([starts, ends], axis=1)
    best = {(1 << i, i, side): float(np.hypot(*points[i, 1 - side])) for i in range(count) for side in (0, 1)}
    for _ in range(count - 1):
        following: dict[tuple[int, int, int], float] = {}
        for (done, i, side), length in best.items():
            for j in range(count):
                if done >> j & 1:
                    continue
                for out in (0, 1):
                    key = (done | 1 << j, j, out)
                    way = length + float(np.hypot(*(points[j, 1 - out] - points[i, side])))
                    following[key] = min(following.get(key, np.inf), way)
        best = following
    return min(best.values())


@given(
    st.lists(
        st.tuples(*[st.integers(0, 6) | st.floats(0, 300)] * 4),
        max_size=40,
    )
)
@settings(max_examples=80, deadline=None)
def test_every_path_is_drawn_once_and_travel_is_no_longer_than_greedy(rows: list[tuple[float, ...]]) -> None:
    segments = np.array(rows, float).reshape(-1, 4)
    starts, ends = segments[:, :2], segments[:, 2:]
    order, reverse = optimise_travel(starts, ends)
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert reverse.shape == (len(rows),)
    greedy = nearest_neighbour(starts, ends) if len(rows) else (order, reverse)
    assert travel_length(starts, ends, order, reverse) <= travel_length(starts, ends, *greedy) * 1.05 + 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_small_tours_are_shortest(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 100, (7, 2, 2))
    starts, ends = points[:, 0], points[:, 1]
    found = travel_length(starts, ends, *optimise_travel(starts, ends, kicks_per_path=60))
    assert found <= brute_force(starts, ends) * 1.01


def test_lines_in_a_row_are_drawn_to_and_fro() -> None:
    y = np.random.default_rng(0).permutation(60) * 5.0
    starts, ends = np.stack([np.zeros(60), y], axis=1), np.stack([np.full(60, 100.0), y], axis=1)
    order, reverse = optimise_travel(starts, ends)
    assert travel_length(starts, ends, order, reverse) == pytest.approx(59 * 5.0)
    assert (np.diff(reverse.astype(int)) != 0).all()


def test_random_segments_need_much_less_travel_than_greedy_order() -> None:
    points = np.random.default_rng(3).uniform(0, 200, (1500, 2, 2))
    starts, ends = points[:, 0], points[:, 1]
    found = travel_length(starts, ends, *optimise_travel(starts, ends))
    assert found < 0.73 * travel_length(starts, ends, *nearest_neighbour(starts, ends))


def test_the_same_paths_give_the_same_order() -> None:
    points = np.random.default_rng(4).uniform(0, 200, (300, 2, 2))
    first, again = optimise_travel(points[:, 0], points[:, 1]), optimise_travel(points[:, 0], points[:, 1])
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_crowds_of_coincident_ends() -> None:
    starts = np.repeat([[10.0, 10.0], [50.0, 50.0]], 60, axis=0)
    order, reverse = optimise_travel(starts, starts)
    assert sorted(order.tolist()) == list(range(120))
    assert travel_length(starts, starts, order, reverse) == pytest.approx(np.hypot(50, 50), rel=0.01)
