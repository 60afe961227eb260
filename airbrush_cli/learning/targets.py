"""Pictures to learn from: targets at the renderer's size, and how hard they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import files
from airbrush_cli.errors import InputError
from airbrush_cli.imaging.fit import fit_page
from airbrush_cli.imaging.load import load_image
from airbrush_cli.schemas.training import Stage

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
STAGES: tuple[Stage, ...] = ("easy", "medium", "hard")

# Difficulty is measured on pictures of this many pixels' height, whatever they are painted at.
_MEASURE_PX = 160


@dataclass(frozen=True, eq=False)
class Target:
    """A picture to be painted."""

    name: str
    srgb: NDArray[np.uint8]  # (H, W, 3)
    sha256: str  # of the file; empty for a picture that came from none
    difficulty: float


def load_targets(folder: Path, size_px: tuple[int, int]) -> list[Target]:
    """Load the pictures in a folder, and the targets of the jobs in it, filling the page.

    Raises:
        InputError: no such folder, no picture in it, or one that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pictures")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    paths += sorted(folder.glob("*/target.png"))
    if not paths:
        raise InputError(f"{folder}: holds no pictures")
    return [load_target(path, size_px) for path in paths]


def load_target(path: Path, size_px: tuple[int, int]) -> Target:
    """Load one picture.

    Raises:
        InputError: it cannot be read.
    """
    name = path.parent.name if path.name == "target.png" else path.stem
    srgb = fit_page(load_image(path), size_px, "cover")
    return Target(name, srgb, files.sha256_file(path), difficulty(srgb))


def difficulty(srgb: NDArray[np.uint8]) -> float:
    """Return how much a picture asks of a painter: the mean gradient of its lightness, in grey levels per pixel.

    It is the part of a picture that a few large strokes cannot give.
    """
    height = _MEASURE_PX
    width = max(1, round(srgb.shape[1] * height / srgb.shape[0]))
    grey = cv2.cvtColor(cv2.resize(srgb, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    light = grey.astype(np.float32)
    return float(np.hypot(np.diff(light, axis=1)[:-1], np.diff(light, axis=0)[:, :-1]).mean())


def bucket(targets: Sequence[Target]) -> list[Stage]:
    """Return each target's stage: the thirds of their difficulties."""
    values = np.array([target.difficulty for target in targets])
    edges = np.quantile(values, [1 / 3, 2 / 3])
    return [STAGES[int(index)] for index in np.searchsorted(edges, values, side="left")]


def up_to(targets: Sequence[Target], stage: Stage) -> list[Target]:
    """Return the targets of a stage and of those below it; of few pictures, all."""
    allowed = STAGES[: STAGES.index(stage) + 1]
    kept = [target for target, at in zip(targets, bucket(targets), strict=True) if at in allowed]
    return kept or list(targets)


def digest(targets: Iterable[Target]) -> str:
    """Return one SHA-256 of pictures' names and contents."""
    text = "".join(f"{target.name} {target.sha256}\n" for target in targets)
    return hashlib.sha256(text.encode()).hexdigest()
