"""The CPU backend against the slow float64 reference, and the ways in against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.twin import autograd, cpu, profile, render
from airbrush_cli.twin.luts import Luts, synthetic_luts
from airbrush_cli.twin.strokes import Polylines, expand, ink_colour, look_up
from tests import twin_reference as reference

# Small pages, so that strokes are many pixels wide at sizes that the reference can afford.
PAGE = (52.5, 74.25)
LAYERINGS: list[Any] = ["alpha_over", "multiply"]
KINDS = {"position": slice(0, 8), "z": slice(8, 10), "v": slice(10, 12), "ink": slice(12, 15)}


def random_strokes(generator: np.random.Generator, count: int, z_max: float = 8.0) -> NDArray[np.float64]:
    strokes = LOW + generator.random((count, 15)) * (HIGH - LOW)
    strokes[:, :8] = (generator.random((count, 4, 2)) * PAGE).reshape(count, 8)
    strokes[:, 8:10] *= z_max / HIGH[8]
    return strokes


def degenerate_strokes(generator: np.random.Generator) -> NDArray[np.float64]:
    """No length, almost none, three points in one, along the page's edges, at the bounds of z, v and ink."""
    strokes = random_strokes(generator, 12)
    strokes[0, :8] = np.tile([20.0, 30.0], 4)
    strokes[1, :8] = np.tile([0.0, 5.0], 4)
    strokes[2, :8] = [25.0, 40, 25.01, 40, 25.02, 40, 25.03, 40.001]
    strokes[3, :8] = [30.0, 40, 30.2, 40, 30.4, 40.1, 30.6, 40.1]
    strokes[4, 2:6] = np.tile(strokes[4, :2], 2)
    strokes[5, :8] = [0, 5, 0, 20, 0, 40, 0, 70]
    strokes[6, :8] = [0, 3, PAGE[0], 0, PAGE[0], PAGE[1], 1, PAGE[1]]
    strokes[7, 8:10], strokes[7, 10:12] = 0.0, 1.0
    strokes[8, 8:10], strokes[8, 10:12] = 30.0, 300.0
    strokes[9, 8:12] = [0.0, 30.0, 300.0, 1.0]
    strokes[10, 12:] = [0.0, 1.0, 0.0]
    strokes[11, :8] = [40, 60, 45, 60, 50, 60, 52.5, 60]
    return strokes


def worst_error(found: NDArray, wanted: NDArray) -> float:
    """The largest relative error; below a hundredth of the stroke's gradient of its kind, relative to that."""
    worst = 0.0
    for columns in KINDS.values():
        scale = np.abs(wanted[:, columns])
        scale = np.maximum(scale, 1e-2 * scale.max(axis=1, keepdims=True) + 1e-12)
        worst = max(worst, float((np.abs(found - wanted)[:, columns] / scale).max()))
    return worst


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize("size", [(41, 58), (7, 13), (64, 90), (128, 5)])
def test_light_is_that_of_the_reference(layering: Any, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    luts = synthetic_luts(layering)
    strokes = np.concatenate([random_strokes(generator, 20), degenerate_strokes(generator)])
    canvas = generator.random((size[1], size[0], 3), dtype=np.float32)
    wanted = reference.render(strokes, luts, canvas, PAGE)
    np.testing.assert_allclose(render.render(strokes, luts, size, canvas, PAGE), wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize(("size", "seed"), [((41, 58), 2), ((64, 90), 3), ((23, 31), 4)])
def test_gradients_are_those_of_finite_differences(layering: Any, size: tuple[int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    luts = synthetic_luts(layering)
    canvas = generator.random((size[1], size[0], 3), dtype=np.float32)
    upstream = generator.normal(size=canvas.shape).astype(np.float32)
    for strokes in (random_strokes(generator, 10), degenerate_strokes(generator)):
        _, tape = render.forward(strokes, luts, size, canvas, PAGE)
        found, by_canvas = render.backward(tape, upstream, want_canvas=True)
        assert worst_error(found, reference.gradient(strokes, luts, canvas, upstream, PAGE)) < 1e-3
        # Light is affine in the canvas.
        other = generator.random(canvas.shape)
        difference = reference.render(strokes, luts, other, PAGE) - reference.render(strokes, luts, canvas, PAGE)
        assert by_canvas is not None
        assert (by_canvas * (other - canvas)).sum() == pytest.approx((upstream * difference).sum(), abs=1e-3)


def test_long_polylines_have_values_and_gradients() -> None:
    generator = np.random.default_rng(5)
    turn = np.linspace(0, 9, 70)
    spiral = np.column_stack(
        [26 + 2 * turn * np.cos(turn), 37 + 2 * turn * np.sin(turn), 0.5 + 0.1 * turn, 0.9 - 0.05 * turn]
    )
    knot = np.column_stack([10 + generator.random((50, 2)), np.full(50, 0.6), np.full(50, 0.5)])
    dot = np.tile([40.0, 60.0, 1.5, 0.7], (2, 1))
    lines = [spiral, knot, dot]
    ink = generator.random((3, 3))
    starts = np.cumsum([0, *map(len, lines)])
    size = (40, 57)
    canvas = np.ones((size[1], size[0], 3), np.float32)
    painted, tape = cpu.forward(Polylines(np.concatenate(lines), starts, ink), size, "alpha_over", canvas, PAGE)
    np.testing.assert_allclose(painted, reference.render_polylines(lines, ink, "alpha_over", canvas, PAGE), atol=5e-6)
    upstream = generator.normal(size=canvas.shape).astype(np.float32)
    nodes, _, _ = cpu.backward(tape, upstream)
    step = 1e-6
    for line, node in [(0, 3), (0, 66), (1, 0), (1, 30), (1, 40), (1, 49)]:
        for column in range(4):
            sides = []
            for side in (-step, step):
                moved = [part.copy() for part in lines]
                moved[line][node, column] += side
                sides.append(reference.render_polylines(moved, ink, "alpha_over", canvas, PAGE))
            wanted = (upstream * (sides[1] - sides[0])).sum() / (2 * step)
            assert nodes[starts[line] + node, column] == pytest.approx(wanted, rel=1e-3, abs=2e-4)


@pytest.mark.parametrize("layering", LAYERINGS)
def test_a_thousand_random_strokes_stay_light(layering: Any) -> None:
    generator = np.random.default_rng(6)
    luts = synthetic_luts(layering)
    strokes = LOW + generator.random((1000, 15)) * (HIGH - LOW)
    strokes[::3] = np.where(generator.random((334, 15)) < 0.5, LOW, HIGH)
    canvas = np.ones((128, 91, 3), np.float32)
    for stroke in strokes:
        render.paint_in_place(stroke, luts, canvas)
        assert np.isfinite(canvas).all()
        assert canvas.min() >= 0.0
        assert canvas.max() <= 1.0
    painted, tape = render.forward(strokes, luts, (91, 128))
    np.testing.assert_array_equal(painted, canvas)
    gradient, _ = render.backward(tape, np.ones_like(painted))
    assert np.isfinite(gradient).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(LAYERINGS), st.sampled_from([1, 2, 3, 7]))
@settings(max_examples=20, deadline=None)
def test_ways_in_agree(seed: int, layering: Any, threads: int) -> None:
    generator = np.random.default_rng(seed)
    luts = synthetic_luts(layering)
    strokes = random_strokes(generator, 6, z_max=30.0)
    size = (37, 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_NUM_THREADS", "1")
        painted, tape = render.forward(strokes, luts, size, page_mm=PAGE)
        gradient, _ = render.backward(tape, painted)
        patch.setenv("NUMBA_NUM_THREADS", str(threads))
        again, tape = render.forward(strokes, luts, size, page_mm=PAGE)
        np.testing.assert_array_equal(again, painted)
        np.testing.assert_array_equal(render.backward(tape, painted)[0], gradient)
        one_by_one = np.ones_like(painted)
        for stroke in strokes:
            render.paint_in_place(stroke, luts, one_by_one, PAGE)
        np.testing.assert_array_equal(one_by_one, painted)
        np.testing.assert_array_equal(render.render_polylines(expand(strokes, luts), luts, size, page_mm=PAGE), painted)
        canvases = generator.random((6, size[1], size[0], 3), dtype=np.float32)
        singles = canvases.copy()
        render.paint_batch_in_place(strokes, luts, canvases, PAGE)
        for stroke, single in zip(strokes, singles, strict=True):
            render.paint_in_place(stroke, luts, single, PAGE)
        np.testing.assert_array_equal(canvases, singles)


def test_in_place_touches_only_what_it_covers() -> None:
    luts = synthetic_luts()
    canvas = np.full((300, 200, 3), np.nan, np.float32)
    stroke = np.array([50.0, 50, 60, 50, 70, 50, 80, 50, 0, 0, 100, 100, 1, 0, 0])
    canvas[40:70, 40:90] = 1.0
    render.paint_in_place(stroke, luts, canvas)
    assert np.isnan(canvas).sum() == 3 * (300 * 200 - 30 * 50)
    assert canvas[50, 62, 0] < 0.9


def test_more_pixels_show_the_same_picture() -> None:
    generator = np.random.default_rng(7)
    luts = synthetic_luts()
    strokes = random_strokes(generator, 30)
    fine = render.render(strokes, luts, (420, 594), page_mm=PAGE)
    coarse = render.render(strokes, luts, (140, 198), page_mm=PAGE)
    averaged = fine.reshape(198, 3, 140, 3, 3).mean(axis=(1, 3))
    assert np.abs(averaged - coarse).mean() < 1e-3


def test_no_strokes_leave_the_canvas() -> None:
    luts = synthetic_luts()
    canvas = np.random.default_rng(8).random((9, 5, 3), dtype=np.float32)
    painted, tape = render.forward(np.empty((0, 15)), luts, (5, 9), canvas)
    np.testing.assert_array_equal(painted, canvas)
    gradient, by_canvas = render.backward(tape, painted, want_canvas=True)
    assert gradient.shape == (0, 15)
    np.testing.assert_array_equal(by_canvas, painted)
    assert (render.render(np.empty((0, 15)), luts, (5, 9)) == 1.0).all()


@pytest.mark.parametrize("layering", LAYERINGS)
def test_torch_sees_the_same(layering: Any) -> None:
    generator = np.random.default_rng(9)
    luts = synthetic_luts(layering)
    size = (30, 40)
    strokes = torch.from_numpy(random_strokes(generator, 5)).requires_grad_()
    canvas = torch.from_numpy(generator.random((40, 30, 3), dtype=np.float32)).requires_grad_()
    out = autograd.render(strokes, canvas, luts, size, PAGE)
    out.square().sum().backward()
    painted, tape = render.forward(strokes.detach().numpy(), luts, size, canvas.detach().numpy(), PAGE)
    by_strokes, by_canvas = render.backward(tape, 2 * painted, want_canvas=True)
    np.testing.assert_array_equal(out.detach().numpy(), painted)
    assert strokes.grad is not None
    np.testing.assert_array_equal(strokes.grad.numpy(), by_strokes)
    assert canvas.grad is not None
    np.testing.assert_array_equal(canvas.grad.numpy(), by_canvas)
    on_white = autograd.render(strokes.float(), None, luts, size, PAGE)
    assert on_white.dtype == torch.float32
    on_white.sum().backward()


def test_profile_is_a_closed_gaussian() -> None:
    q = np.linspace(0.0, 9.0, 90_001)
    values = reference.profile(q)
    assert np.abs(values - np.exp(-q / 2)).max() < 0.012
    assert (np.diff(values) < 0).all()
    assert float(reference.profile(np.array(2 * np.log(2)))) == pytest.approx(0.5, abs=1e-12)
    assert np.trapezoid(values, q) == pytest.approx(2.0, abs=1e-8)
    assert profile.CUT2 == 9.0


def test_spot_has_the_width_of_the_tables() -> None:
    luts = synthetic_luts()
    for z, width in ((0.0, 0.9), (30.0, 13.0)):
        stroke = np.array([*[10.0, 20.0, 15.0, 20.0, 25.0, 20.0, 30.0, 20.0], z, z, 1.0, 1.0, 1.0, 0.0, 0.0])
        column = render.render(stroke, luts, (4, 4000), page_mm=(40.0, 40.0))[:, 1, 0].astype(float)
        depth = 1.0 - column
        above = np.flatnonzero(depth > depth.max() / 2)
        assert (above[-1] - above[0] + 1) * 0.01 == pytest.approx(width, abs=0.03)


def test_look_ups_are_bilinear_and_clamped() -> None:
    luts = synthetic_luts()
    generator = np.random.default_rng(10)
    z, v = generator.random(50) * 30, 1 + generator.random(50) * 299
    found = look_up(luts, z, v)
    for row, a, b in zip(found, z, v, strict=True):
        assert row[0] == pytest.approx(reference.bilinear(luts.sigma_mm, luts.z_mm, luts.v_mm_s, a, b), rel=1e-6)
        assert row[1] == pytest.approx(reference.bilinear(luts.opacity, luts.z_mm, luts.v_mm_s, a, b), rel=1e-6)
    beyond = look_up(luts, np.array([-5.0, 99.0]), np.array([0.0, 1e4]))
    np.testing.assert_allclose(beyond, look_up(luts, np.array([0.0, 30.0]), np.array([1.0, 300.0])), rtol=1e-12)
    cmy = generator.random((20, 3))
    np.testing.assert_allclose(ink_colour(luts, cmy), [reference.ink_colour(luts, row) for row in cmy], atol=1e-6)


def bad_polylines(luts: Luts) -> list[tuple[NDArray, NDArray, NDArray]]:
    good = expand(random_strokes(np.random.default_rng(11), 2), luts)
    not_finite, flat, opaque = good.nodes.copy(), good.nodes.copy(), good.nodes.copy()
    not_finite[3, 0], flat[4, 2], opaque[5, 3] = np.nan, 0.0, 1.5
    return [
        (not_finite, good.starts, good.ink),
        (flat, good.starts, good.ink),
        (opaque, good.starts, good.ink),
        (good.nodes, np.array([0, 17, 18]), good.ink),
        (good.nodes, good.starts[:-1], good.ink),
        (good.nodes, good.starts, good.ink * np.inf),
    ]


@pytest.mark.parametrize("index", range(6))
def test_polylines_are_checked(index: int) -> None:
    with pytest.raises(ValueError, match=r"finite|start|opacity|nodes"):
        Polylines(*bad_polylines(synthetic_luts())[index])


def test_wrong_shapes_are_refused() -> None:
    luts = synthetic_luts()
    strokes = random_strokes(np.random.default_rng(12), 2)
    with pytest.raises(ValueError, match="canvas"):
        render.render(strokes, luts, (5, 9), np.ones((5, 9, 3), np.float32))
    with pytest.raises(ValueError, match="in place"):
        render.paint_in_place(strokes, luts, np.ones((5, 9, 3)))
    with pytest.raises(ValueError, match="canvases"):
        render.paint_batch_in_place(strokes, luts, np.ones((3, 5, 9, 3), np.float32))
    _, tape = render.forward(strokes, luts, (5, 9))
    with pytest.raises(ValueError, match="gradient"):
        render.backward(tape, np.ones((5, 9, 3), np.float32))
    strokes[1, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        render.render(strokes, luts, (5, 9))
