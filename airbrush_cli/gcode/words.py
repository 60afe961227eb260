# mypy: disable-error-code="no-untyped-def"
"""What a single word changes: modal groups and commands, or a value. Compiled."""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl
from airbrush_cli.gcode import interpreter as meaning
from airbrush_cli.gcode.characters import F_, G_, M_, N_, P_, S_, T_
from airbrush_cli.gcode.grbl import f32, int32


@njit(cache=True)
def _g_word(value, want, axis_command, non_modal):
    """Take a G word: return (error, its modal group, who uses the axis words, the non-modal command)."""
    whole = int32(np.trunc(value)) & 255
    hundredths = int32(np.floor(abs(f32(100.0 * f32(value - whole))) + 0.5)) & 65535
    if value < whole:
        hundredths = -hundredths & 65535
    group = 0
    if whole <= 3 or whole == 38 or whole == 80:
        if whole != 80:
            if axis_command != meaning.NO_AXES:
                return grbl.AXIS_CONFLICT, 0, axis_command, non_modal
            axis_command = meaning.MOVES
        group = meaning.GROUP_G1
        want[meaning.MOTION] = whole
        if whole == 38:
            if hundredths != 20 and hundredths != 30 and hundredths != 40 and hundredths != 50:
                return grbl.UNSUPPORTED, 0, axis_command, non_modal
            want[meaning.MOTION] = meaning.PROBE + hundredths // 10
            hundredths = 0
    elif whole == 10 or whole == 28 or whole == 30 or whole == 92 or whole == 4 or whole == 53:
        if whole != 4 and whole != 53 and hundredths == 0:
            if axis_command != meaning.NO_AXES:
                return grbl.AXIS_CONFLICT, 0, axis_command, non_modal
            axis_command = meaning.NON_MODAL
        group = meaning.GROUP_G0
        non_modal = whole
        if whole == 28 or whole == 30 or whole == 92:
            if hundredths != 0 and hundredths != 10:
                return grbl.UNSUPPORTED, 0, axis_command, non_modal
            non_modal += hundredths
            hundredths = 0
    elif 17 <= whole <= 19:
        group = meaning.GROUP_G2
        want[meaning.PLANE] = whole - 17
    elif whole == 90 or whole == 91:
        if hundredths == 0:
            group = meaning.GROUP_G3
            want[meaning.RELATIVE] = whole - 90
        else:
            group = meaning.GROUP_G4
            if hundredths != 10 or whole == 90:
                return grbl.UNSUPPORTED, 0, axis_command, non_modal
            hundredths = 0
    elif whole == 93 or whole == 94:
        group = meaning.GROUP_G5
        want[meaning.INVERSE] = 94 - whole
    elif whole == 20 or whole == 21:
        group = meaning.GROUP_G6
        want[meaning.INCHES] = 21 - whole
    elif whole == 40:
        group = meaning.GROUP_G7
    elif whole == 43 or whole == 49:
        group = meaning.GROUP_G8
        if axis_command != meaning.NO_AXES:
            return grbl.AXIS_CONFLICT, 0, axis_command, non_modal
        axis_command = meaning.TOOL_LENGTH
        if whole == 43 and hundredths != 10:
            return grbl.UNSUPPORTED, 0, axis_command, non_modal
        want[meaning.TOOL] = whole == 43
        hundredths = 0
    elif 54 <= whole <= 59:
        group = meaning.GROUP_G12
        want[meaning.SYSTEM] = whole - 54
    elif whole == 61:
        group = meaning.GROUP_G13
        if hundredths != 0:
            return grbl.UNSUPPORTED, 0, axis_command, non_modal
    else:
        return grbl.UNSUPPORTED, 0, axis_command, non_modal
    return (grbl.NOT_INTEGER if hundredths > 0 else 0), group, axis_command, non_modal


@njit(cache=True)
def _m_word(value, want):
    """Take an M word: return (error, its modal group)."""
    whole = int32(np.trunc(value)) & 255
    if f32(value - whole) != 0.0 and int32(np.floor(abs(f32(100.0 * f32(value - whole))) + 0.5)) & 65535 > 0:
        return grbl.NOT_INTEGER, 0
    if whole <= 2 or whole == 30:
        if whole != 1:
            want[meaning.FLOW] = meaning.FLOW_PAUSE if whole == 0 else whole
        return 0, meaning.GROUP_M4
    if 3 <= whole <= 5:
        want[meaning.SPIN] = whole - 2 if whole < 5 else 0
        return 0, meaning.GROUP_M7
    if whole == 8 or whole == 9:
        want[meaning.COOL] = whole == 8
        return 0, meaning.GROUP_M8
    return grbl.UNSUPPORTED, 0


@njit(cache=True)
def take(letter, value, v, want, given, commands, axis_command, non_modal):
    """Take one word into the line's tally; return (error, given, commands, axis_command, non_modal)."""
    if letter in (G_, M_):
        if letter == G_:
            error, group, axis_command, non_modal = _g_word(value, want, axis_command, non_modal)
        else:
            error, group = _m_word(value, want)
        if error == 0 and commands & group:
            error = grbl.MODAL_GROUP
        return error, given, commands | group, axis_command, non_modal
    bit = grbl.WORD_BIT[letter]
    if bit == 255:
        return grbl.UNSUPPORTED, given, commands, axis_command, non_modal
    if letter == T_ and value > 255.0:
        return grbl.TOO_LARGE, given, commands, axis_command, non_modal
    if given >> bit & 1:
        return grbl.REPEATED, given, commands, axis_command, non_modal
    if value < 0.0 and letter in (F_, N_, P_, S_, T_):
        return grbl.NEGATIVE, given, commands, axis_command, non_modal
    v[bit] = value
    return 0, given | 1 << bit, commands, axis_command, non_modal
