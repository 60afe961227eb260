"""Where lines end: free ends where a round pen would have stopped, all others on the line that they run into."""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.pen.raster import sample, to_edge

# px, by which a blurred raster's round tip seems to end before it does; measured on lines of 2 to 7 px.
_BLUNT = 0.3
_KINK = np.radians(50.0)


@njit(cache=True)
def insert(window, used, value):
    """Insert a value into the first `used` ones, which are sorted."""
    while used > 0 and window[used - 1] > value:
        window[used] = window[used - 1]
        used -= 1
    window[used] = value


@njit(cache=True)
def end_width(half, good, side):
    """Return the median half width of the good points next to an end."""
    count = len(half)
    window = np.empty(12)
    used = 0
    for i in range(count):
        k = i if side == 0 else count - 1 - i
        if good[k]:
            insert(window, used, half[k])
            used += 1
            if used == 12:
                break
    return window[used // 2] if used else 0.5


@njit(cache=True)
def find_end(curve, corner, wide, soft, distance, anchor, side, goal):
    """Find where a curve's end should lie: a half width before the ink ends, or on the line it runs into.

    Args:
        curve, corner: (N, 2) px and (N,).
        wide: half the width of the line at its end.
        soft, distance: the blurred mask and each pixel's depth in it.
        anchor: (2,) the junction that the end leads into, NaN where there is none.
        side: 0 for the start, 1 for the end.
        goal: (2,) is set to where the curve should go on to.

    Returns:
        how many points to take off first.
    """
    count = len(curve)
    tip, step = (0, 1) if side == 0 else (count - 1, -1)
    goal[0], goal[1] = curve[tip, 0], curve[tip, 1]
    free = np.isnan(anchor[0])
    back = min(count - 1, int(np.ceil(wide)) + 1) if free else 0
    for k in range(back + 1):  # a corner is not taken off
        if corner[tip + k * step]:
            back = max(0, k - 1)
            break
    run = min(count - 1 - back, max(3, int(2 * wide)))
    if run < 1:
        return 0
    x, y = curve[tip + back * step, 0], curve[tip + back * step, 1]
    dx, dy = x - curve[tip + (back + run) * step, 0], y - curve[tip + (back + run) * step, 1]
    length = np.hypot(dx, dy)
    if length < 1e-6:
        return 0
    dx, dy = dx / length, dy / length
    if free:
        ox, oy = curve[tip, 0] - x, curve[tip, 1] - y
        if abs(ox * dy - oy * dx) > 0.3 * wide + 0.5 and sample(soft, curve[tip, 0], curve[tip, 1]) > 0.5:
            # It bends to the last: only what the ink has beyond its tip is left to find.
            x, y, back, length = curve[tip, 0], curve[tip, 1], 0, np.hypot(ox, oy)
            dx, dy = ox / length, oy / length
        reach = to_edge(soft, x, y, dx, dy, 0.5 * min(1.0, sample(soft, x, y)), back + 3 * wide + 4)
        if reach < 0:
            return 0
        go = max(0.0, reach + _BLUNT - wide)
    else:
        ahead, aside = (anchor[0] - x) * dx + (anchor[1] - y) * dy, (anchor[0] - x) * dy - (anchor[1] - y) * dx
        if ahead <= 0 or abs(aside) > 0.7 * ahead + 1.0:  # it turns before it gets there
            goal[0], goal[1] = anchor[0], anchor[1]
            return 0
        # The middle of the line that it runs into is where the ink is deepest along the way.
        deepest, go = -1.0, ahead
        for quarter in range(-8, 13):
            there = ahead + quarter / 4
            depth = sample(distance, x + there * dx, y + there * dy)
            if there >= 0 and depth > deepest + 0.02:
                deepest, go = depth, there
    goal[0], goal[1] = x + go * dx, y + go * dy
    return back


@njit(cache=True)
def find_landings(stops, xy, anchor, wide, soft, goal):
    """Find what ends that lead into junctions, but on no line, should go on to: the nearest point of another line.

    Args:
        stops: (S + 1,) line s owns the points stops[s]:stops[s + 1].
        xy: (P, 2) px.
        anchor: (S, 2, 2) the junctions that starts and ends lead into, NaN where there is none.
        wide: (S, 2) half the width at starts and ends.
        soft: the blurred mask.
        goal: (S, 2, 2) is filled in.
    """
    height, width = soft.shape
    at = np.zeros(soft.shape, np.int32)  # one more than the index of a point in this pixel
    for k in range(len(xy)):
        at[min(max(int(xy[k, 1]), 0), height - 1), min(max(int(xy[k, 0]), 0), width - 1)] = k + 1
    for s in range(len(anchor)):
        for side in range(2):
            tip = stops[s] if side == 0 else stops[s + 1] - 1
            x, y = xy[tip, 0], xy[tip, 1]
            goal[s, side, 0], goal[s, side, 1] = x, y
            if np.isnan(anchor[s, side, 0]):
                continue
            behind = tip + (1 if side == 0 else -1) * min(3, stops[s + 1] - stops[s] - 1)
            dx, dy = x - xy[behind, 0], y - xy[behind, 1]
            reach = 3 * wide[s, side] + 4.0
            nearest, least, found = reach, np.inf, -1
            for i in range(max(0, int(y - reach)), min(height, int(y + reach) + 1)):
                for j in range(max(0, int(x - reach)), min(width, int(x + reach) + 1)):
                    k = at[i, j] - 1
                    if k < 0 or (stops[s] <= k < stops[s + 1] and abs(k - tip) < 4 * reach):
                        continue
                    ox, oy = xy[k, 0] - x, xy[k, 1] - y
                    away = np.hypot(ox, oy)
                    nearest = min(nearest, away)
                    cost = away * (1 + 2 * abs(np.arctan2(dx * oy - dy * ox, dx * ox + dy * oy)))
                    if away < reach and cost < least and _in_ink(soft, x, y, xy[k, 0], xy[k, 1]):
                        least, found = cost, k
            if found >= 0 and nearest > max(1.5, wide[s, side]):
                goal[s, side, 0], goal[s, side, 1] = xy[found, 0], xy[found, 1]


@njit(cache=True)
def _in_ink(soft, ax, ay, bx, by):
    least = 1.0
    for k in range(1, 4):
        least = min(least, sample(soft, ax + k / 4 * (bx - ax), ay + k / 4 * (by - ay)))
    return least >= 0.5


@njit(cache=True)
def go_on(stops, xy, corner, goal):
    """Return all lines with straight pieces added to their starts and ends, up to `goal`: stops, points, corners."""
    lines = len(goal)
    tips, more = np.empty((lines, 2), np.int64), np.empty((lines, 2), np.int64)
    for s in range(lines):
        tips[s, 0], tips[s, 1] = stops[s], stops[s + 1] - 1
        for side in range(2):
            x, y = xy[tips[s, side]]
            more[s, side] = int(np.ceil(np.hypot(goal[s, side, 0] - x, goal[s, side, 1] - y) - 1e-3))
    total = len(xy) + more.sum()
    longer, sharp, where = np.empty((total, 2)), np.zeros(total, np.bool_), np.zeros(lines + 1, np.int64)
    used = 0
    for s in range(lines):
        first = used + more[s, 0]
        last = first + tips[s, 1] - tips[s, 0]
        used = last + 1 + more[s, 1]
        where[s + 1] = used
        for k in range(first, last + 1):
            longer[k], sharp[k] = xy[tips[s, 0] + k - first], corner[tips[s, 0] + k - first]
        for side in range(2):
            tip, step = (first, -1) if side == 0 else (last, 1)
            x, y = longer[tip]
            gx, gy = goal[s, side, 0] - x, goal[s, side, 1] - y
            for k in range(1, more[s, side] + 1):
                part = k / more[s, side]
                longer[tip + k * step, 0], longer[tip + k * step, 1] = x + part * gx, y + part * gy
            behind = tip - step * min(3, last - first)
            bx, by = x - longer[behind, 0], y - longer[behind, 1]
            if more[s, side] > 0 and abs(np.arctan2(bx * gy - by * gx, bx * gx + by * gy)) > _KINK:
                sharp[tip] = True
    return where, longer, sharp
