"""The closed loop: a hidden ink prints the sheets, a bad scanner reads them, and the tables predict fresh strokes."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from airbrush_cli import config, documents
from airbrush_cli.calibration import command, form, sampling
from airbrush_cli.calibration.smooth import Smooth, falling
from airbrush_cli.calibration.tables import build
from airbrush_cli.schemas.calibration import CalibrationManifest, ScannerProfile
from airbrush_cli.twin.luts import configured_luts, load_luts, shipped_luts
from airbrush_cli.twin.profile import CUT2
from tests import virtual_printer as printer
from tests.bench.calibration import as_a_person_would, outcomes
from tests.test_app import invoke

SCANNER = printer.Scanner(dpi=150, degrees=-8, perspective=0.02, vignetting=0.2, jpeg=85)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The manifest, and scans of what one hidden, transparent ink made of it."""
    folder = tmp_path_factory.mktemp("loop") / "calibration"
    assert invoke("calibrate", "gen", "-q", "--out", folder)[0] == 0
    manifest = folder / "calibration_manifest.yaml"
    generator = np.random.default_rng(11)
    sheets = printer.print_sheets(manifest, hidden_ink())
    return manifest, [printer.scan(sheet, SCANNER, generator, folder / name) for name, sheet in sheets.items()]


def hidden_ink() -> printer.Luts:
    return printer.random_ink(np.random.default_rng(11), "multiply")


@pytest.fixture(scope="module")
def built(printed: tuple[Path, list[Path]]) -> Path:
    """The folder of tables that the command makes of the scans, given in the other order."""
    manifest, scans = printed
    options = [f"--scan={path}" for path in reversed(scans)]
    status, streams = invoke("calibrate", "build-luts", manifest.parent, *options)
    assert status == 0, streams.err
    assert "layering multiply" in streams.err and "recommended" in streams.err
    assert Path(streams.out.strip()) == manifest.parent / "luts"
    return manifest.parent / "luts"


def check(luts: printer.Luts) -> None:
    strokes = printer.random_strokes(np.random.default_rng(5), 60)
    differences = np.concatenate(printer.differences(hidden_ink(), luts, strokes, width=140))
    assert differences.mean() <= 1.5
    assert np.quantile(differences, 0.95) <= 4
    assert luts.layering == "multiply"


def test_scans_give_tables_that_predict(built: Path) -> None:
    luts = load_luts(built / "metadata.yaml")
    check(luts)
    assert not luts.metadata.synthetic
    assert set(luts.metadata.sha256 or {}) == {"color_lut.pt", "alpha_lut.pt", "psf_lut.pt"}
    assert (np.diff(luts.opacity, axis=0) <= 1e-7).all()
    assert (np.diff(luts.opacity, axis=1) <= 1e-7).all()
    for name in ("colours.png", "spots.png", "residuals.png"):
        assert cv2.imread(str(built / name)).mean() > 20


def test_measurements_of_a_person_do_too(built: Path) -> None:
    path = as_a_person_would(built.parent / f"{command.SCANNED}.yaml")
    manifest, measured = form.read(path)
    assert (measured.width_mm.round(1) == measured.width_mm).all()
    check(build(measured, manifest, "2026-01-01")[0])


def test_same_scans_give_the_same_form_and_nothing_is_overwritten(
    printed: tuple[Path, list[Path]], built: Path
) -> None:
    manifest, scans = printed
    again = command.read_scans(manifest, scans, config.load("scanner_profile_v1", ScannerProfile))
    first = built.parent / f"{command.SCANNED}.yaml"
    assert again != first
    assert again.read_text().split("manifest:")[1] == first.read_text().split("manifest:")[1]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_sheets_may_lie_any_way_round(printed: tuple[Path, list[Path]], tmp_path: Path, turns: int) -> None:
    from airbrush_cli.calibration.rectify import rectify

    manifest = documents.load(printed[0], CalibrationManifest)
    profile = ScannerProfile()
    picture = cv2.imread(str(printed[1][1]))
    path = tmp_path / "turned.png"
    cv2.imwrite(str(path), np.rot90(picture, turns))
    straight, turned = rectify(printed[1][1], manifest, profile), rectify(path, manifest, profile)
    assert turned.sheet.name == "spots"
    assert np.abs(straight.light - turned.light)[50:-50, 50:-50].mean() < 0.01


def refused(manifest: Path, *scans: Path) -> str:
    status, streams = invoke("calibrate", "build-luts", manifest, *(f"--scan={path}" for path in scans))
    assert status == 2
    assert streams.out == ""
    return streams.err


def test_scans_that_cannot_be_used(printed: tuple[Path, list[Path]], tmp_path: Path) -> None:
    manifest, (colours, spots) = printed
    picture = cv2.imread(str(colours))
    cv2.imwrite(str(tmp_path / "bare.png"), np.full_like(picture, 230))
    cv2.imwrite(str(tmp_path / "small.png"), cv2.resize(picture, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(tmp_path / "half.png"), picture[: picture.shape[0] // 2])
    assert "bare.png: no corner marks" in refused(manifest, tmp_path / "bare.png", spots)
    assert "small.png: " in refused(manifest, tmp_path / "small.png", spots)
    assert "2 of the 4 corner marks" in refused(manifest, tmp_path / "half.png", spots)
    assert "no scan of sheet spots" in refused(manifest, colours)
    assert "shows the sheet colours, as" in refused(manifest, colours, colours)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(manifest, other)
    text = manifest.read_text()
    for sheet in documents.load(manifest, CalibrationManifest).sheets:
        text = text.replace(f"code: {sheet.code}\n", f"code: {(sheet.code + 7) % 250}\n")
    (other / manifest.name).write_text(text)
    assert "the wrong sheet: its marks carry the code" in refused(other, colours, spots)
    assert "gen` wrote" in refused(tmp_path / "nowhere", colours, spots)


def test_dusty_patches_do_not_disturb(printed: tuple[Path, list[Path]], built: Path) -> None:
    measured = form.read(built.parent / f"{command.SCANNED}.yaml")[1]
    hidden = hidden_ink()
    place = sampling.np.array([8.0]), sampling.np.array([5.0])
    from airbrush_cli.twin.strokes import ink_colour, look_up

    opacity = look_up(hidden, *place)[0, 1]
    truth = 1 - opacity * (1 - ink_colour(hidden, measured.ink))
    assert np.abs(measured.rgb - truth).max() < 0.04
    assert np.abs(measured.rgb - truth).mean() < 0.006


def test_using_tables_and_taking_them_back(built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    physics = tmp_path / "airbrush" / "sim" / "physics_v1.yaml"
    status, streams = invoke("calibrate", "use", built)
    assert (status, streams.out) == (0, f"{physics}\n")
    assert configured_luts().sha256 == load_luts(built / "metadata.yaml").sha256
    moved = tmp_path / "moved"
    shutil.copytree(built, moved)
    (moved / "metadata.yaml").write_text((moved / "metadata.yaml").read_text().replace("multiply", "alpha_over"))
    assert invoke("calibrate", "use", moved)[0] == 0
    shutil.rmtree(moved)
    assert configured_luts().layering == "alpha_over"
    assert invoke("calibrate", "use", "--back")[1].out == f"{physics}\n"
    assert configured_luts().layering == "multiply"
    assert invoke("calibrate", "use")[1].out == f"{physics}\n"
    assert invoke("calibrate", "use", "--back")[0] == 0
    assert configured_luts().sha256 == shipped_luts().sha256
    status, streams = invoke("calibrate", "use", "--back")
    assert status == 2
    assert "nothing to go back to" in streams.err


def test_tables_that_were_changed_are_refused(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(built, folder)
    (folder / "alpha_lut.pt").write_bytes((folder / "alpha_lut.pt").read_bytes() + b"x")
    status, streams = invoke("calibrate", "use", folder)
    assert status == 2
    assert "alpha_lut.pt: is not the file" in streams.err


def test_profile_is_the_twins() -> None:
    from tests.twin_reference import profile as reference

    q = np.linspace(0, 1.2 * CUT2, 200)
    np.testing.assert_allclose(sampling.profile(q), [reference(value) for value in q], atol=1e-12)


def test_smoothing_goes_through_exact_samples_and_knows_its_errors() -> None:
    generator = np.random.default_rng(0)
    points = generator.random((60, 2))
    values = np.sin(3 * points[:, :1]) * np.exp(-points[:, 1:])
    smooth = Smooth(points, values)
    np.testing.assert_allclose(smooth(points), values, atol=1e-3)
    fresh = generator.random((50, 2))
    np.testing.assert_allclose(smooth(fresh), np.sin(3 * fresh[:, :1]) * np.exp(-fresh[:, 1:]), atol=0.02)
    without = Smooth(points[1:], values[1:])
    np.testing.assert_allclose(smooth.left_out[0], without(points[:1])[0], atol=0.02)


def test_falling_tables_fall_and_stay_if_they_fell() -> None:
    generator = np.random.default_rng(1)
    table = falling(generator.random((7, 9)))
    assert (np.diff(table, axis=0) <= 0).all() and (np.diff(table, axis=1) <= 0).all()
    np.testing.assert_array_equal(falling(table), table)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_hidden_inks(tmp_path: Path) -> None:
    assert invoke("calibrate", "gen", "-q", "--out", tmp_path)[0] == 0
    found: dict[str, list[np.ndarray]] = {"scan": [], "hand": []}
    for seed in range(20):
        model, ways = outcomes(tmp_path / "calibration_manifest.yaml", seed)
        for way, outcome in ways.items():
            assert outcome.recommended == model, (seed, way)
            found[way].append(outcome.alone)
            assert outcome.alone.mean() <= 1.5 and np.quantile(outcome.alone, 0.95) <= 4, (seed, way)
            assert outcome.painted.mean() <= 1.5 and np.quantile(outcome.painted, 0.95) <= 4, (seed, way)
