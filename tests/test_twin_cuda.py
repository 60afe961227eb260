"""The Triton backend against the float64 reference, on a GPU or, tiny, in Triton's interpreter."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ON_GPU = torch.cuda.is_available()
if not ON_GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")
pytest.importorskip("triton", reason="triton is not installed: torch's CUDA build brings it")

from airbrush_cli.errors import InputError  # noqa: E402
from airbrush_cli.schemas.stroke import HIGH, LOW  # noqa: E402
from airbrush_cli.twin import gpu, model, render, strokes  # noqa: E402
from airbrush_cli.twin.luts import synthetic_luts  # noqa: E402
from tests import twin_reference as reference  # noqa: E402
from tests.test_twin_render import PAGE, degenerate_strokes, random_strokes, worst_error  # noqa: E402

DEVICE = "cuda" if ON_GPU else "cpu"
# The interpreter is slow: two tiles, and one.
SIZE, SMALL = ((64, 90), (64, 90)) if ON_GPU else ((17, 13), (11, 15))


@pytest.mark.parametrize("layering", ["alpha_over", "multiply"])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_light_and_gradients_are_those_of_the_reference(layering: Any, part: int) -> None:
    generator = np.random.default_rng(part)
    luts, size = synthetic_luts(layering), SIZE if part == 0 else SMALL
    chosen = random_strokes(generator, 3) if part == 0 else degenerate_strokes(generator)[6 * part - 6 : 6 * part]
    canvas = generator.random((size[1], size[0], 3), dtype=np.float32)
    upstream = generator.normal(size=canvas.shape).astype(np.float32)
    leaf = torch.tensor(chosen, device=DEVICE, requires_grad=True)
    below = torch.tensor(canvas, device=DEVICE, requires_grad=True)
    painted = gpu.render(leaf, below, luts, size, PAGE)
    painted.backward(torch.from_numpy(upstream).to(DEVICE))  # type: ignore[no-untyped-call]
    wanted = reference.render(chosen, luts, canvas, PAGE)
    np.testing.assert_allclose(painted.detach().cpu().numpy(), wanted, rtol=0, atol=2e-5)
    assert leaf.grad is not None
    assert below.grad is not None
    assert worst_error(leaf.grad.cpu().numpy(), reference.gradient(chosen, luts, canvas, upstream, PAGE)) < 1e-3
    _, tape = render.forward(chosen, luts, size, canvas, PAGE)
    by_canvas = render.backward(tape, upstream, want_canvas=True)[1]
    assert by_canvas is not None
    np.testing.assert_allclose(below.grad.cpu().numpy(), by_canvas, rtol=0, atol=1e-4)


COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from airbrush_cli.twin import triton_kernels as kernels

types = {"tile_starts": "*i64", "order": "*i64", "members": "*i32", "stroke_starts": "*i32", "covers": "*i8",
         "node_gradient": "*fp64", "ink_gradient": "*fp64", "CHORDS": "constexpr", "BLOCK": "constexpr"}
types |= dict.fromkeys(["strokes", "tiles", "columns"], "i32")
types |= dict.fromkeys(["pitch_x", "pitch_y", "half", "ink_one", "ink_colour"], "fp32")
for kernel, warps in ((kernels.cull, 4), (kernels.paint, 4), (kernels.paint_backward, 8), (kernels.gather, 4)):
    size = "fp32" if kernel is kernels.cull else "i32"  # of a tile in mm, of the raster in pixels
    names = {name: size if name in ("width", "height") else types.get(name, "*fp32") for name in kernel.arg_names}
    fixed = {(kernel.arg_names.index(name),): {"CHORDS": 16, "BLOCK": 128}[name]
             for name, kind in names.items() if kind == "constexpr"}
    compile(ASTSource(kernel, signature=names, constexprs=fixed), target=GPUTarget("cuda", 80, 32),
            options={"num_warps": warps})
"""


@pytest.mark.slow
def test_kernels_compile_without_a_gpu() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", COMPILE], check=True, env=environment, cwd=Path(__file__).parents[1])


def test_first_stage_is_that_of_the_cpu() -> None:
    generator = np.random.default_rng(3)
    luts = synthetic_luts()
    chosen = np.concatenate([LOW + generator.random((50, 15)) * (HIGH - LOW), degenerate_strokes(generator)])
    leaf = torch.tensor(chosen, requires_grad=True)
    nodes, ink = gpu.expand(leaf, luts)
    wanted = strokes.expand(chosen, luts)
    np.testing.assert_allclose(nodes.detach().reshape(-1, 4).numpy(), wanted.nodes, atol=1e-9)
    np.testing.assert_allclose(ink.detach().numpy(), wanted.ink, atol=1e-9)
    by_nodes, by_ink = generator.normal(size=wanted.nodes.shape), generator.normal(size=wanted.ink.shape)
    ((nodes.reshape(-1, 4) * torch.tensor(by_nodes)).sum() + (ink * torch.tensor(by_ink)).sum()).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    found = strokes.expand_backward(chosen, luts, by_nodes, by_ink)
    np.testing.assert_allclose(leaf.grad.numpy(), found, rtol=1e-6, atol=1e-8)


def test_no_strokes_leave_the_canvas() -> None:
    luts = synthetic_luts()
    canvas = np.random.default_rng(8).random((9, 5, 3), dtype=np.float32)
    painted, tape = gpu.forward(np.empty((0, 15)), luts, (5, 9), canvas, device=DEVICE)
    np.testing.assert_array_equal(painted, canvas)
    assert gpu.backward(tape, painted).shape == (0, 15)


def failing_twin(monkeypatch: pytest.MonkeyPatch) -> model.Twin:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA error: an illegal thing\nwith a long story")

    monkeypatch.setattr(gpu, "forward", fail)
    monkeypatch.setattr(model, "resolve_device", lambda _: "cuda")
    twin = model.Twin(synthetic_luts())
    assert twin.backend == "triton"
    return twin


def test_rendering_falls_back_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    twin = failing_twin(monkeypatch)
    chosen = random_strokes(np.random.default_rng(4), 2)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            np.testing.assert_array_equal(twin.render(chosen, SIZE), render.render(chosen, twin.luts, SIZE))
    assert [record.getMessage() for record in caplog.records] == [
        "the GPU failed: CUDA error: an illegal thing; the CPU renders from here on"
    ]


def test_refinement_never_changes_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = failing_twin(monkeypatch)
    chosen = random_strokes(np.random.default_rng(5), 2)
    twin.render(chosen, SIZE)
    for _ in range(2):
        with pytest.raises(model.BackendError, match=r"GPU failed: CUDA error: an illegal thing$"):
            twin.forward(chosen, SIZE)


def test_backend_is_chosen_by_device() -> None:
    assert model.resolve_backend("cpu") == "cpu"
    assert model.resolve_backend("cuda") == "triton"
    assert model.resolve_backend("cuda", "cpu") == "cpu"
    with pytest.raises(InputError, match="needs --device cuda"):
        model.resolve_backend("cpu", "triton")


def test_a_gpu_tape_measures_influence() -> None:
    luts = synthetic_luts()
    chosen = random_strokes(np.random.default_rng(6), 2)
    twin = model.Twin(luts, "cpu")
    picture, tape = gpu.forward(chosen, luts, SMALL, device=DEVICE)
    weight = np.ones_like(picture)
    on_cpu = twin.forward(chosen, SMALL)[1]
    np.testing.assert_array_equal(twin.influence(tape, weight)[0], twin.influence(on_cpu, weight)[0])
    np.testing.assert_array_equal(twin.opacity_pull(tape, weight), twin.opacity_pull(on_cpu, weight))
    np.testing.assert_allclose(twin.backward(tape, weight), twin.backward(on_cpu, weight), rtol=2e-3, atol=2e-3)
