"""The nvdiffrast backend against the float64 reference, on a GPU, or with another rasteriser in nvdiffrast's place."""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from airbrush_cli.errors import InputError
from airbrush_cli.twin import gpu, model, render
from airbrush_cli.twin.luts import synthetic_luts
from tests import fake_nvdiffrast
from tests import twin_reference as reference
from tests.test_twin_render import LAYERINGS, PAGE, degenerate_strokes, random_strokes, worst_error

REAL = torch.cuda.is_available() and importlib.util.find_spec("nvdiffrast") is not None
DEVICE = "cuda" if REAL else "cpu"


@pytest.fixture(autouse=True, scope="module")
def rasteriser() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not REAL:
            fake_nvdiffrast.install(patch)
        yield


def painted(strokes: Any, canvas: Any, luts: Any, size: tuple[int, int], page: tuple[float, float] = PAGE) -> Any:
    below = None if canvas is None else torch.as_tensor(canvas).to(DEVICE)
    return gpu.render(torch.as_tensor(strokes).to(DEVICE), below, luts, size, page, "nvdiffrast")


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize("size", [(41, 58), (7, 13), (128, 5)])
def test_light_is_that_of_the_reference(layering: Any, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    luts = synthetic_luts(layering)
    strokes = np.concatenate([random_strokes(generator, 8), degenerate_strokes(generator)])
    canvas = generator.random((size[1], size[0], 3), dtype=np.float32)
    wanted = reference.render(strokes, luts, canvas, PAGE)
    np.testing.assert_allclose(painted(strokes, canvas, luts, size).cpu().numpy(), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layering", LAYERINGS)
def test_gradients_are_those_of_finite_differences(layering: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airbrush_cli.twin import nvdiff

    monkeypatch.setattr(nvdiff, "_BATCH_PX", 900)  # several batches
    generator = np.random.default_rng(2)
    luts, size = synthetic_luts(layering), (23, 31)
    for strokes in (random_strokes(generator, 5), degenerate_strokes(generator)):
        canvas = generator.random((size[1], size[0], 3), dtype=np.float32)
        upstream = generator.normal(size=canvas.shape).astype(np.float32)
        leaf = torch.tensor(strokes, device=DEVICE, requires_grad=True)
        below = torch.tensor(canvas, device=DEVICE, requires_grad=True)
        painted(leaf, below, luts, size).backward(torch.from_numpy(upstream).to(DEVICE))
        assert leaf.grad is not None
        assert below.grad is not None
        assert worst_error(leaf.grad.cpu().numpy(), reference.gradient(strokes, luts, canvas, upstream, PAGE)) < 1e-3
        _, tape = render.forward(strokes, luts, size, canvas, PAGE)
        by_canvas = render.backward(tape, upstream, want_canvas=True)[1]
        np.testing.assert_allclose(below.grad.cpu().numpy(), by_canvas, rtol=0, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 700, 1 << 21]))
@settings(max_examples=15)
def test_any_raster_and_any_batches_show_the_same(seed: int, width: int, height: int, batch: int) -> None:
    """Also of strokes partly or wholly off the page."""
    from airbrush_cli.twin import nvdiff

    generator = np.random.default_rng(seed)
    luts = synthetic_luts(LAYERINGS[seed % 2])
    strokes = random_strokes(generator, 5, z_max=30.0)
    strokes[:, :8] += np.tile(generator.normal(0.0, 25.0, (5, 2)), 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nvdiff, "_BATCH_PX", batch)
        found = painted(strokes, None, luts, (width, height)).cpu().numpy()
    np.testing.assert_allclose(found, render.render(strokes, luts, (width, height), page_mm=PAGE), rtol=0, atol=2e-5)


def test_ribbons_have_no_gaps() -> None:
    """Chords longer than the stroke is wide, whose boxes no neighbour covers."""
    luts, size, count = synthetic_luts(), (90, 128), 12
    strokes = np.tile([0.0] * 8 + [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], (count, 1))
    ends = np.linspace([2.0, 2.0, 2.0, 72.0], [50.0, 2.0, 50.0, 72.0], count)
    ends[1::2, 2:] = ends[1::2, 2:][::-1]  # every other one leans the other way
    strokes[:, :8] = np.linspace(ends[:, :2], ends[:, 2:], 4, axis=1).reshape(count, 8)
    wanted = reference.render(strokes, luts, np.ones((*size[::-1], 3)), PAGE)
    np.testing.assert_allclose(painted(strokes, None, luts, size).cpu().numpy(), wanted, rtol=0, atol=1e-6)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=30))
def test_rectangles_on_shelves_do_not_overlap(sizes: list[tuple[int, int]]) -> None:
    from airbrush_cli.twin import nvdiff

    corners, (width, height) = nvdiff.shelves(np.array(sizes))
    used = np.zeros((height, width), int)
    for (x, y), (w, h) in zip(corners, sizes, strict=True):
        assert x + w <= width
        assert y + h <= height
        used[y : y + h, x : x + w] += 1
    assert used.max() == 1


def test_no_strokes_leave_the_canvas() -> None:
    luts, size = synthetic_luts(), (42, 59)
    canvas = np.random.default_rng(8).random((*size[::-1], 3), dtype=np.float32)
    line = np.linspace([-20.0, 15.0], [15.0, -20.0], 4).reshape(8)
    past_a_corner = np.array([[*line, 0.0, 0.0, 9.0, 9.0, 1.0, 1.0, 1.0]])
    far = past_a_corner - np.repeat([500.0, 0.0], [8, 7])
    for none in (np.empty((0, 15)), far, past_a_corner):
        found, tape = gpu.forward(none, luts, size, canvas, backend="nvdiffrast", device=DEVICE)
        np.testing.assert_array_equal(found, canvas)
        np.testing.assert_array_equal(gpu.backward(tape, found), np.zeros_like(none))


def test_a_tape_can_be_pulled_back_more_than_once() -> None:
    luts, size = synthetic_luts(), (20, 30)
    strokes = random_strokes(np.random.default_rng(10), 3)
    picture, tape = gpu.forward(strokes, luts, size, backend="nvdiffrast", device=DEVICE)
    once = gpu.backward(tape, picture)
    np.testing.assert_array_equal(gpu.backward(tape, picture), once)
    np.testing.assert_allclose(gpu.backward(tape, 2 * picture), 2 * once, rtol=1e-5)


def twin(monkeypatch: pytest.MonkeyPatch) -> model.Twin:
    """A twin that asks for nvdiffrast and believes that it has a GPU."""
    monkeypatch.setattr(model, "resolve_device", lambda _: "cuda")
    monkeypatch.setattr(gpu, "forward", functools.partial(gpu.forward, device=DEVICE))
    return model.Twin(synthetic_luts(), backend="nvdiffrast")


def test_the_twin_paints_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = twin(monkeypatch)
    assert asked.backend == "nvdiffrast"
    on_cpu = model.Twin(asked.luts, "cpu", "cpu")
    chosen, size = random_strokes(np.random.default_rng(3), 3), (21, 30)
    picture, tape = asked.forward(chosen, size)
    wanted, tape_on_cpu = on_cpu.forward(chosen, size)
    np.testing.assert_allclose(picture, wanted, rtol=0, atol=2e-5)
    np.testing.assert_allclose(asked.render(chosen, size, wanted), on_cpu.render(chosen, size, wanted), atol=2e-5)
    found, by_cpu = asked.backward(tape, picture), on_cpu.backward(tape_on_cpu, picture)
    np.testing.assert_allclose(found, by_cpu, rtol=2e-3, atol=2e-3)


def test_rendering_falls_back_and_refinement_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = twin(monkeypatch)
    chosen, size = random_strokes(np.random.default_rng(4), 2), (21, 30)

    def fail(*_: Any) -> None:
        raise RuntimeError("subtriangle count overflow\nat rasterize.cpp")

    from airbrush_cli.twin import nvdiff

    monkeypatch.setattr(nvdiff.rasteriser, "rasterize", fail)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            np.testing.assert_array_equal(asked.render(chosen, size), render.render(chosen, asked.luts, size))
    assert [record.getMessage() for record in caplog.records] == [
        "the GPU failed: subtriangle count overflow; the CPU renders from here on"
    ]
    for _ in range(2):
        with pytest.raises(model.BackendError, match=r"GPU failed: subtriangle count overflow$"):
            asked.forward(chosen, size)


def test_it_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model.resolve_backend("cuda", "nvdiffrast") == "nvdiffrast"
    assert model.resolve_backend("cuda") != "nvdiffrast"
    with pytest.raises(InputError, match=r"^rasterizer.backend nvdiffrast: needs --device cuda$"):
        model.resolve_backend("cpu", "nvdiffrast")
    for name in ("nvdiffrast", "nvdiffrast.torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"github.com/NVlabs/nvdiffrast, and auto does without it$"):
        model.resolve_backend("cuda", "nvdiffrast")
