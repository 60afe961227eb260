# mypy: disable-error-code="no-untyped-def"
"""A short way through the lines that files are made of: the same result as the long way, in less time."""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl
from airbrush_cli.gcode import interpreter as meaning
from airbrush_cli.gcode.characters import (
    CR,
    E_,
    EIGHT,
    F_,
    G_,
    LF,
    M_,
    MINUS,
    N_,
    NINE,
    ONE,
    P_,
    POINT,
    S_,
    SEMICOLON,
    SPACE,
    X_,
    ZERO,
)
from airbrush_cli.gcode.grbl import f32

# What a point looks like to who expects a digit, in unsigned bytes.
_POINT_DIGIT = POINT - ZERO + 256


@njit(cache=True)
def straight_moves(data, start, line, now, reals, marks, codes, values):
    """Read lines as long as each is of one of these kinds.

    A straight move in mm: a line number or none; G0, G1 or neither; X, Y, Z and F, each at most once. `M8` or `M9`. An
    empty line, or a comment that is none of our own markers.

    Args:
        data: bytes, of which the last is a line feed that is not the file's own.
        start: where a line starts, before that last byte.
        line: number of the line before it.
        now, reals, marks, codes, values: see `interpreter.execute`.

    Returns:
        Where the first line starts that has to be read at length, or the end; the number of the line before it.
    """
    size = len(data) - 1
    jogging = marks[meaning.MOVING] == meaning.JOGGING
    if now[meaning.INVERSE] or now[meaning.INCHES] or marks[meaning.CHECKING] or jogging:
        return start, line
    relative = now[meaning.RELATIVE] != 0
    origin_x = f32(reals[meaning.WCS] + reals[meaning.G92])
    origin_y = f32(reals[meaning.WCS + 1] + reals[meaning.G92 + 1])
    origin_z = f32(reals[meaning.WCS + 2] + reals[meaning.G92 + 2])
    length = reals[meaning.LENGTH]
    at_x, at_y, at_z = reals[meaning.AT], reals[meaning.AT + 1], reals[meaning.AT + 2]
    feed, motion, row = reals[meaning.FEED], now[meaning.MOTION], marks[meaning.ROW]
    first_row, rows, moving = row, len(codes) - 2, marks[meaning.MOVING]
    flags = now[meaning.PLANE] << grbl.PLANE_SHIFT | marks[meaning.SECTION] << grbl.SECTION_SHIFT
    if now[meaning.SPIN]:
        flags |= grbl.SPINDLE
    if now[meaning.COOL]:
        flags |= grbl.COOLANT
    ink, stroke = marks[meaning.INK], marks[meaning.STROKE]
    # Unsigned, because numba then leaves out what Python does with negative indices.
    one = np.uint64(1)
    while start < size and row < rows:
        at = np.uint64(start)
        if data[at] == N_:
            at += one
            digit = np.uint8(data[at] - ZERO)
            count = 0
            while digit <= 9:
                count += 1
                at += one
                digit = np.uint8(data[at] - ZERO)
            if not 0 < count < 8:
                break
            while data[at] == SPACE:
                at += one
        elif data[at] == SEMICOLON or data[at] == LF or data[at] == CR:
            if data[at] == SEMICOLON:
                at += one
                while data[at] == SPACE:
                    at += one
                if data[at] == S_ or data[at] == P_ or data[at] == E_ or data[at] == M_:
                    break
                while data[at] != LF and data[at] != CR:
                    at += one
            line += 1
            end = np.int64(at)
            start = end + 2 if data[end] == CR and end + 1 < size and data[end + 1] == LF else end + 1
            continue
        elif data[at] == M_ and (data[at + one] == EIGHT or data[at + one] == NINE):
            end = np.int64(at) + 2
            if data[end] != LF and data[end] != CR:
                break
            line += 1
            cool = grbl.COOLANT if data[at + one] == EIGHT else 0
            if flags & grbl.COOLANT != cool:
                flags ^= grbl.COOLANT
                codes[row, 0] = grbl.NO_MOTION | grbl.STOP_BEFORE | flags
                codes[row, 1] = line
                codes[row, 2] = ink
                codes[row, 3] = stroke
                values[row, grbl.X] = at_x
                values[row, grbl.Y] = at_y
                values[row, grbl.Z] = at_z
                values[row, grbl.RATE] = feed
                values[row, grbl.DWELL] = 0.0
                row += 1
                moving = 0
            start = end + 2 if data[end] == CR and end + 1 < size and data[end + 1] == LF else end + 1
            continue
        line_motion = motion
        if data[at] == G_ and (data[at + one] == ZERO or data[at + one] == ONE):
            if data[at + one] == ZERO and (data[at + one + one] == ZERO or data[at + one + one] == ONE):  # G00, G01
                at += one
            line_motion = np.int64(data[at + one]) - ZERO
            at += one + one
        elif motion > 1:
            break
        x, y, z, line_feed = 0.0, 0.0, 0.0, feed
        given = 0
        while True:
            while data[at] == SPACE:
                at += one
            letter = np.int64(data[at])
            bit = letter - X_ if letter != F_ else 3
            if bit < 0 or bit > 3 or (bit == 3 and letter != F_) or given >> bit & 1:
                break
            at += one
            negative = data[at] == MINUS
            if negative:
                at += one
            digits, count, places = np.int64(0), 0, 0
            digit = np.uint8(data[at] - ZERO)
            while digit <= 9:
                digits = digits * 10 + np.int64(digit)
                count += 1
                at += one
                digit = np.uint8(data[at] - ZERO)
            if digit == _POINT_DIGIT:
                at += one
                digit = np.uint8(data[at] - ZERO)
                while digit <= 9:
                    digits = digits * 10 + np.int64(digit)
                    places += 1
                    at += one
                    digit = np.uint8(data[at] - ZERO)
            if not 0 < count + places <= 8:
                given = 0
                break
            single = np.float32(digits)
            while places >= 2:
                single = np.float32(single * 0.01)
                places -= 2
            if places:
                single = np.float32(single * 0.1)
            value = -np.float64(single) if negative else np.float64(single)
            given |= 1 << bit
            if bit == 0:
                x = value
            elif bit == 1:
                y = value
            elif bit == 2:
                z = value
            else:
                line_feed = value
        end = np.int64(at)
        if (
            not given & 7
            or (data[at] != LF and data[at] != CR)
            or end - start >= grbl.LINE_BUFFER
            or line_feed < 0.0
            or (line_motion == 1 and line_feed == 0.0)
        ):
            break
        if given & 1:
            at_x = f32(x + (at_x if relative else origin_x))
        if given & 2:
            at_y = f32(y + (at_y if relative else origin_y))
        if given & 4:
            at_z = f32(z + at_z) if relative else f32(f32(z + origin_z) + length)
        feed, motion = line_feed, line_motion
        line += 1
        codes[row, 0] = motion | flags
        codes[row, 1] = line
        codes[row, 2] = ink
        codes[row, 3] = stroke
        values[row, grbl.X] = at_x
        values[row, grbl.Y] = at_y
        values[row, grbl.Z] = at_z
        values[row, grbl.RATE] = feed
        values[row, grbl.DWELL] = 0.0
        row += 1
        moving = 1
        start = end + 2 if data[end] == CR and end + 1 < size and data[end + 1] == LF else end + 1
    if row > first_row:
        reals[meaning.AT], reals[meaning.AT + 1], reals[meaning.AT + 2] = at_x, at_y, at_z
        reals[meaning.FEED], now[meaning.MOTION], marks[meaning.ROW] = feed, motion, row
        marks[meaning.MOVING] = moving
        now[meaning.COOL] = (flags & grbl.COOLANT) != 0
    return start, line
