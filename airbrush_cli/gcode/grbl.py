# mypy: disable-error-code="no-untyped-def"
"""The vocabulary of GRBL 1.1f for the compiled reader: characters, numbers, comments, words, and the tables it fills.

Behaviour follows GRBL's documentation (its wiki: "Grbl v1.1 Commands", "Configuration", "Interface"), and the firmware
itself where that is silent: whitespace and comments are dropped before words are read, numbers are 32-bit floats of at
most eight digits, errors are found word by word first and by meaning afterwards.

The tables that the kernel fills have one row for each line that makes the machine do something:

    codes (R, 4) int32: KIND | flags, line number, index of the ink in use, index of the stroke's marker
    values (R, 8) float32: X Y Z target in mm, feed, dwell in s, offsets of an arc's centre in its plane, its radius
"""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.gcode.characters import C_, CR, E_, LF, M_, NINE, P_, POINT, S_, SPACE, Y_, ZERO

# What a row's motion is, the lowest four bits of its code.
RAPID, FEED, ARC_CW, ARC_CCW, NO_MOTION, SETTING = range(6)
KIND_MASK = 15
STOP_BEFORE, STOP_AFTER, INVERSE_TIME, COOLANT, SPINDLE, LASER, PAUSE, END = (16 << k for k in range(8))
PLANE_SHIFT = 12  # two bits: 0 XY, 1 ZX, 2 YZ
SECTION_SHIFT = 14  # two bits: 0 before any marker, 1 purge, 2 stroke, 3 end
PURGE_SECTION, STROKE_SECTION, END_SECTION = 1, 2, 3

# Columns of `values`.
X, Y, Z, RATE, DWELL, OFFSET_0, OFFSET_1, RADIUS = range(8)
NUMBER = OFFSET_0  # of a setting, whose value is the RATE

LINE_BUFFER = 80
REALTIME = b"\x18!?~"

SKIP, LETTER, OTHER, END_OF_LINE, SEMICOLON, PARENTHESIS = range(6)
CLASS = np.full(256, OTHER, np.uint8)
CLASS[: ord(" ") + 1] = SKIP
CLASS[128:] = SKIP  # commands of their own, taken out of the stream wherever they stand
for _byte in (*REALTIME, ord("/")):
    CLASS[_byte] = SKIP
for _byte in range(26):
    CLASS[65 + _byte] = CLASS[97 + _byte] = LETTER
CLASS[10] = CLASS[13] = END_OF_LINE
CLASS[ord(";")] = SEMICOLON
CLASS[ord("(")] = PARENTHESIS

# Value words in the order of their bits; 255 is a letter that GRBL does not know.
_WORDS = "FIJKLNPRSTXYZ"
WORD_BIT = np.full(256, 255, np.uint8)
for _index, _letter in enumerate(_WORDS):
    WORD_BIT[ord(_letter)] = _index
LETTERS = np.frombuffer(_WORDS.encode(), np.uint8)

# Errors, by GRBL's numbers.
(
    BAD_LETTER,
    BAD_NUMBER,
    BAD_STATEMENT,
    NEGATIVE,
    DISABLED,
    PULSE_TOO_SHORT,
) = range(1, 7)
NOT_IDLE, LOCKED, NEEDS_HOMING, OVERFLOW, TRAVEL, BAD_JOG = 8, 9, 10, 11, 15, 16
(
    UNSUPPORTED,
    MODAL_GROUP,
    NO_FEED,
    NOT_INTEGER,
    AXIS_CONFLICT,
    REPEATED,
    NO_AXIS_WORDS,
    LINE_NUMBER,
    NO_VALUE,
    NO_SYSTEM,
    G53_MOTION,
    AXIS_WORDS,
    NOT_IN_PLANE,
    BAD_TARGET,
    BAD_RADIUS,
    NO_OFFSETS,
    UNUSED,
    TOOL_AXIS,
    TOO_LARGE,
) = range(20, 39)


@njit(cache=True)
def f32(value):
    return np.float64(np.float32(value))


@njit(cache=True)
def int32(value):
    # What a processor makes of a float that no 32-bit integer holds.
    return np.int64(value) if -2147483648.0 < value < 2147483648.0 else np.int64(-2147483648)


@njit(cache=True)
def scaled(digits, exponent, negative):
    """Return the 32-bit float that GRBL makes of a number's digits: it scales by tenths and hundredths, one by one."""
    value = np.float32(digits)
    if digits != 0:
        while exponent <= -2:
            value = np.float32(value * 0.01)
            exponent += 2
        if exponent < 0:
            value = np.float32(value * 0.1)
        while exponent > 0:
            value = np.float32(value * 10.0)
            exponent -= 1
    return -np.float64(value) if negative else np.float64(value)


@njit(cache=True)
def _starts(data, i, word):
    if i + len(word) > len(data):
        return False
    for k in range(len(word)):  # noqa: SIM110 (numba)
        if data[i + k] != word[k]:
            return False
    return True


_STROKE_WORD = np.frombuffer(b"STROKE_ID:", np.uint8)
_PURGE_WORD = np.frombuffer(b"PURGE", np.uint8)
_END_WORD = np.frombuffer(b"END", np.uint8)
_MIX_WORD = np.frombuffer(b"MIX", np.uint8)


@njit(cache=True)
def comment_end(data, i):
    while i < len(data) and data[i] != LF and data[i] != CR:
        i += 1
    return i


@njit(cache=True)
def _read_ink(data, i, end, ink):
    """Read `C0.1 M0.2 Y0.3`; return whether all three are there."""
    found = 0
    while i < end:
        channel = -1
        if data[i] == C_:
            channel = 0
        elif data[i] == M_:
            channel = 1
        elif data[i] == Y_:
            channel = 2
        i += 1
        if channel < 0:
            continue
        digits, exponent, point, count = np.int64(0), 0, False, 0
        while i < end and (ZERO <= data[i] <= NINE or (data[i] == POINT and not point)):
            if data[i] == POINT:
                point = True
            elif count < 8:
                digits = digits * 10 + (data[i] - ZERO)
                exponent -= point
                count += 1
            i += 1
        if count:
            ink[channel] = scaled(digits, exponent, False)
            found |= 1 << channel
    return found == 7


@njit(cache=True)
def note_comment(data, start, end, marks, stroke_spans, inks):
    """Take our own markers out of a comment's text [start, end): the section, the stroke, the ink."""
    while start < end and data[start] == SPACE:
        start += 1
    if start >= end:
        return
    first = data[start]
    if first == S_ and _starts(data, start, _STROKE_WORD):
        a = start + len(_STROKE_WORD)
        while a < end and data[a] <= SPACE:
            a += 1
        b = end
        while b > a and data[b - 1] <= SPACE:
            b -= 1
        if marks[1] + 1 < len(stroke_spans):
            marks[1] += 1
            stroke_spans[marks[1], 0], stroke_spans[marks[1], 1] = a, b
        marks[0] = STROKE_SECTION
    elif first == P_ and end - start == len(_PURGE_WORD) and _starts(data, start, _PURGE_WORD):
        marks[0] = PURGE_SECTION
    elif first == E_ and end - start == len(_END_WORD) and _starts(data, start, _END_WORD):
        marks[0] = END_SECTION
    elif (
        first == M_
        and _starts(data, start, _MIX_WORD)
        and marks[2] + 1 < len(inks)
        and _read_ink(data, start + len(_MIX_WORD), end, inks[marks[2] + 1])
    ):
        marks[2] += 1
