"""Errors of documents and configs name file, line, key, what was found and what is allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airbrush_cli import config, documents
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.calibration import CalibrationLayout, ManualCalibrationResults, ScannerProfile
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.schemas.stroke import StrokesDocument
from airbrush_cli.schemas.training import SearchSpace, Train

SHIPPED = {
    "env_airbrush_v1": Environment,
    "env_small": Environment,
    "train": Train,
    "train_small": Train,
    "hpo_search_space_v1": SearchSpace,
    "calibration_layout": CalibrationLayout,
    "scanner_profile_v1": ScannerProfile,
    "sim/manual_calibration_results": ManualCalibrationResults,
    "paint": PaintSettings,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configs_keep_their_contracts(name: str) -> None:
    config.load(name, SHIPPED[name])


def test_every_shipped_config_has_a_contract() -> None:
    """Machine profiles, look-up tables and preprocessing are held by the tests of their rooms."""
    others = ("machine_", "preprocess", "sim/physics", "sim/luts")
    folder = config.shipped("paint").parent
    names = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")}
    assert {name for name in names if not name.startswith(others)} == set(SHIPPED)


ENVIRONMENT = """\
work_area_mm: {x: 210.0, y: 297.0}
resolutions:
  render_px: {w: 908, h: 1280}
  obs_px: {w: 454, h: 640}
  reward_px: {w: 908, h: 1280}
stroke_cap: 1500
"""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("stroke_cap: 1500", "stroke_cap: 0", ":6: stroke_cap: must be at least 1 (found 0)"),
        ("stroke_cap: 1500", "stroke_cap: many", ":6: stroke_cap: must be a whole number (found many)"),
        ("stroke_cap:", "stroke_cup:", ":6: stroke_cup: unknown key; did you mean stroke_cap?"),
        ("obs_px: {w: 454, h: 640}", "obs_px: {w: 454}", ":4: resolutions.obs_px.h: is missing"),
        ("{x: 210.0, y: 297.0}", "{x: .nan, y: 297.0}", ":1: work_area_mm.x: must be"),
        ("{x: 210.0, y: 297.0}", "[210, 297]", ":1: work_area_mm: must be a mapping"),
        ("stroke_cap: 1500", "stroke_cap: 1500\nstroke_cap: 2", ":7: stroke_cap: stands twice"),
        ("stroke_cap: 1500", "units: inch", ":6: units: must be one of 'mm' (found inch)"),
        ("{w: 908, h: 1280}\n  obs", "{w: 908, h: 1280\n  obs", ":"),
    ],
)
def test_an_error_names_line_and_key(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = tmp_path / "env.yaml"
    path.write_text(ENVIRONMENT.replace(before, after, 1))
    with pytest.raises(InputError) as caught:
        documents.load(path, Environment)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_aliases_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"bomb\.yaml:2: aliases \(\*a0\) are not allowed"):
        documents.load(path, Environment)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"- 1\n- 2\n",
        b"just words",
        b"\x00\x01",
        b"[" * 100_000,
        b"{a: " * 5000,
        b"a: !!python/object:os.system x",
    ],
)
def test_any_content_ends_in_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.yaml"):
        documents.load(path, Environment)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_missing_files_and_folders(tmp_path: Path, make: object) -> None:
    path = tmp_path / "x.yaml"
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=r"x\.yaml: cannot read"):
        documents.load(path, Environment)


def test_the_wrong_kind_of_document(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("schema: job.v1\nstrokes: []\n")
    with pytest.raises(InputError, match=r"schema must be stroke\.v1 \(found job\.v1\)"):
        documents.load(path, StrokesDocument)
    path.write_text("strokes: []\n")
    with pytest.raises(InputError, match=r"schema: stroke\.v1 is missing"):
        documents.load(path, StrokesDocument)


def test_overrides() -> None:
    assert config.load("paint", PaintSettings, None, ["strokes=12", "finish.weight=0"]).strokes == 12
    with pytest.raises(InputError, match=r"--set strokes=0: strokes: must be at least 1 \(found 0\)"):
        config.load("paint", PaintSettings, None, ["strokes=0"])
    with pytest.raises(InputError, match=r"--set finish\.weigth=1: finish\.weigth: unknown key; did you mean weight"):
        config.load("paint", PaintSettings, None, ["finish.weigth=1"])
    with pytest.raises(InputError, match=r"must have the form"):
        config.load("paint", PaintSettings, None, ["strokes"])
    with pytest.raises(InputError, match=r"strokes is a single value"):
        config.load("paint", PaintSettings, None, ["strokes.x=1"])
    assert config.load("paint", PaintSettings, None, ["seed=x", "my.strokes=12"], "my.").strokes == 12
    with pytest.raises(InputError, match=r"--set my\.strokes=0: strokes: must be at least 1"):
        config.load("paint", PaintSettings, None, ["my.strokes=0"], "my.")
    with pytest.raises(InputError, match="no such default config"):
        config.shipped("nothing")


def test_a_name_is_a_file_or_a_default_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train_small", "train_small.yaml", "sim/physics_v1"):
        assert config.find(Path(name)) == config.shipped(name)
        assert config.beside(tmp_path / "mine.yaml", name) == config.shipped(name)
    (tmp_path / "train_small.yaml").touch()
    assert config.find(Path("train_small.yaml")) == Path("train_small.yaml")
    assert config.beside(tmp_path / "mine.yaml", "train_small.yaml") == tmp_path / "train_small.yaml"
    with pytest.raises(InputError, match=r"^mine\.yaml: no such file, .*, paint, "):
        config.find(Path("mine.yaml"))
    assert config.find(tmp_path / "train.yaml") == tmp_path / "train.yaml"  # its reader says that it is not there


def test_a_name_that_is_not_utf_8_is_no_text() -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        documents.dump({"pictures": os.fsdecode(b"caf\xe9")})
