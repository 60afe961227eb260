# mypy: disable-error-code="no-untyped-def"
"""GRBL's own commands, the lines that start with `$`. Compiled."""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl
from airbrush_cli.gcode import interpreter as meaning
from airbrush_cli.gcode.characters import (
    C_,
    DOLLAR,
    EQUALS,
    G_,
    H_,
    HASH,
    I_,
    J_,
    L_,
    MINUS,
    N_,
    NINE,
    P_,
    PLUS,
    POINT,
    R_,
    S_,
    STAR,
    T_,
    X_,
    ZERO,
)
from airbrush_cli.gcode.grbl import int32

_SETTINGS_KNOWN = np.zeros(256, np.bool_)
_SETTINGS_KNOWN[[*range(7), *range(10, 14), *range(20, 28), 30, 31, 32]] = True
for _first in (100, 110, 120, 130):
    _SETTINGS_KNOWN[_first : _first + 3] = True


@njit(cache=True)
def _store_setting(settings, number, value):
    if value < 0.0:
        return grbl.NEGATIVE
    if not _SETTINGS_KNOWN[number]:
        return grbl.BAD_STATEMENT
    if number == 0 and (int32(value) & 255) < 3:
        return grbl.PULSE_TOO_SHORT
    if number == 20 and value >= 1.0 and not settings[22]:
        return grbl.NEEDS_HOMING
    if number < 10 or 12 < number < 24 or number == 26 or number == 32:
        value = np.float64(int32(value) & 255)
    settings[number] = value
    if number == 22 and value == 0.0:
        settings[20] = 0.0
    return 0


@njit(cache=True)
def number_at(text, at, size):
    """Read a number from a line's kept characters; return (value, where it ends, whether there is one)."""
    digits, exponent, count, point = np.int64(0), 0, 0, False
    negative = at < size and text[at] == MINUS
    if at < size and (text[at] == MINUS or text[at] == PLUS):
        at += 1
    while at < size:
        if ZERO <= text[at] <= NINE:
            count += 1
            if count <= 8:
                digits = digits * 10 + (text[at] - ZERO)
                exponent -= point
            elif not point:
                exponent += 1
        elif text[at] == POINT and not point:
            point = True
        else:
            break
        at += 1
    return grbl.scaled(digits, exponent, negative), at, count > 0


@njit(cache=True)
def command(text, size, settings, marks):
    """Carry out a `$` line of `size` kept characters.

    Returns:
        (error, where words of G-code start behind `$J=` or `$N0=`, or 0, number of the setting that was stored, or -1)
    """
    second = text[1] if size > 1 else np.uint8(0)
    third = text[2] if size > 2 else np.uint8(0)
    moving = marks[meaning.MOVING]
    if size == 1:
        return 0, 0, -1
    if second == J_:
        if (moving and moving != meaning.JOGGING) or marks[meaning.CHECKING]:
            return grbl.NOT_IDLE, 0, -1
        return (0, 3, -1) if third == EQUALS else (grbl.BAD_STATEMENT, 0, -1)
    if second in (DOLLAR, G_, C_, X_):
        if size > 2:
            return grbl.BAD_STATEMENT, 0, -1
        if (moving and second == C_) or (moving and moving != meaning.JOGGING and second == DOLLAR):
            return grbl.NOT_IDLE, 0, -1
        if second == C_:
            marks[meaning.CHECKING] = 1 - marks[meaning.CHECKING]
        return 0, 0, -1
    if moving or marks[meaning.CHECKING]:
        return grbl.NOT_IDLE, 0, -1
    if second == HASH:
        return (grbl.BAD_STATEMENT if size > 2 else 0), 0, -1
    if second == H_:
        if not settings[22]:
            return grbl.DISABLED, 0, -1
        return (grbl.BAD_STATEMENT if size > 2 else 0), 0, -1
    if second == S_:
        return (0 if size == 4 and third == L_ and text[3] == P_ else grbl.BAD_STATEMENT), 0, -1
    if second == I_:
        return (0 if size == 2 or third == EQUALS else grbl.BAD_STATEMENT), 0, -1
    if second == R_:
        fits = size == 6 and third == S_ and text[3] == T_ and text[4] == EQUALS
        return (0 if fits and (text[5] == DOLLAR or text[5] == HASH or text[5] == STAR) else grbl.BAD_STATEMENT), 0, -1
    at = 1
    if second == N_:
        if size == 2:
            return 0, 0, -1
        at = 2
    parameter, at, found = number_at(text, at, size)
    if not found:
        return grbl.BAD_NUMBER, 0, -1
    if at >= size or text[at] != EQUALS:
        return grbl.BAD_STATEMENT, 0, -1
    at += 1
    if second == N_:
        return 0, at, -1
    value, at, found = number_at(text, at, size)
    if not found:
        return grbl.BAD_NUMBER, 0, -1
    if at < size or parameter > 255.0:
        return grbl.BAD_STATEMENT, 0, -1
    number = int32(parameter) & 255
    error = _store_setting(settings, number, value)
    return error, 0, number if error == 0 else -1
