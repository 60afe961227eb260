"""What the measures cost: `python -m tests.bench.metrics`. Backbones are random, which changes no time."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from airbrush_cli import colour
from airbrush_cli.lpips_weights import BACKBONES
from airbrush_cli.metrics import Lpips, backbones, psnr, ssim

HEIGHT, WIDTH = 1280, 908


def cpu_ms(action: Callable[[], object], times: int = 3) -> float:
    """Return the processor's time for the quickest of `times` runs: other work on the machine disturbs it least."""
    runs = []
    for _ in range(times):
        start = time.process_time()
        action()
        runs.append(time.process_time() - start)
    return 1000 * min(runs)


def bench_metrics() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    linear = colour.srgb8_to_linear(a)
    print(f"\n{WIDTH}x{HEIGHT}, CPU ms on one thread\n\n| what | ms |\n| --- | --- |")
    for name, action in {
        "PSNR": lambda: psnr(a, b),
        "SSIM": lambda: ssim(a, b),
        "8-bit sRGB to linear": lambda: colour.srgb8_to_linear(a),
        "linear to 8-bit sRGB": lambda: colour.linear_to_srgb8(linear),
        "linear to Lab, float32": lambda: colour.linear_rgb_to_lab(linear),
        "linear to OKLab, float32": lambda: colour.linear_rgb_to_oklab(linear),
    }.items():
        print(f"| {name} | {cpu_ms(action):.0f} |")


def bench_lpips() -> None:
    print("\nLPIPS, CPU ms on one thread; loss and gradient with the target's features kept\n")
    print("| net | distance 908x1280 | loss 908x1280 | loss 454x640 |\n| --- | --- | --- | --- |")
    random = np.random.default_rng(0)
    a, b = random.random((2, HEIGHT, WIDTH, 3), np.float32)

    def step(lpips: Lpips, scale: int) -> Callable[[], object]:
        x, y = (torch.from_numpy(p[::scale, ::scale].copy()).permute(2, 0, 1)[None] for p in (a, b))
        target = lpips.target(y)
        x.requires_grad_()
        return lambda: torch.autograd.grad(lpips.loss(x, target).sum(), x)

    with tempfile.TemporaryDirectory() as folder:
        for net, times in (("alex", 3), ("squeeze", 3), ("vgg", 1)):
            torch.save(backbones.architecture(net).state_dict(), Path(folder) / BACKBONES[net].file)
            lpips = Lpips(net, Path(folder))
            figures = [cpu_ms(lambda lpips=lpips: lpips.distance(a, b), times)]
            figures += [cpu_ms(step(lpips, scale), times) for scale in (1, 2)]
            print(f"| {net} | {' | '.join(f'{figure:.0f}' for figure in figures)} |", flush=True)
            if net == "alex":
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\nPeak memory of the process after alex {memory} MB, after vgg ", end="")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB.")


def bench_start() -> None:
    """CPU seconds of processes that only import."""
    print("\n| import | CPU s |\n| --- | --- |")
    for module in ("torch", "airbrush_cli.metrics"):
        seconds = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        print(f"| {module} | {min(seconds):.2f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    bench_metrics()
    bench_lpips()
    bench_start()
