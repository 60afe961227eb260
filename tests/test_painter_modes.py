"""Curves by their modes."""

from __future__ import annotations

import numpy as np
import pytest

from airbrush_cli.geometry import bernstein
from airbrush_cli.painter import modes


def test_there_and_back_again_is_nowhere() -> None:
    generator = np.random.default_rng(0)
    points, moves = generator.normal(size=(20, 8)), generator.normal(size=(20, 8))
    points[0, 6:] = points[0, :2]  # no direction of its own
    frame = modes.frames(points)
    by_modes = modes.into(moves, frame)
    np.testing.assert_allclose(np.linalg.norm(by_modes, axis=1), np.linalg.norm(moves, axis=1))
    np.testing.assert_allclose(modes.out_of(by_modes, frame), moves, atol=1e-12)


def test_modes_move_a_curve_independently() -> None:
    weights = bernstein(np.linspace(0, 1, 2001))
    one = np.array([[1.0, 2, 2, 3, 4, 4, 5, 5]])
    frame = modes.frames(one)
    curves = [
        (weights @ modes.out_of(np.eye(8)[[i]], frame).reshape(4, 2)).ravel()  # what mode i alone does
        for i in range(8)
    ]
    products = np.array(curves) @ np.array(curves).T / 2001
    np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=1e-3)


def test_the_first_axis_lies_along_the_stroke() -> None:
    shift = np.tile([3.0, 4.0], 4)[None]
    frame = modes.frames(np.array([[0.0, 0, 1, 2, 2, 3, 3, 4]]))
    along, across = modes.into(shift, frame).reshape(4, 2).T
    assert np.abs(along).max() == pytest.approx(10)  # 4 points moved by 5, in one of four orthonormal modes
    assert np.abs(across).max() == pytest.approx(0, abs=1e-9)
