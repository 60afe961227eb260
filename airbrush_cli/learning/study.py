"""A study of hyperparameters, shared by workers: what is asked of Optuna, and what Optuna does not do by itself.

Workers on one machine or on many share a study through Optuna's storage: a journal file or a database. Each trial says
who works on it and beats; whoever sees a trial whose worker is gone gives it up and queues the same parameters again.
Optuna's own heartbeat does that for databases only.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import optuna
import psutil
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from airbrush_cli import documents
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.learning.run import is_alive, this_process
from airbrush_cli.schemas.run import Process
from airbrush_cli.schemas.search import TrialRecord, Trials
from airbrush_cli.schemas.search import TrialState as RecordState
from airbrush_cli.schemas.training import Pruner, Sampler, SearchSpace

log = logging.getLogger(__name__)

JOURNAL = "journal.log"

# What a trial carries for the others.
WORKER, TRAINER, BEAT = "worker", "trainer", "beat"
KILLED, RETRY_OF, SURPLUS, RUN, REASON = "killed", "retry_of", "surplus", "run", "reason"

_STATES: dict[TrialState, RecordState] = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def open_storage(url: str | None, folder: Path) -> optuna.storages.BaseStorage:
    """Open the storage of a study.

    Args:
        url: `postgresql://…`, `mysql://…` or `sqlite:///…`, the path of a journal file, or None for the journal in the
            study's folder.
        folder: the study's.

    Raises:
        InputError: the database cannot be reached, or its driver is not installed.
    """
    if url is None or "://" not in url:
        from optuna.storages.journal import JournalFileBackend

        path = folder / JOURNAL if url is None else Path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    # The driver that the project names; SQLAlchemy's own choice has changed between its versions.
    full = url.replace("postgresql://", "postgresql+psycopg://", 1).replace("postgres://", "postgresql+psycopg://", 1)
    try:
        return optuna.storages.RDBStorage(full, engine_kwargs={"pool_pre_ping": True})
    except ImportError as error:
        raise InputError(f"--storage {masked(url)}: needs the package {error.name}: pip install psycopg") from error
    except Exception as error:  # SQLAlchemy's and the drivers' own kinds are many
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"--storage {masked(url)}: cannot open: {first}") from error


def masked(url: str) -> str:
    """Return a storage's URL without its password."""
    password = urlsplit(url).password if "://" in url else None
    return url.replace(f":{password}@", ":***@", 1) if password else url


@dataclass
class Study:
    """A study as one worker sees it.

    Args:
        name: of the study.
        space: what is searched, and how.
        storage: opened by `open_storage`.
        storage_name: for people, without a password.
        folder: where trials are written on this machine.
        deadline: `time.time()` at which this worker stops.
        tracking_uri: MLflow's store, where trainers log too; None to leave it to them.
    """

    name: str
    space: SearchSpace
    storage: optuna.storages.BaseStorage
    storage_name: str
    folder: Path
    deadline: float
    tracking_uri: str | None = None
    _beat_due: float = 0.0
    _beats: dict[int, tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        self.study = optuna.create_study(
            study_name=self.name,
            storage=self.storage,
            direction=self.space.objective.direction,
            pruner=_pruner(self.space.pruner),
            load_if_exists=True,
        )

    def agree(self, fingerprint: Mapping[str, str]) -> None:
        """Make sure that all workers search the same: the first one's fingerprint (names → SHA-256) holds.

        Raises:
            InputError: this worker's differs.
        """
        for name, digest in fingerprint.items():
            known = self.study.user_attrs.get(name)
            if known is None:
                self.study.set_user_attr(name, digest)
            elif known != digest:
                raise InputError(
                    f"--study {self.name}: began with another {name}; take that one, or a new study's name"
                )
        if "started" not in self.study.user_attrs:
            self.study.set_user_attr("started", datetime.now(UTC).isoformat())

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False)

    def counted(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials that the budget counts: not those of killed workers, nor those that were one too many."""
        return [trial for trial in trials if not trial.user_attrs.get(KILLED) and not trial.user_attrs.get(SURPLUS)]

    def any_through(self) -> bool:
        """Whether a trainer has ever done what it was asked for, to the end or until it was given up."""
        return any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in self.trials())

    def finished(self) -> bool:
        """Whether as many trials have ended as were asked for."""
        ended = [trial for trial in self.counted(self.trials()) if trial.state.is_finished()]
        return len(ended) >= self.space.budget.n_trials

    def next_trial(self) -> optuna.Trial | None:
        """Begin a trial, a queued one first; None when as many as were asked for have begun.

        Several workers may take the last one at a time: by their numbers, one keeps it.
        """
        waiting = any(trial.state == TrialState.WAITING for trial in self.trials())
        if not waiting and len(self.counted(self.trials())) >= self.space.budget.n_trials:
            return None
        trial = self.study.ask()
        trial.set_user_attr(WORKER, this_process().model_dump())
        self.beat(trial)
        before = [other for other in self.counted(self.trials()) if other.number < trial.number]
        if len(before) >= self.space.budget.n_trials:
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        # Seeded by its number: what is proposed does not depend on which worker asks, and no two ask the same.
        self.study.sampler = _sampler(self.space.sampler, trial.number)
        return trial

    def suggest(self, trial: optuna.Trial) -> dict[str, float]:
        """Return the trial's value of each dotted key of the search space."""
        return {
            name: trial.suggest_float(name, spec.low, spec.high, log=spec.dist == "loguniform")
            for name, spec in self.space.search_space.items()
        }

    def beat(self, trial: optuna.Trial) -> None:
        """Say that the trial is being worked on."""
        trial.set_user_attr(BEAT, int(trial.user_attrs.get(BEAT, 0)) + 1)
        self._beat_due = time.monotonic() + self.space.retry.heartbeat_seconds

    def beat_when_due(self, trial: optuna.Trial) -> None:
        """Beat if the last beat is long enough ago, and look after the other workers' trials."""
        if time.monotonic() >= self._beat_due:
            self.beat(trial)
            self.reap()
            self.save_summary()

    def tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> bool:
        """End a trial; False when somebody took this worker for dead meanwhile and gave it up."""
        try:
            self.study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
        except (ValueError, UpdateFinishedTrialError):
            return False
        return True

    def give_back(self, trial: optuna.Trial) -> None:
        """Queue a trial again that this worker cannot finish: it was interrupted."""
        self._requeue(self.study.trials[trial.number], count=False)

    def reap(self) -> list[int]:
        """Give up trials whose worker is gone, and queue them again.

        A worker of this machine is looked for; another's is gone when its trial did not beat for the grace time. Beats
        are counted and timed by whoever looks, so that the machines' clocks need not agree.

        Returns:
            the numbers of the trials that were given up.
        """
        reaped = []
        for trial in self.trials():
            if trial.state != TrialState.RUNNING or WORKER not in trial.user_attrs:
                continue
            worker = Process(**trial.user_attrs[WORKER])
            alive = is_alive(worker)
            if alive is None:
                beat, seen = self._beats.get(trial.number, (-1, 0.0))
                if trial.user_attrs.get(BEAT) != beat:
                    self._beats[trial.number] = (trial.user_attrs.get(BEAT, 0), time.monotonic())
                    continue
                alive = time.monotonic() - seen < self.space.retry.grace_seconds
            if not alive:
                _stop_orphan(trial)
                if self._requeue(trial, count=True):
                    log.warning("trial %d: its worker %s is gone", trial.number, _worker_name(worker))
                    reaped.append(trial.number)
        return reaped

    def _requeue(self, trial: FrozenTrial, count: bool) -> bool:
        """End a trial as failed and queue its parameters; False if somebody else was faster."""
        retries = int(trial.user_attrs.get("retries", 0)) + count
        if retries <= self.space.retry.times:
            # Said before it is ended: if we die between the two, the budget has room for another one.
            optuna.Trial(self.study, trial._trial_id).set_user_attr(KILLED, True)
        try:
            self.study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):
            return False
        if retries <= self.space.retry.times:
            first = trial.user_attrs.get(RETRY_OF, trial.number)
            self.study.enqueue_trial(dict(trial.params), user_attrs={RETRY_OF: first, "retries": retries})
        return True

    def summary(self) -> Trials:
        """Return what the storage holds."""
        started = self.study.user_attrs.get("started", datetime.now(UTC).isoformat())
        return Trials.build(
            study=self.name,
            objective=self.space.objective.name,
            direction=self.space.objective.direction,
            storage=self.storage_name,
            n_trials=self.space.budget.n_trials,
            started=datetime.fromisoformat(started),
            updated=datetime.now(UTC),
            deadline=datetime.fromtimestamp(self.deadline, UTC),
            trials=[_record(trial) for trial in self.trials() if not trial.user_attrs.get(SURPLUS)],
        )

    def save_summary(self) -> None:
        """Write trials.yaml."""
        with contextlib.suppress(StorageInternalError):
            documents.save(self.summary(), self.folder / "trials.yaml")

    def best(self) -> FrozenTrial:
        """Return the winner.

        Raises:
            JobError: no trial ended with a value.
        """
        try:
            return self.study.best_trial
        except ValueError as error:
            raise JobError(f"{self.name}: no trial came to an end; {self.folder}/trials says why") from error


def _record(trial: FrozenTrial) -> TrialRecord:
    step = trial.last_step
    started, ended = trial.datetime_start, trial.datetime_complete
    worker = trial.user_attrs.get(WORKER)
    seconds = None
    if started:
        seconds = ((ended or datetime.now(started.tzinfo)) - started).total_seconds()
    last = trial.intermediate_values[step] if step is not None else None
    return TrialRecord(
        number=trial.number,
        state="retried" if trial.user_attrs.get(KILLED) else _STATES[trial.state],
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params=dict(trial.params or trial.system_attrs.get("fixed_params", {})),  # queued ones have theirs there
        last_step=step,
        last_value=last if last is not None and np.isfinite(last) else None,
        seconds=seconds,
        worker=_worker_name(Process(**worker)) if worker else None,
        retry_of=trial.user_attrs.get(RETRY_OF),
        run=trial.user_attrs.get(RUN),
        reason=trial.user_attrs.get(REASON),
    )


def _worker_name(worker: Process) -> str:
    return f"{worker.host}:{worker.pid}"


def _stop_orphan(trial: FrozenTrial) -> None:
    """End the trainer that a dead worker of this machine left behind."""
    data: Any = trial.user_attrs.get(TRAINER)
    if data and is_alive(Process(**data)):
        with contextlib.suppress(psutil.Error):
            psutil.Process(data["pid"]).terminate()


def _sampler(settings: Sampler, number: int) -> optuna.samplers.BaseSampler:
    seed = int(np.random.SeedSequence([settings.seed & 0xFFFFFFFF, number]).generate_state(1)[0])
    if settings.type == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # The constant liar takes running trials for bad ones, so that workers do not try the same spot at a time.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _pruner(settings: Pruner) -> optuna.pruners.BasePruner:
    if settings.type == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=settings.warmup_steps)
