"""Searching: budgets, pruning, the winner; workers that share a study, and workers that die."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="searching needs the extra: pip install 'airbrush[train]'")

from airbrush_cli import config, documents
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.learning import rows, search, study, trial
from airbrush_cli.learning.run import read_record, this_process
from airbrush_cli.learning.search_command import progress_line
from airbrush_cli.schemas.search import Trials
from airbrush_cli.schemas.training import Train
from tests import fake_trainer
from tests.test_app import invoke

FAST = trial.Commands(train=fake_trainer.train_command, paint=fake_trainer.paint_command)


@pytest.fixture(autouse=True)
def _without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow takes seconds to load in each process; its own tests have it."""
    monkeypatch.setattr("airbrush_cli.learning.tracking.store_uri", lambda out: None)


def prepare(tmp_path: Path, commands: trial.Commands = FAST, **options: object) -> search.Search:
    given = {"name": "night", "space_file": None, "train_file": None, "trials": 3, "minutes": 3, **options}
    prepared = search.prepare(tmp_path, commands=commands, **given)
    return replace(prepared, poll_seconds=0.05)


def work(prepared: search.Search) -> Trials:
    """Be a worker in this process."""
    search.work(prepared, lambda: False)
    opened = prepared.open()
    opened.save_summary()
    return documents.load(prepared.folder / "trials.yaml", Trials)


def test_a_search_finds_the_better_end_and_its_winner_can_be_trained_again(tmp_path: Path) -> None:
    prepared = prepare(tmp_path)
    trials = work(prepared)
    assert sorted(one.number for one in trials.trials) == list(range(3))
    best = search.write_best(prepared, prepared.open())
    settings = documents.load(best, Train)
    ranked = trials.ranked()
    assert ranked[0].value == pytest.approx(-fake_trainer.final_lpips(settings), abs=1e-9)
    assert ranked[0].value == max(one.value for one in trials.trials if one.value is not None)
    # The winner's settings are complete: they train to the same end from another folder.
    fake_trainer.train(best, tmp_path / "again", 0.0)
    (again,) = (tmp_path / "again" / "runs").iterdir()
    assert float((again / "checkpoints" / "best.pt").read_text()) == pytest.approx(-ranked[0].value)
    assert Path(settings.env_config).is_file() and Path(settings.sim_config).is_file()
    run = prepared.folder / str(ranked[0].run)
    assert read_record(run).state == "done"


def test_what_is_proposed_depends_on_the_trials_number_alone(tmp_path: Path) -> None:
    def proposed(folder: Path, workers: int) -> list[dict[str, float]]:
        prepared = prepare(folder, trials=8)
        opened = [prepared.open() for _ in range(workers)]
        for number in range(8):
            begun = opened[number % workers].next_trial()
            assert begun
            value = -opened[number % workers].suggest(begun)["agent.learning_rate"]
            opened[number % workers].tell(begun, study.TrialState.COMPLETE, value)
        return [one.params for one in opened[0].summary().trials]

    alone = proposed(tmp_path / "a", 1)
    assert alone == proposed(tmp_path / "b", 3)
    assert len({tuple(params.items()) for params in alone}) == len(alone)


def test_trials_that_do_worse_than_most_are_given_up(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(config.shipped("hpo_search_space_v1").read_text().replace("warmup_steps: 8", "warmup_steps: 0"))
    prepared = prepare(tmp_path, replace(FAST, train=fake_trainer.slow_train_command), trials=5, space_file=space)
    opened = prepared.open()
    for _ in range(4):  # others that were better than a fake trainer can be
        begun = opened.next_trial()
        assert begun
        opened.suggest(begun)
        begun.report(-0.1, 1)
        opened.tell(begun, study.TrialState.COMPLETE, -0.1)
    last = work(prepared).trials[-1]
    assert (last.state, last.last_step) == ("pruned", 1)
    assert read_record(prepared.folder / str(last.run)).state == "interrupted"


def test_trials_paint_the_validation_pictures(tmp_path: Path, examples: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(examples / "dusk.png", pictures)
    space = tmp_path / "space.yaml"
    text = config.shipped("hpo_search_space_v1").read_text()
    space.write_text(text.replace("image_dir: null", "image_dir: pictures"))
    prepared = prepare(tmp_path, trials=1, space_file=space)
    trials = work(prepared)
    settings = documents.load(prepared.folder / "trials" / "0000" / "train.yaml", Train)
    assert trials.trials[0].value == pytest.approx(-fake_trainer.final_lpips(settings))
    assert (prepared.folder / "trials" / "0000" / "validation" / "dusk" / "dusk_manifest.yaml").is_file()


def test_a_trainer_that_fails_is_told_of_and_counts(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, trial.Commands(train=fake_trainer.failing_train_command), trials=2)
    trials = work(prepared)
    assert [(one.state, one.reason) for one in trials.trials] == [
        ("failed", f"trial {number}: error: no such picture (status 1)") for number in range(2)
    ]
    with pytest.raises(JobError, match="no trial came to an end"):
        search.write_best(prepared, prepared.open())


def test_what_a_trainer_refuses_ends_the_search(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, trial.Commands(train=fake_trainer.refusing_train_command), trials=40)
    with pytest.raises(InputError, match=r"trial \d: error: photos: no such folder of pictures \(status 2\)"):
        search.run(prepared, workers=2)
    trials = documents.load(prepared.folder / "trials.yaml", Trials)
    assert {one.state for one in trials.trials} == {"retried", "waiting"} and len(trials.trials) <= 4


def test_what_a_trainer_refuses_after_others_got_through_costs_a_trial(tmp_path: Path) -> None:
    def train_command(config: Path, out: Path) -> list[str]:
        first = "/0000/" in config.as_posix()
        return (fake_trainer.train_command if first else fake_trainer.refusing_train_command)(config, out)

    trials = work(prepare(tmp_path, trial.Commands(train=train_command), trials=2))
    assert [one.state for one in trials.trials] == ["complete", "failed"]
    assert "no such folder of pictures" in str(trials.trials[1].reason)


def test_the_time_is_up(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, trial.Commands(train=fake_trainer.endless_train_command))
    started = time.monotonic()
    trials = work(replace(prepared, deadline=time.time() + 2))
    assert time.monotonic() - started < 60
    assert [one.state for one in trials.trials] == ["retried", "waiting"]  # it can be gone on with


def test_two_workers_share_a_study(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, replace(FAST, train=fake_trainer.slow_train_command), trials=3)
    best = search.run(prepared, workers=2)
    trials = documents.load(prepared.folder / "trials.yaml", Trials)
    assert sorted(one.state in ("complete", "pruned") for one in trials.trials) == [True] * 3
    assert len({one.worker for one in trials.trials}) == 2
    assert documents.load(best, Train)
    assert progress_line(trials, 60.0).startswith("3 of 3 trials  0 running  best -0.")


WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from airbrush_cli.learning import search, tracking, trial
from tests import fake_trainer
tracking.store_uri = lambda out: None
commands = trial.Commands(train=fake_trainer.{command}, paint=fake_trainer.paint_command)
prepared = search.prepare(
    Path(sys.argv[1]), "night", None, None, commands=commands, trials={trials}, minutes=3, storage=sys.argv[2] or None
)
search.work(replace(prepared, poll_seconds=0.05), lambda: False)
"""


def start_worker(out: Path, command: str, storage: str = "", trials: int = 2) -> subprocess.Popen[bytes]:
    program = WORKER.format(command=command, trials=trials)
    return subprocess.Popen([sys.executable, "-c", program, str(out), storage], cwd=Path(__file__).parents[1])


def wait_for(condition: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_killed_workers_trial_is_tried_again(tmp_path: Path) -> None:
    victim = start_worker(tmp_path, "endless_train_command")
    folder = tmp_path / "studies" / "night"
    wait_for(lambda: any(folder.glob("trials/0000/runs/*/run.yaml")))
    (run,) = (folder / "trials" / "0000" / "runs").iterdir()
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    trials = work(prepare(tmp_path, trials=2))
    assert [one.state for one in trials.trials] == ["retried"] + ["complete"] * 2
    again = trials.trials[1]
    assert again.retry_of == 0 and again.params == trials.trials[0].params
    wait_for(lambda: read_record(run).state == "interrupted")  # the trainer that it left was stopped


def test_a_worker_of_another_machine_is_gone_when_it_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(tmp_path)
    there, here = prepared.open(), prepared.open()
    elsewhere = this_process().model_copy(update={"machine": "another", "host": "node7"})
    monkeypatch.setattr(study, "this_process", lambda: elsewhere)
    begun = there.next_trial()
    assert begun
    there.suggest(begun)
    assert here.reap() == []
    now = time.monotonic()
    monkeypatch.setattr(study.time, "monotonic", lambda: now + 100)
    there.beat(begun)
    assert here.reap() == []
    monkeypatch.setattr(study.time, "monotonic", lambda: now + 190)
    assert here.reap() == []
    monkeypatch.setattr(study.time, "monotonic", lambda: now + 230)
    assert here.reap() == [0]
    assert not there.tell(begun, study.TrialState.COMPLETE, 0.0)  # it was given up meanwhile
    assert [one.state for one in here.summary().trials] == ["retried", "waiting"]


def test_ctrl_c_keeps_the_study(tmp_path: Path) -> None:
    program = WORKER.format(command="endless_train_command", trials=2).replace(
        "search.work(replace(prepared, poll_seconds=0.05), lambda: False)",
        "if __name__ == '__main__':\n    search.run(replace(prepared, poll_seconds=0.05), 1)",
    )
    (tmp_path / "program.py").write_text(program)
    root = str(Path(__file__).parents[1])
    searching = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path), ""],
        env={**os.environ, "PYTHONPATH": root},
        # A shell that runs the tests in the background makes them ignore the signal, and so its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    folder = tmp_path / "studies" / "night"
    wait_for(lambda: any(folder.glob("trials/0000/runs/*/run.yaml")))
    searching.send_signal(signal.SIGINT)
    assert searching.wait() == -signal.SIGINT
    trials = documents.load(folder / "trials.yaml", Trials)
    assert [one.state for one in trials.trials] == ["retried", "waiting"]
    (run,) = (folder / "trials" / "0000" / "runs").iterdir()
    assert read_record(run).state == "interrupted"
    assert [one.state for one in work(prepare(tmp_path, trials=2)).trials] == ["retried", "complete", "complete"]


def test_more_workers_than_trials_do_not_overshoot(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, trials=2)
    threads = [threading.Thread(target=search.work, args=(prepared, lambda: False)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.state for one in prepared.open().summary().trials] == ["complete"] * 2


def test_wrong_settings_are_one_line(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    text = config.shipped("hpo_search_space_v1").read_text()
    for old, new, words in (
        ("agent.gamma", "agent.gama", "search_space.agent.gama: agent.gama: unknown key; did you mean gamma?"),
        ("high: 0.999", "high: 1.5", "agent.gamma: must be at most 1"),
        ("direction: maximize", "direction: minimize", "direction must be maximize"),
        ("image_dir: null", "image_dir: nowhere", "no pictures in"),
    ):
        space.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=words.replace("?", r"\?")):
            search.prepare(tmp_path, None, space, None)
    prepare(tmp_path).open()
    with pytest.raises(InputError, match=r"began with another train\.yaml"):
        prepare(tmp_path, overrides=["agent.backbone=small"]).open()
    with pytest.raises(InputError, match="began with another environment"):
        prepare(tmp_path, overrides=["env.stroke_cap=7"]).open()
    status, streams = invoke(
        "hpo", "--pictures", tmp_path, "--storage", "postgresql://me:secret@127.0.0.1:1/x", "--out", tmp_path
    )
    assert status == 2
    assert "cannot open" in streams.err and "secret" not in streams.err


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airbrush_cli.commands.hpo.find_spec", lambda name: None)
    status, streams = invoke("hpo", "--out", tmp_path)
    assert status == 2
    assert streams.err == "error: searching needs optuna, stable_baselines3, gymnasium: pip install 'airbrush[train]'\n"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL server of our own, whose URL is given."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("no PostgreSQL here (initdb, pg_ctl)")
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install psycopg")
    # The server refuses to be root.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if user and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    if user:
        os.chown(folder, 65534, 65534)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*user, "initdb", "-D", folder / "data", "-U", "painter", "-A", "trust", "-N"], **run)  # type: ignore[call-overload]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    pg_ctl = [*user, "pg_ctl", "-w", "-D", str(folder / "data"), "-l", str(folder / "log")]
    subprocess.run([*pg_ctl, "-o", options, "start"], **run)  # type: ignore[call-overload]
    try:
        yield f"postgresql://painter:secret@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*pg_ctl, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


def test_two_machines_share_a_study_in_postgresql(tmp_path: Path, postgres: str) -> None:
    """Two output folders stand for two machines; one is killed in the middle."""
    other = start_worker(tmp_path / "there", "endless_train_command", postgres)
    wait_for(lambda: any((tmp_path / "there").glob("studies/night/trials/*/runs/*/run.yaml")))
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    prepared = prepare(tmp_path / "here", trials=2, storage=postgres)
    companion = start_worker(tmp_path / "there", "train_command", postgres)
    trials = work(prepared)
    assert companion.wait() == 0
    assert "secret" not in trials.storage
    assert sorted(one.state for one in trials.trials) == ["complete"] * 2 + ["retried"]
    assert documents.load(search.write_best(prepared, prepared.open()), Train)


@pytest.mark.slow
def test_the_real_trainer_and_the_real_painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the command line, with nothing in another's place; the smallest training that there is."""
    from tests import learning_setting

    monkeypatch.setenv("AIRBRUSH_LPIPS_WEIGHTS", str(learning_setting.random_backbones(tmp_path)))
    pictures = learning_setting.write_pictures(tmp_path / "pictures", 4)
    learning_setting.write_pictures(tmp_path / "judged", 1)
    space = tmp_path / "space.yaml"
    text = config.shipped("hpo_search_space_v1").read_text()
    text = text.replace("image_dir: null", "image_dir: judged").replace("stroke_cap: 1500", "stroke_cap: 20")
    space.write_text(text.replace("effort: standard", "effort: draft").replace("technician: true", "technician: false"))
    settings = [*learning_setting.TRAIN, *(f"env.{text}" for text in learning_setting.ENVIRONMENT)]
    status, streams = invoke(
        *("hpo", "--pictures", pictures, "--space", space, "--out", tmp_path / "out", "--study", "real", "--trials", 2),
        *(word for text in settings for word in ("--set", text)),
    )
    assert status == 0, streams.err
    best = Path(streams.out.strip())
    trials = documents.load(best.with_name("trials.yaml"), Trials)
    assert [one.state for one in trials.trials] == ["complete", "complete"]
    winner = best.parent / str(trials.ranked()[0].run)
    assert (winner / "report.html").is_file()
    assert list(best.parent.glob("trials/*/validation/p0/painting.png"))
    # The winner's settings train to the same curve.
    assert invoke("train", "ppo", "--pictures", pictures, "--config", best, "--out", tmp_path / "again")[0] == 0
    (again,) = (tmp_path / "again" / "runs").iterdir()
    first, second = (rows.read_metrics(run / "metrics.yaml") for run in (winner, again))
    assert [row["val_lpips"] for row in first] == [row["val_lpips"] for row in second]
