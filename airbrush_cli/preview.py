"""Pictures in a terminal: two pixels a character with half-blocks, or characters of growing darkness without colour."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import console
from airbrush_cli.imaging.load import load_image

_RAMP = " .:-=+*#%@"


def half_blocks(srgb: NDArray[np.uint8], columns: int, rows: int, colour: bool = True) -> list[str]:
    """Return a picture as lines of text.

    Args:
        srgb: (H, W, 3) picture.
        columns, rows: the room there is, in characters; the picture keeps its proportions.
        colour: 24-bit ANSI colours; without, darkness is shown by the ink that a character has.
    """
    height, width = srgb.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = (max(1, int(width * scale)), max(2, 2 * int(height * scale / 2)))
    small = cv2.resize(srgb, size, interpolation=cv2.INTER_AREA)
    top, bottom = small[0::2].astype(int), small[1::2].astype(int)
    if not colour:
        darkness = 255 - (top.mean(axis=2) + bottom.mean(axis=2)) / 2
        index = np.minimum((darkness / 256 * len(_RAMP)).astype(int), len(_RAMP) - 1)
        return ["".join(_RAMP[i] for i in row) for row in index]
    return [
        "".join(
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m▀" for a, b in zip(over, under, strict=True)
        )
        + "\x1b[0m"
        for over, under in zip(top, bottom, strict=True)
    ]


def show(path: Path) -> None:
    """Print a picture file on standard error, as large as the terminal allows."""
    streams = console.current()
    room = shutil.get_terminal_size()
    lines = half_blocks(load_image(path), room.columns, max(room.lines - 2, 8), streams.colour)
    streams.stderr.write("\n".join(lines) + "\n")
    streams.stderr.flush()
