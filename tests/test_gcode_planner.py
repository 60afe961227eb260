"""The planner's time against GRBL's own, against a textbook planner, and where it can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airbrush_cli.gcode import planner, reader
from airbrush_cli.schemas.machine import GrblSettings

MACHINE = GrblSettings()


def seconds(text: str, machine: GrblSettings = MACHINE) -> float:
    table = reader.settings_table(machine)
    reading = reader.read(text.encode(), table)
    assert reading.error_count == 0
    return sum(float(part.sum()) for part in planner.plan(reading.codes, reading.values, table))


def with_settings(**changes: float) -> GrblSettings:
    return GrblSettings.model_validate({**MACHINE.model_dump(), **changes})


def test_times_are_the_firmwares_own(shared):
    folder = shared / "data/grbl"
    errors = []
    for case in yaml.safe_load((folder / "times.yaml").read_text())["cases"]:
        text = (folder / case["file"]).read_text()
        errors.append(abs(seconds(text, GrblSettings.model_validate(case["settings"])) / case["seconds"] - 1.0))
        assert errors[-1] < 0.0003, case["file"]
    assert np.median(errors) < 0.0001


def textbook(path: np.ndarray, feed: float, machine: GrblSettings) -> float:
    """Plan with all moves in view: entry speeds limited by corners, braking and acceleration; then trapezoids."""
    rate, acceleration = np.array(machine.max_rate) / 60.0, np.array(machine.acceleration)
    steps = np.diff(path, axis=0)
    length = np.linalg.norm(steps, axis=1)
    unit = steps / length[:, None]
    with np.errstate(divide="ignore"):
        a = (acceleration / np.abs(unit)).min(axis=1)
        nominal = np.minimum(feed / 60.0, (rate / np.abs(unit)).min(axis=1))
    entry = np.zeros(len(steps) + 1)
    for k in range(1, len(steps)):
        cosine = -float(unit[k - 1] @ unit[k])
        corner = unit[k] - unit[k - 1]
        if cosine > 0.999999:
            limit = 0.0
        elif cosine < -0.999999:
            limit = math.inf
        else:
            with np.errstate(divide="ignore"):
                inward = (acceleration / np.abs(corner / np.linalg.norm(corner))).min()
            half = math.sqrt(0.5 * (1.0 - cosine))
            limit = inward * machine.junction_deviation_mm * half / (1.0 - half)
        entry[k] = min(limit, nominal[k] ** 2, nominal[k - 1] ** 2)
    for k in reversed(range(len(steps))):
        entry[k] = min(entry[k], entry[k + 1] + 2 * a[k] * length[k])
    for k in range(len(steps)):
        entry[k + 1] = min(entry[k + 1], entry[k] + 2 * a[k] * length[k])
    total = 0.0
    for k in range(len(steps)):
        peak = math.sqrt(min(nominal[k] ** 2, a[k] * length[k] + (entry[k] + entry[k + 1]) / 2))
        up, down = (peak**2 - entry[k]) / (2 * a[k]), (peak**2 - entry[k + 1]) / (2 * a[k])
        total += (2 * peak - math.sqrt(entry[k]) - math.sqrt(entry[k + 1])) / a[k]
        total += max(length[k] - up - down, 0.0) / peak
    return total


coordinates = st.tuples(*(st.integers(-80, 80).map(lambda value: value * 2.5) for _ in range(3)))


@settings(max_examples=60, deadline=None)
@given(st.lists(coordinates, min_size=2, max_size=14, unique=True), st.sampled_from([600.0, 4000.0, 20000.0]))
def test_a_few_moves_take_what_a_textbook_planner_says(points, feed):
    path = np.array([(0.0, 0.0, 0.0), *points])
    path = path[np.concatenate([[True], np.any(np.diff(path, axis=0) != 0, axis=1)])]
    text = "\n".join(f"G1 X{x} Y{y} Z{z} F{feed}" for x, y, z in path[1:])
    # Timer ticks and whole steps add at most a few tenths of a per mille.
    assert seconds(text) == pytest.approx(textbook(path, feed, MACHINE), rel=2e-3)


def test_one_move_is_a_trapezoid_or_a_triangle():
    assert seconds("G1 X150 F6000") == pytest.approx(150 / 100 + 100 / 1500, rel=2e-3)
    assert seconds("G1 X1 F18000") == pytest.approx(2 * math.sqrt(1 / 1500), rel=2e-3)


def test_rapids_take_the_slowest_axis_along():
    slow_z = 30 / 20 + 20 / 200
    assert seconds("G0 Z30") == pytest.approx(slow_z, rel=2e-3)
    assert seconds("G0 X30 Z30") == pytest.approx(slow_z, rel=2e-3)


def test_inverse_time_and_inches():
    assert seconds("G93 G1 X100 F30") == pytest.approx(2.0 + 50 / 1500, rel=2e-3)
    assert seconds("G20 G1 X1 F60") == pytest.approx(1.0 + 25.4 / 1500, rel=2e-3)


def test_dwells_come_in_steps_of_50_ms():
    assert seconds("G4 P0.3") == pytest.approx(0.3)
    assert seconds("G4 P0.31") == pytest.approx(0.35)
    assert seconds("G4 P0") == 0.0


def test_stops_cost_the_speed_and_the_idle_delay():
    moves = "G1 X50 F6000\n{}\nX100\n"
    through = seconds(moves.format(""))
    stopped = seconds(moves.format("M8"))
    assert stopped == pytest.approx(through + 100 / 1500, rel=2e-3)
    idle = with_settings(step_idle_delay_ms=25)
    assert seconds(moves.format("M8"), idle) == pytest.approx(stopped + 2 * 0.025, abs=1e-6)
    # A second stop in a row finds the machine at rest.
    assert seconds(moves.format("M8\nM3 S1\nG92 X0 Y0\nG92.1"), idle) == pytest.approx(stopped + 2 * 0.025, abs=1e-6)


def test_only_fifteen_moves_are_in_view():
    fine = "G91\n" + "G1 X0.1 F18000\n" * 400
    # Braking from v within 15 moves of 0.1 mm: v² = 2·1500·1.4 or so, far below 300 mm/s.
    assert 40 / 70 < seconds(fine) < 40 / 50


def test_settings_in_a_file_change_what_follows():
    slow = seconds("$110=600\nG0 X100")
    assert slow == pytest.approx(10.0, rel=0.01)
    assert seconds("$110=600\n$110=18000\nG0 X100") == pytest.approx(seconds("G0 X100"))


def test_arcs_are_as_long_as_they_are_round():
    quarter = seconds("G1 F600\nG2 X10 Y10 I10 J0")
    assert quarter == pytest.approx(math.pi / 2 * 10 / 10, rel=0.01)
    assert seconds("G1 F600\nG2 X0 Y0 I10 J0") == pytest.approx(2 * math.pi, rel=0.01)
    assert seconds("G1 F600\nG18 G2 X10 Z10 K10") == pytest.approx(math.pi / 2, rel=0.02)


def test_chords_end_at_the_target_and_stay_on_the_circle():
    table = reader.settings_table(MACHINE)
    reading = reader.read(b"G0 X10\nG3 X-10 Y0 Z5 I-10 F600\n", table)
    points = planner.arc_points(np.array([10.0, 0, 0]), reading.values[1], reading.codes[1, 0], 0.002, 65535.0)
    assert points[-1] == pytest.approx([-10, 0, 5])
    assert np.hypot(points[:, 0], points[:, 1]) == pytest.approx(10, abs=1e-4)
    assert (np.diff(points[:, 2]) > 0).all()
    assert (points[:, 1] > -1e-9).all()


@pytest.mark.parametrize(
    "text",
    [
        "$100=0\nG0 X100", "$120=0\nG0 X100", "$110=0\nG0 X1", "$11=0\nG1 X5 F10\nY5\nX0", "$12=0\nF100\nG2 X10 R5",
        "G0 X9" + "9" * 60, "F1\nG2 X99999999 R99999999", "G91\n" + f"G0 X9{'9' * 60}\n" * 3,
    ],
)  # fmt: skip
def test_absurd_values_end_in_a_number(text):
    assert seconds(text) >= 0.0


def test_many_giant_arcs_end_soon():
    table = reader.settings_table(MACHINE)
    reading = reader.read(b"F1000\n" + b"G2 X0 I50000\n" * 3000, table)
    moving, _ = planner.plan(reading.codes, reading.values, table)
    assert np.isfinite(moving).all()


def test_the_peak_rate_counts_the_densest_second():
    ends = np.concatenate([np.arange(10) * 1.0, 10 + np.arange(50) * 0.01])
    assert planner.peak_rate(ends) == 50
    assert planner.peak_rate(np.zeros(0)) == 0
