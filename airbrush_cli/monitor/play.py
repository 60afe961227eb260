"""Playback: an epoch's strokes painted again through the twin, in the terminal or into a picture."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour, console, documents, files, pictures, preview
from airbrush_cli.errors import InputError
from airbrush_cli.imaging.load import load_image
from airbrush_cli.learning.run import epoch_folder, epochs, read_record
from airbrush_cli.schemas.stroke import StrokesDocument
from airbrush_cli.twin.luts import load_luts, shipped_luts
from airbrush_cli.twin.model import Twin

log = logging.getLogger(__name__)

_FRAMES_PER_SECOND = 10.0
_HOLD_SECONDS = 2.0


@dataclass(frozen=True)
class Playback:
    """An epoch opened for playing.

    Attributes:
        strokes: (N, 15), in painting order.
        size_px: (width, height) of the epoch's canvas.
        twin: the twin that it was painted with.
        name: for people.
    """

    strokes: NDArray[np.float64]
    size_px: tuple[int, int]
    twin: Twin
    name: str

    @classmethod
    def open(cls, run: Path, epoch: int | None = None) -> Playback:
        """Open an epoch of a run, the newest if none is named.

        Raises:
            InputError: no run, no such epoch, or a file of it cannot be read.
        """
        record = read_record(run)
        known = epochs(run)
        if not known:
            raise InputError(f"{run}: has no epochs to play yet")
        number = known[-1] if epoch is None else epoch
        if number not in known:
            listed = ", ".join(map(str, known if len(known) <= 12 else [*known[:5], "…", *known[-5:]]))
            raise InputError(f"--epoch {number}: no such epoch of {run}; there are {listed}")
        folder = epoch_folder(run, number)
        document = documents.load(folder / "strokes.yaml", StrokesDocument)
        height, width = load_image(folder / "canvas.png").shape[:2]
        tables = run / "luts" / "metadata.yaml"
        luts = load_luts(tables) if tables.is_file() else shipped_luts()
        if document.metadata.luts_sha256 not in (None, luts.sha256):
            log.warning("%s: painted with other look-up tables than those at hand: colours differ", folder)
        return cls(document.to_array(), (width, height), Twin(luts, "cpu"), f"{record.name}, epoch {number}")

    def frames(
        self, first: int, last: int, every: int, size_px: tuple[int, int] | None = None
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (number of strokes painted, (H, W, 3) sRGB), from before stroke `first` (counted from 1) to `last`.

        Args:
            first, last: strokes, 1 to N; those before `first` are on the paper already.
            every: strokes between frames.
            size_px: of the frames, if not the epoch's own.
        """
        width, height = size_px or self.size_px
        canvas = np.ones((height, width, 3), np.float32)
        if first > 1:
            canvas = self.twin.render(self.strokes[: first - 1], (width, height), canvas)
        yield first - 1, colour.linear_to_srgb8(canvas)
        for start in range(first - 1, last, every):
            end = min(start + every, last)
            canvas = self.twin.render(self.strokes[start:end], (width, height), canvas)
            yield end, colour.linear_to_srgb8(canvas)


def play(
    run: Path, epoch: int | None, first: int | None, last: int | None, speed: float, save: Path | None
) -> Path | None:
    """Play an epoch in the terminal, or write it as a .png (its last frame) or a .gif.

    Args:
        run: the run's folder.
        epoch: number; None for the newest.
        first, last: strokes, counted from 1; None for the first and the last there is.
        speed: strokes a second.
        save: the picture to write, instead of playing in the terminal.

    Returns:
        what was written.

    Raises:
        InputError: not a run, no such epoch or strokes, or neither .png nor .gif.
    """
    playback = Playback.open(run, epoch)
    count = len(playback.strokes)
    first = 1 if first is None else first
    last = count if last is None else min(last, count)
    if not 1 <= first <= max(last, 1):
        raise InputError(f"--from {first} --to {last}: {playback.name} has strokes 1 to {count}")
    if save is None:
        _play_here(playback, first, last, speed)
        return None
    if save.suffix.lower() == ".png":
        frames = playback.frames(first, last, max(last - first + 1, 1))
        pictures.write_png(save, list(frames)[-1][1])
    elif save.suffix.lower() == ".gif":
        every = max(1, round(speed / _FRAMES_PER_SECOND))
        _write_gif(save, [frame for _, frame in playback.frames(first, last, every)], every / speed)
    else:
        raise InputError(f"--save {save}: must end in .png or .gif")
    return save


def _write_gif(path: Path, frames: list[NDArray[np.uint8]], seconds: float) -> None:
    from PIL import Image

    images = [Image.fromarray(frame).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    milliseconds = max(20, round(1000 * seconds))
    durations = [milliseconds] * (len(images) - 1) + [round(1000 * _HOLD_SECONDS)]
    with files.replacing(path) as temporary:
        images[0].save(temporary, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _play_here(playback: Playback, first: int, last: int, speed: float) -> None:
    streams = console.current()
    terminal = streams.stdout.isatty() and os.environ.get("TERM") != "dumb"
    with_colour = terminal and not os.environ.get("NO_COLOR")
    room = shutil.get_terminal_size()
    columns, lines = room.columns, max(room.lines - 2, 8)
    # Rendered no finer than twice what half-blocks show.
    width, height = playback.size_px
    scale = min(1.0, 2 * columns / width, 4 * lines / height)
    size = (max(1, math.ceil(width * scale)), max(2, math.ceil(height * scale)))
    every = max(1, round(speed / _FRAMES_PER_SECOND)) if terminal else max(last - first + 1, 1)
    drawn = 0
    for number, frame in playback.frames(first, last, every, size):
        started = time.monotonic()
        if not terminal and number < last:
            continue
        text = preview.half_blocks(frame, columns, lines, with_colour)
        text.append(f"{playback.name}: stroke {number} of {len(playback.strokes)}"[: columns - 1])
        up = f"\x1b[{drawn}A\r\x1b[J" if drawn else ""
        streams.stdout.write(up + "\n".join(text) + "\n")
        streams.stdout.flush()
        drawn = len(text)
        if terminal and number < last:
            time.sleep(max(0.0, every / speed - (time.monotonic() - started)))
