"""G-code of job folders through the command line: profiles of one's own, pictures of several files, look-up tables."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from airbrush_cli import colour, config, documents, files, pictures
from airbrush_cli.job import JobFolder
from airbrush_cli.schemas import stroke
from airbrush_cli.schemas.job import Pass, Provenance
from airbrush_cli.twin.luts import save_luts, shipped_luts, synthetic_luts
from airbrush_cli.twin.render import render
from tests.test_app import invoke

SIZE = (114, 160)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A job of three strokes, as `paint` leaves it, with G-code of the default machine."""
    out = tmp_path_factory.mktemp("jobs")
    size = f"render_px={{w: {SIZE[0]}, h: {SIZE[1]}}}"
    status, streams = invoke("preprocess", examples / "dusk.png", "-o", out, "--set", size, "--pen-mode", "none")
    assert status == 0, streams.err
    folder = JobFolder.open(Path(streams.out.strip()))
    strokes = np.array([[40 + 9 * k, 60, 80, 70, 90, 120, 120, 150, 8, 10, 30, 40, 0.5, 0.1, 0.3] for k in range(3)])
    luts = shipped_luts()
    made_with = stroke.StrokeMetadata(luts_sha256=luts.sha256, seed=0)
    files.write_text(folder.path("strokes.yaml"), stroke.to_yaml(strokes, ["a", "b", "c"], made_with))
    pictures.write_png(folder.path("painting.png"), colour.linear_to_srgb8(render(strokes, luts, SIZE)))
    folder = folder.update(
        passes=(Pass(name="cmy", strokes_path="strokes.yaml"),),
        artifacts=folder.job.artifacts.model_copy(update={"painting_out": "painting.png"}),
        provenance={"paint": Provenance(airbrush="0", luts_sha256=luts.sha256)},
    )
    manifest = folder.save()
    assert invoke("gcode", "gen", manifest)[0] == 0
    return manifest


@pytest.fixture
def moved(job: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(job.parent, tmp_path / "elsewhere"))


def seconds(job: Path) -> float:
    status, streams = invoke("gcode", "dryrun", job, "--yaml")
    assert status == 0, streams.err
    return sum(report["seconds"] for report in yaml.safe_load_all(streams.out))


def test_a_job_brings_its_own_machine_along(moved: Path, tmp_path: Path) -> None:
    shipped = config.shipped("machine_grbl_airbrush_v1")
    shutil.copytree(shipped.parent / "macros", tmp_path / "macros")
    profile = tmp_path / "machine_mine.yaml"
    profile.write_text(shipped.read_text().replace("$110: 18000", "$110: 1200"))
    assert profile.read_text() != shipped.read_text()
    usual = seconds(moved)
    assert invoke("gcode", "gen", moved, "--machine", profile)[0] == 0
    profile.unlink()
    assert seconds(moved) > usual + 1
    folder = JobFolder.open(moved)
    assert folder.job.machine_profile == "mine"
    copy = folder.path(folder.job.artifacts.machine_profile_out or "")
    assert files.sha256_file(copy) == folder.job.provenance["gcode"].machine_sha256

    status, streams = invoke("gcode", "gen", moved)  # its macros are not in the job, and no other machine will do
    assert (status, streams.err.count("\n")) == (2, 1) and "--machine" in streams.err
    assert str(moved) in streams.err
    before = documents.read(moved / f"{folder.job.job}_manifest.yaml")
    status, streams = invoke("paint", moved)  # nor is the job's machine changed unasked, and it is told before painting
    assert (status, streams.err.count("\n")) == (2, 1) and "--machine" in streams.err
    assert documents.read(moved / f"{folder.job.job}_manifest.yaml") == before
    assert invoke("gcode", "gen", moved, "--machine", shipped)[0] == 0
    assert JobFolder.open(moved).job.artifacts.machine_profile_out is None
    assert seconds(moved) == usual


def test_g_code_again_is_for_the_same_machine(moved: Path) -> None:
    assert invoke("gcode", "gen", moved, "--machine", "machine_airbrush_xy")[0] == 0
    before = {path.name: path.read_bytes() for path in moved.glob("*.gcode")}
    assert invoke("gcode", "gen", moved)[0] == 0
    assert {path.name: path.read_bytes() for path in moved.glob("*.gcode")} == before
    paint = ("paint", moved, "--strokes", 5, "--effort", "draft", "--set", "work.draft=50")
    for more, machine in (
        ([], "airbrush_xy"),
        (["--set", "machine=machine_pen_plotter.yaml"], "pen_plotter"),
        (["--machine", "machine_grbl_airbrush_v1"], "grbl_airbrush_v1"),
    ):
        status, streams = invoke(*paint, *more)
        assert status == 0, streams.err
        assert JobFolder.open(moved).job.machine_profile == machine


def test_colours_that_are_not_painted_yet_are_missed(tmp_path: Path, examples: Path) -> None:
    prepare = ("preprocess", examples / "harbour_ink.png", "-o", tmp_path, "--set", "render_px={w: 114, h: 160}")
    for more, missed in (((), True), (("--pen-only",), False)):
        status, streams = invoke(*prepare, *more)
        status, streams = invoke("gcode", "gen", stdin=streams.out)
        assert status == 0 and ("airbrush paint" in streams.err) is missed


def test_the_replay_is_measured_against_the_painting(job: Path, tmp_path: Path) -> None:
    status, streams = invoke("gcode", "dryrun", job, "--render", tmp_path / "replay.png", "--yaml")
    assert status == 0, streams.err
    assert [found["replay_psnr_db"] > 40 for found in yaml.safe_load_all(streams.out)] == [True, True]
    assert "replay_psnr_db" not in invoke("gcode", "dryrun", job, "--yaml")[1].out
    assert (tmp_path / "replay.png").exists()


def test_a_machine_that_cannot_paint_leaves_no_colours(moved: Path) -> None:
    plotter = ("gcode", "gen", moved, "--machine", "machine_pen_plotter")
    assert invoke(*plotter)[0] == 0
    artifacts = JobFolder.open(moved).job.artifacts
    assert artifacts.pen_gcode_out and artifacts.cmy_gcode_out is None  # which was another machine's
    assert invoke("gcode", "dryrun", moved)[0] == 0
    status, streams = invoke(*plotter, "--from-stroke", "b", "--out", moved / "rest")
    assert (status, streams.err.count("\n")) == (2, 1) and "no strokes" in streams.err


def test_a_folder_of_any_name_is_replayed(job: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(job.parent, tmp_path / os.fsdecode(b"caf\xe9")))
    status, streams = invoke("gcode", "dryrun", odd, "--render", tmp_path / "replay.png", "--yaml")
    assert status == 0, streams.err
    assert all(found["replay_psnr_db"] > 40 for found in yaml.safe_load_all(streams.out))


def test_one_picture_is_not_written_over_another(job: Path, moved: Path, tmp_path: Path) -> None:
    picture = tmp_path / "replay.png"
    status, streams = invoke("gcode", "dryrun", job, moved, "--render", picture)
    assert (status, streams.err.count("\n")) == (2, 1)
    assert "name a folder" in streams.err and not picture.exists()
    status, streams = invoke("gcode", "dryrun", "--render", picture, stdin=f"{job}\n{moved}\n")
    assert status == 2 and "name a folder" in streams.err
    first = picture.read_bytes()
    status, streams = invoke("gcode", "dryrun", job, moved, "--render", tmp_path / "replays")
    assert status == 2 and "the same name" in streams.err
    assert [path.read_bytes() for path in (tmp_path / "replays").iterdir()] == [first]
    status, streams = invoke("gcode", "dryrun", job, "--render", tmp_path / "replay.jpg")
    assert status == 2 and "pictures are .png" in streams.err and not (tmp_path / "replay.jpg").exists()


def test_other_look_up_tables_are_asked_for(moved: Path, tmp_path: Path) -> None:
    luts = synthetic_luts("multiply")
    save_luts(luts, tmp_path / "luts")
    physics = tmp_path / "physics.yaml"
    physics.write_text(config.shipped("sim/physics_v1").read_text())
    text = (moved / "strokes.yaml").read_text()
    (moved / "strokes.yaml").write_text(text.replace(shipped_luts().sha256, luts.sha256))
    folder = JobFolder.open(moved)
    folder.update(provenance={"paint": Provenance(airbrush="0", luts_sha256=luts.sha256)}).save()
    assert documents.load(moved / "strokes.yaml", stroke.StrokesDocument).metadata.luts_sha256 == luts.sha256

    replay = ("gcode", "dryrun", moved, "--render", tmp_path / "replay.png")
    for command in (replay, ("gcode", "gen", moved, "--order", "travel")):
        status, streams = invoke(*command)
        assert (status, streams.err.count("\n")) == (2, 1)
        assert "--physics FILE" in streams.err
        status, streams = invoke(*command, "--physics", physics)
        assert status == 0, streams.err
    assert invoke("gcode", "gen", moved)[0] == 0  # in the planned order, nothing depends on the tables
