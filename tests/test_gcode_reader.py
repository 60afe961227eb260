"""The reader against GRBL's answers, against itself on its long way, and against any bytes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airbrush_cli.gcode import grbl, reader
from airbrush_cli.schemas.machine import GrblSettings

TABLE = reader.settings_table(GrblSettings())


def read(text: str | bytes) -> reader.Reading:
    return reader.read(text.encode() if isinstance(text, str) else text, TABLE)


def replies(text: str) -> list[int]:
    """GRBL's error for each line, 0 for ok."""
    reading = read(text)
    answers = [0] * reading.lines
    for line, code, _ in reading.errors.tolist():
        answers[line - 1] = code
    return answers


def targets(text: str) -> list[list[float]]:
    reading = read(text)
    kinds = reading.codes[:, 0] & grbl.KIND_MASK
    return np.round(reading.values[kinds <= grbl.ARC_CCW, :3].astype(float), 4).tolist()


def test_single_lines_as_the_firmware_answers_them(shared):
    cases = yaml.safe_load((shared / "data/grbl/accepts.yaml").read_text())["lines"]
    assert len(cases) > 100
    for case in cases:
        code = replies(f"G21\nG90\n{case['line']}\n")[2]
        assert ("ok" if code == 0 else f"error:{code}") == case["reply"], case["line"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", 0), ("; anything ! at all", 0), ("(open", 0), ("\t g1 x1 f1 0 0 ", 0), ("G1 X1 (in between) F1(0)0", 0),
        ("G0 X" + "1" * 74, 0), ("G0 X" + "1" * 78, 11), ("G0 X1" + " " * 200 + "Y1", 0),
        ("*", 1), ("1X", 1), ("G0 X1,5", 1), ("G", 2), ("G0 X--1", 2), ("G0 X.", 2), ("G0 XY", 2),
        ("F-1", 4), ("S-1", 4), ("G4 P-1", 4), ("M7", 20), ("G0 A1", 20), ("G43", 20), ("G90.1", 20), ("G28.2", 20),
        ("G92.2", 20), ("G38.1 X1", 20), ("G10 P1 X1", 20), ("G10 L2 P1 X0 R5", 20), ("G-1", 20), ("G256", 23),
        ("G0 G0", 24), ("G90 G91", 21), ("M3 M4", 21), ("M8 M8", 21), ("G1 X1", 22), ("$J=X1", 22), ("G17.5", 23),
        ("M3.5", 23), ("G28 G92 X1", 24), ("X1 X2", 25), ("G10 L2 P1", 26), ("G2 F100 I1", 26), ("N10000001", 27),
        ("N10000000", 0), ("G4", 28), ("G10 X1", 28), ("G10 L2 P7 X1", 29), ("G53 G2 X1 I1 F100", 30), ("G80 X1", 31),
        ("G2 Z1 I1 F100", 32), ("G17 G2 X0 Y0 R5 F100", 33), ("G2 X5 Y0 I1 F100", 33), ("G2 X10 R1 F100", 34),
        ("G2 X1 Y1 F100", 35), ("G0 X1 P1", 36), ("L1", 36), ("G43.1", 37), ("G43.1 X1 Z1", 37), ("T256", 38),
        ("T255", 0), ("G49", 0), ("G61", 0), ("G61.1", 20), ("G91.1", 0), ("G30.1", 0), ("G92.1", 0), ("M1", 0),
        ("$", 0), ("$x", 0), ("$$1", 3), ("$130", 3), ("$100=", 2), ("$0=1", 6), ("$20=1", 10), ("$33=1", 3),
        ("$110=-1", 4), ("$H", 5), ("$N", 0), ("$N0=G20", 0), ("$N0=G999", 20), ("$I", 0), ("$RST=*", 0), ("$RST=1", 3),
        ("$J=G91 X1 F100", 0), ("$J=G1 X1 F100", 16), ("$J", 3), ("$SLP", 0), ("$SL", 3), ("$256=1", 3),
    ],
)  # fmt: skip
def test_one_line(line, code):
    assert replies(f"G21\nG90\n{line}\n")[2] == code


def test_settings_are_refused_while_the_machine_moves():
    assert replies("G0 X1\n$110=500\n$$\n$G\nG4 P1\n$110=500\n") == [0, 8, 8, 0, 0, 0]


def test_lines_are_counted_as_editors_do():
    for end in ("\n", "\r\n", "\r"):
        assert replies(f"G21{end}{end}M7{end}G90") == [0, 0, 20, 0]
    assert read(b"").lines == 0


def test_positions_follow_every_modal_state():
    assert targets("G0 X1 Y2\nG91\nX1 Z3\nG90\nG20\nG0 X1") == [[1, 2, 0], [2, 2, 3], [25.4, 2, 3]]
    assert targets("G0 X5\nG92 X0\nG0 X1\nG92.1\nG0 X1") == [[5, 0, 0], [6, 0, 0], [1, 0, 0]]
    assert targets("G10 L2 P2 X10 Y20\nG55 G0 X1 Y1\nG53 G0 X1\nG54 G0 X1") == [[11, 21, 0], [1, 21, 0], [1, 21, 0]]
    assert targets("G0 X3 Y4\nG10 L20 P1 X0 Y0\nG0 X1 Y1") == [[3, 4, 0], [4, 5, 0]]
    assert targets("G43.1 Z2\nG0 Z1\nG49\nG0 Z1") == [[0, 0, 3], [0, 0, 1]]
    assert targets("G0 X7 Z9\nG28.1\nG0 X1\nG28 Z20\nG30") == [[7, 0, 9], [1, 0, 9], [1, 0, 20], [1, 0, 9], [0, 0, 0]]
    assert targets("G91\nG0 X1\nM2\nX1 F9") == [[1, 0, 0], [1, 0, 0]]
    assert targets("$C\nG0 X1\n$C\nG0 Y1") == [[1, 1, 0]]
    assert targets("G0 X1\nM7 X9\nX1.5 X2\nY1") == [[1, 0, 0], [1, 1, 0]]


def test_arcs_get_their_centre():
    reading = read("F100\nG2 X10 R5\nG3 X0 I-5\nG18 G2 X4 Z4 K4")
    assert reading.error_count == 0
    assert reading.values[:, [grbl.OFFSET_0, grbl.OFFSET_1, grbl.RADIUS]].tolist() == [[5, 0, 5], [-5, 0, 5], [4, 0, 4]]


def test_markers_and_inks_are_noted():
    reading = read("; PURGE\nG0 X1\n; STROKE_ID: a-1\n(MIX C0.25 M0 Y1)\nG0 X2\nG0 X3 ; STROKE_ID: b\n; END\nG0 X4\n")
    assert reading.stroke_ids == ["a-1", "b"]
    assert reading.inks.tolist() == [[0, 0, 0], [0.25, 0, 1]]
    assert (reading.codes[:, 0] >> grbl.SECTION_SHIFT & 3).tolist() == [1, 2, 2, 3]
    assert reading.codes[:, 2].tolist() == [0, 1, 1, 1]
    assert reading.codes[:, 3].tolist() == [-1, 0, 1, 1]


def test_bytes_that_grbl_takes_for_commands_leave_no_trace_in_the_line():
    assert replies("G0?X1~\nG0\x18X1\nG0 X1!\n") == [0, 0, 0]
    assert read(b"G0\xc3\xa4X1\n").error_count == 0


numbers = st.one_of(
    st.decimals(-999, 999, places=3).map(str),
    st.sampled_from(["0", "-0", "+1", ".5", "5.", "00012.500", "123456789", "0.00000001", "1.2.3", "", "-"]),
)
words = st.builds(
    lambda letter, number, space: letter + number + space, st.sampled_from("XYZF"), numbers, st.sampled_from(["", " "])
)
motions = st.sampled_from(["G0", "G1 ", "G00 ", "G01", "", " ", "N7", "N12345678 G1"])
straight = st.builds(lambda motion, parts: motion + "".join(parts), motions, st.lists(words, max_size=5))
others = st.sampled_from(
    [
        "G91", "G90", "G20", "G21", "G92 X1", "G18", "G80", "G93", "G94", "G54 G0 X1", "M3 S1", "M8", "M9", "",
        "; note", "M8 ; note", "; PURGE", "$110=9", "$$", "(MIX C1 M0 Y.5)",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.one_of(straight, straight, others), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_the_short_way_through_straight_moves_reads_what_the_long_way_does(lines, end):
    short = read(end.join(lines))
    # A tab in front sends every line the long way.
    long = read(end.join(f"\t{line}" for line in lines))
    assert short.codes.tolist() == long.codes.tolist()
    assert np.array_equal(short.values[:, :5], long.values[:, :5])
    assert short.errors[:, :2].tolist() == long.errors[:, :2].tolist()
    assert short.position.tolist() == long.position.tolist()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.binary(max_size=300), st.text("GMXYZIJKRFPLNST$=0123456789.-+ ()/;\n\r", max_size=300).map(str.encode))
)
@example(b"G0 X" + b"9" * 60)
@example(b"G91\nG0 X" + b"9" * 60 + b"\nX-" + b"9" * 60)
@example(b"$N0=")
@example(b"(MIX C. M Y")
@example(b"; STROKE_ID:")
def test_any_bytes_get_a_verdict(data):
    reading = read(data)
    assert reading.lines == len(re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", data))
    assert reading.error_count <= reading.lines
    assert (reading.errors[:, 1] > 0).all()
