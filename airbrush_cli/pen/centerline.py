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
from airbrush_cli.pen.lines import Line
from airbrush_cli.pen.links import link, prune
from airbrush_cli.pen.raster import framed_depth, sample, to_edge
from airbrush_cli.pen.skeleton import thin

_BLUR = 0.7  # px, makes a binary edge one whose place can be read between pixels
_STIFF = 30.0  # weight of the spline's second differences
_FAINT = 0.01  # weight of a point that is only the skeleton's
_CORNER = np.radians(50.0)


def centre_lines(mask: NDArray[np.uint8]) -> list[Line]:
    """Return the middles of the lines of a mask, (H, W) of 0 and 1: pixel coordinates, points a pixel apart."""
    if not mask.any():
        return []
    framed, distance, (left, top) = framed_depth(mask)
    _, graph = prune(thin(framed, distance), distance)
    strokes = link(graph, distance)
    soft = cv2.GaussianBlur(framed.astype(np.float32), (0, 0), _BLUR)
    offset, xy, corner, width = _refine(*strokes, soft, distance)
    xy += (left, top)
    return [
        Line(xy[a:b], corner[a:b], bool(closed), float(wide))
        for a, b, closed, wide in zip(offset[:-1], offset[1:], strokes.closed, width, strict=True)
    ]


@njit(cache=True)
def _spline(points, weight, corner, closed):
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
        diagonal[k - 1] += _STIFF
        diagonal[k] += 4 * _STIFF
        diagonal[k + 1] += _STIFF
        first[k - 1] -= 2 * _STIFF
        first[k] -= 2 * _STIFF
        second[k - 1] += _STIFF
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
    return right[wrap : wrap + count].copy()


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
    xy[0], sure[0], sharp[0] = points[0], trusted[0], corner[0]
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
            xy[used], sure[used], sharp[used] = points[j], False, True
            used += 1
            wait = 1.0
    if closed:
        last = np.hypot(xy[used - 1, 0] - xy[0, 0], xy[used - 1, 1] - xy[0, 1])
        if used > 3 and last < 0.5:
            used -= 1
    elif wait < 0.7 or used == 1:
        xy[used], sure[used] = points[count - 1], trusted[count - 1]
        used += 1
    else:
        xy[used - 1], sure[used - 1] = points[count - 1], trusted[count - 1]
    return xy[:used].copy(), sure[:used].copy(), sharp[:used].copy()


@njit(cache=True)
def _measure(curve, sure, corner, closed, soft, distance, middle, half):
    """Measure across the curve. Fills the middles (N, 2) and half widths (N,); returns which are good."""
    count = len(curve)
    good = np.zeros(count, np.bool_)
    for i in range(count):
        half[i] = np.nan
        middle[i] = curve[i]
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
        near = distance[int(y), int(x)]
        level = min(0.5, 0.7 * here)
        reach = 1.5 * near + 2.5
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
                value = half[k]
                if value == value:
                    j = used
                    while j > 0 and window[j - 1] > value:
                        window[j] = window[j - 1]
                        j -= 1
                    window[j] = value
                    used += 1
            if used and half[i] > 1.2 * window[used // 2] + 0.4:
                good[i] = False
    return good


@njit(cache=True)
def _fit(xy, sure, corner, closed, soft, distance, ends, rounds):
    """Return the smoothed curve, and the half width at each of its points (NaN where unknown)."""
    count = len(xy)
    weight = np.where(sure, 0.3, _FAINT)
    for i in range(count):
        if corner[i]:
            weight[i] = 1000.0
    curve = _spline(xy, weight, corner, closed)
    middle, half = np.empty((count, 2)), np.empty(count)
    half[:] = np.nan
    for _ in range(rounds):
        good = _measure(curve, sure, corner, closed, soft, distance, middle, half)
        if good.sum() < 4:
            break
        if not closed:
            for side in range(2):
                if ends[side]:  # within a cap, what lies across is not the line's width
                    cap = _end_width(half, good, side) * 1.2
                    for i in range(min(count - 1, int(np.ceil(cap)))):
                        good[i if side == 0 else count - 1 - i] = False
        if good.sum() < 4:
            break
        for i in range(count):
            if not corner[i]:
                if not good[i]:
                    middle[i] = xy[i]
                weight[i] = 1.0 if good[i] else _FAINT
            else:
                middle[i] = xy[i]
        curve = _spline(middle, weight, corner, closed)
    return curve, half


@njit(cache=True)
def _end_width(half, good, side):
    """Return the median half width of the good points next to an end."""
    count = len(half)
    values = np.empty(12)
    used = 0
    for i in range(count):
        k = i if side == 0 else count - 1 - i
        if good[k] and used < 12:
            values[used] = half[k]
            used += 1
    return np.median(values[:used]) if used else 0.5


@njit(cache=True)
def _find_corners(curve, half_width, closed, soft):
    """Return the polyline with sharp corners set where their two sides meet, and which points these are."""
    count = len(curve)
    skip = int(np.ceil(half_width)) + 1
    arm = max(4, int(2 * half_width))
    corner = np.zeros(count, np.bool_)
    if count < 2 * (skip + arm) + 1:
        return curve, corner
    low, high = (0, count) if closed else (skip + arm, count - skip - arm)
    turn = np.zeros(count)
    for i in range(low, high):
        ax = curve[(i - skip) % count, 0] - curve[(i - skip - arm) % count, 0]
        ay = curve[(i - skip) % count, 1] - curve[(i - skip - arm) % count, 1]
        bx = curve[(i + skip + arm) % count, 0] - curve[(i + skip) % count, 0]
        by = curve[(i + skip + arm) % count, 1] - curve[(i + skip) % count, 1]
        turn[i] = abs(np.arctan2(ax * by - ay * bx, ax * bx + ay * by))
    keep = np.ones(count, np.bool_)
    result = curve.copy()
    found = 0
    for i in np.argsort(-turn):
        if turn[i] < _CORNER:
            break
        clear = True
        for k in range(-skip - 2, skip + 3):
            j = i + k
            if not closed and (j < 0 or j >= count):
                continue
            clear = clear and keep[j % count] and not corner[j % count]
        if not clear:
            continue
        a, b = (i - skip) % count, (i + skip) % count
        ax, ay = curve[a, 0] - curve[(i - skip - arm) % count, 0], curve[a, 1] - curve[(i - skip - arm) % count, 1]
        bx, by = curve[b, 0] - curve[(i + skip + arm) % count, 0], curve[b, 1] - curve[(i + skip + arm) % count, 1]
        cross = ax * by - ay * bx
        if abs(cross) < 1e-9:
            continue
        dx, dy = curve[b, 0] - curve[a, 0], curve[b, 1] - curve[a, 1]
        s, t = (dx * by - dy * bx) / cross, (dx * ay - dy * ax) / cross
        if s < 0 or t < 0:
            continue
        x, y = curve[a, 0] + s * ax, curve[a, 1] + s * ay
        off = np.hypot(x - curve[i, 0], y - curve[i, 1])
        # On a bow the sides meet outside the ink's middle: there it stays a bow.
        if off > 2.0 * half_width + 1.0:
            continue
        ox, oy = x - curve[i, 0], y - curve[i, 1]
        if off > 0.5:
            outside = to_edge(soft, x, y, ox / off, oy / off, 0.5, 2 * half_width + 4)
            if sample(soft, x, y) < 0.5 or outside < 0.7 * half_width - 0.3:
                continue
        for k in range(-skip, skip + 1):
            j = (i + k) % count
            keep[j] = k == 0
        result[i, 0], result[i, 1] = x, y
        corner[i] = True
        found += 1
    if found == 0:
        return curve, corner
    return result[keep], corner[keep]


@njit(cache=True)
def _finish_end(curve, corner, half, soft, anchor, side):
    """Lead a curve's end to where the pen stopped: a half width before the ink ends, or at the line it runs into."""
    count = len(curve)
    good = ~np.isnan(half)
    wide = _end_width(half, good, side)
    free = np.isnan(anchor[0])
    back = min(count - 1, int(np.ceil(wide)) + 1) if free else 0
    # Never cut a corner off.
    for k in range(back + 1):
        if corner[k if side == 0 else count - 1 - k]:
            back = max(0, k - 1)
            break
    run = min(count - 1 - back, max(3, int(2 * wide)))
    if run < 1:
        return curve, corner
    at, far = (back, back + run) if side == 0 else (count - 1 - back, count - 1 - back - run)
    x, y = curve[at, 0], curve[at, 1]
    dx, dy = x - curve[far, 0], y - curve[far, 1]
    length = np.hypot(dx, dy)
    if length < 1e-6:
        return curve, corner
    dx, dy = dx / length, dy / length
    if free:
        reach = to_edge(soft, x, y, dx, dy, 0.5 * min(1.0, sample(soft, x, y)), back + 3 * wide + 4)
        if reach < 0:
            return curve, corner
        go = max(0.0, reach - wide)
    else:
        go = (anchor[0] - x) * dx + (anchor[1] - y) * dy
        if go < 0 or abs((anchor[0] - x) * dy - (anchor[1] - y) * dx) > 0.7 * go + 1.0:
            go = 0.0
    extra = int(np.ceil(go))
    kept = count - back
    result, sharp = np.empty((kept + extra, 2)), np.zeros(kept + extra, np.bool_)
    for k in range(extra):
        t = go * (k + 1) / extra
        place = extra - 1 - k if side == 0 else kept + k
        result[place, 0], result[place, 1] = x + t * dx, y + t * dy
    if side == 0:
        result[extra:], sharp[extra:] = curve[back:], corner[back:]
    else:
        result[:kept], sharp[:kept] = curve[:kept], corner[:kept]
    return result, sharp


@njit(cache=True)
def _refine(offset, raw, trusted, closed, anchor, soft, distance):
    strokes = len(closed)
    room = 1000 + 4 * len(raw)
    xy, sharp = np.empty((room, 2)), np.zeros(room, np.bool_)
    stops = np.zeros(strokes + 1, np.int64)
    width = np.zeros(strokes)
    used = 0
    for s in range(strokes):
        points, sure = raw[offset[s] : offset[s + 1]], trusted[offset[s] : offset[s + 1]]
        ring = closed[s] and len(points) > 3
        ends = np.array([np.isnan(anchor[s, 0, 0]), np.isnan(anchor[s, 1, 0])])
        curve, corner, half = _refine_one(points, sure, ring, soft, distance, ends)
        known = half[~np.isnan(half)]
        if len(known):
            width[s] = 2 * np.median(known)
        else:
            for p in points:
                width[s] = max(width[s], 2 * distance[int(p[1]), int(p[0])] - 1)
        if ring:
            curve, corner = np.vstack((curve, curve[:1])), np.append(corner, corner[0])
        else:
            curve, corner = _finish_end(curve, corner, half, soft, anchor[s, 0], 0)
            padded = np.full(len(curve), np.nan)
            tail = min(len(half), len(curve))
            padded[len(curve) - tail :] = half[len(half) - tail :]
            curve, corner = _finish_end(curve, corner, padded, soft, anchor[s, 1], 1)
        if used + len(curve) > room:
            room = 2 * room + len(curve)
            more_xy, more_sharp = np.empty((room, 2)), np.zeros(room, np.bool_)
            more_xy[:used], more_sharp[:used] = xy[:used], sharp[:used]
            xy, sharp = more_xy, more_sharp
        xy[used : used + len(curve)], sharp[used : used + len(curve)] = curve, corner
        used += len(curve)
        stops[s + 1] = used
    return stops, xy[:used].copy(), sharp[:used].copy(), width


@njit(cache=True)
def _refine_one(points, sure, ring, soft, distance, ends):
    xy, sure, corner = _resample(points, sure, np.zeros(len(points), np.bool_), ring)
    curve, half = _fit(xy, sure, corner, ring, soft, distance, ends, 1)
    known = half[~np.isnan(half)]
    if len(known) < 4:
        return curve, corner, half
    bent, corner = _find_corners(curve, np.median(known), ring, soft)
    if corner.any():
        xy, sure, corner = _resample(bent, np.ones(len(bent), np.bool_), corner, ring)
    curve, half = _fit(xy, sure, corner, ring, soft, distance, ends, 2)
    return curve, corner, half
