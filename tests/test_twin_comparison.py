"""Painting, comparing and pulling back in one pass, against doing so one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airbrush_cli.painter import loss
from airbrush_cli.painter.loss import srgb_mse
from airbrush_cli.twin import render
from airbrush_cli.twin.comparison import compare
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.model import Twin
from tests.test_twin_render import LAYERINGS, PAGE, degenerate_strokes, random_strokes


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize("size", [(41, 58), (7, 13), (60, 84), (128, 5)])
@pytest.mark.parametrize("pulled", [False, True])
def test_one_pass_is_three(layering: Any, size: tuple[int, int], pulled: bool) -> None:
    generator = np.random.default_rng(1)
    luts = synthetic_luts(layering)
    strokes = np.concatenate([random_strokes(generator, 90), degenerate_strokes(generator)])
    target = generator.random((size[1], size[0], 3), dtype=np.float32)
    pull = (generator.normal(size=target.shape) / target.size).astype(np.float32) if pulled else None

    painted, tape = render.forward(strokes, luts, size, page_mm=PAGE)
    error, gradient = srgb_mse(painted, target)
    by_strokes, _ = render.backward(tape, gradient if pull is None else gradient + pull)

    found = compare(strokes, luts, target, pull, PAGE)
    np.testing.assert_array_equal(found.painted, painted)
    assert found.error == pytest.approx(error, rel=1e-5)
    np.testing.assert_allclose(found.by_strokes, by_strokes, rtol=0, atol=1e-5 * np.abs(by_strokes).max())


def test_without_strokes_the_paper_is_compared() -> None:
    target = np.full((30, 20, 3), 0.5, np.float32)
    found = compare(np.empty((0, 15)), synthetic_luts(), target)
    assert found.painted.min() == 1
    assert found.error == pytest.approx(0.25)
    assert found.by_strokes.shape == (0, 15)


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    strokes, luts = random_strokes(generator, 40), synthetic_luts()
    target = generator.random((58, 41, 3), dtype=np.float32)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    alone = compare(strokes, luts, target, page_mm=PAGE)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    shared = compare(strokes, luts, target, page_mm=PAGE)
    assert alone.error == shared.error
    np.testing.assert_array_equal(alone.by_strokes, shared.by_strokes)


def test_a_twin_without_the_one_pass_takes_three() -> None:
    """As on a GPU, whose kernels know no pictures."""

    class Other(Twin):
        def forward(self, strokes: Any, size_px: Any, canvas: Any = None) -> Any:
            return render.forward(strokes, self.luts, size_px, canvas)

    generator = np.random.default_rng(3)
    strokes, target = random_strokes(generator, 30), generator.random((58, 41, 3), dtype=np.float32)
    pull = np.full_like(target, 1e-5)
    twin, other = Twin(synthetic_luts(), "cpu"), Other(synthetic_luts(), "cpu")
    other.backend = "triton"
    here, there = (loss.compare(way, strokes, target, pull) for way in (twin, other))
    np.testing.assert_array_equal(here.painted, there.painted)
    assert here.error == pytest.approx(there.error, rel=1e-5)
    np.testing.assert_allclose(here.by_strokes, there.by_strokes, rtol=0, atol=1e-5 * np.abs(there.by_strokes).max())
