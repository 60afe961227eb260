"""Lines before they become paths: joined where their ends touch, put in order, turned to where the pen comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from airbrush_cli.pen.travel import join_ends, optimise_travel


class Line(NamedTuple):
    """One drawn line, in any unit."""

    xy: NDArray[np.float64]  # (N, 2), densely and about evenly spaced; a closed one ends where it starts
    corner: NDArray[np.bool_]  # (N,) where it turns sharply
    closed: bool = False
    width: float | None = None  # of the ink, where it is a line's middle

    def reversed(self) -> Line:
        """Return the line drawn the other way."""
        return self._replace(xy=self.xy[::-1], corner=self.corner[::-1])

    @property
    def length(self) -> float:
        """How long it is."""
        return float(np.hypot(*np.diff(self.xy, axis=0).T).sum())


def with_length(line: Line, shortest: float) -> Line | None:
    """Return a line long enough for a pen: a shorter one as a dash through its middle, None for a mere speck.

    Args:
        line: open or closed.
        shortest: the pen's width.
    """
    if line.length >= shortest:
        return line
    if line.width is None or line.width < shortest:
        return None
    middle, along = (line.xy[0] + line.xy[-1]) / 2, line.xy[-1] - line.xy[0]
    length = np.hypot(*along)
    along = along / length if length > 1e-9 and not line.closed else np.array([1.0, 0.0])
    # A hundredth more than it must be, so that rounding takes nothing away.
    ends = middle + np.outer([-0.505, 0.505], along) * shortest
    return Line(ends, np.zeros(2, bool), False, line.width)


def merge(lines: Sequence[Line], reach: float) -> list[Line]:
    """Join open lines whose ends lie within `reach` of each other, nearest first, and close those that return."""
    opened = [line for line in lines if not line.closed]
    result = [line for line in lines if line.closed]
    if reach <= 0 or not opened:
        return result + opened
    ends = np.array([end for line in opened for end in (line.xy[0], line.xy[-1])])
    pairs = cKDTree(ends).query_pairs(reach, output_type="ndarray").astype(np.int64)
    distance = np.hypot(*(ends[pairs[:, 0]] - ends[pairs[:, 1]]).T)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0], distance))]
    link = np.full(len(ends), -1, np.int32)
    tail = np.arange(len(ends), dtype=np.int32) ^ 1
    join_ends(pairs[:, 0], pairs[:, 1], link, tail)
    for head in np.flatnonzero(link < 0).tolist():
        if head > tail[head]:
            continue  # the chain is read from its other end
        parts = []
        end = head
        while end >= 0:
            parts.append(opened[end // 2].reversed() if end % 2 else opened[end // 2])
            end = int(link[end ^ 1])
        result.append(_closed_if_ends_touch(_concatenate(parts), reach))
    return result


def _concatenate(parts: list[Line]) -> Line:
    if len(parts) == 1:
        return parts[0]
    corner = np.concatenate([part.corner for part in parts])
    joints = np.cumsum([len(part.xy) for part in parts])[:-1]
    corner[joints] = corner[joints - 1] = True
    widths = [(part.width, part.length) for part in parts if part.width is not None]
    total = sum(length for _, length in widths)
    width = sum(width * length for width, length in widths) / total if total > 0 else parts[0].width
    return Line(np.concatenate([part.xy for part in parts]), corner, False, width)


def _closed_if_ends_touch(line: Line, reach: float) -> Line:
    if np.hypot(*(line.xy[0] - line.xy[-1])) > reach or line.length < 6 * reach:
        return line
    corner = np.append(line.corner, True)
    corner[0] = corner[-2] = True
    return line._replace(xy=np.vstack([line.xy, line.xy[:1]]), corner=corner, closed=True)


def in_order(lines: Sequence[Line], origin: tuple[float, float] = (0.0, 0.0)) -> list[Line]:
    """Return the lines in an order, and each in a direction, that make the lifted pen travel little from `origin`."""
    if not lines:
        return []
    starts, ends = np.array([line.xy[0] for line in lines]), np.array([line.xy[-1] for line in lines])
    order, reverse = optimise_travel(starts, ends, origin)
    result = [
        lines[k].reversed() if back else lines[k] for k, back in zip(order.tolist(), reverse.tolist(), strict=True)
    ]
    here = np.asarray(origin, float)
    for k, line in enumerate(result):
        if line.closed:
            there = result[k + 1].xy[0] if k + 1 < len(result) else here
            way = np.hypot(*(line.xy[:-1] - here).T) + np.hypot(*(line.xy[:-1] - there).T)
            result[k] = _started_at(line, int(np.argmin(way)))
        here = result[k].xy[-1]
    return result


def _started_at(line: Line, index: int) -> Line:
    """Turn a closed line so that it starts and ends at its point `index`."""
    xy, corner = np.roll(line.xy[:-1], -index, axis=0), np.roll(line.corner[:-1], -index)
    return line._replace(xy=np.vstack([xy, xy[:1]]), corner=np.append(corner, corner[0]))
