"""One trial: its settings, its trainer in a process of its own, and the validation pictures that it is judged on."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna

from airbrush_cli import config, documents, files
from airbrush_cli.errors import AirbrushError, ExitStatus, InputError, JobError
from airbrush_cli.job import JobFolder
from airbrush_cli.learning.rows import MetricsReader, Row
from airbrush_cli.learning.run import METRICS, RECORD, process_of
from airbrush_cli.learning.study import REASON, RUN, TRAINER, Study
from airbrush_cli.schemas.training import SearchSpace, Train

log = logging.getLogger(__name__)

# A trainer that is asked to end does so after its epoch; asked again, at once. Seconds to wait after each.
_GRACE_SECONDS = (5.0, 60.0)
# Paths in train.yaml, which are relative to the file that they stand in.
_PATHS = ("env_config", "sim_config")


def train_command(settings: Path, out: Path) -> list[str]:
    """Return the command line of the trainer."""
    return [sys.executable, "-m", "airbrush_cli.app", "train", "ppo", "--config", str(settings), "--out", str(out)]


def paint_command(policy: Path, space: SearchSpace, jobs: Sequence[Path]) -> list[str]:
    """Return the command line that paints jobs with a trained strategist, as the search space says."""
    validation = space.validation
    strokes = min(validation.stroke_cap, space.constraints.max_strokes)
    options = ["--policy", str(policy), "--strokes", str(strokes), "--effort", validation.effort, "--no-gcode", "-q"]
    options += [] if validation.technician else ["--no-technician"]
    return [sys.executable, "-m", "airbrush_cli.app", "paint", *options, *map(str, jobs)]


@dataclass(frozen=True)
class Commands:
    """The programs that a trial runs. Tests put others in their place."""

    train: Callable[[Path, Path], list[str]] = train_command
    paint: Callable[[Path, SearchSpace, Sequence[Path]], list[str]] = paint_command
    extra: tuple[str, ...] = ()  # more arguments for the trainer


class Stopped(Exception):
    """The worker has to end: it was interrupted, or its time is up."""


@dataclass
class TrialRun:
    """Runs one trial.

    Args:
        trial: what Optuna proposed.
        params: its values by dotted keys.
        study: the study it belongs to.
        train: settings that the values are put into, as plain data.
        jobs: manifests of the validation pictures; none to be judged by the trainer's own validation.
        commands: what to run.
        stop: asked between looks whether to end.
        poll_seconds: between looks at the trainer.
    """

    trial: optuna.Trial
    params: Mapping[str, float]
    study: Study
    train: Mapping[str, Any]
    jobs: Sequence[Path]
    commands: Commands
    stop: Callable[[], bool]
    poll_seconds: float = 1.0
    figures: dict[str, float] = field(default_factory=dict)  # by name, for whoever logs the trial

    @property
    def folder(self) -> Path:
        """Where the trial's files are."""
        return self.study.folder / "trials" / f"{self.trial.number:04d}"

    def run(self) -> float:
        """Train, paint and return the objective.

        Raises:
            optuna.TrialPruned: given up by the pruner.
            Stopped: the worker has to end.
            InputError: the trainer takes its settings or its pictures for wrong.
            JobError: the trainer or the painting failed.
        """
        # Of a killed worker with the same number nothing is left: a trial's number is given once.
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "train.yaml"
        files.write_text(settings, documents.dump(patched(self.train, self.params)))
        rows = self._train(settings)
        finals = self._paint() if self.jobs else _own_validation(rows)
        self.figures.update(finals)
        value = objective(self.study.space, finals)
        if not math.isfinite(value):
            raise JobError(f"trial {self.trial.number}: its {self.study.space.objective.name} is not a number")
        return value

    def _train(self, settings: Path) -> list[Row]:
        command = [*self.commands.train(settings, self.folder), *self.commands.extra]
        reported = 0
        reader: MetricsReader | None = None
        with self._process(command, "trainer.log") as process:
            while True:
                code = process.poll()
                if reader is None and (run := self._run_folder()):
                    self.trial.set_user_attr(RUN, str(run.relative_to(self.study.folder)))
                    reader = MetricsReader(run / METRICS)
                rows = reader.read() if reader else []
                reported = self._report(rows, reported)
                if code is not None:
                    break
                self._wait()
        if code:
            kind = InputError if code == ExitStatus.BAD_INPUT else JobError
            raise kind(f"trial {self.trial.number}: {self._last_words('trainer.log')} (status {code})")
        if reader is None:
            raise JobError(f"trial {self.trial.number}: the trainer left no run in {self.folder}")
        return rows

    def _report(self, rows: Sequence[Row], reported: int) -> int:
        """Tell Optuna of validations that are new, and ask whether to go on. Returns how many it knows of."""
        values = [value for row in rows if (value := intermediate(self.study.space, row)) is not None]
        for step in range(reported, len(values)):
            if math.isfinite(values[step]):
                self.trial.report(values[step], step + 1)
                if self.trial.should_prune():
                    raise optuna.TrialPruned
        if len(values) > reported:
            self.study.save_summary()
        return len(values)

    def _paint(self) -> dict[str, float]:
        """Paint the validation pictures, and return `lpips/<picture>` and `psnr/<picture>` of each."""
        run = self._run_folder()
        assert run is not None, "training looked for it"
        copies = []
        for manifest in self.jobs:
            copy = self.folder / "validation" / manifest.parent.name
            if not copy.exists():
                shutil.copytree(manifest.parent, copy)
            copies.append(copy / manifest.name)
        command = self.commands.paint(policy_file(run), self.study.space, copies)
        with self._process(command, "paint.log") as process:
            while (code := process.poll()) is None:
                self._wait()
        if code:
            raise JobError(f"trial {self.trial.number}: {self._last_words('paint.log')} (status {code})")
        figures = {}
        for manifest in copies:
            metrics = JobFolder.open(manifest).job.metrics
            if metrics is None or metrics.colour.lpips is None or metrics.colour.psnr is None:
                raise JobError(f"{manifest}: was painted without LPIPS; `make weights` fetches what it needs")
            figures[f"lpips/{manifest.parent.name}"] = metrics.colour.lpips
            figures[f"psnr/{manifest.parent.name}"] = metrics.colour.psnr
        return figures

    def _wait(self) -> None:
        """Let some time pass; beat; end when the worker has to."""
        if self.stop():
            raise Stopped
        time.sleep(self.poll_seconds)
        self.study.beat_when_due(self.trial)

    @contextlib.contextmanager
    def _process(self, command: Sequence[str], log_name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program in a session of its own, so that Ctrl-C comes to us alone; it never outlives the block."""
        store = {"MLFLOW_TRACKING_URI": uri} if (uri := self.study.tracking_uri) else {}
        with (self.folder / log_name).open("ab") as stream:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                    env={**os.environ, **store},
                )
            except OSError as error:
                raise JobError(f"{command[0]}: cannot run: {error.strerror}") from error
            who = process_of(process.pid)
            self.trial.set_user_attr(TRAINER, who.model_dump() if who else None)
            try:
                yield process
            finally:
                _end(process)

    def _run_folder(self) -> Path | None:
        found = sorted(self.folder.glob(f"runs/*/{RECORD}"))
        return found[-1].parent if found else None

    def _last_words(self, log_name: str) -> str:
        lines = (self.folder / log_name).read_text(errors="replace").strip().splitlines()
        words = lines[-1][:200] if lines else f"ended without a word, see {self.folder / log_name}"
        self.trial.set_user_attr(REASON, words)
        return words


def _end(process: subprocess.Popen[bytes]) -> None:
    for seconds in _GRACE_SECONDS:
        if process.poll() is not None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    if process.poll() is None:
        process.kill()
        process.wait()


def policy_file(run: Path) -> Path:
    """Return the weights of a run's best strategist.

    Raises:
        JobError: the trainer kept none.
    """
    for name in ("best.pt", "last.pt"):
        if (path := run / "checkpoints" / name).is_file():
            return path
    raise JobError(f"{run / 'checkpoints'}: the trainer kept no weights")


def patched(train: Mapping[str, Any], params: Mapping[str, float]) -> dict[str, Any]:
    """Return settings with values at dotted keys replaced."""
    result = documents.parse(documents.dump(dict(train)), "train")
    for key, value in params.items():
        *parents, last = key.split(".")
        node = result
        for step in parents:
            node = node.setdefault(step, {})
        node[last] = value
    return result


def resolved(settings: Train, path: Path) -> dict[str, Any]:
    """Return complete settings as plain data, their paths absolute: they will lie in another folder than `path`."""
    data = settings.model_dump(mode="json", exclude_none=True)
    for name in _PATHS:
        data[name] = str(config.beside(path, data[name]).resolve())
    return data


def check_keys(space: SearchSpace, train: Mapping[str, Any]) -> None:
    """Make sure that both ends of every range are settings that a trainer takes.

    Raises:
        InputError: a key of the search space is no number of train.yaml, or a value is out of its bounds.
    """
    for end in ("low", "high"):
        params = {name: getattr(spec, end) for name, spec in space.search_space.items()}
        for name, value in params.items():
            try:
                documents.validate(patched(train, {name: value}), Train, f"search_space.{name}")
            except AirbrushError as error:
                raise InputError(str(error)) from error


def intermediate(space: SearchSpace, row: Row) -> float | None:
    """Return a row's validation figure with the objective's sign; None for a row without one."""
    name: Literal["val_psnr", "val_lpips"] = "val_psnr" if "psnr" in space.objective.name else "val_lpips"
    if name not in row:
        return None
    return -row[name] if "neg" in space.objective.name else float(row[name])


def objective(space: SearchSpace, finals: Mapping[str, float]) -> float:
    """Return the objective's value from final figures named `lpips/<picture>` and `psnr/<picture>`."""
    kind = "psnr/" if "psnr" in space.objective.name else "lpips/"
    values = [value for name, value in finals.items() if name.startswith(kind)]
    mean = math.fsum(values) / len(values) if values else math.nan
    return -mean if "neg" in space.objective.name else mean


def _own_validation(rows: Sequence[Row]) -> dict[str, float]:
    """The best validation of the trainer: what its best checkpoint has."""
    found = [row for row in rows if math.isfinite(row.get("val_lpips", math.nan))]
    if not found:
        return {}
    best = min(found, key=lambda row: row["val_lpips"])
    return {
        "lpips/own": float(best["val_lpips"]),
        **({"psnr/own": float(best["val_psnr"])} if "val_psnr" in best else {}),
    }
