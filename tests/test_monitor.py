"""Watching: what is gathered, what is alarming, what is shown at every size, on terminals and off them."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rich.console
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airbrush_cli import config, documents
from airbrush_cli.imaging.load import load_image
from airbrush_cli.learning import report
from airbrush_cli.learning.run import Run
from airbrush_cli.monitor.alerts import Alert, machine_alerts, run_alerts
from airbrush_cli.monitor.gather import Snapshot, Watcher
from airbrush_cli.monitor.machine import Machine, parse_gpus
from airbrush_cli.monitor.screen import Room, screen
from airbrush_cli.monitor.words import duration, figure, short, size, spark
from airbrush_cli.schemas.search import TrialRecord, Trials
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.schemas.training import Train
from tests.test_app import invoke

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 34, 3), dtype=np.uint8)
LUTS = config.shipped("sim/physics_v1").parent / "luts" / "metadata.yaml"


def make_run(out: Path, updates: int = 30, **last: float) -> Run:
    run = Run.create(out, "ppo", luts=LUTS, total_steps=100)
    for step in range(1, updates + 1):
        run.log(
            step, reward_mean=step / 100, lpips=0.5 - step / 200, approx_kl=0.01, entropy=-float(step), val_lpips=0.4
        )
    if last:
        run.log(updates + 1, **last)
    strokes = LOW + (HIGH - LOW) * np.random.default_rng(1).random((9, 15))
    run.epoch(3, target=PICTURE, canvas=PICTURE, heatmap=PICTURE, strokes=strokes, lpips=0.35, picture="blots")
    return run


def make_study(out: Path) -> Path:
    now = datetime.now(UTC)
    trials: Trials = Trials.build(
        study="night",
        objective="avg_neg_final_lpips_validation",
        direction="maximize",
        storage="journal.log",
        n_trials=20,
        started=now,
        updated=now,
        deadline=now + timedelta(hours=1),
        trials=[
            TrialRecord(number=0, state="complete", value=-0.5, params={"agent.learning_rate": 1e-3}, seconds=60.0),
            TrialRecord(number=1, state="complete", value=-0.3, params={"agent.learning_rate": 3e-4}, seconds=60.0),
            TrialRecord(number=2, state="running", params={"agent.learning_rate": 2e-4}, last_step=2, last_value=-0.4),
        ],
    )
    documents.save(trials, out / "studies" / "night" / "trials.yaml")
    return out / "studies" / "night"


def shown(snapshot: Snapshot, columns: int, lines: int, colour: bool = False) -> list[str]:
    drawer = rich.console.Console(width=columns, height=lines, color_system=None, force_terminal=False)
    with drawer.capture() as captured:
        drawer.print(screen(snapshot, Room(columns, lines, colour), keys=True))
    return captured.get().splitlines()


def test_what_is_gathered(tmp_path: Path) -> None:
    make_run(tmp_path).finish("done", lpips=0.35)
    running = make_run(tmp_path)
    make_study(tmp_path)
    snapshot = Watcher(tmp_path).look()
    assert [run.state for run in snapshot.runs] == ["running", "done"]
    view = snapshot.runs[0]
    assert view.folder == running.folder
    assert (view.step, view.fraction, view.last("lpips")) == (30, 0.3, pytest.approx(0.35))
    assert view.usage is not None and view.usage.memory > 1e6
    assert view.epoch is not None and view.epoch.state.strokes == 9
    assert [trial.number for trial in snapshot.studies[0].trials.ranked()] == [1, 0, 2]
    assert not [alert for run in snapshot.runs for alert in run.alerts]


def test_a_dead_process_and_a_broken_record(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    gone = run.record.process.model_copy(update={"started": 1.0})
    documents.save(run.record.model_copy(update={"process": gone}), run.folder / "run.yaml")
    broken = make_run(tmp_path)
    (broken.folder / "run.yaml").write_text("schema: run.v")
    snapshot = Watcher(tmp_path).look()
    assert [(view.state, [alert.kind for alert in view.alerts]) for view in snapshot.runs] == [("died", ["died"])]
    status, streams = invoke("monitor", tmp_path, "--check")
    assert status == 1
    assert re.search(r"^died: ppo-\S+: process \d+ is gone; --resume goes on$", streams.out, re.MULTILINE)


def test_what_is_alarming(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    view = Watcher(tmp_path).look().runs[0]
    now = datetime.now(UTC)

    def kinds(record=view.record, rows: Sequence = view.rows, events: Sequence = (), later: float = 0.0) -> list[str]:  # type: ignore[no-untyped-def]
        found = run_alerts("r", record, rows, events, True, now + timedelta(seconds=later))
        return [alert.kind for alert in found]

    assert kinds() == []
    assert kinds(later=119) == []
    assert kinds(later=300) == ["stalled"]
    assert kinds(rows=[*view.rows, {"step": 31, "value_loss": math.nan}]) == ["nan"]
    run.event("entropy_collapse", 31, "entropy is -70")
    run.event("kl", 32, "KL is 0.9")
    assert kinds(events=Watcher(tmp_path).look().runs[0].events) == ["entropy_collapse", "kl"]
    run.event("restart", 30, "from step 30")
    assert kinds(events=Watcher(tmp_path).look().runs[0].events) == []
    run.event("nan", 33, "loss is not a number")
    run.finish("failed")
    failed = Watcher(tmp_path).look().runs[0]
    assert [str(alert.message) for alert in failed.alerts] == ["loss is not a number"]
    assert run_alerts("r", failed.record, [], [], False, now + timedelta(days=2)) == []


def test_a_full_disk_and_a_full_memory() -> None:
    machine = Machine(50.0, 8 * 10**9, 16 * 10**9, 100 * 10**9, 200 * 10**9, ())
    assert machine_alerts(machine) == []
    assert [alert.kind for alert in machine_alerts(replace(machine, disk_free=9 * 10**9))] == ["disk"]
    assert [alert.kind for alert in machine_alerts(replace(machine, memory_used=15_900_000_000))] == ["memory"]


def test_what_nvidia_smi_says() -> None:
    answer = "0, NVIDIA H200, 87, 43210, 143771, 61, 612.34\n1, NVIDIA GB10, [N/A], [N/A], [N/A], 40, 11.0\n"
    one, two = parse_gpus(answer)
    assert (one.name, one.percent, one.memory_total_mb, one.watts) == ("NVIDIA H200", 87.0, 143771.0, 612.34)
    assert (two.percent, two.memory_used_mb, two.celsius) == (None, None, 40.0)
    assert parse_gpus("No devices were found\n") == ()


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50), (60, 15), (120, 30)])
def test_the_screen_keeps_to_its_room(tmp_path: Path, columns: int, lines: int) -> None:
    for _ in range(7):
        make_run(tmp_path, updates=3)
    make_run(tmp_path, lpips=math.nan)
    make_study(tmp_path)
    snapshot = Watcher(tmp_path).look()
    text = shown(snapshot, columns, lines)
    assert len(text) <= lines
    assert max(map(len, text)) <= columns
    page = "\n".join(text)
    for words in ("8 running", "reward", "LPIPS", "steps/s", "night", "lpips: not a number"):
        assert words in page, words
    if columns >= 80:
        for words in ("KL", "entropy", "target", "epoch 3", "3.0e-04", "▁"):
            assert words in page, words


def test_nothing_yet_and_nowhere(tmp_path: Path) -> None:
    text = "\n".join(shown(Watcher(tmp_path).look(), 80, 24))
    assert "Nothing runs in" in text
    status, streams = invoke("monitor", tmp_path / "nowhere")
    assert (status, streams.err.count("\n")) == (2, 1)
    assert "no such folder" in streams.err


def test_once_and_yaml_and_check(tmp_path: Path) -> None:
    make_run(tmp_path).finish("done")
    make_study(tmp_path)
    status, streams = invoke("monitor", tmp_path, "--once")
    assert status == 0
    assert "\x1b" not in streams.out and "1 done" in streams.out
    status, streams = invoke("monitor", tmp_path, "--yaml", "--check")
    data = yaml.safe_load(streams.out)
    assert status == (1 if data["alerts"] else 0)
    (run,) = data["runs"]
    assert (run["state"], run["step"], run["metrics"]["lpips"]) == ("done", 30, 0.35)
    assert data["studies"][0]["trials"][0]["number"] == 1
    # A run's own folder and a study's can be watched, too.
    assert yaml.safe_load(invoke("monitor", run["folder"], "--yaml")[1].out)["runs"][0]["name"] == run["name"]
    assert yaml.safe_load(invoke("monitor", tmp_path / "studies" / "night", "--yaml")[1].out)["studies"]


def test_playing_an_epoch(tmp_path: Path) -> None:
    folder = make_run(tmp_path).folder
    status, streams = invoke("monitor", "--play", folder, "--epoch", 3, "--save", tmp_path / "all.png")
    assert (status, streams.out) == (0, f"{tmp_path / 'all.png'}\n")
    assert load_image(tmp_path / "all.png").shape == PICTURE.shape
    invoke("monitor", "--play", folder, "--to", 4, "--save", tmp_path / "four.png")
    assert np.any(load_image(tmp_path / "four.png") != load_image(tmp_path / "all.png"))
    invoke("monitor", "--play", folder, "--from", 3, "--speed", 10, "--save", tmp_path / "growing.gif")
    from PIL import Image

    with Image.open(tmp_path / "growing.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 8  # with two strokes there, then one after the other
    status, streams = invoke("monitor", "--play", folder)
    assert status == 0 and "stroke 9 of 9" in streams.out
    for arguments, words in (
        (("--epoch", 4), "no such epoch"),
        (("--from", 10), "has strokes 1 to 9"),
        (("--save", tmp_path / "a.bmp"), "must end in .png or .gif"),
    ):
        status, streams = invoke("monitor", "--play", folder, *arguments)
        assert status == 2 and words in streams.err
    assert invoke("monitor", tmp_path, "--epoch", 3)[0] == 2


def test_a_report_is_one_file_with_everything_in_it(tmp_path: Path) -> None:
    make_run(tmp_path).finish("done")
    run = make_run(tmp_path, lpips=math.nan, approx_kl=math.inf)
    run.event("kl", 20, "KL is 0.9 <b>")
    run.finish("failed")
    path = report.write(run.folder)
    text = path.read_text()
    assert path == run.folder / "report.html"
    for words in ("<svg", "data:image/jpeg;base64,", "epoch 3", "validation LPIPS", "KL is 0.9 &lt;b&gt;", "failed"):
        assert words in text
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|<script|@import""", text)
    assert "NaN" not in text and "nan" not in re.sub(r"base64,[^\"]*", "", text).split("<h2>Curves")[1].split("<h2>")[0]
    assert invoke("monitor", "--report", run.folder)[0] == 0


def test_a_report_compares_with_the_other_trials_or_runs(tmp_path: Path) -> None:
    for rate in (1e-4, 1e-3):
        run = Run.create(
            tmp_path, "ppo", configs={"train": config.load("train", Train, None, [f"agent.learning_rate={rate}"])}
        )
        run.log(1, val_lpips=rate)
    text = report.write(run.folder).read_text()
    found = text.split("what came of them</h2>")[1]
    assert "<b>agent.learning_rate</b>" in found and "best validation LPIPS" in found
    assert "agent.gamma" not in found.split("<h2>")[0]  # it does not vary

    study = make_study(tmp_path)
    trial = Run.create(study / "trials" / "0001", "ppo")
    trials = documents.load(study / "trials.yaml", Trials)
    there = [
        one.model_copy(update={"run": f"trials/000{one.number}/runs/{trial.folder.name}"}) for one in trials.trials
    ]
    documents.save(trials.model_copy(update={"trials": there}), study / "trials.yaml")
    text = report.write(trial.folder).read_text()
    assert text.count('class="dot"') == 2 and text.count('class="dot chosen"') == 1
    assert "trial 1: agent.learning_rate 0.0003, -0.3" in text


@given(st.lists(st.floats(), max_size=300), st.integers(0, 60))
def test_a_spark_is_as_wide_as_it_may_be(values: list[float], width: int) -> None:
    text = spark(values, width)
    assert len(text) == min(width, len(values))
    assert set(text) <= set("▁▂▃▄▅▆▇█×")


@given(st.floats())
def test_a_figure_fits_its_column(value: float) -> None:
    assert len(figure(value)) <= 8
    assert len(duration(abs(value) % 1e7)) <= 8


def test_words() -> None:
    assert [figure(value) for value in (None, 0.0, 0.41234, 12.5, 12345.0, 3e-5, 2.5e6, math.inf)] == [
        *("–", "0", "0.4123", "12.50", "12.3k", "3.0e-05", "2.50M", "inf"),
    ]
    assert [duration(value) for value in (None, 5, 400, 12_000, 200_000)] == ["–", "5 s", "6 min", "3 h 20", "2 d 7 h"]
    assert (short("abcdefgh", 5), size(1.5e9), spark([1, 2, 3], 3)) == ("ab…gh", "1.5 GB", "▁▅█")


LIVE = """
import sys, time
from pathlib import Path
import numpy as np
from airbrush_cli.learning.run import Run
run = Run.create(Path(sys.argv[1]), "ppo", total_steps=100_000)
picture = np.full((48, 34, 3), 180, np.uint8)
run.epoch(1, target=picture, canvas=picture, strokes=np.zeros((0, 15)))
step = 0
while True:
    step += 10
    run.log(step, reward_mean=step / 1000, lpips=0.5, entropy=-1.0)
    time.sleep(0.05)
"""


class Terminal:
    """`airbrush monitor` on a pseudo-terminal, and what stands on its screen."""

    def __init__(self, arguments: Sequence[object], columns: int, lines: int, **environment: str) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", **environment})
            program = [sys.executable, "-m", "airbrush_cli.app", "monitor", *map(str, arguments)]
            os.execv(sys.executable, program)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.columns, self.lines, self.output = columns, lines, ""

    def read_until(self, words: str, seconds: float = 60.0) -> str:
        """Read on until words stand on the screen; returns the newest screen without its colours."""
        deadline = time.monotonic() + seconds
        while words not in self.screen():
            assert time.monotonic() < deadline, f"{words!r} did not come:\n{self.screen()}"
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self.descriptor, 65536).decode(errors="replace")
                except OSError:
                    break
        return self.screen()

    def screen(self) -> str:
        """The newest screen that was drawn to its end: the cursor went home before it and after it."""
        drawn = re.split(r"\x1b\[H", self.output)[1:-1]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn[-1]) if drawn else ""

    def press(self, key: str) -> None:
        os.write(self.descriptor, key.encode())

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        while True:
            try:
                if not os.read(self.descriptor, 65536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
def test_on_a_terminal_while_a_run_goes_on_and_after(tmp_path: Path, columns: int, lines: int) -> None:
    make_run(tmp_path).finish("done")
    writer = subprocess.Popen([sys.executable, "-c", LIVE, str(tmp_path)])
    try:
        while len(list(tmp_path.glob("runs/*/monitor/latest"))) < 2:
            time.sleep(0.05)
        terminal = Terminal([tmp_path, "--interval", 0.2], columns, lines)
        text = terminal.read_until("1 running")
        rows = [row.rstrip() for row in text.replace("\r", "").split("\n")]
        assert len(rows) <= lines and max(map(len, rows)) <= columns
        assert "epoch 1" in text and "reward" in text
        first = re.search(r"running +(\S+)", text)
        assert first
        terminal.output = ""
        terminal.read_until("1 running")
        again = re.search(r"running +(\d\S+)", terminal.screen())
        deadline = time.monotonic() + 30
        while again is None or again[1] == first[1]:
            terminal.output = ""
            again = re.search(r"running +(\d\S+)", terminal.read_until("1 running"))
            assert time.monotonic() < deadline, "the step does not go on"
        terminal.press("j")
        terminal.output = ""
        terminal.read_until("epoch 3")  # the finished run's picture
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        terminal.read_until("DIED")
        terminal.press("q")
        assert terminal.end() == 0
    finally:
        writer.kill()
        writer.wait()


def test_without_colour_and_on_ctrl_c(tmp_path: Path) -> None:
    make_run(tmp_path).finish("done")
    terminal = Terminal([tmp_path, "--interval", 0.2], 80, 24, NO_COLOR="1")
    terminal.read_until("epoch 3")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|4[0-9])m", terminal.output)
    terminal.press("\x03")
    assert terminal.end() == 130


def test_off_a_terminal_it_is_a_log(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "airbrush_cli.app", "monitor", str(tmp_path), "--interval", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout
    try:
        assert "step 30/100, reward_mean 0.3000, lpips 0.3500, val_lpips 0.4000" in watcher.stdout.readline()
        run.log(31, reward_mean=math.nan)
        lines = [watcher.stdout.readline(), watcher.stdout.readline()]
        assert any("step 31/100" in line for line in lines) or any("not a number" in line for line in lines)
    finally:
        watcher.kill()
        watcher.wait()


def test_alerts_are_plain_values() -> None:
    assert vars(Alert("disk", "disk", "nearly full")) == {"kind": "disk", "where": "disk", "message": "nearly full"}
