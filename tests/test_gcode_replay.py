"""What G-code paints, against what the strokes that it was written from paint."""

from __future__ import annotations

import numpy as np
import pytest

from airbrush_cli import colour, config, documents
from airbrush_cli.gcode import macros, order, replay, writer
from airbrush_cli.metrics.fidelity import psnr
from airbrush_cli.pen.draw import draw_over
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.render import render
from airbrush_cli.twin.strokes import look_up

SIZE = (227, 320)
LUTS = synthetic_luts()


def machine(name: str, **changes: object) -> tuple[Machine, macros.Macros]:
    path = config.shipped(name)
    loaded = documents.load(path, Machine)
    return Machine.build(**{**loaded.model_dump(), **changes}), macros.load(loaded, path.parent)


def strokes(count: int, seed: int = 0) -> np.ndarray:
    """Strokes as a planner makes them: short, slow, and level enough for the Z axis to follow."""
    rng = np.random.default_rng(seed)
    made = rng.uniform(LOW, HIGH, (count, 15))
    made[:, 2:8] = np.tile(made[:, :2], 3) + np.cumsum(rng.normal(0, 4, (count, 3, 2)), axis=1).reshape(-1, 6)
    made[:, 9] = made[:, 8] + rng.normal(0, 1, count)
    made[:, 10:12] = rng.uniform(5, 60, (count, 2))
    return np.clip(made, LOW, HIGH)


def likeness(picture: np.ndarray, other: np.ndarray) -> float:
    return psnr(colour.linear_to_srgb8(picture), colour.linear_to_srgb8(other))


def gcode(made: np.ndarray, profile: Machine, texts: macros.Macros) -> bytes:
    ids = [f"s{number}" for number in range(len(made))]
    return writer.write_strokes(made, ids, profile, [], macros=texts).encode()


@pytest.mark.parametrize("name", ["machine_grbl_airbrush_v1", "machine_airbrush_xy"])
def test_a_replay_shows_the_painting(name):
    profile, texts = machine(name)
    made = strokes(200)
    if not profile.has_z:
        made[:, 8:10] = profile.nozzle_z_mm
    picture = replay.replay(gcode(made, profile, texts), profile, LUTS, SIZE)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert likeness(picture, render(made, LUTS, SIZE)) > 45


def test_an_order_for_travel_paints_the_same_picture():
    profile, texts = machine("machine_grbl_airbrush_v1")
    made = strokes(200, 1)
    reach = 3.0 * look_up(LUTS, made[:, 8:10].max(axis=1), made[:, 10])[:, 0]
    chosen = order.for_travel(made, reach, profile)
    assert chosen.tolist() != list(range(200))
    picture = replay.replay(gcode(made[chosen], profile, texts), profile, LUTS, SIZE)
    assert likeness(picture, render(made, LUTS, SIZE)) > 45


def test_the_frame_of_the_paper_does_not_show():
    moved, texts = machine(
        "machine_grbl_airbrush_v1", paper_mm={"x": 12, "y": 7}, work_area_mm={"x": 240, "y": 320, "z": 30}
    )
    made = strokes(40, 2)
    picture = replay.replay(gcode(made, moved, texts), moved, LUTS, SIZE)
    assert likeness(picture, render(made, LUTS, SIZE)) > 45


def test_a_file_shows_what_it_says_and_not_what_was_meant():
    profile, texts = machine("machine_grbl_airbrush_v1")
    made = strokes(40, 3)
    mirrored = gcode(made, profile, texts).replace(b"Y", b"Y-").replace(b"Y-0.", b"Y0.")
    assert likeness(replay.replay(mirrored, profile, LUTS, SIZE), render(made, LUTS, SIZE)) < 35


def test_purges_leave_nothing_on_the_paper():
    profile, _ = machine("machine_grbl_airbrush_v1")
    text = b"(MIX C1 M1 Y1)\n; PURGE\nG0 Z10\nG1 X50 Y50 F600\nX100\n"
    assert (replay.replay(text, profile, LUTS, SIZE) == 1.0).all()


@pytest.mark.parametrize("name", ["machine_grbl_airbrush_v1", "machine_pen_plotter"])
def test_the_pen_draws_over_the_colours(name):
    profile, texts = machine(name, pen={"offset_mm": {"x": 0, "y": 0}})
    layer = PenVectors.build(
        page_mm={"x": 210, "y": 297},
        pen_width_mm=0.8,
        paths=[{"points": [[20, 30], [180, 40], [100, 250]]}, {"bezier": [[30, 60], [90, 10], [150, 200], [60, 220]]}],
    )
    text = writer.write_pen(layer, profile, [], macros=texts).encode()
    canvas = np.full((SIZE[1], SIZE[0], 3), 0.5, np.float32)
    picture = replay.replay(text, profile, LUTS, SIZE, pen_width_mm=0.8, canvas=canvas)
    assert psnr(colour.linear_to_srgb8(picture), draw_over(colour.linear_to_srgb8(canvas), layer)) > 45
    assert canvas.min() == 0.5


def test_arcs_of_other_programs_are_drawn_round():
    profile, _ = machine("machine_pen_plotter")
    picture = replay.replay(b"G0 X150 Y100\nG2 X150 Y100 I-50 F600\n", profile, LUTS, SIZE, pen_width_mm=1.5)
    rows, columns = np.nonzero(picture[..., 0] < 0.5)
    away = np.hypot((columns + 0.5) * 210 / SIZE[0] - 100, 297 - (rows + 0.5) * 297 / SIZE[1] - 100)
    assert away == pytest.approx(50, abs=1.5)


def test_an_empty_file_leaves_the_paper_white():
    profile, _ = machine("machine_grbl_airbrush_v1")
    assert (replay.replay(b"", profile, LUTS, SIZE) == 1.0).all()
