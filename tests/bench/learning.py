"""The environments: steps a second of one batch of canvases, and of SB3's SubprocVecEnv over single environments.

python -m tests.bench.learning
python -m tests.bench.learning POLICY.pt FOLDER [STROKES]     a trained strategist and the built-in one, each alone
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from airbrush_cli import colour, config
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.environment import AirbrushPainter
from airbrush_cli.learning.targets import Target, load_targets
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.metrics import Lpips, psnr
from airbrush_cli.painter.choice import Sketch, make_strategist
from airbrush_cli.painter.gamut import map_to_gamut
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.model import Twin

# Each measurement is the best of so many stretches of at least so many seconds, taken in turns.
_TURNS, _SECONDS = 4, 1.5
_WORKERS = (2, 4)
_BATCHES = (64, 256)


def settings_of(size: tuple[int, int]) -> Environment:
    """All three rasters of one size."""
    raster = f"{{w: {size[0]}, h: {size[1]}}}"
    overrides = [f"resolutions={{render_px: {raster}, obs_px: {raster}, reward_px: {raster}}}", "stroke_cap=200"]
    return config.load("env_airbrush_v1", Environment, None, overrides)


def pool(size: tuple[int, int]) -> list[Target]:
    """Four pictures of noise."""
    generator = np.random.default_rng(0)
    return [Target(str(i), generator.integers(0, 256, (size[1], size[0], 3), np.uint8), "", 0.0) for i in range(4)]


def single(size: tuple[int, int], threads: int) -> AirbrushPainter:
    """One environment, in a process that may use so many threads of torch."""
    torch.set_num_threads(threads)
    return AirbrushPainter(settings_of(size), pool(size), synthetic_luts(), Lpips("alex"))


def batch(size: tuple[int, int], count: int) -> AirbrushVecEnv:
    """The batch."""
    return AirbrushVecEnv(Canvases(count, settings_of(size), synthetic_luts(), Lpips("alex")), pool(size))


def processor_seconds() -> float:
    """Processor time of this process and of the workers that it has."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def rates(env: VecEnv, seconds: float) -> tuple[float, float]:
    """Steps of all environments together, a second and a second of processor time, with random local strokes."""
    generator = np.random.default_rng(0)
    steps, start, spent = 0, time.perf_counter(), processor_seconds()
    while time.perf_counter() - start < seconds:
        centre = generator.uniform(-1, 1, (env.num_envs, 1, 2))
        points = centre + 0.1 * generator.standard_normal((env.num_envs, 4, 2))
        rest = generator.uniform(-1, 1, (env.num_envs, 7))
        env.step(np.concatenate([points.reshape(-1, 8), rest], axis=1).clip(-1, 1).astype(np.float32))
        steps += env.num_envs
    return steps / (time.perf_counter() - start), steps / max(processor_seconds() - spent, 0.01)


def bench_environments(sizes: tuple[tuple[int, int], ...] = ((34, 48), (45, 64), (68, 96))) -> None:
    """Print steps a second at each size, and, for a machine that does other things too, of processor time."""
    cores = len(os.sched_getaffinity(0))
    print(f"\nSteps a second of the wall / of processor time; LPIPS (alex), all rasters of one size, {cores} cores\n")
    print("| raster | one | SubprocVecEnv, best | batch, best | ratio |\n| --- | --- | --- | --- | --- |")
    for size in sizes:
        makers: dict[str, Callable[[], VecEnv]] = {
            "one": functools.partial(DummyVecEnv, [functools.partial(single, size, 1)])
        }
        for workers in _WORKERS:
            made = [functools.partial(single, size, 1)] * workers
            makers[f"pipes, {workers}"] = functools.partial(SubprocVecEnv, made)  # type: ignore[arg-type]
        for count in _BATCHES:
            makers[f"batch, {count}"] = functools.partial(batch, size, count)
        envs = {name: make() for name, make in makers.items()}
        for env in envs.values():
            env.reset()
            rates(env, 0.2)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in envs}
        for _ in range(_TURNS):
            for name, env in envs.items():
                torch.set_num_threads(cores if name.startswith("batch") else 1)
                found[name].append(rates(env, _SECONDS))
        for env in envs.values():
            env.close()
        best = {name: np.max(rows, axis=0) for name, rows in found.items()}
        one, pipes, batched = (
            np.max([best[name] for name in best if name.startswith(kind)], axis=0) for kind in ("one", "pipes", "batch")
        )
        cells = [f"{wall:.0f} / {processor:.0f}" for wall, processor in (one, pipes, batched)]
        ratio = batched / pipes
        print(f"| {size[0]}x{size[1]} | {' | '.join(cells)} | {ratio[0]:.1f} / {ratio[1]:.1f} |", flush=True)


def bench_strategists(policy: Path, folder: Path, strokes: int = 200) -> None:
    """Print what strategists reach alone, without the technician, on each picture of a folder."""
    size = (454, 640)
    luts, lpips = synthetic_luts(), Lpips("alex")
    twin = Twin(luts, "cpu")
    settings = config.load("paint", PaintSettings, None, [f"strokes={strokes}"])
    who = {"built-in": make_strategist(luts), "trained": make_strategist(luts, policy)}
    print(f"\nStrategists alone, {strokes} strokes, {size[0]}x{size[1]}: LPIPS (alex) / PSNR dB\n")
    print(f"| picture | {' | '.join(who)} |\n| --- {'| --- ' * len(who)}|")
    rows = []
    for target in load_targets(folder, size):
        linear = map_to_gamut(target.srgb, luts).linear
        row = []
        for strategist in who.values():
            laid = Sketch(linear, twin, strategist, settings).run()
            painted = colour.linear_to_srgb8(twin.render(laid, size))
            row.append((lpips.distance(painted, target.srgb), psnr(painted, target.srgb)))
        rows.append(row)
        print(f"| {target.name} | {' | '.join(f'{a:.3f} / {b:.2f}' for a, b in row)} |", flush=True)
    print(f"| **mean** | {' | '.join(f'{a:.3f} / {b:.2f}' for a, b in np.mean(rows, axis=0))} |")


if __name__ == "__main__":
    if sys.argv[1:]:
        bench_strategists(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        bench_environments()
