"""Forms of measurements: what is wrong is named with file, line and label; what only looks odd is a warning."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from airbrush_cli import config, documents
from airbrush_cli.calibration import form
from airbrush_cli.calibration.layout import plan
from airbrush_cli.calibration.tables import build
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.calibration import CalibrationLayout, CalibrationManifest
from airbrush_cli.schemas.luts import Layering
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.twin.luts import FWHM_PER_SIGMA, Luts, shipped_luts, synthetic_luts
from airbrush_cli.twin.strokes import ink_colour, look_up
from tests.test_app import invoke


def filled(folder: Path, layering: Layering = "alpha_over") -> Path:
    """Write a manifest and a form that somebody filled in, of a print with the shipped tables' ink."""
    layout = config.load("calibration_layout", CalibrationLayout)
    machine = documents.load(config.shipped("machine_grbl_airbrush_v1"), Machine)
    manifest: CalibrationManifest = CalibrationManifest.build(
        made_by="test",
        machine_profile="test",
        page_mm={"x": 210, "y": 297},
        pen_width_mm=0.5,
        fiducials=layout.fiducials,
        measurements="manual_calibration_results.yaml",
        sheets=plan(layout, machine, shipped_luts()),
    )
    documents.save(manifest, folder / "calibration_manifest.yaml")
    luts = shipped_luts()
    values = {}
    for patch in manifest.patches:
        sigma, opacity = look_up(luts, np.array([patch.z_mm]), np.array([patch.v_mm_s]))[0]
        inks = ink_colour(luts, np.array([band.ink for band in patch.bands]))
        alone = 1 - opacity * (1 - inks)
        if patch.kind == "spot":
            alpha = 1 - alone[0] @ (0.2126, 0.7152, 0.0722)
            values[patch.label] = {"alpha_measured": f"{alpha:.3f}", "width_mm": f"{sigma * FWHM_PER_SIGMA:.1f}"}
        elif patch.kind == "colour":
            values[patch.label] = {"rgb_linear_measured": listed(alone[0])}
        else:
            over = alone[0] * alone[1] if layering == "multiply" else alone[0] * (1 - opacity) + inks[1] * opacity
            parts = {"base": alone[0], "top": alone[1], "overlap": over}
            values[patch.label] = {f"{key}_rgb_linear_measured": listed(light) for key, light in parts.items()}
    path = folder / "manual_calibration_results.yaml"
    path.write_text(form.text_of(manifest, values, "[1.0, 1.0, 1.0]"))
    return path


def listed(light: np.ndarray) -> str:
    return str([round(float(value), 3) for value in light])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return filled(tmp_path)


def change(path: Path, label: str, text: str | None) -> int:
    """Replace a label's entry, or take it away; return its line."""
    lines = path.read_text().splitlines()
    number = next(index for index, line in enumerate(lines) if line.startswith(f"  {label}:"))
    lines[number : number + 1] = [] if text is None else text.split("\n")
    path.write_text("\n".join(lines) + "\n")
    return number + 1


@pytest.mark.parametrize("layering", ["alpha_over", "multiply"])
def test_filled_in_forms_give_back_the_ink(tmp_path: Path, layering: Layering) -> None:
    manifest, measured = form.read(filled(tmp_path, layering))
    luts, verdict = build(measured, manifest, "2026-01-01")
    assert verdict.recommended == luts.layering == layering
    assert verdict.colour_delta_e.mean() < 0.5
    assert verdict.sheets_agree == pytest.approx(1, abs=0.01)
    truth = synthetic_luts()
    if layering == "alpha_over":  # a transparent ink's opacity is a matter of convention
        np.testing.assert_allclose(of_spots(luts), of_spots(truth), atol=0.03)
    product = luts.opacity[0, 0] * (1 - luts.colour[-1, -1, -1])
    np.testing.assert_allclose(product, truth.opacity[0, 0] * (1 - truth.colour[-1, -1, -1]), atol=0.02)


def of_spots(luts: Luts) -> np.ndarray:
    z, v = (grid.ravel() for grid in np.meshgrid([0, 3, 10, 20, 30], [1, 10, 40, 100, 300]))
    return look_up(luts, z.astype(float), v.astype(float))[:, 1]


def test_the_layering_model_can_be_chosen(path: Path) -> None:
    manifest, measured = form.read(path)
    luts, verdict = build(measured, manifest, "2026-01-01", "multiply")
    assert (luts.layering, verdict.recommended) == ("multiply", "alpha_over")


@pytest.mark.parametrize(
    ("label", "text", "message"),
    [
        ("C123", None, "colour.C123: the label is missing"),
        ("C123", "  C123: {rgb_linear_measured: null}", "{line}: colour.C123: rgb_linear_measured is not measured"),
        ("C123", "  C123:", "{line}: colour.C123: rgb_linear_measured is not measured"),
        ("P12", "  P12: {alpha_measured: 0.4}", "{line}: spot.P12: width_mm is not measured"),
        ("C123", "  C123: {rgb_linear_measured: [0, 2, 0]}", "{line}: colour.C123.rgb_linear_measured.1: must be at"),
        ("P12", "  P12: {alpha_measured: -0.1, width_mm: 2}", "{line}: spot.P12.alpha_measured: must be at least 0"),
        ("P12", "  P12: {alpha_measured: 0.4, width_mm: 0}", "{line}: spot.P12.width_mm: must be greater than 0"),
        ("P12", "  P12: {alpha_measured: 0.4, width: 2}", "{line}: spot.P12.width: unknown key; did you mean"),
        ("P12", "  P12: {alpha_measured: 0.4, width_mm: 2}\n  P12: {alpha_measured: 0.5}", "P12: stands twice"),
        ("C123", "  C999: {rgb_linear_measured: [0, 0, 0]}", "{line}: colour.C999: no sheet of the manifest"),
        ("P12", "  C012: {alpha_measured: 0.4, width_mm: 2}", "{line}: spot.C012: no sheet of the manifest"),
    ],
)  # fmt: skip
def test_wrong_measurements_are_named(path: Path, label: str, text: str | None, message: str) -> None:
    line = change(path, label, text)
    with pytest.raises(InputError, match=re.escape(message.format(line=f":{line}"))) as caught:
        form.read(path)
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def test_missing_patches_can_be_done_without(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(path, "C123", None)
    change(path, "P34", "  P34: {alpha_measured: null, width_mm: null}")
    manifest, measured = form.read(path, skip_missing=True)
    assert "C123: the label is missing" in caplog.text
    assert "P34: alpha_measured is not measured" in caplog.text
    assert (len(measured.rgb), len(measured.alpha)) == (124, 35)
    assert build(measured, manifest, "2026-01-01")[1].recommended == "alpha_over"


def test_an_empty_form_says_what_to_measure_first(path: Path) -> None:
    manifest = documents.load(path.parent / "calibration_manifest.yaml", CalibrationManifest)
    path.write_text(form.empty(manifest))
    with pytest.raises(InputError, match=r"colour\.C000: rgb_linear_measured is not measured \(and 172 more\)"):
        form.read(path)


def test_opacity_that_rises_is_a_warning_and_evened_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = change(path, "P13", "  P13: {alpha_measured: 0.9, width_mm: 2.5}")
    manifest, measured = form.read(path)
    assert f"{path}:{line}: spot.P13: alpha_measured 0.9 is more than" in caplog.text
    assert "opacity falls with speed" in caplog.text
    luts, _ = build(measured, manifest, "2026-01-01")
    assert (np.diff(luts.opacity, axis=0) <= 1e-7).all()
    assert (np.diff(luts.opacity, axis=1) <= 1e-7).all()


def test_colours_are_relative_to_the_paper(path: Path) -> None:
    plain = form.read(path)[1]
    path.write_text(path.read_text().replace("measured: [1.0, 1.0, 1.0]\n", "measured: [0.5, 1.0, 2.0]\n", 1))
    divided = form.read(path)[1]
    np.testing.assert_allclose(divided.rgb, np.minimum(plain.rgb / (0.5, 1, 2), 1))


def test_a_form_without_its_manifest(path: Path) -> None:
    (path.parent / "calibration_manifest.yaml").unlink()
    with pytest.raises(InputError, match=r"manifest: .* is not there"):
        form.read(path)


def test_the_command_builds_from_a_form_and_names_odd_colours(path: Path) -> None:
    change(path, "C222", "  C222: {rgb_linear_measured: [0.9, 0.05, 0.9]}")
    status, streams = invoke("calibrate", "build-luts", path)
    assert status == 0, streams.err
    assert "look at C222" in streams.err
    assert streams.out == f"{path.parent / 'luts'}\n"
    assert invoke("calibrate", "build-luts", path)[1].out == f"{path.parent / 'luts_2'}\n"
    status, streams = invoke("calibrate", "build-luts", path, "--out", path.parent / "luts")
    assert status == 2
    assert "holds tables already" in streams.err
