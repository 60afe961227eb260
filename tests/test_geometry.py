"""Bézier evaluation, flattening by tolerance, lengths and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airbrush_cli import geometry

FINE = np.linspace(0.0, 1.0, 513)
controls = arrays(np.float64, (4, 2), elements=st.floats(-300, 300, width=32))


def distance_to_polyline(points, line):
    a, b = line[:-1], line[1:]
    d = b - a
    along = ((points[:, None] - a) * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-300)
    nearest = a + np.clip(along, 0, 1)[..., None] * d
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1)


def test_a_curve_starts_and_ends_at_its_outer_control_points():
    curve = np.array([[0, 0], [10, 20], [30, -5], [40, 7]], float)
    assert geometry.bezier_point(curve, np.array([0.0, 1.0])) == pytest.approx(curve[[0, 3]])
    assert geometry.bezier_point(np.stack([curve, curve + 1]), FINE).shape == (2, 513, 2)


@given(controls)
def test_derivatives_agree_with_differences(curve):
    h = 1e-4
    t = np.linspace(0.1, 0.9, 5)
    ahead, here, behind = (geometry.bezier_point(curve, t + k * h) for k in (1, 0, -1))
    assert geometry.bezier_derivative(curve, t) == pytest.approx((ahead - behind) / (2 * h), abs=1e-3)
    assert geometry.bezier_derivative(curve, t, 2) == pytest.approx((ahead - 2 * here + behind) / h**2, abs=0.05)


def test_other_derivatives_are_refused():
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        geometry.bezier_derivative(np.zeros((4, 2)), FINE, order=3)


@given(controls, st.sampled_from([0.5, 0.05, 0.01]))
def test_flattening_keeps_the_tolerance(curve, tolerance):
    line = geometry.flatten(curve, tolerance)
    assert distance_to_polyline(geometry.bezier_point(curve, FINE), line).max() <= tolerance + 1e-9
    assert line[[0, -1]] == pytest.approx(curve[[0, 3]])


def test_a_straight_even_line_needs_one_piece_and_a_bend_more():
    straight = np.linspace([0, 0], [90, 30], 4)
    assert len(geometry.flatten(straight, 0.01)) == 2
    bend = np.array([[0, 0], [0, 50], [50, 50], [50, 0]], float)
    assert 2 < len(geometry.flatten(bend, 0.05)) < len(geometry.flatten(bend, 0.005)) < 200


def test_parameters_lie_dense_where_the_curve_bends():
    curve = np.array([[0, 0], [1, 8], [60, 0], [100, 0]], float)
    assert np.diff(geometry.flatten_parameters(curve, 0.01)).argmin() == 0


def test_a_density_adds_parameters():
    straight = np.linspace([0, 0], [90, 30], 4)
    assert len(geometry.flatten_parameters(straight, 0.1, np.full(33, 12.0))) == 13


@given(controls)
def test_the_box_of_a_curve_is_exact(curve):
    low, high = geometry.bezier_bounding_box(curve)
    points = geometry.bezier_point(curve, FINE)
    assert (points >= low - 1e-9).all()
    assert (points <= high + 1e-9).all()
    sampled_low, sampled_high = geometry.bounding_box(points)
    assert sampled_low == pytest.approx(low, abs=0.02)
    assert sampled_high == pytest.approx(high, abs=0.02)


def test_length():
    assert geometry.polyline_length(np.array([[0, 0], [3, 4], [3, 5]], float)) == pytest.approx(6.0)
    assert geometry.polyline_length(np.zeros((1, 2))) == 0.0
