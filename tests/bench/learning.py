"""The environments: steps a second of one batch of canvases, and of SB3's SubprocVecEnv over single environments.

python -m tests.bench.learning
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from airbrush_cli import config
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.environment import AirbrushPainter
from airbrush_cli.learning.targets import Target
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.metrics import Lpips
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.twin.luts import synthetic_luts

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
    import torch

    torch.set_num_threads(threads)
    return AirbrushPainter(settings_of(size), pool(size), synthetic_luts(), Lpips("alex"))


def batch(size: tuple[int, int], count: int) -> AirbrushVecEnv:
    """The batch."""
    return AirbrushVecEnv(Canvases(count, settings_of(size), synthetic_luts(), Lpips("alex")), pool(size))


def rate(env: VecEnv, seconds: float) -> float:
    """Steps a second of all environments together, with random actions of local strokes."""
    generator = np.random.default_rng(0)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        centre = generator.uniform(-1, 1, (env.num_envs, 1, 2))
        points = centre + 0.1 * generator.standard_normal((env.num_envs, 4, 2))
        rest = generator.uniform(-1, 1, (env.num_envs, 7))
        env.step(np.concatenate([points.reshape(-1, 8), rest], axis=1).clip(-1, 1).astype(np.float32))
        steps += env.num_envs
    return steps / (time.perf_counter() - start)


def bench_environments(sizes: tuple[tuple[int, int], ...] = ((34, 48), (45, 64), (68, 96))) -> None:
    """Print steps a second at each size."""
    print("\nSteps a second, all rasters of one size, LPIPS (alex); SubprocVecEnv with its best number of workers\n")
    print("| raster | one environment | SubprocVecEnv | batch | ratio |\n| --- | --- | --- | --- | --- |")
    for size in sizes:
        makers: dict[str, Callable[[], VecEnv]] = {"one": lambda size=size: DummyVecEnv([lambda: single(size, 1)])}  # type: ignore[misc]
        for workers in _WORKERS:
            makers[f"SubprocVecEnv, {workers}"] = functools.partial(
                SubprocVecEnv, [functools.partial(single, size, 1)] * workers
            )
        for count in _BATCHES:
            makers[f"batch, {count}"] = functools.partial(batch, size, count)
        best: dict[str, float] = {}
        envs = {name: make() for name, make in makers.items()}
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))  # the single environment in this process asked for one
        for env in envs.values():
            env.reset()
            rate(env, 0.2)
        for _ in range(_TURNS):
            for name, env in envs.items():
                best[name] = max(best.get(name, 0.0), rate(env, _SECONDS))
        for env in envs.values():
            env.close()
        pipes, batches = (max((n for n in best if n.startswith(kind)), key=best.__getitem__) for kind in ("S", "b"))
        print(
            f"| {size[0]}x{size[1]} | {best['one']:.0f} | {best[pipes]:.0f} ({pipes.split()[-1]} workers) "
            f"| {best[batches]:.0f} ({batches.split()[-1]} canvases) | {best[batches] / best[pipes]:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    bench_environments()
