"""Gathering: from folders to plain data. Nothing is asked of the runs; what they left on the disk is read.

<out>/runs/<run>/                               runs
<out>/studies/<study>/trials.yaml               searches
<out>/studies/<study>/trials/<number>/runs/     the runs of their trials
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from airbrush_cli import documents
from airbrush_cli.errors import InputError
from airbrush_cli.learning.rows import MetricsReader, Row, read_events
from airbrush_cli.learning.run import EVENTS, METRICS, RECORD, is_alive, read_record
from airbrush_cli.monitor.alerts import Alert, machine_alerts, quiet_seconds, run_alerts, stall_seconds
from airbrush_cli.monitor.machine import Machine, Probe, Usage
from airbrush_cli.monitor.store import TrackedRun, store_path, tracked
from airbrush_cli.schemas.run import EpochState, Event, RunRecord
from airbrush_cli.schemas.search import Trials

log = logging.getLogger(__name__)

State = Literal["running", "stalled", "died", "done", "failed", "interrupted"]
TRIALS = "trials.yaml"
# Rows over which the pace is measured.
_PACE_ROWS = 20


@dataclass(frozen=True)
class Epoch:
    """The newest pictures of a run."""

    folder: Path
    state: EpochState


@dataclass(frozen=True)
class RunView:
    """A run as it is now."""

    folder: Path
    name: str
    record: RunRecord
    state: State
    rows: Sequence[Row]
    events: Sequence[Event]
    alerts: tuple[Alert, ...]
    usage: Usage | None
    epoch: Epoch | None

    @property
    def step(self) -> int:
        """The last step that is known of."""
        return max(self.record.progress.step, int(self.rows[-1]["step"]) if self.rows else 0)

    @property
    def is_active(self) -> bool:
        """Whether more is to come."""
        return self.state in ("running", "stalled")

    @property
    def fraction(self) -> float | None:
        """How much of it is done, 0 to 1, if its length is known."""
        total = self.record.progress.total_steps
        return min(1.0, self.step / total) if total else None

    @property
    def steps_per_second(self) -> float | None:
        """Its pace over the last rows."""
        recent = [row for row in self.rows[-_PACE_ROWS:] if "time" in row]
        if len(recent) >= 2 and recent[-1]["time"] > recent[0]["time"]:
            return max(0.0, (recent[-1]["step"] - recent[0]["step"]) / (recent[-1]["time"] - recent[0]["time"]))
        return self.last("steps_per_second")

    @property
    def seconds_left(self) -> float | None:
        """How long it still takes at this pace; None for one that is not running or whose length is unknown."""
        total, pace = self.record.progress.total_steps, self.steps_per_second
        if not self.is_active or not total or not pace:
            return None
        return max(0.0, (total - self.step) / pace)

    def series(self, name: str) -> list[float]:
        """The values of a figure, oldest first, rows without it left out."""
        return [row[name] for row in self.rows if name in row]

    def last(self, name: str) -> float | None:
        """The newest value of a figure that is a number."""
        for row in reversed(self.rows):
            if name in row and math.isfinite(row[name]):
                return row[name]
        return None


@dataclass(frozen=True)
class StudyView:
    """A search as it is now."""

    folder: Path
    trials: Trials

    @property
    def running(self) -> bool:
        """Whether any of its trials is."""
        return any(trial.state == "running" for trial in self.trials.trials)


@dataclass(frozen=True)
class Snapshot:
    """Everything, at one moment."""

    folder: Path
    time: datetime
    machine: Machine
    runs: tuple[RunView, ...]  # running ones first, then the newest
    studies: tuple[StudyView, ...]
    elsewhere: tuple[TrackedRun, ...] = ()  # in the MLflow store, their folders not here; running ones alone

    @property
    def alerts(self) -> list[Alert]:
        """All that people should look at."""
        return [*machine_alerts(self.machine), *(alert for run in self.runs for alert in run.alerts)]


@dataclass
class Watcher:
    """Looks at a folder again and again, and reads only what is new.

    Args:
        folder: an output folder, a study's folder, or one run's.
    """

    folder: Path
    probe: Probe = field(default_factory=Probe)
    _readers: dict[Path, MetricsReader] = field(default_factory=dict)
    _tracked: set[str] = field(default_factory=set)  # MLflow's numbers of the runs whose folders are here

    def look(self) -> Snapshot:
        """Gather everything.

        Raises:
            InputError: the folder is not there.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; name the one that runs write into (--out)")
        now = datetime.now(UTC)
        runs = []
        for name, folder in find_runs(self.folder):
            # Trials that ended, or that a killed worker left, are told of by their study.
            of_trial = "trials" in folder.parts[len(self.folder.parts) :]
            view = self._run(name, folder, now, only_active=of_trial)
            if view and (view.is_active or not of_trial):
                runs.append(view)
        runs.sort(key=lambda run: run.record.created, reverse=True)
        runs.sort(key=lambda run: run.state not in ("running", "stalled", "died"))
        machine = self.probe.machine(self.folder)
        return Snapshot(self.folder, now, machine, tuple(runs), tuple(self._studies()), self._elsewhere())

    def _elsewhere(self) -> tuple[TrackedRun, ...]:
        path = store_path(self.folder)
        found = tracked(path, self._tracked) if path else []
        return tuple(run for run in found if run.status == "RUNNING")

    def _run(self, name: str, folder: Path, now: datetime, only_active: bool) -> RunView | None:
        try:
            record = read_record(folder)
        except InputError as error:
            log.debug("%s", error)
            return None
        if record.tracking:
            self._tracked.add(record.tracking.run_id)
        if only_active and record.state != "running":
            return None
        rows = self._readers.setdefault(folder, MetricsReader(folder / METRICS)).read()
        events = read_events(folder / EVENTS)
        alive = is_alive(record.process)
        state: State = record.state
        if state == "running":
            if alive is False:
                state = "died"
            elif quiet_seconds(record, rows, now) > stall_seconds(rows):
                state = "stalled"
        return RunView(
            folder=folder,
            name=name,
            record=record,
            state=state,
            rows=rows,
            events=events,
            alerts=tuple(run_alerts(name, record, rows, events, alive, now)),
            usage=self.probe.usage(record.process.pid) if alive and record.state == "running" else None,
            epoch=_newest_epoch(folder),
        )

    def _studies(self) -> Iterator[StudyView]:
        for path in [self.folder / TRIALS, *sorted(self.folder.glob(f"studies/*/{TRIALS}"))]:
            if path.is_file():
                try:
                    yield StudyView(path.parent, documents.load(path, Trials))
                except InputError as error:
                    log.debug("%s", error)


def find_runs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and folder of each run: of an output folder, of a study, or the one that the folder itself is."""
    if (folder / RECORD).is_file():
        yield folder.name, folder
        return
    for path in folder.glob(f"runs/*/{RECORD}"):
        yield path.parent.name, path.parent
    for path in folder.glob(f"trials/*/runs/*/{RECORD}"):
        yield f"trial {path.parts[-4].lstrip('0') or '0'}", path.parent
    for path in folder.glob(f"studies/*/trials/*/runs/*/{RECORD}"):
        yield f"{path.parts[-6]} {path.parts[-4].lstrip('0') or '0'}", path.parent


def _newest_epoch(folder: Path) -> Epoch | None:
    latest = folder / "monitor" / "latest"
    try:
        return Epoch(latest.resolve(), documents.load(latest / "state.yaml", EpochState))
    except InputError:
        return None
