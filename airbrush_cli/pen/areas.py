"""Dark areas: told from lines by their thickness, outlined, and filled with hatching."""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.pen.raster import FRAME, framed_depth, sample


def split(mask: NDArray[np.uint8], max_line_px: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Tell lines from areas by local thickness: the diameter of the largest disc that fits in the ink at that place.

    Args:
        mask: (H, W) of 0 and 1.
        max_line_px: lines are at most so thick.

    Returns:
        lines, areas: (H, W) of 0 and 1; where a line runs into an area it goes on a little there.
    """
    nothing = np.zeros_like(mask)
    if not mask.any():
        return mask, nothing
    framed, depth, _ = framed_depth(mask)
    radius = max_line_px / 2
    core = (depth > radius + 0.5).astype(np.uint8)
    if not core.any():
        return mask, nothing
    # Only what lies about the cores matters: further off, ink is line.
    edge = int(2 * radius) + 6
    left, top, width, height = cv2.boundingRect(core)
    near = (slice(max(0, top - edge), top + height + edge), slice(max(0, left - edge), left + width + edge))
    away = cv2.distanceTransform(1 - core[near], cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rest = (framed[near] > 0) & (away > radius + 1.5)
    # What sticks out of an area by less than a line is thick is a corner of it.
    count, labels = cv2.connectedComponents(rest.astype(np.uint8), connectivity=8)
    reach = np.zeros(count, np.float32)
    np.maximum.at(reach, labels[rest].astype(np.intp), away[rest])
    is_line = reach > 2 * radius + 3.0
    is_line[0] = False
    lines = framed.copy()
    lines[near] = is_line[labels]
    area = framed - lines
    reached = cv2.dilate(lines, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    lines |= framed & reached.astype(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    inner = (slice(FRAME, FRAME + h), slice(FRAME, FRAME + w))
    whole_lines, whole_area = nothing.copy(), nothing
    whole_lines[y : y + h, x : x + w], whole_area[y : y + h, x : x + w] = lines[inner], area[inner]
    return whole_lines, whole_area


def depth_of(area: NDArray[np.uint8]) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return how deep each pixel's centre lies within an area, px, negative outside; smooth enough to contour.

    Args:
        area: (H, W) of 0 and 1 with any 1.

    Returns:
        depth, of the part with the area in it; (left, top), what to add to its pixel coordinates to have the area's.
    """
    framed, inside, shift = framed_depth(area)
    outside = cv2.distanceTransform(1 - framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    depth = np.where(framed > 0, inside - 0.5, 0.5 - outside)
    return cv2.GaussianBlur(depth, (0, 0), 0.7).astype(np.float32, copy=False), shift


def contours(depth: NDArray[np.float32], level: float) -> list[NDArray[np.float64]]:
    """Return the closed lines along which `depth` is `level`, (N, 2) px each, about a pixel apart, ends repeated."""
    found, _ = cv2.findContours((depth >= level).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    result = []
    for chain in found:
        if len(chain) < 8:
            continue
        xy = chain[:, 0].astype(np.float64) + 0.5
        _move_to_level(xy, depth, level)
        result.append(np.vstack([xy, xy[:1]]))
    return result


@njit(cache=True)
def _move_to_level(xy, depth, level):
    """Move points along the slope of `depth` to where it is `level` (Newton's method), and even them out."""
    for _ in range(3):
        for k in range(len(xy)):
            x, y = xy[k, 0], xy[k, 1]
            gx = sample(depth, x + 0.5, y) - sample(depth, x - 0.5, y)
            gy = sample(depth, x, y + 0.5) - sample(depth, x, y - 0.5)
            square = max(gx * gx + gy * gy, 0.25)
            off = min(1.0, max(-1.0, (level - sample(depth, x, y)) / square))
            xy[k, 0], xy[k, 1] = x + off * gx, y + off * gy


def hatch(
    depth: NDArray[np.float32], level: float, spacing: float, angle: float, shift: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Return zigzag lines that fill where `depth` is at least `level`.

    Args:
        depth: (H, W) px.
        level: px.
        spacing: distance between the lines, px.
        angle: of the lines against the x axis, radians.
        shift: see `depth_of`; hatching is counted from the page's origin, so that areas side by side are hatched alike.

    Returns:
        (N, 2) px each.
    """
    rows, columns = np.nonzero(depth >= level)
    if len(rows) == 0:
        return []
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    centres = np.stack([columns, rows], axis=1) + 0.5
    phase = across @ np.array(shift, float)
    low, high = (centres @ across).min() - 1, (centres @ across).max() + 1
    start, stop = (centres @ along).min() - 1, (centres @ along).max() + 1
    first, last = int(np.ceil((low + phase) / spacing)), int(np.floor((high + phase) / spacing))
    spans, line = _spans(depth, level, along, across, first, last, spacing, phase, start, stop)
    follower = _chain(spans, line, depth, level, 2.5 * spacing)
    result = []
    for head in np.setdiff1d(np.arange(len(spans)), follower).tolist():
        points = []
        while head >= 0:
            points.append(spans[head])
            head = follower[head]
        result.append(np.concatenate(points))
    return result


@njit(cache=True)
def _spans(depth, level, along, across, first, last, spacing, phase, start, stop):
    """Return the parts of each hatch line that lie deep enough, (S, 2, 2) px, every other line backwards."""
    spans, lines = [np.zeros((2, 2))], [0]
    for number in range(first, last + 1):
        offset = number * spacing - phase
        x, y = across[0] * offset, across[1] * offset
        steps = int(np.ceil(stop - start)) + 1
        before, entered = -1e9, np.nan
        for k in range(steps + 1):
            t = start + k
            value = sample(depth, x + t * along[0], y + t * along[1]) if k < steps else -1e9
            if value >= level and before < level:
                entered = t - (value - level) / max(value - before, 1e-6)
            elif value < level and before >= level:
                left = t - 1 + (before - level) / max(before - value, 1e-6)
                span = np.empty((2, 2))
                span[0, 0], span[0, 1] = x + entered * along[0], y + entered * along[1]
                span[1, 0], span[1, 1] = x + left * along[0], y + left * along[1]
                spans.append(span if number % 2 == 0 else span[::-1].copy())
                lines.append(number)
            before = value
    result, line = np.empty((len(spans) - 1, 2, 2)), np.empty(len(spans) - 1, np.int64)
    for k in range(1, len(spans)):
        result[k - 1], line[k - 1] = spans[k], lines[k]
    return result, line


@njit(cache=True)
def _chain(spans, line, depth, level, reach):
    """Return for each span the one on the next line that its end leads on to, or -1."""
    count = len(spans)
    follower, taken = np.full(count, -1), np.zeros(count, np.bool_)
    ahead = 0
    for k in range(count):
        while ahead < count and line[ahead] <= line[k]:
            ahead += 1
        best = reach
        j = ahead
        while j < count and line[j] == line[k] + 1:
            x, y = spans[k, 1, 0], spans[k, 1, 1]
            off = np.hypot(spans[j, 0, 0] - x, spans[j, 0, 1] - y)
            if off < best and not taken[j]:
                middle = sample(depth, (x + spans[j, 0, 0]) / 2, (y + spans[j, 0, 1]) / 2)
                if middle >= level - 1.0:
                    best = off
                    follower[k] = j
            j += 1
        if follower[k] >= 0:
            taken[follower[k]] = True
    return follower
