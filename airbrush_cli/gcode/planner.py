# mypy: disable-error-code="no-untyped-def"
"""The time that a GRBL 1.1f controller takes: its look-ahead planner, compiled.

Formulas: acceleration and rate of a move are scaled so that no axis exceeds its own; the speed at a corner is that of a
circle which strays from it by the junction deviation (S. K. Jeon, "Improving Grbl: Cornering Algorithm", 2011); the
look-ahead holds fifteen moves and always ends at rest. A move's time is that of its trapezoidal speed profile at the
moment it leaves the look-ahead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl

# One less than the sixteen places of GRBL's ring: a full ring could not be told from an empty one.
LOOK_AHEAD = 15
_RING = 16

MINIMUM_FEED = 1.0  # mm/min
DWELL_STEP = 0.05  # s; a dwell is counted in these
ARC_EPSILON = 5e-7
# Beyond this many chords in a file an arc gets 64 at most: no file can keep the planner busy for hours.
_CHORD_BUDGET = 2e7
ARC_CORRECTION = 12  # chords between exact recalculations of an arc's radius vector

# The stepper's slices of a move, min, and the least steps that one holds.
_SEGMENT = 0.01 / 60.0
_LEAST_STEPS = 1.25
TIMER_HZ = 16e6

# Columns of the ring: entry speed squared, nominal speed, length, acceleration, steps, limit of the first.
_ENTRY, _NOMINAL, _LENGTH, _ACCELERATION, _STEPS, _LIMIT, _COLUMNS = range(7)


@njit(cache=True)
def _block_seconds(block, leave):
    """Return the seconds of a move that is left at the speed squared `leave`; all else in mm and minutes."""
    entry, nominal, length, acceleration, steps = block[0], block[1], block[2], block[3], block[4]
    entry_speed, exit_speed = np.sqrt(entry), np.sqrt(leave)
    top = nominal * nominal
    up = (top - entry) / (2.0 * acceleration)
    down = (top - leave) / (2.0 * acceleration)
    if up + down <= length:
        peak = nominal
        minutes = (2.0 * nominal - entry_speed - exit_speed) / acceleration + (length - up - down) / nominal
    else:
        peak = np.sqrt(max(acceleration * length + 0.5 * (entry + leave), entry, leave))
        up = min((peak * peak - entry) / (2.0 * acceleration), length)
        if up <= 0.0 or up >= length:
            minutes = 2.0 * length / (entry_speed + exit_speed) if entry_speed + exit_speed > 0.0 else 0.0
        else:
            minutes = (2.0 * peak - entry_speed - exit_speed) / acceleration
    if up > 0.0 and entry_speed * _SEGMENT < _LEAST_STEPS * length / steps:
        minutes += _slow_start(entry_speed, peak, up, acceleration, _LEAST_STEPS * length / steps)
    seconds = 60.0 * minutes
    cycles = TIMER_HZ * seconds / steps
    if cycles < 2000.0:
        lost = 1.5
    elif cycles < 4000.0:
        lost = 2.0
    elif cycles < 8000.0:
        lost = 3.0
    else:
        lost = 5.0
    return seconds + lost * steps / TIMER_HZ


@njit(cache=True)
def _slow_start(speed, peak, ramp, acceleration, least):
    """Return the time that GRBL adds to an acceleration from near rest, min.

    It cuts a move into slices of 10 ms, and prolongs one that would hold less than 1.25 steps (`least`, mm) by 10 ms.
    When the acceleration ends within a prolonged slice, GRBL counts the way since the slice's start once more.
    """
    way = 0.0
    while True:
        start = way
        while True:
            step = speed * _SEGMENT + 0.5 * acceleration * _SEGMENT * _SEGMENT
            if way + step > ramp:
                return 2.0 * (way - start) / (speed + peak)
            way += step
            speed += acceleration * _SEGMENT
            if way - start >= least:
                break
        if speed * _SEGMENT >= least:
            return 0.0


@njit(cache=True)
def _replan(ring, planned, head):
    """Raise entry speeds as far as the moves up to `head` (not included) allow; return the first move still open."""
    last = head - 1
    if last == planned:
        return planned
    block = ring[last & 15]
    block[_ENTRY] = min(block[_LIMIT], 2.0 * block[_ACCELERATION] * block[_LENGTH])
    after = block[_ENTRY]
    k = last - 1
    while k > planned:
        block = ring[k & 15]
        if block[_ENTRY] != block[_LIMIT]:
            block[_ENTRY] = min(block[_LIMIT], after + 2.0 * block[_ACCELERATION] * block[_LENGTH])
        after = block[_ENTRY]
        k -= 1
    k = planned
    while k < last:
        block = ring[k & 15]
        following = ring[(k + 1) & 15]
        if block[_ENTRY] < following[_ENTRY]:
            reached = block[_ENTRY] + 2.0 * block[_ACCELERATION] * block[_LENGTH]
            if reached < following[_ENTRY]:
                following[_ENTRY] = reached
                planned = k + 1
        if following[_ENTRY] == following[_LIMIT]:
            planned = k + 1
        k += 1
    return planned


@njit(cache=True)
def arc_points(start, values, code, tolerance, most):
    """Return the (C, 3) ends of the chords that GRBL makes of an arc, the target last.

    Args:
        start: (3,) where the arc starts.
        values: (8,) its row.
        code: its code.
        tolerance: `$12`, mm.
        most: no more chords than these.
    """
    plane = code >> grbl.PLANE_SHIFT & 3
    axis_0, axis_1, linear = (0, 1, 2) if plane == 0 else ((2, 0, 1) if plane == 1 else (1, 2, 0))
    offset_0, offset_1 = np.float64(values[grbl.OFFSET_0]), np.float64(values[grbl.OFFSET_1])
    centre_0, centre_1 = start[axis_0] + offset_0, start[axis_1] + offset_1
    to_0, to_1 = values[axis_0] - centre_0, values[axis_1] - centre_1
    angle = np.arctan2(-offset_0 * to_1 + offset_1 * to_0, -offset_0 * to_0 - offset_1 * to_1)
    if code & grbl.KIND_MASK == grbl.ARC_CW:
        if angle >= -ARC_EPSILON:
            angle -= 2.0 * np.pi
    elif angle <= ARC_EPSILON:
        angle += 2.0 * np.pi
    radius = np.float64(values[grbl.RADIUS])
    sagitta = tolerance * (2.0 * radius - tolerance)
    chords = np.floor(abs(0.5 * angle * radius) / np.sqrt(sagitta)) if sagitta > 0.0 else 0.0
    count = int(min(chords, most)) if chords > 1.0 else 1
    points = np.empty((count, 3))
    step = angle / count
    climb = (values[linear] - start[linear]) / count
    # Between exact points GRBL turns the radius vector by Taylor series of sine and cosine.
    cosine, sine = 1.0 - step * step / 2.0, step - step * step * step / 6.0
    r_0, r_1 = -offset_0, -offset_1
    turned = 0
    for k in range(1, count):
        if turned < ARC_CORRECTION:
            r_0, r_1 = r_0 * cosine - r_1 * sine, r_0 * sine + r_1 * cosine
            turned += 1
        else:
            c, s = np.cos(k * step), np.sin(k * step)
            r_0, r_1 = -offset_0 * c + offset_1 * s, -offset_0 * s - offset_1 * c
            turned = 0
        points[k - 1, axis_0] = centre_0 + r_0
        points[k - 1, axis_1] = centre_1 + r_1
        points[k - 1, linear] = start[linear] + k * climb
    for k in range(3):
        points[count - 1, k] = values[k]
    return points


@njit(cache=True)
def _steps(position, steps_per_mm):
    scaled = position * steps_per_mm
    if not abs(scaled) < 2147483647.0:
        return 0.0 if np.isnan(scaled) else np.copysign(2147483647.0, scaled)
    return np.floor(abs(scaled) + 0.5) * (1.0 if scaled >= 0.0 else -1.0)


@njit(cache=True, nogil=True)
def _plan(codes, values, settings, seconds, standing, chord_budget):
    steps_per_mm, rate, acceleration = np.empty(3), np.empty(3), np.empty(3)
    ring = np.zeros((_RING, _COLUMNS))
    owner = np.zeros(_RING, np.int64)
    at_steps, at_mm = np.zeros(3), np.zeros(3)
    unit, last_unit, corner = np.zeros(3), np.zeros(3), np.zeros(3)
    target = np.empty((1, 3))
    last_nominal = 0.0
    head, tail, planned = np.int64(0), np.int64(0), np.int64(0)
    deviation, tolerance, idle = 0.0, 0.0, 0.0
    stale = True
    rows = len(codes)
    for row in range(rows + 1):
        code = codes[row, 0] if row < rows else grbl.NO_MOTION | grbl.STOP_BEFORE
        kind = code & grbl.KIND_MASK
        if kind == grbl.SETTING:
            settings[int(values[row, grbl.NUMBER])] = values[row, grbl.RATE]
            stale = True
        if stale:
            for k in range(3):
                steps_per_mm[k] = max(settings[100 + k], 1e-9)
                rate[k] = settings[110 + k]
                acceleration[k] = max(settings[120 + k], 1e-6) * 3600.0
                at_steps[k] = _steps(at_mm[k], steps_per_mm[k])
            deviation, tolerance, idle = settings[11], settings[12], settings[1]
            stale = False
        dwell = np.float64(values[row, grbl.DWELL]) if row < rows else 0.0
        if (code & grbl.STOP_BEFORE or dwell > 0.0) and head > tail:
            while tail < head:
                leave = ring[(tail + 1) & 15, _ENTRY] if tail + 1 < head else 0.0
                seconds[owner[tail & 15]] += _block_seconds(ring[tail & 15], leave)
                tail += 1
            planned = head
            if idle != 255.0:
                standing[min(row, rows - 1)] += idle / 1000.0
        if dwell > 0.0:
            standing[row] += DWELL_STEP * np.ceil(np.float32(np.float32(20.0) * np.float32(dwell)))
        if kind <= grbl.ARC_CCW:
            if kind <= grbl.FEED:
                for k in range(3):
                    target[0, k] = values[row, k]
                ends = target
            else:
                ends = arc_points(at_mm, values[row], code, tolerance, min(65535.0, max(chord_budget, 64.0)))
                chord_budget -= len(ends)
            for n in range(len(ends)):
                length, steps = 0.0, 0.0
                for k in range(3):
                    goal = _steps(ends[n, k], steps_per_mm[k])
                    unit[k] = (goal - at_steps[k]) / steps_per_mm[k]
                    steps = max(steps, abs(goal - at_steps[k]))
                    at_steps[k] = goal
                    at_mm[k] = ends[n, k]
                    length += unit[k] * unit[k]
                if length == 0.0:
                    continue
                length = np.sqrt(length)
                most_acceleration, most_rate = np.inf, np.inf
                for k in range(3):
                    unit[k] /= length
                    if unit[k] != 0.0:
                        most_acceleration = min(most_acceleration, abs(acceleration[k] / unit[k]))
                        most_rate = min(most_rate, abs(rate[k] / unit[k]))
                nominal = most_rate
                if kind != grbl.RAPID:
                    nominal = np.float64(values[row, grbl.RATE])
                    if code & grbl.INVERSE_TIME:
                        nominal *= length if kind == grbl.FEED else np.float64(len(ends))
                    nominal = min(nominal, most_rate)
                nominal = max(nominal, MINIMUM_FEED)
                limit = 0.0
                if head > tail:
                    cosine = 0.0
                    for k in range(3):
                        cosine -= last_unit[k] * unit[k]
                    if cosine < -0.999999:
                        limit = np.inf
                    elif cosine <= 0.999999:
                        across = 0.0
                        for k in range(3):
                            corner[k] = unit[k] - last_unit[k]
                            across += corner[k] * corner[k]
                        across = np.sqrt(across)
                        inward = np.inf
                        for k in range(3):
                            if corner[k] != 0.0:
                                inward = min(inward, abs(acceleration[k] * across / corner[k]))
                        half_sine = np.sqrt(0.5 * (1.0 - cosine))
                        limit = inward * deviation * half_sine / (1.0 - half_sine)
                    slower = min(nominal, last_nominal)
                    limit = min(limit, slower * slower)
                block = ring[head & 15]
                block[_ENTRY] = 0.0
                block[_LIMIT] = limit
                block[_NOMINAL] = nominal
                block[_LENGTH] = length
                block[_ACCELERATION] = most_acceleration
                block[_STEPS] = steps
                owner[head & 15] = row
                head += 1
                last_nominal = nominal
                for k in range(3):
                    last_unit[k] = unit[k]
                planned = _replan(ring, planned, head)
                if head - tail == LOOK_AHEAD:
                    seconds[owner[tail & 15]] += _block_seconds(ring[tail & 15], ring[(tail + 1) & 15, _ENTRY])
                    tail += 1
                    planned = max(planned, tail)
        if code & grbl.STOP_AFTER and head > tail:
            while tail < head:
                leave = ring[(tail + 1) & 15, _ENTRY] if tail + 1 < head else 0.0
                seconds[owner[tail & 15]] += _block_seconds(ring[tail & 15], leave)
                tail += 1
            planned = head
            if idle != 255.0:
                standing[row] += idle / 1000.0


@njit(cache=True)
def _peak(ends, window):
    first, most = 0, 0
    for row in range(len(ends)):
        while ends[row] - ends[first] > window:
            first += 1
        most = max(most, row - first + 1)
    return most


def peak_rate(ends: NDArray[np.float64], window: float = 1.0) -> float:
    """Return the most rows that end within `window` seconds, per second; `ends` are increasing times in s."""
    return _peak(ends, window) / window


def plan(
    codes: NDArray[np.int32], values: NDArray[np.float32], settings: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times in seconds of the rows of a reading (`gcode.grbl`).

    Args:
        codes: (R, 4).
        values: (R, 8).
        settings: (256,) the controller's settings by their `$` numbers.

    Returns:
        ((R,) moving, (R,) standing: dwells and idle delays).
    """
    moving, standing = np.zeros(len(codes)), np.zeros(len(codes))
    if len(codes):
        _plan(codes, values, settings.copy(), moving, standing, _CHORD_BUDGET)
    return moving, standing
