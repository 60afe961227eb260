"""The twin: kernel times, one stroke, print size, start-up, and how exact light and gradients are.

python -m tests.bench.twin
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import threads
from airbrush_cli.painter.loss import srgb_mse
from airbrush_cli.schemas.luts import Backend
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.twin import render
from airbrush_cli.twin.comparison import compare
from airbrush_cli.twin.luts import FWHM_FAR_MM, FWHM_NEAR_MM, FWHM_PER_SIGMA, Z_FAR_MM, shipped_luts, synthetic_luts

SIZES = ((227, 320), (454, 640), (908, 1280))
PRINT_PX = (2480, 3508)
ROUNDS = 15


def painting(count: int = 1500, seed: int = 0) -> NDArray[np.float64]:
    """Strokes as a painting holds them, all over A4: sigma 0.4 to 2 mm, a fifteenth up to 5.5 mm; 2 to 30 mm long."""
    generator = np.random.default_rng(seed)
    sigma = np.exp(generator.uniform(np.log(0.4), np.log(2.0), count))
    sigma[::15] = generator.uniform(2.0, 5.5, len(sigma[::15]))
    z = (sigma * FWHM_PER_SIGMA - FWHM_NEAR_MM) / (FWHM_FAR_MM - FWHM_NEAR_MM) * Z_FAR_MM
    length = np.exp(generator.uniform(np.log(2.0), np.log(30.0), count))
    angle = generator.uniform(0, 2 * np.pi, count)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None]
    middle = generator.random((count, 2)) * (210.0, 297.0)
    points = middle[:, None] + along[:, None] * np.linspace(-0.5, 0.5, 4)[:, None]
    points[:, 1:3] += generator.normal(0, 0.12, (count, 2, 2)) * length[:, None, None]
    strokes = np.empty((count, 15))
    strokes[:, :8] = points.reshape(count, 8)
    strokes[:, 8:10] = z[:, None] * generator.uniform(0.8, 1.2, (count, 2))
    strokes[:, 10:12] = np.exp(generator.uniform(0, np.log(300.0), (count, 2)))
    strokes[:, 12:] = generator.random((count, 3))
    return np.clip(strokes, LOW, HIGH)


def timed(task: Callable[[], object]) -> list[float]:
    """Milliseconds of several calls, after one that is not counted."""
    task()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        task()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def bench_kernels() -> None:
    """Print forward and backward times of 1500 strokes, and of comparing them with a picture in three steps and one."""
    luts, strokes = shipped_luts(), painting()
    print(
        "| 1500 strokes at | forward, ms (best / median) | backward, ms | both, ms"
        " | both and the error of a picture, ms | that in one pass, ms |"
    )
    print("| --- " * 6 + "|")
    for size in SIZES:
        painted, tape = render.forward(strokes, luts, size)
        gradient = painted - np.float32(0.5)
        target = np.random.default_rng(0).random(painted.shape, np.float32)

        def three(size: tuple[int, int] = size, target: NDArray[np.float32] = target) -> None:
            painted, tape = render.forward(strokes, luts, size)
            render.backward(tape, srgb_mse(painted, target)[1])

        ahead = timed(lambda size=size: render.forward(strokes, luts, size))  # type: ignore[misc]
        back = timed(lambda tape=tape, gradient=gradient: render.backward(tape, gradient))  # type: ignore[misc]
        both = np.array(ahead) + back
        once = timed(lambda target=target: compare(strokes, luts, target))  # type: ignore[misc]
        cells = [f"{np.min(times):.1f} / {np.median(times):.1f}" for times in (ahead, back, both, timed(three), once)]
        print(f"| {size[0]}x{size[1]} | " + " | ".join(cells) + " |")


def bench_gpu() -> None:
    """Print forward and backward of 1500 strokes by the GPU's backends, if there is a GPU."""
    import torch

    if not torch.cuda.is_available():
        print("No GPU here: its backends are not timed.")
        return
    from airbrush_cli.twin import gpu

    luts, size = shipped_luts(), (908, 1280)
    leaf = torch.tensor(painting(), device="cuda", requires_grad=True)

    def both(backend: Backend) -> None:
        gpu.render(leaf, None, luts, size, backend=backend).square().sum().backward()  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()

    print(f"| 1500 strokes at 908x1280 on {torch.cuda.get_device_name()} | forward and backward, ms (best / median) |")
    print("| --- | --- |")
    backends: tuple[Backend, ...] = ("triton", "nvdiffrast")
    for backend in backends:
        if importlib.util.find_spec(backend) is None:
            print(f"| {backend} | not installed |")
            continue
        times = timed(functools.partial(both, backend))
        print(f"| {backend} | {np.min(times):.1f} / {np.median(times):.1f} |")


def bench_one_stroke() -> None:
    """Print the time of one stroke onto a canvas in place, and of a batch of canvases."""
    luts = shipped_luts()
    canvas = np.ones((1280, 908, 3), np.float32)
    print("| one stroke onto 908x1280, in place | median, ms | slowest, ms |")
    print("| --- | --- | --- |")
    anywhere = LOW + np.random.default_rng(1).random((300, 15)) * (HIGH - LOW)
    for name, strokes in (("of a painting", painting(300)), ("at random within the bounds", anywhere)):
        times = []
        render.paint_in_place(strokes[0], luts, canvas)
        for stroke in strokes:
            start = time.perf_counter()
            render.paint_in_place(stroke, luts, canvas)
            times.append(1e3 * (time.perf_counter() - start))
        print(f"| {name} | {np.median(times):.2f} | {max(times):.2f} |")
    canvases = np.ones((64, 1280, 908, 3), np.float32)
    batch = timed(lambda: render.paint_batch_in_place(anywhere[:64], luts, canvases))
    print(f"| 64 canvases, one random stroke each, all together | {np.median(batch):.1f} | {max(batch):.1f} |")


def bench_start() -> None:
    """Print how long a new process takes until it has painted and pulled back: compiler cache empty, then filled."""
    script = (
        "import numpy as np; from airbrush_cli.twin import render; from airbrush_cli.twin.luts import synthetic_luts;"
        "t = render.forward(np.ones((1, 15)), synthetic_luts(), (64, 64)); render.backward(t[1], t[0])"
    )
    print("| start, first forward and backward, and exit | s |")
    print("| --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nothing compiled yet", "compiled before"):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "NUMBA_CACHE_DIR": folder})
            print(f"| {name} | {time.perf_counter() - start:.1f} |")


def bench_print_size() -> None:
    """Print time and peak memory of a process that renders 1500 strokes at print size."""
    start = time.perf_counter()
    script = "from tests.bench import twin; twin.print_size()"
    used = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    print("| 1500 strokes at 2480x3508 | s | peak memory, MB |")
    print("| --- | --- | --- |")
    seconds, megabytes = used.split()
    print(f"| render ({time.perf_counter() - start:.1f} s with start-up) | {seconds} | {megabytes} |")


def print_size() -> None:
    """Render at print size; print seconds and the process's peak memory in MB."""
    luts, strokes = shipped_luts(), painting()
    render.render(strokes[:1], luts, (64, 64))
    start = time.perf_counter()
    render.render(strokes, luts, PRINT_PX)
    seconds = time.perf_counter() - start
    print(f"{seconds:.2f} {peak_mb():.0f}")


def peak_mb() -> float:
    """Peak memory of this process in MB; not getrusage's, which starts from the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def bench_exactness() -> None:
    """Print the largest errors against the float64 reference."""
    from tests import twin_reference as reference
    from tests.test_twin_render import PAGE, degenerate_strokes, random_strokes, worst_error

    print("| against the float64 reference | light, largest error | gradient, largest relative error |")
    print("| --- | --- | --- |")
    size = (64, 90)
    for layering in ("alpha_over", "multiply"):
        luts = synthetic_luts(layering)  # type: ignore[arg-type]
        for name, make in (("random", lambda g: random_strokes(g, 10)), ("degenerate", degenerate_strokes)):
            light, slope = 0.0, 0.0
            for seed in range(5):
                generator = np.random.default_rng(seed)
                strokes = make(generator)
                canvas = generator.random((size[1], size[0], 3), dtype=np.float32)
                upstream = generator.normal(size=canvas.shape).astype(np.float32)
                painted, tape = render.forward(strokes, luts, size, canvas, PAGE)
                light = max(light, float(np.abs(painted - reference.render(strokes, luts, canvas, PAGE)).max()))
                wanted = reference.gradient(strokes, luts, canvas, upstream, PAGE)
                slope = max(slope, worst_error(render.backward(tape, upstream)[0], wanted))
            print(f"| {name} strokes, {layering} | {light:.1e} | {slope:.1e} |")


def main() -> None:
    """Print all tables."""
    print(f"\nTwin, {threads.workers()} threads of {platform.processor() or platform.machine()}")
    for bench in (bench_kernels, bench_gpu, bench_one_stroke, bench_print_size, bench_start, bench_exactness):
        print(flush=True)
        bench()


if __name__ == "__main__":
    main()
