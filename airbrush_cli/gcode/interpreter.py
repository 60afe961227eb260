# mypy: disable-error-code="no-untyped-def"
"""What one line of words means to GRBL 1.1f: its checks by meaning, in GRBL's order, and its effect. Compiled."""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl
from airbrush_cli.gcode.grbl import f32, int32

# Names that the kernels below use; numba freezes module-level integers.
_F, _I, _J, _K, _L, _N, _P, _R, _S, _T, _X, _Y, _Z = range(13)
_AXES = (1 << _X) | (1 << _Y) | (1 << _Z)
_OFFSETS = (1 << _I) | (1 << _J) | (1 << _K)

# Modal state, held twice: as it is, and as the line at hand wants it.
MOTION, PLANE, RELATIVE, INVERSE, INCHES, SYSTEM, SPIN, COOL, TOOL, FLOW, MODES = range(11)
NO_MOTION_MODE, PROBE = 80, 138  # besides 0 to 3 for G0 to G3; G38.2 to G38.5 are 140 to 143
FLOW_END, FLOW_END_30, FLOW_PAUSE = 2, 30, 3
CLOCKWISE, COUNTERCLOCKWISE = 1, 2

# Numbers that last from line to line: feed, spindle speed, tool length, position, coordinate system, G92 offset.
FEED, SPEED, LENGTH, AT, WCS, G92, REALS = 0, 1, 2, 3, 6, 9, 12
HOME_1, HOME_2, SYSTEMS = 6, 7, 8  # rows of the table of coordinate systems: G54 to G59, then G28's and G30's

# Counters and flags that last: our own markers first, then the reader's.
SECTION, STROKE, INK, MOVING, CHECKING, ROW, MARKS = 0, 1, 2, 3, 4, 5, 6

JOGGING = 2  # MOVING during a jog: further jogs are taken, G-code is not

NO_AXES, NON_MODAL, MOVES, TOOL_LENGTH = range(4)
# Non-modal commands: G4, G10, G28, G30, G53, G92 by their numbers; G28.1, G30.1 and G92.1 are ten more.
DWELL, SET_SYSTEM, GO_1, GO_2, MACHINE_FRAME, SET_OFFSET, SET_HOME_1, SET_HOME_2, NO_OFFSET = (
    4, 10, 28, 30, 53, 92, 38, 40, 102,
)  # fmt: skip

# Modal groups, as bits of the commands that a line has.
GROUP_G0, GROUP_G1, GROUP_G2, GROUP_G3, GROUP_G4, GROUP_G5, GROUP_G6, GROUP_G7, GROUP_G8 = (1 << k for k in range(9))
GROUP_G12, GROUP_G13, GROUP_M4, GROUP_M7, GROUP_M8 = (1 << k for k in range(9, 14))
_JOG_GROUPS = GROUP_G0 | GROUP_G3 | GROUP_G6

_INCH = 25.4


@njit(cache=True)
def _lowest_letter(given):
    for bit in range(13):
        if given >> bit & 1:
            return grbl.LETTERS[bit]
    return 0


@njit(cache=True)
def _fail(code, letter):
    return code | letter << 8


@njit(cache=True)
def _arc(v, given, want, axis_0, axis_1, reals):
    """Check an arc, put its centre's offsets into I J K and its radius into R; return (error, words left)."""
    axis_words = given & _AXES
    if not axis_words:
        return _fail(grbl.NO_AXIS_WORDS, 88), given
    if not given & (1 << (_X + axis_0) | 1 << (_X + axis_1)):
        return _fail(grbl.NOT_IN_PLANE, 0), given
    x = f32(v[_X + axis_0] - reals[AT + axis_0])
    y = f32(v[_X + axis_1] - reals[AT + axis_1])
    scale = _INCH if want[INCHES] else 1.0
    if given & (1 << _R):
        given &= ~(1 << _R)
        if v[_X] == reals[AT] and v[_Y] == reals[AT + 1] and v[_Z] == reals[AT + 2]:
            return _fail(grbl.BAD_TARGET, 0), given
        radius = f32(v[_R] * scale)
        # The centre lies on the perpendicular through the middle of the chord, `height` away from it; `ratio` is
        # twice that height over the chord's length.
        square = f32(4.0 * radius * radius - x * x - y * y)
        if square < 0.0:
            return _fail(grbl.BAD_RADIUS, 82), given
        ratio = -np.sqrt(square) / np.sqrt(x * x + y * y) if x != 0.0 or y != 0.0 else -np.inf
        if want[MOTION] == 3:
            ratio = -ratio
        if radius < 0.0:  # the long way round
            ratio, radius = -ratio, -radius
        v[_I + axis_0] = f32(0.5 * (x - y * ratio))
        v[_I + axis_1] = f32(0.5 * (y + x * ratio))
        v[_R] = radius
        return 0, given
    if not given & (1 << (_I + axis_0) | 1 << (_I + axis_1)):
        return _fail(grbl.NO_OFFSETS, 73 + axis_0), given
    for k in range(3):
        v[_I + k] = f32(v[_I + k] * scale) if given >> (_I + k) & 1 else 0.0
    given &= ~_OFFSETS
    radius = f32(np.hypot(v[_I + axis_0], v[_I + axis_1]))
    stray = abs(f32(np.hypot(x - v[_I + axis_0], y - v[_I + axis_1])) - radius)
    if stray > 0.005 and (stray > 0.5 or stray > 0.001 * radius):
        return _fail(grbl.BAD_TARGET, 0), given
    v[_R] = radius
    return 0, given


@njit(cache=True)
def emit(kind, flags, x, y, z, rate, dwell, want, marks, line, codes, values):
    row = marks[ROW]
    section = marks[SECTION]
    codes[row, 0] = kind | flags | want[PLANE] << grbl.PLANE_SHIFT | section << grbl.SECTION_SHIFT
    codes[row, 1] = line
    codes[row, 2] = marks[INK]
    codes[row, 3] = marks[STROKE]
    values[row, grbl.X] = x
    values[row, grbl.Y] = y
    values[row, grbl.Z] = z
    values[row, grbl.RATE] = rate
    values[row, grbl.DWELL] = dwell
    marks[ROW] = row + 1
    return row


@njit(cache=True)
def execute(
    v, given, commands, non_modal, axis_command, jog, now, want, reals, systems, settings, marks, line, codes, values
):
    """Check the words of one line by their meaning, and take their effect.

    Args:
        v: (13,) values of the words F I J K L N P R S T X Y Z; changed.
        given: bits of the words that the line has.
        commands: bits of the modal groups that it has.
        non_modal: its non-modal command, 0 for none.
        axis_command: who uses its axis words, as far as the words say.
        jog: whether the words followed `$J=`.
        now, want: (MODES,) modal state before the line and after it; `now` takes over `want` when all is well.
        reals, systems, settings, marks: state that lasts, changed.
        line: its number.
        codes, values: the tables; one or two rows are added.

    Returns:
        0, or the error with the ASCII code of the letter at fault times 256.
    """
    axis_words = given & _AXES
    if axis_words and axis_command == NO_AXES:
        axis_command = MOVES
    motion = want[MOTION]
    if given >> _N & 1 and int32(v[_N]) > 10000000:
        return _fail(grbl.LINE_NUMBER, 78)

    feed = v[_F] if given >> _F & 1 else 0.0
    inch_feed = f32(feed * _INCH) if want[INCHES] else feed
    if jog:
        if not given >> _F & 1:
            return _fail(grbl.NO_FEED, 70)
        feed = inch_feed
    elif want[INVERSE]:
        if axis_command == MOVES and motion != NO_MOTION_MODE and motion != 0 and not given >> _F & 1:
            return _fail(grbl.NO_FEED, 70)
    elif not now[INVERSE]:
        feed = inch_feed if given >> _F & 1 else reals[FEED]
    speed = v[_S] if given >> _S & 1 else reals[SPEED]

    dwell = 0.0
    if non_modal == DWELL:
        if not given >> _P & 1:
            return _fail(grbl.NO_VALUE, 80)
        given &= ~(1 << _P)
        dwell = v[_P]
    axis_0, axis_1 = (0, 1) if want[PLANE] == 0 else ((2, 0) if want[PLANE] == 1 else (1, 2))
    if want[INCHES]:
        for k in range(3):
            if axis_words >> (_X + k) & 1:
                v[_X + k] = f32(v[_X + k] * _INCH)
    if axis_command == TOOL_LENGTH and want[TOOL] and axis_words != 1 << _Z:
        return _fail(grbl.TOOL_AXIS, 0)

    system = want[SYSTEM]
    new_system = system != now[SYSTEM]
    target_system = 0
    if non_modal == SET_SYSTEM:
        if not axis_words:
            return _fail(grbl.NO_AXIS_WORDS, 0)
        if not given & (1 << _P | 1 << _L):
            return _fail(grbl.NO_VALUE, 80)
        target_system = (int32(v[_P]) & 255) if given >> _P & 1 else 0
        length = (int32(v[_L]) & 255) if given >> _L & 1 else 0
        if target_system > 6:
            return _fail(grbl.NO_SYSTEM, 80)
        if length != 20 and (length != 2 or given >> _R & 1):
            return _fail(grbl.UNSUPPORTED, 76)
        given &= ~(1 << _P | 1 << _L)
        target_system = target_system - 1 if target_system > 0 else system
        for k in range(3):
            if not axis_words >> (_X + k) & 1:
                v[_X + k] = systems[target_system, k]
            elif length == 20:
                v[_X + k] = f32(reals[AT + k] - reals[G92 + k] - v[_X + k] - (reals[LENGTH] if k == 2 else 0.0))
    elif non_modal == SET_OFFSET:
        if not axis_words:
            return _fail(grbl.NO_AXIS_WORDS, 0)
        for k in range(3):
            if axis_words >> (_X + k) & 1:
                origin = systems[system, k] if new_system else reals[WCS + k]
                v[_X + k] = f32(reals[AT + k] - origin - v[_X + k] - (reals[LENGTH] if k == 2 else 0.0))
            else:
                v[_X + k] = reals[G92 + k]
    else:
        if axis_command != TOOL_LENGTH and axis_words:
            for k in range(3):
                if not axis_words >> (_X + k) & 1:
                    v[_X + k] = reals[AT + k]
                elif non_modal != MACHINE_FRAME:
                    if want[RELATIVE]:
                        v[_X + k] = f32(v[_X + k] + reals[AT + k])
                    else:
                        origin = systems[system, k] if new_system else reals[WCS + k]
                        v[_X + k] = f32(v[_X + k] + f32(origin + reals[G92 + k]))
                        if k == 2:
                            v[_Z] = f32(v[_Z] + reals[LENGTH])
        if non_modal in (GO_1, GO_2):
            if not axis_words:
                axis_command = NO_AXES
        elif non_modal == MACHINE_FRAME and motion != 0 and motion != 1:
            return _fail(grbl.G53_MOTION, 71)

    if motion == NO_MOTION_MODE:
        if axis_words:
            return _fail(grbl.AXIS_WORDS, _lowest_letter(axis_words))
    elif axis_command == MOVES:
        if motion == 0:
            if not axis_words:
                axis_command = NO_AXES
        elif feed == 0.0:
            return _fail(grbl.NO_FEED, 70)
        elif motion == 1:
            if not axis_words:
                axis_command = NO_AXES
        elif motion <= 3:
            error, given = _arc(v, given, want, axis_0, axis_1, reals)
            if error:
                return error
        elif not axis_words:
            return _fail(grbl.NO_AXIS_WORDS, 0)
        elif v[_X] == reals[AT] and v[_Y] == reals[AT + 1] and v[_Z] == reals[AT + 2]:
            return _fail(grbl.BAD_TARGET, 0)

    given &= ~(1 << _N | 1 << _F)
    if not jog:
        given &= ~(1 << _S | 1 << _T)
    if axis_command != NO_AXES:
        given &= ~_AXES
    if given:
        return _fail(grbl.UNUSED, _lowest_letter(given))

    # All is well: take effect, in GRBL's order.
    checking = marks[CHECKING]
    if jog:
        if commands & ~_JOG_GROUPS or (non_modal != 0 and non_modal != MACHINE_FRAME):
            return _fail(grbl.BAD_JOG, 0)
        if settings[20]:
            for k in range(3):
                if not -settings[130 + k] <= v[_X + k] <= 0.0:
                    return _fail(grbl.TRAVEL, 88 + k)
        if axis_words:
            emit(grbl.FEED, np.int64(0), v[_X], v[_Y], v[_Z], feed, 0.0, want, marks, line, codes, values)
            if v[_X] != reals[AT] or v[_Y] != reals[AT + 1] or v[_Z] != reals[AT + 2]:
                marks[MOVING] = JOGGING
            reals[AT], reals[AT + 1], reals[AT + 2] = v[_X], v[_Y], v[_Z]
        return 0

    flags = grbl.INVERSE_TIME if want[INVERSE] else 0
    burns = 1 <= motion <= 3
    moves_here = axis_words != 0 and axis_command == MOVES
    force = False
    if settings[32]:
        if not moves_here and now[SPIN] == CLOCKWISE:
            force = (1 <= now[MOTION] <= 3) != burns
        if want[SPIN] == CLOCKWISE:
            flags |= grbl.LASER
    if speed != reals[SPEED] or force:
        if now[SPIN] and not (settings[32] and moves_here):
            flags |= grbl.STOP_BEFORE
        reals[SPEED] = speed
    if want[SPIN] != now[SPIN] or want[COOL] != now[COOL] or new_system:
        flags |= grbl.STOP_BEFORE
    if want[SPIN]:
        flags |= grbl.SPINDLE
    if want[COOL]:
        flags |= grbl.COOLANT
    reals[FEED] = feed

    if axis_command == TOOL_LENGTH:
        length_offset = v[_Z] if want[TOOL] else 0.0
        if length_offset != reals[LENGTH]:
            reals[LENGTH] = length_offset
            flags |= grbl.STOP_BEFORE
    if new_system:
        for k in range(3):
            reals[WCS + k] = systems[system, k]
    for k in range(MODES):
        now[k] = want[k]

    home = 0
    if non_modal == SET_SYSTEM:
        for k in range(3):
            systems[target_system, k] = v[_X + k]
            if target_system == system:
                reals[WCS + k] = v[_X + k]
        flags |= grbl.STOP_BEFORE
    elif non_modal == SET_OFFSET:
        for k in range(3):
            reals[G92 + k] = v[_X + k]
        flags |= grbl.STOP_BEFORE
    elif non_modal == NO_OFFSET:
        for k in range(3):
            reals[G92 + k] = 0.0
        flags |= grbl.STOP_BEFORE
    elif non_modal in (SET_HOME_1, SET_HOME_2):
        for k in range(3):
            systems[HOME_1 if non_modal == SET_HOME_1 else HOME_2, k] = reals[AT + k]
        flags |= grbl.STOP_BEFORE
    elif non_modal in (GO_1, GO_2):
        home = HOME_1 if non_modal == GO_1 else HOME_2

    kind = grbl.NO_MOTION
    if home == 0 and axis_command == MOVES and motion != NO_MOTION_MODE:
        kind = motion if motion <= 3 else grbl.FEED
        if motion > 3:
            flags |= grbl.STOP_BEFORE | grbl.STOP_AFTER
    elif home and axis_command != NO_AXES:
        kind = grbl.RAPID
    flow = now[FLOW]
    now[FLOW] = 0
    if flow and home == 0:
        flags |= grbl.STOP_AFTER | (grbl.PAUSE if flow == FLOW_PAUSE else grbl.END)
    if kind == grbl.NO_MOTION:
        v[_X], v[_Y], v[_Z] = reals[AT], reals[AT + 1], reals[AT + 2]
    if not checking and (kind != grbl.NO_MOTION or flags & (grbl.STOP_BEFORE | grbl.STOP_AFTER) or non_modal == DWELL):
        row = emit(kind, flags, v[_X], v[_Y], v[_Z], feed, dwell, now, marks, line, codes, values)
        if kind == grbl.ARC_CW or kind == grbl.ARC_CCW:
            values[row, grbl.OFFSET_0] = v[_I + axis_0]
            values[row, grbl.OFFSET_1] = v[_I + axis_1]
            values[row, grbl.RADIUS] = v[_R]
        marks[MOVING] = kind != grbl.NO_MOTION and not flags & grbl.STOP_AFTER
    if kind != grbl.NO_MOTION and home == 0:
        reals[AT], reals[AT + 1], reals[AT + 2] = v[_X], v[_Y], v[_Z]
    if home:
        for k in range(3):
            if not axis_words or axis_words >> (_X + k) & 1:
                reals[AT + k] = systems[home, k]
        if not checking:
            if flow:
                flags |= grbl.STOP_AFTER | (grbl.PAUSE if flow == FLOW_PAUSE else grbl.END)
            flags &= ~grbl.STOP_BEFORE if kind == grbl.RAPID else ~0
            emit(grbl.RAPID, flags, reals[AT], reals[AT + 1], reals[AT + 2], feed, 0.0, now, marks, line, codes, values)
            marks[MOVING] = not flags & grbl.STOP_AFTER
    if flow in (FLOW_END, FLOW_END_30):
        now[MOTION], now[PLANE], now[RELATIVE], now[INVERSE], now[SYSTEM], now[SPIN], now[COOL] = 1, 0, 0, 0, 0, 0, 0
        for k in range(3):
            reals[WCS + k] = systems[0, k]
    return 0
