"""The main job: pictures in, job folders out, through the pipe."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from airbrush_cli import documents
from airbrush_cli.job import JobFolder
from airbrush_cli.painter.loss import compare
from airbrush_cli.painter.plan import Planner
from airbrush_cli.schemas.stroke import StrokesDocument
from airbrush_cli.twin.model import BackendError
from tests.test_app import invoke

SMALL = ["--set", "render_px={w: 114, h: 160}"]
QUICK = ["--set", "work.draft=300", "--effort", "draft", "--strokes", "80"]
FILES = {
    "target.png", "pen.yaml", "pen.svg", "pen.png", "strokes.yaml", "painting_cmy.png", "painting.png", "heatmap.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A painted job's manifest."""
    out = tmp_path_factory.mktemp("jobs")
    status, streams = invoke("preprocess", examples / "harbour_ink.png", "-o", out, *SMALL)
    assert status == 0, streams.err
    status, streams = invoke("paint", *QUICK, stdin=streams.out)
    assert status == 0, streams.err
    return Path(streams.out.strip())


def test_a_job_folder_is_whole(painted: Path) -> None:
    folder = painted.parent
    name = folder.name
    made = {path.name for path in folder.iterdir()}
    assert made == FILES | {f"{name}_cmy.gcode", f"{name}_pen.gcode", f"{name}_manifest.yaml"}
    job = JobFolder.open(painted).job
    assert job.state == "painted"
    assert job.metrics and job.metrics.strokes == len(documents.load(folder / "strokes.yaml", StrokesDocument).strokes)
    assert job.metrics.colour.psnr and job.metrics.colour.psnr > 15
    assert cv2.imread(str(folder / "painting.png")).shape == (160, 114, 3)
    assert all(not Path(str(value)).is_absolute() for value in job.artifacts.model_dump().values())


def test_a_job_can_be_moved_and_goes_on(painted: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(painted.parent, moved)
    for command in (["gcode", "gen"], ["gcode", "dryrun"]):
        status, streams = invoke(*command, moved)
        assert status == 0, streams.err
        assert streams.out.strip() == str(moved / painted.name)
    status, streams = invoke("gcode", "dryrun", moved, "--yaml")
    documents_ = list(yaml.safe_load_all(streams.out))
    assert [document["ok"] for document in documents_] == [True, True]


def test_the_same_seed_gives_the_same_bytes(painted: Path, tmp_path: Path) -> None:
    again = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, again)
    (again / "strokes.yaml").unlink()
    assert invoke("paint", again, *QUICK)[0] == 0
    for name in ("strokes.yaml", f"{again.name}_cmy.gcode", "painting.png"):
        assert (again / name).read_bytes() == (painted.parent / name).read_bytes()


def test_a_stream_does_the_rest_when_one_fails(tmp_path: Path, examples: Path) -> None:
    good = examples / "dusk.png"
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:5000])
    status, streams = invoke(
        "preprocess", "-o", tmp_path / "jobs", *SMALL, stdin=f"{bad}\n\n{good}\n{tmp_path}\n{good}\n"
    )
    assert status == 2
    assert [Path(line).parent.name for line in streams.out.splitlines()] == ["dusk", "dusk-2"]
    errors = [line for line in streams.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and str(bad) in errors[0] and str(tmp_path) in errors[1]


def test_another_picture_of_the_same_name_is_told(tmp_path: Path, examples: Path) -> None:
    picture = tmp_path / "dusk.png"
    for source, told in (("dusk", False), ("dusk", False), ("still_life", True)):
        shutil.copy(examples / f"{source}.png", picture)
        status, streams = invoke("preprocess", picture, "-o", tmp_path / "jobs", *SMALL)
        assert status == 0 and ("the preprocessed job of another picture" in streams.err) is told


def test_a_drawing_without_lines_is_told(tmp_path: Path, examples: Path) -> None:
    for more, told in (["--pen-only"], True), ([], False):
        status, streams = invoke("preprocess", examples / "dusk.png", "-o", tmp_path, *more, *SMALL)
        assert status == 0 and ("--pen-mode adaptive" in streams.err) is told


def test_jobs_run_side_by_side(tmp_path: Path, examples: Path) -> None:
    pictures = sorted(examples.glob("*.png"))
    status, streams = invoke("preprocess", *pictures, "-o", tmp_path, "-j", "2", *SMALL)
    assert status == 0, streams.err
    assert {Path(line).parent.name for line in streams.out.splitlines()} == {path.stem for path in pictures}


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("dot", np.zeros((1, 1, 3))), ("white", np.full((40, 30, 3), 255)), ("black", np.zeros((30, 40, 3)))],
)
def test_degenerate_pictures_become_paintings(name: str, pixels: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / f"{name}.png"), pixels.astype(np.uint8))
    status, streams = invoke("preprocess", tmp_path / f"{name}.png", "-o", tmp_path, *SMALL)
    assert status == 0, streams.err
    status, streams = invoke("paint", *QUICK, stdin=streams.out)
    assert status == 0, streams.err
    if name == "white":
        assert JobFolder.open(Path(streams.out.strip())).job.metrics.strokes == 0  # type: ignore[union-attr]


def test_broken_jobs_are_refused_in_one_line(painted: Path, tmp_path: Path) -> None:
    for damage in ("target.png", "pen.yaml"):
        job = tmp_path / damage
        shutil.copytree(painted.parent, job)
        (job / damage).unlink()
        status, streams = invoke("paint", job)
        assert (status, streams.err.count("\n")) == (2, 1)
        assert f"{damage} is gone" in streams.err
    text = painted.read_text().replace("target.png", "../target.png")
    (tmp_path / "x_manifest.yaml").write_text(text)
    status, streams = invoke("paint", tmp_path / "x_manifest.yaml")
    assert status == 2 and "must be a path inside the job folder" in streams.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path, examples: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    status, streams = invoke("preprocess", examples / "dusk.png", "-o", out, *SMALL)
    assert status == 1 and "cannot write" in streams.err


def test_an_output_that_is_a_file(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "out").touch()
    status, streams = invoke("preprocess", examples / "dusk.png", "-o", tmp_path / "out", *SMALL)
    assert status == 1 and "cannot write" in streams.err
    assert streams.err.count("\n") == 1


def test_lpips_is_reported_as_missing_without_weights(painted: Path, tmp_path: Path) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    status, streams = invoke("paint", job, *QUICK, "--set", f"lpips_weights={tmp_path}/nowhere")
    assert status == 0
    assert "LPIPS" in streams.err
    assert JobFolder.open(job).job.metrics.colour.lpips is None  # type: ignore[union-attr]


def test_a_budget_of_seconds(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    monkeypatch.chdir(job)
    status, streams = invoke("paint", ".", "--time", 1, "--strokes", 80, "--no-gcode")
    assert status == 0 and streams.err.startswith(f"{job.name}: "), streams.err
    made_by = JobFolder.open(job).job.provenance["paint"].options
    assert (made_by["time"], made_by["effort"]) == (1.0, None)  # it was not the effort that ended it
    assert JobFolder.open(painted).job.provenance["paint"].options["effort"] == "draft"


def test_frames(painted: Path, tmp_path: Path) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    assert invoke("paint", job, *QUICK, "--frames", tmp_path / "frames", "--frames-every", 40, "--no-gcode")[0] == 0
    frames = sorted((tmp_path / "frames" / job.name).iterdir())
    assert frames[0].name == "0000.png" and len(frames) >= 3
    assert (cv2.imread(str(frames[-1])) == cv2.imread(str(job / "painting_cmy.png"))).mean() > 0.99


@pytest.mark.parametrize(("number", "side_by_side"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_ctrl_c_keeps_the_best_so_far(number: signal.Signals, side_by_side: int, painted: Path, tmp_path: Path) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    (job / "strokes.yaml").unlink()
    process = subprocess.Popen(
        [sys.executable, "-m", "airbrush_cli.app", "paint", str(job), "--time", "200", "--no-gcode", "-v",
         "--jobs", str(side_by_side)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background makes them ignore the signal, and so its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if "planning" in line:
            break
    time.sleep(2)
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out.strip() == str(job / painted.name)
    assert JobFolder.open(job).job.state == "partial"
    assert (job / "strokes.yaml").exists()


def _wrapped() -> SystemError:
    """What numba makes of Ctrl-C while compiled code hands its result over."""
    error = SystemError("returned a result with an exception set")
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), _wrapped()])
def test_an_early_ctrl_c_leaves_the_better_painting(
    interrupt: BaseException, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    before = {path.name: path.read_bytes() for path in job.iterdir()}

    def run(self: Planner) -> np.ndarray:
        raise interrupt

    monkeypatch.setattr(Planner, "run", run)
    status, streams = invoke("paint", job)
    assert status == 130 and "stays" in streams.err
    assert {path.name: path.read_bytes() for path in job.iterdir()} == before
    (job / "strokes.yaml").unlink()  # nothing to go back to: what there is is saved
    assert invoke("paint", job)[0] == 130
    assert JobFolder.open(job).job.state == "partial"


def test_strokes_are_saved_before_what_may_fail(painted: Path, tmp_path: Path) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    (job / "strokes.yaml").unlink()
    (tmp_path / "frames").write_text("a file where a folder is wanted")
    assert invoke("paint", job, *QUICK, "--frames", tmp_path / "frames")[0] == 1
    assert (job / "strokes.yaml").exists() and JobFolder.open(job).job.state == "painted"


def test_a_failing_gpu_leaves_what_there_was(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tmp_path / painted.parent.name
    shutil.copytree(painted.parent, job)
    (job / "strokes.yaml").unlink()
    steps = iter(range(20))

    def failing(*arguments: Any) -> Any:
        if next(steps, None) is None:
            raise BackendError("the GPU failed: out of memory")
        return compare(*arguments)

    monkeypatch.setattr("airbrush_cli.painter.plan.compare", failing)
    status, streams = invoke("paint", job, *QUICK, "--no-gcode")
    assert status == 1 and not streams.out
    assert "the GPU failed: out of memory" in streams.err and "partial" in streams.err
    assert JobFolder.open(job).job.state == "partial"
    assert (job / "strokes.yaml").exists()
