"""The middle of drawn lines, to a fraction of a pixel.

A skeleton lies up to a pixel beside the middle of its line, is pulled aside wherever lines meet, cuts corners and
stops short of the line's end. So it only says which lines there are. Where they run is measured afresh: across each
line, from edge to edge of the ink; a smoothing spline through the middles runs on through junctions as it came, corners
are set where their two sides meet, and ends go to where a round pen would have stopped.
"""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.pen.ends import end_width, find_end, find_landings, go_on, insert
from airbrush_cli.pen.lines import Line
from airbrush_cli.pen.links import link, prune
from airbrush_cli.pen.raster import framed_depth, sample, to_edge
from airbrush_cli.pen.skeleton import thin

_BLUR = 0.7  # px, makes a binary edge one whose place can be read between pixels
_STIFF = 10.0  # weight of the spline's second differences
_SUPPLE = 1.3  # in its place for each px of half width, at last: a thin line's middle follows it closely
_FAINT = 0.01  # weight of a point that is only the skeleton's
_FIXED = 1000.0  # weight of a corner
_CORNER = np.radians(50.0)
_HOLE = 8  # px, so small a hole is the raster's, in the notch between lines that meet, and not a drawn ring's


def centre_lines(mask: NDArray[np.uint8]) -> list[Line]:
    """Return the middles of the lines of a mask, (H, W) of 0 and 1: pixel coordinates, points a pixel apart."""
    if not mask.any():
        return []
    framed, distance, (left, top) = framed_depth(_without_holes(mask))
    _, graph = prune(thin(framed, distance), distance)
    strokes = link(graph, distance)
    soft = cv2.GaussianBlur(framed.astype(np.float32), (0, 0), _BLUR)
    offset, xy, corner, width = _refine(*strokes, soft, distance)
    xy += (left, top)
    return [
        Line(xy[a:b], corner[a:b], bool(closed), float(wide))
        for a, b, closed, wide in zip(offset[:-1], offset[1:], strokes.closed, width, strict=True)
    ]


def _without_holes(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4, ltype=cv2.CV_32S)
    small = stats[:, cv2.CC_STAT_AREA] <= _HOLE
    small[0] = False
    return mask | small[labels] if small.any() else mask


@njit(cache=True)
def _spline(points, weight, corner, closed, stiff):
    """Return the points smoothed: least weighted squared distances and second differences (Whittaker 1923)."""
    count = len(points)
    if count < 3:
        return points.copy()
    wrap = min(count, 40) if closed else 0
    total = count + 2 * wrap
    # The system is symmetric with two side diagonals: a Cholesky factorisation L·D·Lᵀ in place.
    diagonal, first, second = np.zeros(total), np.zeros(total), np.zeros(total)
    right = np.empty((total, 2))
    for k in range(total):
        i = (k - wrap) % count
        diagonal[k] = weight[i]
        right[k, 0], right[k, 1] = weight[i] * points[i, 0], weight[i] * points[i, 1]
    for k in range(1, total - 1):
        if corner[(k - wrap) % count]:
            continue
        diagonal[k - 1] += stiff
        diagonal[k] += 4 * stiff
        diagonal[k + 1] += stiff
        first[k - 1] -= 2 * stiff
        first[k] -= 2 * stiff
        second[k - 1] += stiff
    for k in range(total - 1):
        f = first[k] / diagonal[k]
        diagonal[k + 1] -= f * first[k]
        right[k + 1, 0] -= f * right[k, 0]
        right[k + 1, 1] -= f * right[k, 1]
        if k + 2 < total:
            s = second[k] / diagonal[k]
            first[k + 1] -= f * second[k]
            diagonal[k + 2] -= s * second[k]
            right[k + 2, 0] -= s * right[k, 0]
            right[k + 2, 1] -= s * right[k, 1]
            second[k] = s
        first[k] = f
    for k in range(total - 1, -1, -1):
        for axis in range(2):
            value = right[k, axis] / diagonal[k]
            if k + 1 < total:
                value -= first[k] * right[k + 1, axis]
            if k + 2 < total:
                value -= second[k] * right[k + 2, axis]
            right[k, axis] = value
    return right[wrap : wrap + count]


@njit(cache=True)
def _resample(points, trusted, corner, closed):
    """Return the polyline with points a pixel apart, corners kept. New points between untrusted ones are untrusted."""
    count = len(points)
    spans = count if closed else count - 1
    room = 2 * count + 2
    for i in range(spans):
        j = (i + 1) % count
        room += int(np.hypot(points[j, 0] - points[i, 0], points[j, 1] - points[i, 1])) + 2
    xy, sure, sharp = np.empty((room, 2)), np.zeros(room, np.bool_), np.zeros(room, np.bool_)
    xy[0, 0], xy[0, 1], sure[0], sharp[0] = points[0, 0], points[0, 1], trusted[0], corner[0]
    used = 1
    wait = 1.0  # way to go to the next point
    for i in range(spans):
        j = (i + 1) % count
        dx, dy = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
        length = np.hypot(dx, dy)
        done = 0.0
        while length - done >= wait:
            done += wait
            wait = 1.0
            xy[used, 0], xy[used, 1] = points[i, 0] + dx * done / length, points[i, 1] + dy * done / length
            # Neighbouring pixels are at most √2 apart: a longer span is a gap.
            sure[used] = trusted[i] and trusted[j] and length < 2.0
            used += 1
        wait -= length - done
        if corner[j] and j != 0:
            xy[used, 0], xy[used, 1], sharp[used] = points[j, 0], points[j, 1], True
            used += 1
            wait = 1.0
    if closed:
        used -= used > 3 and np.hypot(xy[used - 1, 0] - xy[0, 0], xy[used - 1, 1] - xy[0, 1]) < 0.5
    else:
        used += wait < 0.7 or used == 1
        last = count - 1
        xy[used - 1, 0], xy[used - 1, 1], sure[used - 1] = points[last, 0], points[last, 1], trusted[last]
    return xy[:used], sure[:used], sharp[:used]


@njit(cache=True)
def _measure(curve, sure, corner, closed, soft, distance, middle, half, good):
    """Measure across the curve. Fills in the middles (N, 2), the half widths (N,), and which of both are good (N,)."""
    count = len(curve)
    for i in range(count):
        good[i] = False
        if not sure[i] or corner[i]:
            continue
        before, after = (i - 2, i + 2) if closed else (max(0, i - 2), min(count - 1, i + 2))
        dx = curve[after % count, 0] - curve[before % count, 0]
        dy = curve[after % count, 1] - curve[before % count, 1]
        length = np.hypot(dx, dy)
        x, y = curve[i, 0], curve[i, 1]
        here = sample(soft, x, y)
        if length < 1e-6 or here < 0.25:
            continue
        nx, ny = -dy / length, dx / length
        level = min(0.5, 0.7 * here)
        reach = 1.5 * distance[int(y), int(x)] + 2.5
        left, right = to_edge(soft, x, y, nx, ny, level, reach), to_edge(soft, x, y, -nx, -ny, level, reach)
        if left < 0 or right < 0 or max(left, right) > 1.3 * min(left, right) + 1.5:
            continue
        shift = (left - right) / 2
        middle[i, 0], middle[i, 1] = x + shift * nx, y + shift * ny
        half[i] = (left + right) / 2
        good[i] = True
    # Where the line suddenly seems wide, another one runs into it.
    window = np.empty(9)
    for i in range(count):
        if good[i]:
            used = 0
            for k in range(max(0, i - 12), min(count, i + 13), 3):
                if good[k]:
                    insert(window, used, half[k])
                    used += 1
            if used and half[i] > 1.2 * window[used // 2] + 0.4:
                good[i] = False


@njit(cache=True)
def _fit(xy, sure, corner, closed, soft, distance, ends, rounds, stiff):
    """Return the smoothed curve, the half width at each of its points, and which of these are good."""
    count = len(xy)
    weight, middle, half = np.empty(count), np.empty((count, 2)), np.empty(count)
    good = np.zeros(count, np.bool_)
    for i in range(count):
        weight[i] = _FIXED if corner[i] else (0.3 if sure[i] else _FAINT)
    curve = _spline(xy, weight, corner, closed, _STIFF)
    for turn in range(rounds):
        _measure(curve, sure, corner, closed, soft, distance, middle, half, good)
        for side in range(2):
            if not closed and ends[side]:  # within a cap, what lies across is not the line's width
                for i in range(min(count - 1, int(np.ceil(1.2 * end_width(half, good, side))))):
                    good[i if side == 0 else count - 1 - i] = False
        if good.sum() < 4:
            break
        for i in range(count):
            if not good[i]:
                middle[i, 0], middle[i, 1] = xy[i, 0], xy[i, 1]
            if not corner[i]:
                weight[i] = 1.0 if good[i] else _FAINT
        curve = _spline(middle, weight, corner, closed, stiff if turn == rounds - 1 else _STIFF)
    return curve, half, good


@njit(cache=True)
def _mean_half_width(half, good):
    total, count = 0.0, 0
    for i in range(len(half)):
        if good[i]:
            total += half[i]
            count += 1
    return total / count if count >= 4 else np.nan


@njit(cache=True)
def _find_corners(curve, half_width, closed, soft):
    """Return the polyline with sharp corners set where their two sides meet, which points these are, and how many."""
    count = len(curve)
    skip = int(np.ceil(half_width)) + 1
    arm = max(4, int(2 * half_width))
    corner, gone, turn = np.zeros(count, np.bool_), np.zeros(count, np.bool_), np.zeros(count)
    found = 0
    if count >= 2 * (skip + arm) + 1:
        low, high = (0, count) if closed else (skip + arm, count - skip - arm)
        for i in range(low, high):
            ax, ay, bx, by, _, _ = _arms(curve, i, skip, arm)
            turn[i] = abs(np.arctan2(ay * bx - ax * by, -ax * bx - ay * by))
        while True:
            i = np.argmax(turn)
            if turn[i] < _CORNER:
                break
            meets, x, y = _meeting(curve, i, skip, arm, half_width, soft)
            reach = skip + 2 if meets else 0
            for k in range(-reach, reach + 1):
                j = (i + k) % count
                turn[j] = 0.0
                gone[j] = gone[j] or (meets and 0 < abs(k) <= skip)
            if meets:
                curve[i, 0], curve[i, 1], corner[i] = x, y, True
                found += 1
    used = 0
    for i in range(count):
        if not gone[i] or corner[i]:
            curve[used, 0], curve[used, 1], corner[used] = curve[i, 0], curve[i, 1], corner[i]
            used += 1
    return curve[:used], corner[:used], found


@njit(cache=True)
def _arms(curve, i, skip, arm):
    """Return the directions from the ends of the two sides of point i towards it, and the way between these ends."""
    count = len(curve)
    a, a2, b, b2 = (i - skip) % count, (i - skip - arm) % count, (i + skip) % count, (i + skip + arm) % count
    ax, ay = curve[a, 0] - curve[a2, 0], curve[a, 1] - curve[a2, 1]
    bx, by = curve[b, 0] - curve[b2, 0], curve[b, 1] - curve[b2, 1]
    return ax, ay, bx, by, curve[b, 0] - curve[a, 0], curve[b, 1] - curve[a, 1]


@njit(cache=True)
def _meeting(curve, i, skip, arm, half_width, soft):
    """Return whether the two sides of point i meet at a corner of the ink, and where."""
    ax, ay, bx, by, dx, dy = _arms(curve, i, skip, arm)
    cross = ax * by - ay * bx
    if abs(cross) < 1e-9:
        return False, 0.0, 0.0
    s, t = (dx * by - dy * bx) / cross, (dx * ay - dy * ax) / cross
    a = (i - skip) % len(curve)
    x, y = curve[a, 0] + s * ax, curve[a, 1] + s * ay
    ox, oy = x - curve[i, 0], y - curve[i, 1]
    off = np.hypot(ox, oy)
    if s < 0 or t < 0 or off > 2.0 * half_width + 1.0:
        return False, x, y
    if off > 0.5:
        # On a bow the sides meet nearer to the ink's outer edge than its half width: there it stays a bow.
        outside = to_edge(soft, x, y, ox / off, oy / off, 0.5, 2 * half_width + 4)
        if sample(soft, x, y) < 0.5 or outside < 0.7 * half_width - 0.3:
            return False, x, y
    return True, x, y


@njit(cache=True)
def _refine(offset, raw, trusted, closed, anchor, soft, distance):
    """Return the finished lines of all strokes: where each stops, points, corners, and each line's width."""
    strokes = len(closed)
    room = 1000 + 4 * len(raw)
    xy, sharp = np.empty((room, 2)), np.zeros(room, np.bool_)
    stops, width = np.zeros(strokes + 1, np.int64), np.zeros(strokes)
    free, wide, goal = np.zeros(2, np.bool_), np.zeros((strokes, 2)), np.zeros((strokes, 2, 2))
    cut = np.zeros(2, np.int64)
    used = 0
    for s in range(strokes):
        first, last = offset[s], offset[s + 1]
        ring = closed[s] and last - first > 3
        free[0], free[1] = np.isnan(anchor[s, 0, 0]), np.isnan(anchor[s, 1, 0])
        curve, corner, half, good = _refine_one(raw[first:last], trusted[first:last], ring, soft, distance, free)
        width[s] = 2 * _mean_half_width(half, good)
        if np.isnan(width[s]):
            for k in range(first, last):
                width[s] = np.fmax(width[s], 2 * distance[int(raw[k, 1]), int(raw[k, 0])] - 1)
        count = len(curve)
        cut[:] = 0
        if not ring:
            for side in range(2):
                wide[s, side] = end_width(half, good, side)
                cut[side] = find_end(curve, corner, wide[s, side], soft, distance, anchor[s, side], side, goal[s, side])
            if cut.sum() > count - 2:
                cut[:] = 0
        if used + count + 1 > room:
            room = 2 * (room + count)
            bigger_xy, bigger_sharp = np.empty((room, 2)), np.zeros(room, np.bool_)
            bigger_xy[:used], bigger_sharp[:used] = xy[:used], sharp[:used]
            xy, sharp = bigger_xy, bigger_sharp
        for k in range(cut[0], count - cut[1] + ring):
            xy[used], sharp[used] = curve[k % count], corner[k % count]
            used += 1
        stops[s + 1] = used
        if ring:
            goal[s, 0], goal[s, 1] = curve[0], curve[0]
    stops, xy, sharp = go_on(stops, xy[:used], sharp[:used], goal)
    find_landings(stops, xy, anchor, wide, soft, goal)
    stops, xy, sharp = go_on(stops, xy, sharp, goal)
    return stops, xy, sharp, width


@njit(cache=True)
def _refine_one(points, sure, ring, soft, distance, ends):
    xy, sure, corner = _resample(points, sure, np.zeros(len(points), np.bool_), ring)
    curve, half, good = _fit(xy, sure, corner, ring, soft, distance, ends, 1, _STIFF)
    wide = _mean_half_width(half, good)
    if np.isnan(wide):
        return curve, corner, half, good
    bent, corners, found = _find_corners(curve.copy(), wide, ring, soft)
    if found:
        xy, sure, corner = _resample(bent, np.ones(len(bent), np.bool_), corners, ring)
    curve, half, good = _fit(xy, sure, corner, ring, soft, distance, ends, 2, _SUPPLE * wide)
    return curve, corner, half, good
