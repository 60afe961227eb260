# mypy: disable-error-code="no-untyped-def"
"""Read a G-code file as GRBL 1.1f reads it: what it does, and the errors that it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.gcode import grbl, system, words
from airbrush_cli.gcode import interpreter as meaning
from airbrush_cli.gcode.characters import (
    A_,
    CLOSE,
    CR,
    DOLLAR,
    J_,
    LF,
    MINUS,
    NINE,
    OPEN,
    PLUS,
    POINT,
    SEMICOLON,
    Z_,
    ZERO,
)
from airbrush_cli.gcode.common import straight_moves
from airbrush_cli.schemas.machine import GrblSettings

ERRORS = {
    1: "a word must start with a letter",
    2: "a number is missing or malformed",
    3: "this $ command is not known",
    4: "the value must not be negative",
    5: "homing is not enabled ($22)",
    6: "the step pulse must last at least 3 µs",
    8: "the controller must be idle for this, and it is moving",
    9: "during a jog, the controller takes no G-code",
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


@njit(cache=True)
def _parenthesis(data, i, marks, stroke_spans, inks):
    """Skip a comment in parentheses that starts at i; return where the text goes on."""
    start = i + 1
    while i < len(data) and data[i] != CLOSE and data[i] != LF and data[i] != CR:
        i += 1
    grbl.note_comment(data, start, i, marks, stroke_spans, inks)
    return i + 1 if i < len(data) and data[i] == CLOSE else i


@njit(cache=True)
def _count(data):
    """Return no less than how many lines there are, and how many comments."""
    lines, comments = 1, 0
    for byte in data:
        lines += (byte == LF) | (byte == CR)
        comments += (byte == SEMICOLON) | (byte == OPEN)
    return lines, comments


@njit(cache=True, nogil=True)
def _read(data, settings, now, reals, systems, marks, codes, values, errors, stroke_spans, inks):
    """Read all lines; return (lines, errors), or -1 lines when the tables are too small."""
    v = np.zeros(13)
    want = np.empty_like(now)
    text = np.empty(grbl.LINE_BUFFER, np.uint8)
    size = len(data) - 1  # a line feed that is not the file's own stands last, where the short way stops
    # Typed, because numba compiles a function once more for each argument that it knows as a literal.
    zero = np.int64(0)
    i, line, failures = zero, zero, zero
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
        given, commands, non_modal, axis_command = zero, zero, zero, zero
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
                i = _parenthesis(data, i, marks, stroke_spans, inks)
                continue
            if error != 0:
                kept += 1
                i += 1
                continue
            if not started:
                started = True
                for k in range(meaning.MODES):
                    want[k] = now[k]
                if byte == DOLLAR:
                    fault = i
                    while i < size:  # gather the whole line: `$` commands are not made of words
                        kind = grbl.CLASS[data[i]]
                        if kind == grbl.END_OF_LINE:
                            break
                        if kind == grbl.SEMICOLON:
                            i = grbl.comment_end(data, i)
                        elif kind == grbl.PARENTHESIS:
                            i = _parenthesis(data, i, marks, stroke_spans, inks)
                        else:
                            if kind != grbl.SKIP:
                                if kept < grbl.LINE_BUFFER:
                                    text[kept] = data[i] - 32 if 97 <= data[i] <= 122 else data[i]
                                kept += 1
                            i += 1
                    if kept >= grbl.LINE_BUFFER:
                        break
                    error, words_at, stored = system.command(text, kept, settings, marks)
                    if stored >= 0:
                        row = meaning.emit(
                            grbl.SETTING,
                            zero,
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
                        values[row, grbl.NUMBER] = stored
                    if words_at:
                        # The words behind `$J=` and `$N0=` are short: read them from the gathered text.
                        jog = text[1] == J_
                        if jog:
                            want[meaning.MOTION], want[meaning.INVERSE] = 1, 0
                        at = words_at
                        while at < kept and error == 0:
                            letter = np.int64(text[at])
                            if letter < A_ or letter > Z_:
                                error = grbl.BAD_LETTER
                                break
                            value, at, found = system.number_at(text, at + 1, kept)
                            if not found:
                                error = grbl.BAD_NUMBER
                                break
                            error, given, commands, axis_command, non_modal = words.take(
                                letter, value, v, want, given, commands, axis_command, non_modal
                            )
                    elif error == 0:
                        started = False
                    break
            if marks[meaning.MOVING] == meaning.JOGGING:
                error, fault = grbl.LOCKED, i
                continue
            if kind != grbl.LETTER:
                error, fault = grbl.BAD_LETTER, i
                continue
            letter = np.int64(byte & 0xDF)
            at = i
            kept += 1
            i += 1
            digits = zero
            exponent = 0
            count = 0
            negative = False
            point = False
            first = True
            while i < size:
                byte = data[i]
                if ZERO <= byte <= NINE:
                    count += 1
                    if count <= 8:
                        digits = digits * 10 + (byte - ZERO)
                        exponent -= point
                    elif not point:
                        exponent += 1
                elif byte == POINT and not point:
                    point = True
                elif first and byte in (MINUS, PLUS):
                    negative = byte == MINUS
                else:
                    kind = grbl.CLASS[byte]
                    if kind == grbl.SKIP:
                        i += 1
                        continue
                    if kind == grbl.PARENTHESIS:
                        i = _parenthesis(data, i, marks, stroke_spans, inks)
                        continue
                    break
                first = False
                kept += 1
                i += 1
            if count == 0:
                error, fault = grbl.BAD_NUMBER, at
                continue
            value = grbl.scaled(digits, exponent, negative)
            error, given, commands, axis_command, non_modal = words.take(
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
        i += 2 if i + 1 < size and data[i] == CR and data[i + 1] == LF else 1
    return line, failures


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
