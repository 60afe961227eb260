"""The dry run's report: errors, violations, lengths, times by kind; and the controller's settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from airbrush_cli import config, documents
from airbrush_cli.errors import InputError
from airbrush_cli.gcode import dryrun, settings
from airbrush_cli.schemas.machine import GrblSettings, Machine

AIRBRUSH = documents.load(config.shipped("machine_grbl_airbrush_v1"), Machine)


def check(text: str | bytes, machine: Machine = AIRBRUSH, controller: GrblSettings | None = None) -> dryrun.Report:
    return dryrun.check(text.encode() if isinstance(text, str) else text, machine, controller)


def violations(text: str | bytes, machine: Machine = AIRBRUSH) -> list[tuple[int, str]]:
    return [(found["line"], found["kind"]) for found in check(text, machine).violations]


def test_the_report_has_the_keys_that_programs_rely_on():
    data = check("G0 X10\n").to_data()
    keys = {"file", "seconds", "seconds_by_kind", "length_mm", "bounds_mm", "errors", "violations", "lines"}
    assert keys | {"last_stroke_id"} <= set(data)
    assert documents.parse(documents.dump(data), "report") == data


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("G21\nM7\n", {"line": 2, "code": 20, "message": "M7: the command or word is not supported"}),
        ("G1 X5\n", {"line": 1, "code": 22, "message": "F: the feed (F) is not set"}),
        ("G0 X1 Y2 q3\n", {"line": 1, "code": 20, "message": "q3: the command or word is not supported"}),
        ("G0 X1 P2\n", {"line": 1, "code": 36, "message": "P2: a word that nothing in the line uses"}),
        ("\r\n$foo\r\n", {"line": 2, "code": 2, "message": "$foo: a number is missing or malformed"}),
        ("\x01G0 X\x7f\n", {"line": 1, "code": 2, "message": "X: a number is missing or malformed"}),
    ],
)
def test_errors_name_line_and_word(text, entry):
    assert check(text).errors == [entry]


def test_a_clean_file_is_ok_and_a_refused_or_wrong_one_is_not():
    assert check("G0 X10\n").ok
    assert not check("M7\n").ok
    assert not check("G0 X300\n").ok


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("G0 X211", [(1, "soft_limit")]),
        ("G0 X-0.1 Y298", [(1, "soft_limit"), (1, "soft_limit")]),
        ("G0 X210 Y297 Z30", []),
        ("G0 Z-0.5", [(1, "z_below_paper")]),
        ("G0 Y5\nG2 X10 R5 F100\nG2 X0 R5", []),
        ("G0 Y4.9\nG3 X10 R5 F100", [(2, "soft_limit")]),
        ("G1 X100 F18001", []),
        ("G1 X100 F18100", [(1, "feed")]),
        ("G1 X3 Z4 F1510", [(1, "feed")]),
        ("G1 X3 Z4 F1499", []),
        ("G93 G1 X100 F181", [(1, "feed")]),
        ("G2 X10 R5 F20000", [(1, "feed")]),
        ("G1 X5", [(1, "no_feed")]),
        ("G0 X205 Y293 Z12", []),
        ("G0 X205 Y293 Z12\nG1 X206 F500", [(2, "purge_zone")]),
        ("; PURGE\nG0 X205 Y293 Z12\nG1 X206 F500\n; STROKE_ID: a\nG0 Z20\nX100", []),
        ("G0 X190 Y285 Z12\nG1 X209 Y297 F500", [(2, "purge_zone")]),
        ("G0 X190 Y289.9 Z12\nG1 X209 F500\nG0 Y293 Z15\nG1 X190", []),
        ("G0 X1 ; done!", [(1, "realtime")]),
    ],
)
def test_violations(text, found):
    assert violations(text) == found


def test_bytes_beyond_ascii_may_command_the_controller():
    report = check("; Ä\r\n; é\n".encode())
    assert [(found["line"], found["message"]) for found in report.violations] == [
        (1, "the byte 0x84 opens the safety door, wherever it stands")
    ]
    assert violations(b"\n\n\r\n; \x18") == [(4, "realtime")]


def test_soft_limits_can_be_off():
    assert (
        violations(
            "G0 X999", AIRBRUSH.model_copy(update={"safety": AIRBRUSH.safety.model_copy(update={"soft_limits": False})})
        )
        == []
    )


def test_lengths_and_times_go_to_what_they_are_for():
    report = check(
        "; PURGE\nG0 X60\nG4 P0.5\n; STROKE_ID: a\n(MIX C1 M0.5 Y0)\nG0 X100\nG1 X130 F600\nG4 P1\n; END\nG0 X0\n"
    )
    assert report.length_mm == pytest.approx({"drawn": 30, "travel": 170, "purge": 60})
    assert report.ink_mm == pytest.approx({"c": 30, "m": 15, "y": 0})
    assert report.seconds_by_kind["paint"] == pytest.approx(3, rel=0.02)
    assert report.seconds_by_kind["dwell"] == pytest.approx(1)
    assert report.seconds_by_kind["purge"] > 0.7
    assert report.seconds == pytest.approx(sum(report.seconds_by_kind.values()))
    assert report.bounds_mm == {"x": [0, 130], "y": [0, 0], "z": [0, 0]}
    assert (report.strokes, report.last_stroke_id) == (1, "a")


def test_bounds_hold_the_whole_of_an_arc():
    bounds = check("G0 X10 Y20\nG3 X20 R5 F100").bounds_mm
    assert bounds["y"] == pytest.approx([15, 20], abs=0.01)
    assert check("M8").bounds_mm is None


def test_more_lines_than_a_controller_takes_are_warned_of():
    text = "G91\nG1 F12000\n" + "X0.1\nX0.1\nY0.1\nX-0.1\nX-0.1\nY0.1\n" * 300
    slow = AIRBRUSH.grbl.model_copy(update={"junction_deviation_mm": 1.0})
    report = check(text, controller=slow)
    assert report.peak_lines_per_s > 250
    assert "lines/s" in report.warnings[0]
    assert not check("G0 X10").warnings


def test_long_lists_are_cut_and_counted():
    report = check("M7\nG0 X300\nG0 X301\n" * 2000)
    assert (len(report.errors), report.error_count) == (1000, 2000)
    assert (len(report.violations), report.violation_count) == (1000, 4000)
    assert [entry["line"] for entry in report.violations[:3]] == [2, 3, 5]


def test_jogs_may_follow_one_another():
    assert not check("$J=G91 X1 F100\n$J=G91 X1 F100\n").errors
    assert [entry["code"] for entry in check("G1 X5 F100\n$J=G91 X1 F100\n").errors] == [8]
    assert [entry["code"] for entry in check("$C\n$J=G91 X1 F100\n").errors] == [8]


def test_g_code_does_not_wait_for_a_jog():
    text = "$J=G91 X1 F100\n\n; comment\n(comment)\n$G\n$$\nG1 X5 F100\n G4 P1\n!\nnonsense\n$J=X2 F100\nM8\n"
    report = check(text)
    assert [(entry["line"], entry["code"]) for entry in report.errors] == [(7, 9), (8, 9), (10, 9), (12, 9)]
    assert report.bounds_mm["x"] == [1, 2]
    assert not check("$J=G90 X0 F100\nG1 X5 F100\n").errors  # a jog without a way is none


def test_the_controllers_settings_take_the_profiles_place():
    slow = GrblSettings(x_max_rate=600.0)
    assert check("G0 X100", controller=slow).seconds > 9
    assert violations("G1 X100 F6000") == []
    assert check("G1 X100 F6000", controller=slow).violations[0]["kind"] == "feed"


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_report(data):
    report = check(data)
    assert report.seconds >= 0
    documents.dump(report.to_data())


def test_absurd_coordinates_end_in_a_report():
    report = check(
        "G91 G20\n" + f"G0 X{'9' * 70}\n" * 4 + f"G2 X{'9' * 30} I{'9' * 30} F1\nG1 X-{'9' * 60} F{'9' * 60}\n"
    )
    assert not report.ok
    documents.dump(report.to_data())


def test_settings_in_a_file_end_in_a_report():
    assert check("$120=30\nG1 X100 F6000\n").seconds > check("G1 X100 F6000\n").seconds


def test_settings_are_read_as_the_controller_prints_them():
    text = "Grbl 1.1f ['$' for help]\n$$\n$0=10\n$1=25\n$110=6000.000\n$132=31 (z max travel, mm)\n$33=1\nok\n"
    read = settings.parse(text, "s.txt", AIRBRUSH.grbl)
    assert (read.step_idle_delay_ms, read.x_max_rate, read.z_max_travel) == (25, 6000, 31)
    assert read.y_max_rate == AIRBRUSH.grbl.y_max_rate


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("$110=fast", r"s.txt:1: must have the form \$110=6000 \(found \$110=fast\)"),
        ("ok\nG0 X1", "s.txt:2: must have the form"),
        ("ok\n", "no settings in it"),
        ("$1=1\n$110=-5", r"s.txt:2: \$110: input should be greater than 0"),
        ("$1=300", r"s.txt:1: \$1: "),
    ],
)
def test_other_settings_are_refused(text, pattern):
    with pytest.raises(InputError, match=pattern):
        settings.parse(text, "s.txt", AIRBRUSH.grbl)


def test_a_large_file_is_checked_whole():
    lines = [f"G1 X{x:.3f} Y{y:.3f} F3000" for x, y in np.random.default_rng(0).uniform(0, 200, (20000, 2))]
    report = check("\n".join(lines))
    assert (report.lines, report.ok) == (20000, True)
