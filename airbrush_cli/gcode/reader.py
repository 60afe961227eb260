# mypy: disable-error-code="no-untyped-def"
"""Read a G-code file as GRBL 1.1f reads it: what it does, and the errors that it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl
from airbrush_cli.gcode import interpreter as meaning
from airbrush_cli.gcode.common import straight_moves
from airbrush_cli.gcode.grbl import f32, int32
from airbrush_cli.schemas.machine import GrblSettings

ERRORS = {
    1: "a word must start with a letter",
    2: "a number is missing or malformed",
    3: "this $ command is not known",
    4: "the value must not be negative",
    5: "homing is not enabled ($22)",
    6: "the step pulse must last at least 3 µs",
    8: "the controller must be idle for this, and it is moving",
    10: "soft limits need homing ($22)",
    11: f"the line is longer than the {grbl.LINE_BUFFER - 1} characters that GRBL holds",
    15: "the jog leaves the machine's travel",
    16: "a jog takes no such word",
    20: "the command or word is not supported",
    21: "two commands of one modal group in a line",
    22: "the feed (F) is not set",
    23: "the command must be a whole number",
    24: "two commands that use the axis words in a line",
    25: "the word stands twice in the line",
    26: "axis words (X, Y, Z) are missing",
    27: "the line number is too large",
    28: "a value word is missing",
    29: "there is no such coordinate system",
    30: "G53 works with G0 and G1 only",
    31: "axis words where nothing uses them",
    32: "an arc needs an axis word in its plane",
    33: "the target is not on the arc, or is where the tool already is",
    34: "the arc's radius is too small",
    35: "an arc needs an offset (I, J, K) in its plane",
    36: "a word that nothing in the line uses",
    37: "G43.1 takes Z alone",
    38: "the value is too large",
}

_SETTINGS_KNOWN = np.zeros(256, np.bool_)
_SETTINGS_KNOWN[[*range(7), *range(10, 14), *range(20, 28), 30, 31, 32]] = True
for _first in (100, 110, 120, 130):
    _SETTINGS_KNOWN[_first : _first + 3] = True


@njit(cache=True, inline="always")
def _paragraph(data, i, marks, stroke_spans, inks):
    """Skip a comment in parentheses that starts at i; return where the text goes on."""
    start = i + 1
    while i < len(data) and data[i] != 41 and data[i] != 10 and data[i] != 13:
        i += 1
    grbl.note_comment(data, start, i, marks, stroke_spans, inks)
    return i + 1 if i < len(data) and data[i] == 41 else i


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
def _number(text, at, size):
    """Read a number from a line's kept characters; return (value, where it ends, whether there is one)."""
    digits, exponent, count, point = np.int64(0), 0, 0, False
    negative = at < size and text[at] == 45
    if at < size and (text[at] == 45 or text[at] == 43):
        at += 1
    while at < size:
        if 48 <= text[at] <= 57:
            count += 1
            if count <= 8:
                digits = digits * 10 + (text[at] - 48)
                exponent -= point
            elif not point:
                exponent += 1
        elif text[at] == 46 and not point:
            point = True
        else:
            break
        at += 1
    return grbl.scaled(digits, exponent, negative), at, count > 0


@njit(cache=True)
def _command(text, size, settings, marks):
    """Carry out a `$` line of `size` kept characters.

    Returns:
        (error, where words of G-code start behind `$J=` or `$N0=`, or 0, number of the setting that was stored, or -1)
    """
    second = text[1] if size > 1 else np.uint8(0)
    third = text[2] if size > 2 else np.uint8(0)
    moving = marks[meaning.MOVING]
    if size == 1:
        return 0, 0, -1
    if second == 74:  # J
        if moving:
            return grbl.NOT_IDLE, 0, -1
        return (0, 3, -1) if third == 61 else (grbl.BAD_STATEMENT, 0, -1)
    if second == 36 or second == 71 or second == 67 or second == 88:  # $ G C X
        if size > 2:
            return grbl.BAD_STATEMENT, 0, -1
        if moving and (second == 36 or second == 67):
            return grbl.NOT_IDLE, 0, -1
        if second == 67:
            marks[meaning.CHECKING] = 1 - marks[meaning.CHECKING]
        return 0, 0, -1
    if moving or marks[meaning.CHECKING]:
        return grbl.NOT_IDLE, 0, -1
    if second == 35:  # #
        return (grbl.BAD_STATEMENT if size > 2 else 0), 0, -1
    if second == 72:  # H
        if not settings[22]:
            return grbl.DISABLED, 0, -1
        return (grbl.BAD_STATEMENT if size > 2 else 0), 0, -1
    if second == 83:  # SLP
        return (0 if size == 4 and third == 76 and text[3] == 80 else grbl.BAD_STATEMENT), 0, -1
    if second == 73:  # I
        return (0 if size == 2 or third == 61 else grbl.BAD_STATEMENT), 0, -1
    if second == 82:  # RST=
        fits = size == 6 and third == 83 and text[3] == 84 and text[4] == 61
        return (0 if fits and (text[5] == 36 or text[5] == 35 or text[5] == 42) else grbl.BAD_STATEMENT), 0, -1
    at = 1
    if second == 78:  # N
        if size == 2:
            return 0, 0, -1
        at = 2
    parameter, at, found = _number(text, at, size)
    if not found:
        return grbl.BAD_NUMBER, 0, -1
    if at >= size or text[at] != 61:
        return grbl.BAD_STATEMENT, 0, -1
    at += 1
    if second == 78:
        return 0, at, -1
    value, at, found = _number(text, at, size)
    if not found:
        return grbl.BAD_NUMBER, 0, -1
    if at < size or parameter > 255.0:
        return grbl.BAD_STATEMENT, 0, -1
    number = int32(parameter) & 255
    error = _store_setting(settings, number, value)
    return error, 0, number if error == 0 else -1


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
def _count(data):
    """Return no less than how many lines there are, and how many comments."""
    lines, comments = 1, 0
    for byte in data:
        lines += (byte == 10) | (byte == 13)
        comments += (byte == 59) | (byte == 40)
    return lines, comments


@njit(cache=True, nogil=True)
def _read(data, settings, now, reals, systems, marks, codes, values, errors, stroke_spans, inks):
    """Read all lines; return (lines, errors), or -1 lines when the tables are too small."""
    v = np.zeros(13)
    want = np.empty_like(now)
    text = np.empty(grbl.LINE_BUFFER, np.uint8)
    size = len(data) - 1  # a line feed that is not the file's own stands last, where the short way stops
    i = 0
    line = 0
    failures = 0
    while i < size:
        if not settings[32]:
            i, line = straight_moves(data, i, line, now, reals, marks, codes, values)
            if i >= size:
                break
        if marks[meaning.ROW] + 2 >= len(codes):
            return -1, failures
        line += 1
        kept = 0
        error = 0
        fault = -1
        given = 0
        commands = 0
        non_modal = 0
        axis_command = meaning.NO_AXES
        jog = False
        started = False
        while i < size:
            byte = data[i]
            kind = grbl.CLASS[byte]
            if kind == grbl.SKIP:
                i += 1
                continue
            if kind == grbl.END_OF_LINE:
                break
            if kind == grbl.SEMICOLON:
                start = i + 1
                i = grbl.comment_end(data, i)
                grbl.note_comment(data, start, i, marks, stroke_spans, inks)
                break
            if kind == grbl.PARENTHESIS:
                i = _paragraph(data, i, marks, stroke_spans, inks)
                continue
            if error != 0:
                kept += 1
                i += 1
                continue
            if not started:
                started = True
                for k in range(meaning.MODES):
                    want[k] = now[k]
                if byte == 36:
                    fault = i
                    while i < size:  # gather the whole line: `$` commands are not made of words
                        kind = grbl.CLASS[data[i]]
                        if kind == grbl.END_OF_LINE:
                            break
                        if kind == grbl.SEMICOLON:
                            i = grbl.comment_end(data, i)
                        elif kind == grbl.PARENTHESIS:
                            i = _paragraph(data, i, marks, stroke_spans, inks)
                        else:
                            if kind != grbl.SKIP:
                                if kept < grbl.LINE_BUFFER:
                                    text[kept] = data[i] - 32 if 97 <= data[i] <= 122 else data[i]
                                kept += 1
                            i += 1
                    if kept >= grbl.LINE_BUFFER:
                        break
                    error, words_at, stored = _command(text, kept, settings, marks)
                    if stored >= 0:
                        row = meaning.emit(
                            grbl.SETTING,
                            0,
                            reals[meaning.AT],
                            reals[meaning.AT + 1],
                            reals[meaning.AT + 2],
                            settings[stored],
                            0.0,
                            now,
                            marks,
                            line,
                            codes,
                            values,
                        )
                        codes[row, 2] = stored
                    if words_at:
                        # The words behind `$J=` and `$N0=` are short: read them from the gathered text.
                        jog = text[1] == 74
                        if jog:
                            want[meaning.MOTION], want[meaning.INVERSE] = 1, 0
                        at = words_at
                        while at < kept and error == 0:
                            letter = text[at]
                            if letter < 65 or letter > 90:
                                error = grbl.BAD_LETTER
                                break
                            value, at, found = _number(text, at + 1, kept)
                            if not found:
                                error = grbl.BAD_NUMBER
                                break
                            error, given, commands, axis_command, non_modal = _word(
                                letter, value, v, want, given, commands, axis_command, non_modal
                            )
                    elif error == 0:
                        started = False
                    break
            if kind != grbl.LETTER:
                error, fault = grbl.BAD_LETTER, i
                continue
            letter = byte & 0xDF
            at = i
            kept += 1
            i += 1
            digits = np.int64(0)
            exponent = 0
            count = 0
            negative = False
            point = False
            first = True
            while i < size:
                byte = data[i]
                if 48 <= byte <= 57:
                    count += 1
                    if count <= 8:
                        digits = digits * 10 + (byte - 48)
                        exponent -= point
                    elif not point:
                        exponent += 1
                elif byte == 46 and not point:
                    point = True
                elif first and (byte == 45 or byte == 43):
                    negative = byte == 45
                else:
                    kind = grbl.CLASS[byte]
                    if kind == grbl.SKIP:
                        i += 1
                        continue
                    if kind == grbl.PARENTHESIS:
                        i = _paragraph(data, i, marks, stroke_spans, inks)
                        continue
                    break
                first = False
                kept += 1
                i += 1
            if count == 0:
                error, fault = grbl.BAD_NUMBER, at
                continue
            value = grbl.scaled(digits, exponent, negative)
            error, given, commands, axis_command, non_modal = _word(
                letter, value, v, want, given, commands, axis_command, non_modal
            )
            fault = at
        if kept >= grbl.LINE_BUFFER:
            error, fault = grbl.OVERFLOW, -1
        elif error == 0 and started:
            error = meaning.execute(
                v, given, commands, non_modal, axis_command, jog, now, want, reals, systems, settings, marks,
                line, codes, values,
            )  # fmt: skip
            fault = -1
        if error != 0:
            if failures < len(errors):
                errors[failures, 0] = line
                errors[failures, 1] = error & 255
                errors[failures, 2] = fault if fault >= 0 else -(error >> 8) - 1
            failures += 1
        i = grbl.comment_end(data, i)
        i += 2 if i + 1 < size and data[i] == 13 and data[i + 1] == 10 else 1
    return line, failures


@njit(cache=True)
def _word(letter, value, v, want, given, commands, axis_command, non_modal):
    """Take one word into the line's tally; return (error, given, commands, axis_command, non_modal)."""
    if letter == 71 or letter == 77:
        if letter == 71:
            error, group, axis_command, non_modal = _g_word(value, want, axis_command, non_modal)
        else:
            error, group = _m_word(value, want)
        if error == 0 and commands & group:
            error = grbl.MODAL_GROUP
        return error, given, commands | group, axis_command, non_modal
    bit = grbl.WORD_BIT[letter]
    if bit == 255:
        return grbl.UNSUPPORTED, given, commands, axis_command, non_modal
    if letter == 84 and value > 255.0:
        return grbl.TOO_LARGE, given, commands, axis_command, non_modal
    if given >> bit & 1:
        return grbl.REPEATED, given, commands, axis_command, non_modal
    if value < 0.0 and (letter == 70 or letter == 78 or letter == 80 or letter == 83 or letter == 84):
        return grbl.NEGATIVE, given, commands, axis_command, non_modal
    v[bit] = value
    return 0, given | 1 << bit, commands, axis_command, non_modal


@dataclass(frozen=True)
class Reading:
    """What a controller makes of a file; the tables are described in `gcode.grbl`."""

    lines: int
    codes: NDArray[np.int32]
    values: NDArray[np.float32]
    errors: NDArray[np.int64]  # (E, 3): line, GRBL's number, byte at fault or -1 - ASCII code of the letter at fault
    error_count: int  # how many there are, of which the table holds the first
    stroke_spans: NDArray[np.int64]  # (S, 2) where the strokes' ids stand in the file
    data: bytes
    inks: NDArray[np.float64]  # (I, 3) CMY; the first row stands for "none was named"
    modal: NDArray[np.int64]
    position: NDArray[np.float64]

    @cached_property
    def stroke_ids(self) -> list[str]:
        """The ids in the strokes' markers, in the file's order."""
        return [self.data[a:b].decode("utf-8", "replace") for a, b in self.stroke_spans.tolist()]


def settings_table(settings: GrblSettings) -> NDArray[np.float64]:
    """Return a (256,) table of settings by their `$` numbers; 0 where the contract has none."""
    table = np.zeros(256)
    for number, value in settings.model_dump(by_alias=True).items():
        table[int(number[1:])] = value
    return table


def read(data: bytes, settings: NDArray[np.float64], max_errors: int = 1000) -> Reading:
    """Read a file.

    Args:
        data: its bytes, any bytes.
        settings: (256,) table of the controller's settings (`settings_table`).
        max_errors: how many errors are kept.
    """
    raw = np.frombuffer(data + b"\n", np.uint8)
    lines, comments = _count(raw)
    rows = lines + 16
    while True:
        codes, values = np.empty((rows, 4), np.int32), np.empty((rows, 8), np.float32)
        errors = np.empty((max_errors, 3), np.int64)
        stroke_spans, ink_table = np.empty((comments, 2), np.int64), np.zeros((comments + 1, 3))
        now, reals, systems = np.zeros(meaning.MODES, np.int64), np.zeros(meaning.REALS), np.zeros((meaning.SYSTEMS, 3))
        marks = np.zeros(meaning.MARKS, np.int64)
        marks[meaning.STROKE] = -1
        read_lines, failures = _read(
            raw, settings.copy(), now, reals, systems, marks, codes, values, errors, stroke_spans, ink_table
        )
        if read_lines >= 0:
            break
        rows = 2 * lines + 16
    used = int(marks[meaning.ROW])
    return Reading(
        lines=int(read_lines),
        codes=codes[:used],
        values=values[:used],
        errors=errors[: min(failures, max_errors)],
        error_count=int(failures),
        stroke_spans=stroke_spans[: int(marks[meaning.STROKE]) + 1],
        data=data,
        inks=ink_table[: int(marks[meaning.INK]) + 1],
        modal=now,
        position=reals[meaning.AT : meaning.AT + 3].copy(),
    )
