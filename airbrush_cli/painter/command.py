"""Painting as people follow it: a line of progress or the growing picture, and the figures at the end."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from pathlib import Path

from airbrush_cli import colour, console, preview
from airbrush_cli.job import JobFolder
from airbrush_cli.painter.painting import Options, Painted, paint_job
from airbrush_cli.painter.plan import Progress
from airbrush_cli.schemas.paint import PaintSettings

log = logging.getLogger(__name__)

_REDRAW_SECONDS = 0.2
_PREVIEW_SECONDS = 1.0


def paint_and_tell(manifest: Path, settings: PaintSettings, options: Options, show_preview: bool, live: bool) -> Path:
    """Paint a job, say how it goes on standard error, and return its manifest.

    Raises:
        KeyboardInterrupt: Ctrl-C came; what there was is saved, and its manifest printed.
    """
    folder = JobFolder.open(manifest)
    name = folder.job.job
    screen = _Screen(name, show_preview) if live and console.current().live else None
    try:
        painted = paint_job(folder, settings, options, _started(), screen)
    finally:
        if screen:
            screen.clear()
    log.info("%s: %s", name, summary(painted))
    if painted.partial:
        console.current().result(painted.manifest)
        raise KeyboardInterrupt
    if show_preview and not screen:
        preview.show(painted.manifest.parent / "painting.png")
    return painted.manifest


def summary(painted: Painted) -> str:
    """Return one line of figures."""
    figures = painted.metrics.colour
    lpips = f"LPIPS {figures.lpips:.3f} ({figures.lpips_net})" if figures.lpips is not None else "LPIPS missing"
    parts = [
        f"{painted.metrics.strokes} strokes",
        f"{figures.psnr:.2f} dB",
        f"SSIM {figures.ssim:.3f}",
        lpips,
        f"{painted.metrics.spray_hours or 0.0:.1f} h of spraying",
        f"planned in {painted.seconds:.0f} s",
    ]
    if painted.metrics.out_of_gamut:
        parts.append(f"{painted.metrics.out_of_gamut:.0%} out of gamut by ΔE {painted.metrics.gamut_delta_e:.1f}")
        parts.append(f"{painted.metrics.reachable_psnr:.2f} dB from what the inks reach")
    return ", ".join(parts)


_first = True


def _started() -> float:
    """Return when this job's time began: the first one's when the process did, start-up included."""
    global _first
    now = time.monotonic()
    if not _first:
        return now
    _first = False
    return now - _process_age()


def _process_age() -> float:
    """Return how many seconds ago this process started."""
    if not sys.platform.startswith("linux"):
        return 0.0
    import os

    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return max(0.0, uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


class _Screen:
    """Redraws progress in place."""

    def __init__(self, name: str, show_preview: bool) -> None:
        self._name, self._preview = name, show_preview
        self._drawn_lines = 0
        self._next = 0.0
        self._next_picture = 0.0
        self._picture: list[str] = []

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _REDRAW_SECONDS
        streams = console.current()
        room = shutil.get_terminal_size()
        if self._preview and now >= self._next_picture:
            self._next_picture = now + _PREVIEW_SECONDS
            picture = colour.linear_to_srgb8(progress.picture)
            self._picture = preview.half_blocks(picture, room.columns, max(room.lines - 3, 4), streams.colour)
        width = 20
        done = int(width * progress.fraction)
        line = (
            f"{self._name[:24]}  {progress.strokes} strokes  {progress.psnr:.1f} dB  "
            f"{'━' * done}{'─' * (width - done)}  {progress.seconds_left:.0f} s left"
        )
        self.clear()
        lines = [*self._picture, line[: room.columns - 1]]
        streams.stderr.write("\n".join(lines))
        streams.stderr.flush()
        self._drawn_lines = len(lines)

    def clear(self) -> None:
        """Take what was drawn away."""
        if self._drawn_lines:
            up = f"\x1b[{self._drawn_lines - 1}A" if self._drawn_lines > 1 else ""
            stderr = console.current().stderr
            stderr.write(f"\r{up}\x1b[J")
            stderr.flush()
            self._drawn_lines = 0
