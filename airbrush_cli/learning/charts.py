"""Charts as SVG text, for reports that are one file: curves over steps, and scatters over a parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 24
# More points than pixels show nothing more.
_POINTS = 400


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step."""

    x: float
    words: str
    trouble: bool


@dataclass(frozen=True)
class Point:
    """One run or trial in a scatter."""

    x: float
    y: float
    words: str
    chosen: bool = False


def curve(xs: Sequence[float], ys: Sequence[float], marks: Sequence[Mark] = ()) -> str:
    """Return a curve: all values faintly, their running mean clearly, marks as vertical lines.

    Args:
        xs, ys: of the same length, in the order of xs; pairs that are not finite leave gaps.
        marks: what happened on the way.
    """
    pairs = _thinned([(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x)])
    finite = [(x, y) for x, y in pairs if math.isfinite(y)]
    if not finite:
        return _frame('<text class="none" x="50%" y="50%">no number yet</text>')
    across = _axis([x for x, _ in finite], _LEFT, WIDTH - _RIGHT)
    up = _axis([y for _, y in finite], HEIGHT - _BOTTOM, _TOP)
    lines = [_ticks(across, up)]
    for mark in sorted(marks, key=lambda mark: mark.trouble):  # a trouble and its remedy often share a step
        if across.low <= mark.x <= across.high:
            kind = "mark trouble" if mark.trouble else "mark"
            at = f"{across.place(mark.x):.1f}"
            lines.append(
                f'<line class="{kind}" x1="{at}" x2="{at}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}">'
                f"<title>{escape(mark.words)}</title></line>"
            )
    lines.append(f'<path class="raw" d="{_path(pairs, across.place, up.place)}"/>')
    lines.append(f'<path class="line" d="{_path(_smoothed(pairs), across.place, up.place)}"/>')
    x, y = finite[-1]
    lines.append(f'<circle class="end" cx="{across.place(x):.1f}" cy="{up.place(y):.1f}" r="3"/>')
    return _frame("".join(lines))


def scatter(points: Sequence[Point], logarithmic: bool) -> str:
    """Return a scatter of points, the chosen one on top.

    Args:
        points: with finite coordinates.
        logarithmic: whether the x axis is; then every x must be positive.
    """
    across = _axis([point.x for point in points], _LEFT, WIDTH - _RIGHT, logarithmic)
    up = _axis([point.y for point in points], HEIGHT - _BOTTOM, _TOP)
    dots = [
        f'<circle class="{"dot chosen" if point.chosen else "dot"}" cx="{across.place(point.x):.1f}" '
        f'cy="{up.place(point.y):.1f}" r="{6 if point.chosen else 4}"><title>{escape(point.words)}</title></circle>'
        for point in sorted(points, key=lambda point: point.chosen)
    ]
    return _frame(_ticks(across, up) + "".join(dots))


def label(value: float) -> str:
    """Return a number as axes and tables show it: at most four digits."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.4g}M"
    if size >= 1e4:
        return f"{value / 1e3:.4g}k"
    return f"{value:.4g}" if size >= 1e-3 else f"{value:.2g}"


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    place: Callable[[float], float]
    ticks: tuple[float, ...]


def _axis(values: Sequence[float], start: float, end: float, logarithmic: bool = False) -> _Axis:
    """Fit an axis to values, with ticks at round numbers."""
    low, high = min(values), max(values)
    if logarithmic:
        a, b = math.log10(low), math.log10(high)
        pad = 0.06 * (b - a) or 0.2
        a, b = a - pad, b + pad
        powers = range(math.floor(a), math.ceil(b) + 1)
        ticks = [
            m * 10.0**p
            for p in powers
            for m in ((1,) if b - a > 2.5 else (1, 2, 5))
            if a <= math.log10(m * 10.0**p) <= b
        ]
        return _Axis(
            10**a, 10**b, lambda value: start + (end - start) * (math.log10(value) - a) / (b - a), tuple(ticks)
        )
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = low - pad, high + pad
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough)
    first = math.ceil(low / step)
    ticks = [step * n for n in range(first, math.floor(high / step) + 1)]
    return _Axis(low, high, lambda value: start + (end - start) * (value - low) / (high - low), tuple(ticks))


def _ticks(across: _Axis, up: _Axis) -> str:
    parts = []
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="up" x="{_LEFT - 6}" y="{y + 3.5:.1f}">{label(tick)}</text>')
    for tick in across.ticks:
        parts.append(f'<text class="across" x="{across.place(tick):.1f}" y="{HEIGHT - 7}">{label(tick)}</text>')
    return "".join(parts)


def _path(pairs: Sequence[tuple[float, float]], across: Callable[[float], float], up: Callable[[float], float]) -> str:
    steps, pen = [], "M"
    for x, y in pairs:
        if math.isfinite(y):
            steps.append(f"{pen}{across(x):.1f} {up(y):.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(steps)


def _smoothed(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The exponential running mean over about a thirtieth of the curve; gaps stay gaps."""
    keep = 1 - min(1.0, 30 / max(len(pairs), 1))
    result: list[tuple[float, float]] = []
    mean = math.nan
    for x, y in pairs:
        if math.isfinite(y):
            mean = y if math.isnan(mean) else keep * mean + (1 - keep) * y
            result.append((x, mean))
        else:
            result.append((x, math.nan))
    return result


def _thinned(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average neighbours, so that at most `_POINTS` are left; one that is not a number makes its neighbours none."""
    if len(pairs) <= _POINTS:
        return list(pairs)
    bounds = [len(pairs) * index // _POINTS for index in range(_POINTS + 1)]
    parts = [pairs[start:end] for start, end in pairwise(bounds)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _frame(inside: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{inside}</svg>'
