"""Numbers as people read them in a narrow column, and curves a line high."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int) -> str:
    """Return a curve as a line of blocks, the newest value on the right.

    Args:
        values: oldest first. Several that share a column are averaged; a column in which any is not a number is `×`.
        width: columns; fewer are used for fewer values.
    """
    if not values or width < 1:
        return ""
    columns = min(width, len(values))
    bounds = [len(values) * index // columns for index in range(columns + 1)]
    means = [
        math.fsum(value / len(part) for value in part) if all(map(math.isfinite, part)) else math.nan
        for part in (values[start:end] for start, end in pairwise(bounds))
    ]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    span = high / 2 - low / 2  # halved, as the difference of two numbers may be none

    def block(mean: float) -> str:
        if not math.isfinite(mean):
            return "×"
        return _BLOCKS[min(7, int(8 * ((mean / 2 - low / 2) / span)))] if span > 0 else _BLOCKS[3]

    return "".join(map(block, means))


def figure(value: float | None) -> str:
    """Return a number in at most eight characters: `0.4123`, `12.3k`, `3.0e-05`."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    size = abs(value)
    if value == int(value) and size < 10_000:
        return str(int(value))
    if size >= 1e9 or size < 1e-3:
        return f"{value:.1e}" if 1e-99 < size < 9e98 else f"{value:.0e}"
    if size >= 1e4:
        return f"{value / 1e6:.2f}M" if size >= 1e6 else f"{value / 1e3:.1f}k"
    return f"{value:.{4 if size < 10 else 2 if size < 100 else 1}f}"


def duration(seconds: float | None) -> str:
    """Return a time span in at most eight characters: `42 s`, `7 min`, `3 h 20`, `2 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    minutes = int(seconds / 60)
    if seconds < 60:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    days = minutes // 1440
    return f"{days} d {minutes // 60 % 24} h" if days < 10 else f"{days} d"


def size(count: float) -> str:
    """Return bytes: `640 MB`, `23.4 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def short(text: str, width: int) -> str:
    """Cut the middle out of a text that is too long: both ends of a run's name tell it apart."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
