"""Run folders: nothing is lost, nothing is half there, nothing is overwritten."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airbrush_cli import config, documents
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.learning import rows
from airbrush_cli.learning.run import Run, epoch_folder, epochs, is_alive, process_of, read_record, this_process
from airbrush_cli.schemas.run import EpochState
from airbrush_cli.schemas.stroke import LOW, StrokesDocument
from airbrush_cli.schemas.training import Train

PICTURE = np.full((8, 6, 3), 200, np.uint8)


def test_a_run_keeps_what_made_it(tmp_path: Path) -> None:
    train = config.load("train", Train)
    luts = config.shipped("sim/physics_v1").parent / "luts" / "metadata.yaml"
    with Run.create(tmp_path, "ppo", configs={"train": train}, luts=luts, seeds={"torch": 3}, total_steps=100) as run:
        run.log(50, reward_mean=0.5, lpips=np.float32(0.25))
        run.finish("done", lpips=0.25, psnr=math.nan)
    record = read_record(run.folder)
    assert run.folder.parent == tmp_path / "runs"
    assert (record.state, record.kind, record.progress.step, record.progress.total_steps) == ("done", "ppo", 50, 100)
    assert record.seeds["torch"] == 3 and "PYTHONHASHSEED" in record.seeds
    assert record.figures == {"lpips": 0.25}
    assert record.versions["numpy"] == np.__version__
    assert len(record.hashes["config/train"]) == 64
    assert documents.load(run.folder / "config" / "train.yaml", Train) == train
    assert (run.folder / "luts" / "psf_lut.pt").is_file()


def test_runs_of_one_second_do_not_meet(tmp_path: Path) -> None:
    runs = [Run.create(tmp_path, "ppo", prefix="same") for _ in range(3)]
    assert len({run.folder for run in runs}) == 3


numbers = st.integers(-(2**60), 2**60) | st.floats()


@given(st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}(/[a-z]{1,5})?\Z"), numbers, max_size=5))
def test_a_row_is_yaml_and_comes_back(metrics: dict[str, float]) -> None:
    row = {"step": 7, **{name: value for name, value in metrics.items() if name != "step"}}
    line = rows.format_row(row)
    ours = rows.parse_row(line.rstrip("\n"))
    theirs = {str(name): value for name, value in yaml.safe_load(line)[0].items()}
    assert ours is not None
    assert repr(ours) == repr(row)
    if not {"y", "n", "on", "off", "yes", "no", "true", "false", "null"} & set(row):  # YAML 1.1 reads these as values
        assert repr(theirs) == repr(row)


def test_a_torn_line_is_passed_over_then_cut_off(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "ppo")
    for step in range(3):
        run.log(step, reward_mean=step / 3)
    run.event("kl", 2, "KL is 0.3")
    for name in ("metrics.yaml", "events.yaml"):
        with (run.folder / name).open("a") as stream:
            stream.write("- {step: 3, rew")
    assert [row["step"] for row in rows.read_metrics(run.folder / "metrics.yaml")] == [0, 1, 2]
    assert [event.kind for event in rows.read_events(run.folder / "events.yaml")] == ["kl"]

    again = Run.open(run.folder)
    again.log(3, reward_mean=1.0)
    assert [row["step"] for row in rows.read_metrics(run.folder / "metrics.yaml")] == [0, 1, 2, 3]
    assert len(yaml.safe_load((run.folder / "metrics.yaml").read_text())) == 4


def test_rewinding_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "ppo")
    reader = rows.MetricsReader(run.folder / "metrics.yaml")
    for step in (10, 20, 30):
        run.log(step, entropy=float(step))
    assert len(reader.read()) == 3
    run.rewind(20)
    assert [row["step"] for row in reader.read()] == [10, 20]
    run.log(30, entropy=-1.0)
    assert [row["entropy"] for row in reader.read()] == [10.0, 20.0, -1.0]
    assert read_record(run.folder).progress.step in (20, 30)


def test_a_reader_parses_only_what_is_new(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "ppo")
    reader = rows.MetricsReader(run.folder / "metrics.yaml")
    assert reader.read() == []
    run.log(1, lpips=math.nan, approx_kl=math.inf)
    assert [(math.isnan(row["lpips"]), row["approx_kl"]) for row in reader.read()] == [(True, math.inf)]
    run.log(2, lpips=0.5)
    assert [row["step"] for row in reader.read()] == [1, 2]


def test_an_epoch_is_whole_and_the_latest_is_linked(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "ppo")
    run.log(64, lpips=0.4)
    strokes = np.tile(LOW, (3, 1))
    for number in (10, 20, 20):
        run.epoch(number, target=PICTURE, canvas=PICTURE, heatmap=PICTURE, strokes=strokes, lpips=0.4, picture="cat")
    latest = run.folder / "monitor" / "latest"
    assert latest.is_symlink() and latest.resolve() == epoch_folder(run.folder, 20).resolve()
    assert epochs(run.folder) == [10, 20]
    assert sorted(path.name for path in (run.folder / "monitor").iterdir()) == [
        "epoch_000010",
        "epoch_000020",
        "latest",
    ]
    state = documents.load(latest / "state.yaml", EpochState)
    assert (state.step, state.strokes, state.figures["lpips"], state.picture) == (64, 3, 0.4, "cat")
    assert documents.load(latest / "strokes.yaml", StrokesDocument).to_array().shape == (3, 15)


def test_how_a_run_ends(tmp_path: Path) -> None:
    in_a_kernel = SystemError("a kernel returned a result with an exception set")
    in_a_kernel.__cause__ = KeyboardInterrupt()
    for error, state in (
        (KeyboardInterrupt(), "interrupted"),
        (in_a_kernel, "interrupted"),
        (RuntimeError("out of luck"), "failed"),
    ):
        run = Run.create(tmp_path, "ppo")
        with pytest.raises(type(error)), run:
            raise error
        assert read_record(run.folder).state == state
    assert rows.read_events(run.folder / "events.yaml")[0].message == "RuntimeError: out of luck"


def test_what_was_not_written_by_us_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        Run.open(tmp_path)
    run = Run.create(tmp_path, "ppo")
    with pytest.raises(ValueError, match="a metric's name"):
        run.log(1, **{"a: b": 1.0})
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="cannot make"):
        Run.create(tmp_path / "file", "ppo")


def test_processes_and_whether_they_live() -> None:
    me = this_process()
    assert is_alive(me)
    assert process_of(os.getpid()) == me
    assert is_alive(me.model_copy(update={"started": me.started - 100})) is False
    assert is_alive(me.model_copy(update={"machine": "another"})) is None


WRITER = """
import sys, time
from pathlib import Path
from airbrush_cli.learning.run import Run
run = Run.create(Path(sys.argv[1]), "ppo")
print(run.folder, flush=True)
step = 0
while True:
    step += 1
    run.log(step, reward_mean=1 / 3, lpips=2 / 3)
"""


def test_kill_9_in_the_middle_of_writing(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    folder = Path(writer.stdout.readline().strip())
    reader = rows.MetricsReader(folder / "metrics.yaml")
    while len(reader.read()) < 200:
        time.sleep(0.01)
    with pytest.raises(InputError, match="still running"):
        Run.open(folder)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    steps = [row["step"] for row in rows.read_metrics(folder / "metrics.yaml")]
    assert steps == list(range(1, len(steps) + 1))
    assert is_alive(read_record(folder).process) is False
    run = Run.open(folder)
    run.rewind(100)
    run.log(101, reward_mean=0.0)
    assert len(yaml.safe_load((folder / "metrics.yaml").read_text())) == 101
