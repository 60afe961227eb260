"""What the tests of learning share: tiny pictures, tiny settings, and LPIPS with random backbones.

A distance by random features orders pictures well enough to learn from; the trained backbones are not needed here.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from airbrush_cli import config
from airbrush_cli.learning.targets import Target
from airbrush_cli.lpips_weights import BACKBONES
from airbrush_cli.metrics import backbones
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.training import Train
from airbrush_cli.twin.luts import synthetic_luts

LUTS = synthetic_luts()

ENVIRONMENT = [
    "resolutions={render_px: {w: 34, h: 48}, obs_px: {w: 34, h: 48}, reward_px: {w: 34, h: 48}}",
    "stroke_cap=12",
]
TRAIN = [
    "device=cpu",
    "canvases=4",
    "total_steps=384",
    "compute={precision: fp32}",
    "lpips={net: alex}",
    "agent.backbone=small",
    "agent.rollout_steps=12",
    "agent.batch_size=24",
    "agent.passes=2",
    "agent.log_std_init=-1.5",
    "warm_start.clone={steps: 96, plans: 1, work: 100}",
    "warm_start.twin.steps=144",
    "validation.pictures=2",
    "logging.save_interval=4",
]


def random_backbones(folder: Path) -> Path:
    """Write an AlexNet with random weights into a folder, for AIRBRUSH_LPIPS_WEIGHTS."""
    torch.manual_seed(0)
    torch.save(backbones.architecture("alex").state_dict(), folder / BACKBONES["alex"].file)
    return folder


def environment(*overrides: str) -> Environment:
    """Return the tiny environment."""
    return config.load("env_airbrush_v1", Environment, None, [*ENVIRONMENT, *overrides])


def train_settings(*overrides: str) -> Train:
    """Return the tiny training."""
    return config.load("train", Train, None, [*TRAIN, *overrides])


def picture(seed: int, size: tuple[int, int] = (34, 48)) -> np.ndarray:
    """A few coloured blots on a coloured ground, (H, W, 3) sRGB."""
    generator = np.random.default_rng(seed)
    width, height = size
    page = np.full((height, width, 3), generator.integers(60, 220, 3), np.uint8)
    for _ in range(3):
        centre = (int(generator.integers(width)), int(generator.integers(height)))
        colour = tuple(int(value) for value in generator.integers(30, 250, 3))
        cv2.circle(page, centre, int(generator.integers(5, 14)), colour, -1)
    return page


def targets(count: int, first: int = 0) -> list[Target]:
    """Return targets of the tiny size."""
    return [Target(f"p{seed}", picture(seed), f"{seed:064d}", float(seed)) for seed in range(first, first + count)]


def write_pictures(folder: Path, count: int) -> Path:
    """Write pictures as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        cv2.imwrite(str(folder / f"p{seed}.png"), picture(seed, (68, 96)))
    return folder
