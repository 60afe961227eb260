"""The writer: frames, feeds, macros, policies; and that what it writes reads back as what it was given."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airbrush_cli import config, documents, geometry
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.gcode import dryrun, macros, moves, reader, writer
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.schemas.stroke import HIGH, LOW

PROFILES = ("machine_grbl_airbrush_v1", "machine_pen_plotter", "machine_airbrush_xy")


def profile(name: str = PROFILES[0], **changes: object) -> tuple[Machine, macros.Macros]:
    path = config.shipped(name)
    machine = documents.load(path, Machine)
    texts = macros.load(machine, path.parent)
    return Machine.build(**{**machine.model_dump(), **changes}), texts


AIRBRUSH, MACROS = profile()
PLOTTER, PLOTTER_MACROS = profile("machine_pen_plotter")


def stroke(points, z=(10.0, 10.0), v=(50.0, 50.0), ink=(0.5, 0.25, 0.0)) -> np.ndarray:
    return np.array([*np.ravel(points), *z, *v, *ink], float)


LINE = stroke(np.linspace([50, 100], [110, 100], 4))


def write(*strokes, machine=AIRBRUSH, texts=MACROS, **options) -> str:
    ids = [f"s{number:04d}" for number in range(len(strokes))]
    return writer.write_strokes(np.array(strokes).reshape(-1, 15), ids, machine, ["test"], macros=texts, **options)


def pen(*paths, **page) -> PenVectors:
    return PenVectors.build(
        page_mm=page or {"x": 210, "y": 297}, pen_width_mm=0.5, paths=[{"points": p} for p in paths]
    )


def painted(text: str, machine: Machine = AIRBRUSH) -> dict[str, np.ndarray]:
    """The (K, 3) path of each stroke, machine frame, as the reader finds it."""
    reading = reader.read(text.encode(), reader.settings_table(machine.grbl))
    rows = moves.of(reading)
    found = {}
    for number, stroke_id in enumerate(reading.stroke_ids):
        index = np.flatnonzero(rows.feeds & (rows.stroke == number))
        found[stroke_id] = np.vstack([rows.start[:, index[0]], rows.end[:, index].T])
    return found


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profiles_load_with_their_macros(name):
    machine, texts = profile(name)
    assert texts.air_on or texts.pen_down
    assert machine.has_z == (name == PROFILES[0])


@pytest.mark.parametrize(("image", "machine"), [((0, 0), (0, 297)), ((210, 0), (210, 297)), ((210, 297), (210, 0))])
def test_the_corners_of_the_page_are_flipped_once(image, machine):
    inward = np.array([105, 148.5])
    path = painted(write(stroke(np.linspace(image, inward, 4))))["s0000"]
    assert path[0, :2] == pytest.approx(machine)
    assert path[-1, :2] == pytest.approx(inward)
    drawn = painted(writer.write_pen(pen([image, inward.tolist()]), AIRBRUSH, [], macros=MACROS))
    assert drawn["pen-00000"][0] == pytest.approx([*machine, 0])


def test_the_paper_may_lie_away_from_the_origin():
    machine, _ = profile(paper_mm={"x": 15, "y": 3}, work_area_mm={"x": 300, "y": 310, "z": 30})
    assert painted(write(LINE, machine=machine))["s0000"][0] == pytest.approx([65, 200, 10])


def test_feeds_are_mm_per_minute_and_written_only_when_they_change():
    text = write(LINE)
    assert re.findall(r"F([\d.]+)", text) == ["3000"]
    bend = stroke([[50, 100], [60, 60], [100, 60], [110, 100]])
    moves_at_feed = [line for line in write(bend).splitlines() if line.startswith("G1")]
    assert len(moves_at_feed) > 5
    assert sum("F" in line for line in moves_at_feed) == 1


def test_feeds_follow_the_speed_profile():
    text = write(stroke(LINE[:8].reshape(4, 2), v=(20.0, 80.0)))
    feeds = [float(value) for value in re.findall(r"F([\d.]+)", text)]
    assert feeds == sorted(feeds)
    assert feeds[0] == pytest.approx(1200, rel=0.1)
    assert feeds[-1] == pytest.approx(4800, rel=0.1)
    assert max(np.diff(feeds) / feeds[:-1]) < 0.11


def test_a_climbing_move_is_as_fast_over_the_paper_and_no_axis_is_outrun():
    gentle = write(stroke(LINE[:8].reshape(4, 2), z=(10.0, 16.0)))
    assert float(re.findall(r"F([\d.]+)", gentle)[0]) == pytest.approx(3000 * np.hypot(1, 0.1), rel=1e-3)
    steep = write(stroke(LINE[:8].reshape(4, 2), z=(0.0, 30.0), v=(300.0, 300.0)))
    assert float(re.findall(r"F([\d.]+)", steep)[0]) == pytest.approx(1200 * np.hypot(2, 1), rel=1e-3)
    assert dryrun.check(steep.encode(), AIRBRUSH).ok


def test_heights_follow_the_profile():
    path = painted(write(stroke(LINE[:8].reshape(4, 2), z=(5.0, 8.0))))["s0000"]
    assert path[:, 2] == pytest.approx(5 + 3 * (path[:, 0] - 50) / 60, abs=1e-3)


def test_a_machine_without_z_gets_no_z_word():
    machine, texts = profile("machine_airbrush_xy")
    text = write(LINE, machine=machine, texts=texts)
    assert "Z" not in re.sub(r";.*|\(.*\)", "", text)
    assert dryrun.check(text.encode(), machine).ok


def test_the_header_says_what_made_the_file_in_characters_that_grbl_ignores():
    text = writer.write_strokes(
        LINE[None], ["a"], AIRBRUSH, ["job Müller? (1)!", "x" * 200], macros=MACROS, resume_from=None
    )
    assert text.startswith("; job M_ller_ _1__\n; xxx")
    assert text.isascii()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert dryrun.check(text.encode(), AIRBRUSH).ok


def test_the_same_job_gives_the_same_bytes():
    assert write(LINE, LINE) == write(LINE, LINE)


def test_inks_are_mixed_when_they_change():
    other = LINE.copy()
    other[12:] = 1, 0, 1
    text = write(LINE, LINE, other)
    assert re.findall(r"\(MIX.*\)", text) == ["(MIX C0.500 M0.250 Y0.000)", "(MIX C1.000 M0.000 Y1.000)"]
    mixing = macros.Macros(**{**vars(MACROS), "mix": "G4 P{c}\n"})
    assert "G4 P0.5\n" in write(LINE, texts=mixing)


@pytest.mark.parametrize(
    ("purge", "count"),
    [
        ({"policy": "every_stroke"}, 4),
        ({"policy": "on_colour_change", "colour_step": 0.1}, 2),
        ({"policy": "by_volume_mm", "volume_mm": 100.0}, 2),
    ],
)
def test_purge_policies(purge, count):
    near, far = LINE.copy(), LINE.copy()
    near[12] += 0.05
    far[12] += 0.4
    machine, _ = profile(purge=purge)
    text = write(LINE, LINE, near, far, machine=machine)
    assert text.count("; PURGE") == count
    report = dryrun.check(text.encode(), machine)
    assert report.ok
    assert report.seconds_by_kind["purge"] > 0.3 * count


def test_air_is_on_only_along_strokes_and_in_purges():
    lines = write(LINE, LINE).splitlines()
    on = False
    for line in lines:
        on = {"M8": True, "M9": False}.get(line, on)
        if line.startswith("G1"):
            assert on
        elif line.startswith("G0"):
            assert not on


def test_a_stroke_beyond_the_work_area_fails_by_its_name():
    small = {"work_area_mm": {"x": 100, "y": 297, "z": 30}}
    texts = macros.Macros(**{**vars(MACROS), "purge": None})
    machine, _ = profile(**small, safety={"soft_limits": True})
    with pytest.raises(JobError, match="stroke s0001: leaves the work area: X110 is not within 0 to 100 mm"):
        write(stroke(np.linspace([10, 10], [90, 10], 4)), LINE, machine=machine, texts=texts)
    relaxed, _ = profile(**small, safety={"soft_limits": False})
    assert "X110" in write(LINE, machine=relaxed, texts=texts)


def test_the_pen_hangs_beside_the_nozzle():
    machine, _ = profile(pen={"offset_mm": {"x": 4, "y": -6}})
    text = writer.write_pen(pen([[50, 100], [60, 100]]), machine, [], macros=MACROS)
    assert painted(text)["pen-00000"] == pytest.approx(np.array([[46, 203, 0], [56, 203, 0]]))
    with pytest.raises(JobError, match="pen path pen-00000: leaves the work area: X-3"):
        writer.write_pen(pen([[1, 100], [60, 100]]), machine, [], macros=MACROS)


def test_a_servo_lifts_the_pen_of_a_plotter():
    text = writer.write_pen(pen([[50, 100], [60, 100]], [[5, 5], [9, 9]]), PLOTTER, [], macros=PLOTTER_MACROS)
    assert text.count("M3 S90") == 2
    assert "Z" not in text
    assert "G92 X0 Y0\n" in text
    report = dryrun.check(text.encode(), PLOTTER)
    assert report.ok
    assert report.length_mm["drawn"] == pytest.approx(10 + np.hypot(4, 4), abs=0.01)


def test_pen_paths_may_be_ordered_for_travel():
    rng = np.random.default_rng(1)
    paths = [np.round(rng.uniform(20, 180, 2) + np.array([[0, 0], [5, 5]]), 3).tolist() for _ in range(60)]
    keep, travel = (
        writer.write_pen(pen(*paths), PLOTTER, [], macros=PLOTTER_MACROS, order=order) for order in ("keep", "travel")
    )
    reports = [dryrun.check(text.encode(), PLOTTER) for text in (keep, travel)]
    assert reports[1].length_mm["travel"] < 0.4 * reports[0].length_mm["travel"]
    assert reports[1].length_mm["drawn"] == pytest.approx(reports[0].length_mm["drawn"])
    assert sorted(painted(travel, PLOTTER)) == sorted(painted(keep, PLOTTER))


def test_what_a_machine_lacks_is_said():
    with pytest.raises(JobError, match="no airbrush"):
        write(LINE, machine=PLOTTER, texts=PLOTTER_MACROS)
    machine, texts = profile("machine_airbrush_xy")
    with pytest.raises(JobError, match="no pen"):
        writer.write_pen(pen([[1, 1], [2, 2]]), machine, [], macros=texts)


def test_a_job_restarts_from_a_stroke():
    machine, _ = profile(zero_at_start=True, park_mm={"x": 0, "y": 0, "z": 0})
    whole, rest = (
        write(LINE, LINE, LINE, machine=machine),
        write(LINE, LINE, LINE, machine=machine, resume_from="s0001"),
    )
    assert "G92" in whole
    assert "G92" not in rest
    assert list(painted(rest)) == ["s0001", "s0002"]
    code = [line for line in rest.splitlines() if not line.startswith(";")]
    assert code[:5] == ["G21", "G90", "G94", "M9", "G0 Z5"]  # air off and up, before anything moves over wet paint
    assert rest.index("; PURGE") < rest.index("; STROKE_ID: s0001")
    assert dryrun.check(rest.encode(), machine).ok
    with pytest.raises(InputError, match=r"no stroke has the id s001; did you mean s0001\?"):
        write(LINE, LINE, machine=machine, resume_from="s001")


def test_no_strokes_give_a_file_that_does_nothing():
    report = dryrun.check(write().encode(), AIRBRUSH)
    assert report.ok
    assert report.length_mm["drawn"] == 0


def test_a_dot_is_painted_by_the_least_move():
    report = dryrun.check(write(stroke([[0, 5]] * 4), stroke([[9, 5]] * 4)).encode(), AIRBRUSH)
    assert report.ok
    assert report.length_mm["drawn"] == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("z", [(12.0, 12.0), (14.0, 14.0), (8.0, 17.0), (10.5, 11.0)])
def test_strokes_pass_over_or_under_the_purge_zone(z):
    text = write(stroke(np.linspace([150, 4], [209.5, 4], 4), z=z))
    assert dryrun.check(text.encode(), AIRBRUSH).ok
    path = painted(text)["s0000"]
    assert np.abs(path[:, 2] - np.interp(path[:, 0], [150, 209.5], z)).max() < 7.1
    assert path[path[:, 0] < 165, 2] == pytest.approx(np.interp(path[path[:, 0] < 165, 0], [150, 209.5], z), abs=2e-3)


def test_without_z_a_stroke_through_the_purge_zone_fails():
    machine, texts = profile(
        "machine_airbrush_xy", safety={"purge_zone_mm": {"x": (90, 95), "y": (190, 210), "z": (0, 0)}}
    )
    with pytest.raises(JobError, match="stroke s0000: passes through the purge zone"):
        write(LINE, machine=machine, texts=texts)


def test_macros_are_checked_like_everything_else(tmp_path):
    machine, _ = profile(macros={"include_dir": ".", "air_on": "ON.gcode"})
    plane, _ = profile(work_area_mm={"x": 210, "y": 297, "z": 0}, macros={"include_dir": ".", "air_on": "ON.gcode"})
    path = tmp_path / "ON.gcode"
    for text, pattern in [
        ("M8\nM7\n", r"ON.gcode:2: .*\(error:20\): M7"),
        ("M8 {x}\n", r"ON.gcode:1: \{x\}: unknown placeholder"),
        ("M8 {c\n", r"ON.gcode:1: "),
        ("G91\n", "must leave G17, G21"),
        ("; für\n", "not ASCII"),
    ]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=pattern):
            macros.load(machine, tmp_path)
    path.write_text("G0 Z1 ; Z")
    macros.load(machine, tmp_path)
    with pytest.raises(InputError, match="has a Z word, but the machine has no Z axis"):
        macros.load(plane, tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"ON\.gcode: cannot read"):
        macros.load(machine, tmp_path)


def test_a_macro_without_a_purge_zone_has_no_place_to_name(tmp_path):
    machine, _ = profile(safety={}, macros={"include_dir": ".", "purge": "P.gcode"})
    (tmp_path / "P.gcode").write_text("G0 X{purge_x}")
    with pytest.raises(InputError, match=r"P.gcode: \{purge_x\} has no value"):
        macros.load(machine, tmp_path)


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"park_mm": {"x": -1, "y": 0, "z": 0}}, "park_mm: x must lie in the work area"),
        ({"travel_z_mm": 40}, "travel_z_mm: must lie in the work area, at most 30"),
        ({"zero_at_start": True}, "zero_at_start: needs park_mm"),
        ({"safety": {"purge_zone_mm": {"x": (300, 301), "y": (0, 1), "z": (0, 1)}}}, "purge_zone_mm"),
    ],
)
def test_profiles_that_contradict_themselves_are_refused(changes, pattern):
    with pytest.raises(ValueError, match=pattern):
        profile(**changes)


any_strokes = arrays(np.float64, (4, 15), elements=st.floats(0, 1, width=32)).map(
    lambda unit: LOW + unit * (HIGH - LOW)
)


@settings(max_examples=60, deadline=None)
@given(any_strokes)
def test_any_strokes_stay_inside_and_read_back(strokes):
    text = write(*strokes)
    report = dryrun.check(text.encode(), AIRBRUSH)
    assert report.ok, report.violations or report.errors
    assert max(len(line) for line in text.splitlines()) <= 80
    found = painted(text)
    assert list(found) == ["s0000", "s0001", "s0002", "s0003"]
    t = np.linspace(0, 1, 65)
    for one, path in zip(strokes, found.values(), strict=True):
        curve = geometry.bezier_point(one[:8].reshape(4, 2), t) * (1, -1) + (0, 297)
        assert path[0, :2] == pytest.approx(curve[0], abs=0.001)
        assert distance(curve, path[:, :2]).max() < AIRBRUSH.path.tolerance_mm + 0.002
        assert distance(path[:, :2], curve).max() < 1.0  # the sampled curve is coarse itself


page = st.tuples(st.floats(0, 210), st.floats(0, 297))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(page, min_size=2, max_size=6), max_size=4), st.sampled_from(["keep", "travel"]))
def test_any_pen_layer_stays_inside_and_reads_back(paths, order):
    text = writer.write_pen(pen(*paths), AIRBRUSH, [], macros=MACROS, order=order)
    assert dryrun.check(text.encode(), AIRBRUSH).ok
    found = painted(text)
    assert len(found) == len(paths)
    for number, points in enumerate(paths):
        path = np.array(points) * (1, -1) + (0, 297)
        assert distance(path, found[f"pen-{number:05d}"][:, :2]).max() < 0.06


def distance(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    a, d = line[:-1], np.diff(line, axis=0)
    along = ((points[:, None] - a) * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-12)
    return np.linalg.norm(points[:, None] - a - np.clip(along, 0, 1)[..., None] * d, axis=-1).min(axis=1)
