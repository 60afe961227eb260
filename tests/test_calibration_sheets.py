"""Calibration sheets: where patches lie, what is written, and what cannot be laid out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airbrush_cli import config, documents
from airbrush_cli.calibration import form, layout, lettering
from airbrush_cli.calibration.sheets import FORM, pen_layer
from airbrush_cli.errors import InputError
from airbrush_cli.gcode import dryrun
from airbrush_cli.schemas.calibration import CalibrationLayout, CalibrationManifest, Fiducials, Sheet
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.twin.luts import shipped_luts
from tests.test_app import invoke


def default_layout(*overrides: str) -> CalibrationLayout:
    return config.load("calibration_layout", CalibrationLayout, overrides=overrides)


def machine() -> Machine:
    return documents.load(config.shipped("machine_grbl_airbrush_v1"), Machine)


def plan(*overrides: str) -> list[Sheet]:
    return layout.plan(default_layout(*overrides), machine(), shipped_luts())


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheets") / "calibration"
    status, streams = invoke("calibrate", "gen", "--out", folder)
    assert status == 0, streams.err
    assert streams.out == f"{folder / 'calibration_manifest.yaml'}\n"
    assert "build-luts" in streams.err
    return folder / "calibration_manifest.yaml"


def test_default_sheets_hold_every_label() -> None:
    colours, spots = plan()
    labels = [patch.label for patch in colours.patches]
    assert {"C000", "C123", "C444", "L00", "L11"} <= set(labels)
    assert len(labels) == 125 + 12
    assert [patch.label for patch in spots.patches] == [f"P{z}{v}" for z in range(6) for v in range(6)]
    c123 = colours.patches[labels.index("C123")]
    assert c123.bands[0].ink == (0.25, 0.5, 0.75)
    fast = spots.patches[5]
    assert fast.v_mm_s == 300
    # 300 mm/s is reached after v² / 2a.
    assert fast.measured_mm[0][0] - fast.bands[0].x_mm[0] == pytest.approx(300**2 / 2 / 1500, abs=1e-3)


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.floats(0, 1).map(lambda v: round(v, 2)), min_size=2, max_size=6, unique=True),
    heights=st.lists(st.integers(0, 30), min_size=2, max_size=6, unique=True),
    gap=st.floats(0, 4),
)
def test_nothing_overlaps(steps: list[float], heights: list[int], gap: float) -> None:
    for sheet in plan(f"colour_grid.steps={steps}", f"spot_grid.z_steps_mm={heights}", f"gap_mm={gap}"):
        boxes = [patch.box_mm for patch in sheet.patches]
        for index, (left, top, right, bottom) in enumerate(boxes):
            assert left >= 0 and top >= 0 and right <= 210 and bottom <= 297
            for other in boxes[:index]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
        for patch in sheet.patches:
            assert patch.box_mm[0] <= patch.bands[0].x_mm[0] - patch.reach_mm + 3e-3
            assert patch.box_mm[2] >= patch.bands[-1].x_mm[1] + patch.reach_mm - 3e-3


def test_overlaps_are_found() -> None:
    sheet = plan()[0]
    fiducials = default_layout().fiducials
    moved = sheet.patches[1].model_copy(update={"box_mm": sheet.patches[0].box_mm})
    with pytest.raises(InputError, match="C000 and C001 overlap"):
        layout.check([sheet.patches[0], moved], fiducials, machine())
    with pytest.raises(InputError, match="C000 lies on a corner mark"):
        layout.check(sheet.patches, Fiducials(size_mm=10, centres_mm=[(20, 25)] * 4), machine())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("spot_grid.v_steps_mm_s=[1, 400]", "P01: v must be 1 to 300 mm/s"),
        ("spot_grid.z_steps_mm=[0, 40]", "P10: z must be at most 30 mm"),
        ("colour_grid.length_mm=300", "C000 needs 312 x 16 mm"),
        ("colour_grid.steps=[0, 0]", "0 stands twice"),
        ("colour_grid.label_prefix=P", "must differ"),
        ("fiducials.centres_mm=[[1, 1], [201, 9], [9, 288], [201, 288]]", "leaves the page"),
    ],
)
def test_layouts_that_cannot_be(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(override)


def test_many_patches_go_on_another_page() -> None:
    names = [sheet.name for sheet in plan("colour_grid.steps=[0, 0.1, 0.2, 0.5, 0.8, 1]")]
    assert names == ["colours", "colours-2", "spots"]


def test_files_are_fit_for_the_machine(manifest: Path) -> None:
    document = documents.load(manifest, CalibrationManifest)
    for sheet in document.sheets:
        for name in (sheet.pen_gcode, sheet.cmy_gcode):
            report = dryrun.check((manifest.parent / name).read_bytes(), machine())
            assert report.ok
        assert report.strokes == sum(len(patch.bands) for patch in sheet.patches)
        picture = cv2.imread(str(manifest.parent / sheet.picture))
        assert picture.shape == (2970, 2100, 3)


def test_layers_dry_in_between() -> None:
    _, ids = layout.strokes_of(plan()[0])
    assert ids[0] == "L00a"
    assert ids[-1] == "L11b"
    assert len(set(ids)) == len(ids)


def test_form_holds_every_label(manifest: Path) -> None:
    document = documents.load(manifest, CalibrationManifest)
    text = (manifest.parent / FORM).read_text()
    assert all(f"  {patch.label}: {{" in text for patch in document.patches)
    assert not form.is_filled(text)


def test_a_filled_form_is_not_overwritten(tmp_path: Path, manifest: Path) -> None:
    text = (manifest.parent / FORM).read_text().replace("alpha_measured: null", "alpha_measured: 0.5", 1)
    (tmp_path / FORM).write_text(text)
    status, streams = invoke("calibrate", "gen", "--out", tmp_path)
    assert status == 2
    assert "holds measurements already" in streams.err


def test_a_machine_without_a_pen_is_told(tmp_path: Path) -> None:
    status, streams = invoke(
        "calibrate", "gen", "--out", tmp_path, "--machine", config.shipped("machine_airbrush_xy"),
        "--set", "spot_grid.v_steps_mm_s=[10, 100]",
    )  # fmt: skip
    assert status == 1
    assert "no pen" in streams.err
    status, streams = invoke("calibrate", "gen", "--out", tmp_path, "--machine", "machine_pen_plotter")
    assert status == 2
    assert "cannot spray" in streams.err


@given(st.text(st.sampled_from("CPL0123456789"), min_size=1, max_size=5), st.floats(1.5, 5))
def test_labels_stay_in_their_line(text: str, height: float) -> None:
    points = np.concatenate([np.array(path) for path in lettering.text_paths(text, 10, 20, height)])
    assert points[:, 0].min() == pytest.approx(10, abs=0.01)
    assert points[:, 1].min() >= 20 - 0.01
    assert points[:, 1].max() <= 20 + height + 0.01
    assert points[:, 0].max() - 10 == pytest.approx(lettering.text_width(text, height), abs=0.01)


def test_marks_blacken_their_cells() -> None:
    sheet = plan()[1]
    layer = pen_layer(sheet, default_layout())
    from airbrush_cli.pen.draw import coverage

    cover = coverage(layer, (2100, 2970))
    cells = lettering.mark_cells(4 * sheet.code)
    edges = np.linspace(40, 140, 8).round().astype(int)
    for row in range(7):
        for column in range(7):
            part = cover[edges[row] + 2 : edges[row + 1] - 2, edges[column] + 2 : edges[column + 1] - 2]
            assert part.mean() == pytest.approx(float(cells[row, column]), abs=0.05)
