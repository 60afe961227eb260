"""Searching: workers that take trials from a shared study until its budget is used up, and the winner's settings."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from airbrush_cli import config, console, documents, files
from airbrush_cli.errors import AirbrushError, InputError, JobError
from airbrush_cli.learning import tracking
from airbrush_cli.learning.study import JOURNAL, REASON, Study, masked, open_storage
from airbrush_cli.learning.trial import Commands, Stopped, TrialRun, check_keys, patched, resolved
from airbrush_cli.schemas.environment import OF_ENVIRONMENT, Environment
from airbrush_cli.schemas.training import SearchSpace, Train

log = logging.getLogger(__name__)

BEST = "best_config.yaml"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class Search:
    """Everything that a worker needs to know; it travels to workers in other processes.

    Attributes:
        name: the study's.
        folder: <out>/studies/<name>.
        space: the search space.
        train: complete settings of the trainer as plain data, with absolute paths.
        storage: URL or path; None for the journal in the folder.
        jobs: manifests of the prepared validation pictures.
        deadline: `time.time()` at which the budget of minutes is used up.
        commands: the programs that trials run.
        poll_seconds: between looks at a trainer.
        settings: how workers log.
    """

    name: str
    folder: Path
    space: SearchSpace
    train: dict[str, Any]
    storage: str | None
    deadline: float
    jobs: tuple[Path, ...] = ()
    commands: Commands = field(default_factory=Commands)
    poll_seconds: float = 1.0
    settings: console.Settings = field(default_factory=console.Settings)

    def open(self) -> Study:
        """Open the study; the first of its workers makes it.

        Raises:
            InputError: it cannot be opened, or was begun with other settings.
        """
        study = Study(
            name=self.name,
            space=self.space,
            storage=open_storage(self.storage, self.folder),
            storage_name=masked(self.storage) if self.storage else JOURNAL,
            folder=self.folder,
            deadline=self.deadline,
            tracking_uri=tracking.store_uri(self.folder.parent.parent),
        )
        searched = self.space.model_dump(
            mode="json", include={"objective", "search_space", "validation", "constraints"}
        )
        # Paths differ between machines; the environment's settings are compared by themselves.
        train = {key: value for key, value in self.train.items() if not key.endswith("_config")}
        study.agree(
            {
                "search space": tracking.digest(documents.dump(searched)),
                "train.yaml": tracking.digest(documents.dump(train)),
                "environment": files.sha256_file(Path(self.train["env_config"])),
            }
        )
        return study


def prepare(
    out: Path,
    name: str | None,
    space_file: Path | None,
    train_file: Path | None,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    commands: Commands | None = None,
) -> Search:
    """Read the settings of a search and make its folder.

    Args:
        out: the output folder.
        name: of the study; one that is there already is gone on with. None for a new one.
        space_file: in place of configs/hpo_search_space_v1.yaml.
        train_file: in place of configs/train.yaml.
        overrides: `key=value` for train.yaml; with `env.` before the key, for the environment's settings.
        storage: where workers share the study; see `study.open_storage`.
        trials, minutes: in place of the budget's.
        commands: in place of this program's own.

    Raises:
        InputError: a setting is wrong.
    """
    budget = [f"budget.n_trials={trials}"] if trials is not None else []
    budget += [f"budget.timeout_minutes={minutes}"] if minutes is not None else []
    space = config.load("hpo_search_space_v1", SearchSpace, space_file, budget)
    of_training = [text for text in overrides if not text.startswith(OF_ENVIRONMENT)]
    settings = config.load("train", Train, train_file, of_training)
    train = resolved(settings, train_file or config.shipped("train"))
    environment = config.load("env_airbrush_v1", Environment, Path(train["env_config"]), overrides, OF_ENVIRONMENT)
    check_keys(space, train)
    name = name or f"hpo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if not re.fullmatch(r"[A-Za-z0-9._+-]+", name):
        raise InputError(f"--study {name}: must have letters, digits and . _ + - only")
    search = Search(
        name=name,
        folder=out / "studies" / name,
        space=space,
        train=train,
        storage=storage,
        deadline=time.time() + 60 * space.budget.timeout_minutes,
        commands=commands or Commands(),
        settings=console.current().settings,
    )
    train["env_config"] = str((search.folder / "config" / "env.yaml").resolve())
    files.write_text(Path(train["env_config"]), documents.dump(environment.model_dump(mode="json", exclude_none=True)))
    files.write_text(search.folder / "config" / "train.yaml", documents.dump(train))
    files.write_text(search.folder / "config" / "search.yaml", documents.dump(space.model_dump(mode="json")))
    if space.validation.image_dir is not None:
        base = (space_file or config.shipped("hpo_search_space_v1")).parent
        search = replace(search, jobs=_validation_jobs(base / space.validation.image_dir, search.folder))
    return search


def _validation_jobs(pictures: Path, folder: Path) -> tuple[Path, ...]:
    """Prepare the validation pictures once for all trials, and return their manifests."""
    found = sorted(path for path in pictures.glob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InputError(f"validation.image_dir: no pictures in {pictures}")
    out = folder / "validation"
    command = [sys.executable, "-m", "airbrush_cli.app", "preprocess", "-q", "--out", str(out), *map(str, found)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"validation.image_dir: {(done.stderr.strip().splitlines() or ['preprocess failed'])[-1]}")
    return tuple(Path(line) for line in done.stdout.splitlines())


def run(search: Search, workers: int, observe: Callable[[Study], None] | None = None) -> Path:
    """Search with so many workers on this machine, and write the winner's settings.

    Others may work on the same study meanwhile. A worker that dies is begun anew, a few times.

    Args:
        search: what to search.
        workers: how many trials run at a time here.
        observe: called about once a second.

    Returns:
        the path of best_config.yaml.

    Raises:
        InputError: a trainer refuses what it is given, and none has got through: all would. The rest is as on Ctrl-C.
        JobError: no trial came to an end.
        KeyboardInterrupt: Ctrl-C; trials in progress are queued again, the best so far is written.
    """
    study = search.open()
    tracking.make_store(study.tracking_uri)
    context = get_context("spawn")

    refusals = context.SimpleQueue()

    def start() -> BaseProcess:
        process = context.Process(target=_worker_process, args=(search, refusals), daemon=False)
        process.start()
        return process

    running = [start() for _ in range(workers)]
    spare = 2 * workers
    look = 0.0
    try:
        with _sigterm_as_interrupt():
            while running:
                time.sleep(0.2)
                for process in [process for process in running if not process.is_alive()]:
                    running.remove(process)
                    if not refusals.empty():
                        raise InputError(refusals.get())
                    if process.exitcode and spare and time.time() < search.deadline and not study.finished():
                        log.warning("a worker ended with status %s; another takes its place", process.exitcode)
                        spare -= 1
                        running.append(start())
                if observe and time.monotonic() >= look:
                    observe(study)
                    look = time.monotonic() + 1.0
    except (KeyboardInterrupt, InputError):
        for process in running:
            process.terminate()
        for process in running:
            process.join()
        with contextlib.suppress(AirbrushError):
            write_best(search, study)
        raise
    study.save_summary()
    return write_best(search, study)


def write_best(search: Search, study: Study) -> Path:
    """Write best_config.yaml: settings that `airbrush train ppo --config` takes, and that make the winner again."""
    best = study.best()
    head = f"# Trial {best.number} of {study.name}: {search.space.objective.name} = {best.value:.6g}\n"
    path = search.folder / BEST
    files.write_text(path, head + documents.dump(patched(search.train, best.params)))
    return path


def _worker_process(search: Search, refusals: SimpleQueue[str]) -> None:
    """Be a worker in a process of its own. SIGTERM ends it cleanly; Ctrl-C is the parent's to pass on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console.current().configure(search.settings)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    parent = os.getppid()
    try:
        # A worker whose parent is gone would go on unseen.
        work(search, lambda: bool(stopping) or os.getppid() != parent)
    except InputError as error:
        refusals.put(str(error))
    except AirbrushError as error:
        log.error("%s", error)
        sys.exit(error.status)


def work(search: Search, stop: Callable[[], bool]) -> None:
    """Take trials until the study has as many as were asked for, its time is up, or `stop` says so.

    A worker that finds nothing to begin waits for the others' trials: one of them may be given up and queued again.

    Raises:
        InputError: a trainer refuses what it is given, and none has got through.
    """
    study = search.open()

    def ended() -> bool:
        return stop() or time.time() >= search.deadline

    while not ended() and not study.finished():
        if study.reap():
            study.save_summary()
        trial = study.next_trial()
        if trial is None:
            time.sleep(min(_IDLE_SECONDS, search.poll_seconds))
            continue
        try:
            _try(search, study, trial, ended)
        finally:
            study.save_summary()


def _try(search: Search, study: Study, trial: optuna.Trial, ended: Callable[[], bool]) -> None:
    params = study.suggest(trial)
    study.save_summary()
    attempt = TrialRun(trial, params, study, search.train, search.jobs, search.commands, ended, search.poll_seconds)
    log.info("trial %d: %s", trial.number, ", ".join(f"{k.rpartition('.')[2]} {v:.3g}" for k, v in params.items()))
    state, value = TrialState.FAIL, None
    try:
        value = attempt.run()
        state = TrialState.COMPLETE
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except Stopped:
        study.give_back(trial)
        return
    except (InputError, JobError) as error:
        if isinstance(error, InputError) and not study.any_through():
            study.give_back(trial)  # it is not to blame
            raise
        log.warning("%s", error)
        trial.set_user_attr(REASON, str(error))
    except UpdateFinishedTrialError:
        log.warning("trial %d: another worker took us for dead and gave it up", trial.number)
        return
    if study.tell(trial, state, value):
        words = f"{search.space.objective.name} {value:.4f}" if value is not None else state.name.lower()
        log.info("trial %d: %s", trial.number, words)
        _track(search, study, trial, attempt, state, value)


def _track(
    search: Search, study: Study, trial: optuna.Trial, attempt: TrialRun, state: TrialState, value: float | None
) -> None:
    """Log a trial where people compare runs."""
    figures = dict(attempt.figures)
    if value is not None:
        figures[search.space.objective.name] = value
    tracking.log_once(
        uri=study.tracking_uri,
        experiment=search.space.mlflow.experiment,
        name=f"{search.space.mlflow.run_name_prefix}-{trial.number:04d}",
        params=trial.params,
        figures={key: figure for key, figure in figures.items() if math.isfinite(figure)},
        curve=study.study.trials[trial.number].intermediate_values,
        tags={"study": study.name, "state": state.name.lower()},
        artifacts=sorted((attempt.folder / "validation").glob("*/painting*.png")) + [attempt.folder / "train.yaml"],
    )


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Any:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
