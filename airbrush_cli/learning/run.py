"""Run folders: what a run writes while it goes on, and how others read it meanwhile.

    <out>/runs/<run>/
        run.yaml            run.v1: what it is, which process writes it, how far it is
        config/*.yaml       complete settings as they were resolved
        luts/               the look-up tables that it paints with
        metrics.yaml        a row per update, appended: `- {step: 2048, time: 1700000000.0, reward_mean: 0.013}`
        events.yaml         what happened, appended
        checkpoints/        the trainer's
        monitor/epoch_000010/{target.png, canvas.png, heatmap.png, strokes.yaml, state.yaml}
        monitor/latest      a link to the newest epoch

Everything but the two lists is whole or absent. A list grows by whole lines; a process that dies in mid-line leaves a
line without its end, which readers pass over and the next writer cuts off.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import math
import os
import platform
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import BaseModel

from airbrush_cli import __version__, documents, files
from airbrush_cli.errors import InputError, JobError, is_interrupt
from airbrush_cli.learning import rows
from airbrush_cli.schemas import stroke
from airbrush_cli.schemas.luts import LutsDocument
from airbrush_cli.schemas.run import EpochState, Event, EventKind, Finished, Process, Progress, RunRecord, Tracking

log = logging.getLogger(__name__)

RECORD, METRICS, EVENTS = "run.yaml", "metrics.yaml", "events.yaml"

# run.yaml says how far the run is; synced to the disk, it need not say so more often than people look.
_RECORD_SECONDS = 1.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_VERSIONS = ("torch", "numpy", "numba", "gymnasium", "stable-baselines3", "optuna", "lpips")


class Sink(Protocol):
    """Something else that wants to know what a run logs. It must not raise: a run does not end for its sinks."""

    def log(self, row: rows.Row) -> None:
        """Take a row of metrics.yaml."""

    def event(self, event: Event) -> None:
        """Take an event."""

    def epoch(self, folder: Path, state: EpochState) -> None:
        """Take the folder of an epoch, which is whole by now."""

    def finish(self, record: RunRecord) -> None:
        """Take the finished record."""


class Run:
    """A run being written. As a context manager it is finished as done, failed or interrupted, as the block ends.

    Use `create` or `open`.
    """

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record
        self.sinks: list[Sink] = []
        self._saved = 0.0

    @classmethod
    def create(
        cls,
        out: Path,
        kind: str,
        *,
        prefix: str | None = None,
        configs: Mapping[str, BaseModel] | None = None,
        luts: Path | None = None,
        total_steps: int | None = None,
        seeds: Mapping[str, int] | None = None,
        determinism: Mapping[str, bool | int | str] | None = None,
        hashes: Mapping[str, str] | None = None,
        parameters: Mapping[str, int | float | bool | str] | None = None,
        command: Sequence[str] | None = None,
    ) -> Run:
        """Make `<out>/runs/<prefix>-<time>/`, a folder that nothing lay in before.

        Args:
            out: the output folder.
            kind: `ppo`, `dqn`, ...: what is trained.
            prefix: of the folder's name, in place of the kind.
            configs: complete settings by name; config/<name>.yaml keeps each, and `hashes` its SHA-256.
            luts: metadata.yaml of the look-up tables; they are copied, so that epochs can be played back anywhere. Put
                `Luts.sha256` into `hashes` as `luts`.
            total_steps: how many steps there will be, if that is known.
            seeds, determinism, hashes, parameters: for run.yaml; PYTHONHASHSEED is added to the seeds.
            command: the command line, if not this process's.

        Raises:
            JobError: the folder cannot be written to.
        """
        now = datetime.now(UTC)
        folder = _new_folder(out / "runs", f"{prefix or kind}-{now:%Y%m%d-%H%M%S}")
        found_hashes = dict(hashes or {})
        for name, settings in (configs or {}).items():
            path = folder / "config" / f"{name}.yaml"
            files.write_text(path, documents.dump(settings.model_dump(mode="json", exclude_none=True)))
            found_hashes[f"config/{name}"] = files.sha256_file(path)
        if luts:
            _keep_luts(luts, folder / "luts")
        record: RunRecord = RunRecord.build(
            name=folder.name,
            kind=kind,
            state="running",
            command=list(command if command is not None else sys.argv),
            created=now,
            process=this_process(),
            progress=Progress(total_steps=total_steps, updated=now),
            versions=_versions(),
            seeds={"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "random"), **(seeds or {})},
            determinism=dict(determinism or {}),
            hashes=found_hashes,
            parameters=dict(parameters or {}),
        )
        run = cls(folder, record)
        for name in (METRICS, EVENTS):
            (folder / name).touch()
        run._save()
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Go on with a run that ended, or whose process died. Lines torn by its death are cut off.

        Raises:
            InputError: not a run, or its process still lives.
        """
        record = read_record(folder)
        if record.state == "running" and is_alive(record.process) and record.process != this_process():
            raise InputError(f"{folder}: is still running, as process {record.process.pid}")
        for name in (METRICS, EVENTS):
            rows.cut_torn_line(folder / name)
        for rest in (folder / "monitor").glob(".epoch_*"):
            shutil.rmtree(rest, ignore_errors=True)
        run = cls(folder, record)
        run._update(state="running", process=this_process(), figures={})
        return run

    @property
    def checkpoints(self) -> Path:
        """The folder of the trainer's checkpoints; made when it is asked for."""
        folder = self.folder / "checkpoints"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def step(self) -> int:
        """The last step logged."""
        return self.record.progress.step

    def log(self, step: int, **metrics: float) -> None:
        """Append a row. Values are numbers; NaN and infinities are kept, for they are news.

        Names that watchers know are in `schemas.run.METRICS`; `time` is added.
        """
        for name in metrics:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name}: a metric's name has letters, digits, _, /, . and -")
        row: rows.Row = {"step": int(step), "time": round(time.time(), 3)}
        row.update({name: _plain(value) for name, value in metrics.items()})
        rows.append(self.folder / METRICS, rows.format_row(row))
        self._progress(step=int(step))
        for sink in self.sinks:
            sink.log(row)

    def event(self, kind: EventKind, step: int, message: str) -> None:
        """Append an event to events.yaml, and log it for people."""
        event = Event(time=datetime.now(UTC), step=step, kind=kind, message=" ".join(message.split()))
        rows.append(self.folder / EVENTS, rows.format_event(event))
        log.log(logging.WARNING if event.is_trouble else logging.INFO, "step %d: %s: %s", step, kind, event.message)
        for sink in self.sinks:
            sink.event(event)

    def epoch(
        self,
        number: int,
        *,
        target: NDArray[np.uint8],
        canvas: NDArray[np.uint8],
        strokes: NDArray[np.float64],
        heatmap: NDArray[np.uint8] | None = None,
        picture: str | None = None,
        **figures: float,
    ) -> Path:
        """Write monitor/epoch_<number>/ and point monitor/latest to it.

        Args:
            number: of the epoch; an epoch that is there already is replaced.
            target, canvas: (H, W, 3) sRGB pictures.
            strokes: (N, 15) that the canvas was painted with, in order.
            heatmap: (H, W, 3) sRGB, where paint lies.
            picture: the target's name, for people.
            figures: of the canvas: lpips, psnr, reward ...

        Returns:
            the epoch's folder.
        """
        from airbrush_cli import pictures

        monitor = self.folder / "monitor"
        final = monitor / f"epoch_{number:06d}"
        state: EpochState = EpochState.build(
            epoch=number,
            step=self.step,
            strokes=len(strokes),
            time=datetime.now(UTC),
            figures={name: float(value) for name, value in figures.items() if math.isfinite(value)},
            picture=picture,
        )
        ids = [f"s{index:04d}" for index in range(1, len(strokes) + 1)]
        source = stroke.StrokeMetadata(luts_sha256=self.record.hashes.get("luts"))
        with _replacing_folder(final) as folder:
            pictures.write_png(folder / "target.png", target)
            pictures.write_png(folder / "canvas.png", canvas)
            if heatmap is not None:
                pictures.write_png(folder / "heatmap.png", heatmap)
            files.write_text(folder / "strokes.yaml", stroke.to_yaml(strokes, ids, source))
            documents.save(state, folder / "state.yaml")
        _link(monitor / "latest", final.name)
        for sink in self.sinks:
            sink.epoch(final, state)
        return final

    def rewind(self, step: int) -> None:
        """Forget rows after `step`: a checkpoint of that step is gone on from. Events stay: they happened."""
        path = self.folder / METRICS
        rows.cut_torn_line(path)
        kept = [rows.format_row(row) for row in rows.read_metrics(path) if row["step"] <= step]
        files.write_text(path, "".join(kept))
        self._progress(step=step, save=True)

    def set_tracking(self, tracking: Tracking) -> None:
        """Remember where else the run is logged."""
        self._update(tracking=tracking)

    def set_total(self, total_steps: int) -> None:
        """Say how many steps there will be."""
        self._progress(total_steps=total_steps, save=True)

    def finish(self, state: Finished = "done", **figures: float) -> None:
        """Write the last record.

        Args:
            state: how it ended.
            figures: how good it was in the end; those that are not finite are left out.
        """
        finite = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
        progress = self.record.progress.model_copy(update={"updated": datetime.now(UTC)})
        self._update(state=state, figures={**self.record.figures, **finite}, progress=progress)
        for sink in self.sinks:
            sink.finish(self.record)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.record.state != "running":
            return
        if error is None:
            self.finish("done")
        elif is_interrupt(error) or isinstance(error, SystemExit):
            self.finish("interrupted")
        else:
            self.event("error", self.step, f"{type(error).__name__}: {error}")
            self.finish("failed")

    def _progress(self, save: bool = False, **fields: Any) -> None:
        progress = self.record.progress.model_copy(update={**fields, "updated": datetime.now(UTC)})
        self.record = self.record.model_copy(update={"progress": progress})
        if save or time.monotonic() - self._saved >= _RECORD_SECONDS:
            self._save()

    def _update(self, **fields: Any) -> None:
        self.record = self.record.model_copy(update=fields)
        self._save()

    def _save(self) -> None:
        documents.save(self.record, self.folder / RECORD)
        self._saved = time.monotonic()


def this_process() -> Process:
    """Return who we are."""
    process = psutil.Process()
    started = round(process.create_time(), 2)
    return Process(host=socket.gethostname(), machine=_machine(), pid=process.pid, started=started)


def process_of(pid: int) -> Process | None:
    """Return who another process of this machine is; None when it is gone."""
    try:
        started = round(psutil.Process(pid).create_time(), 2)
    except psutil.Error:
        return None
    return Process(host=socket.gethostname(), machine=_machine(), pid=pid, started=started)


def is_alive(process: Process) -> bool | None:
    """Return whether a process lives; None for one on another machine, where we cannot look."""
    if process.machine != _machine():
        return None
    try:
        found = psutil.Process(process.pid)
        # Numbers are used again. Two decimals of a clock that may have been set meanwhile: a second of patience.
        return abs(found.create_time() - process.started) < 1.0 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@functools.cache
def _machine() -> str:
    """Digest of what process numbers of this machine, or of this container, have in common."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_record(folder: Path) -> RunRecord:
    """Load run.yaml.

    Raises:
        InputError: not there, or not a run's record.
    """
    if not (folder / RECORD).is_file():
        raise InputError(
            f"{folder}: cannot read {RECORD}: not a run; name the folder of one, such as training/runs/NAME"
        )
    return documents.load(folder / RECORD, RunRecord)


def epochs(folder: Path) -> list[int]:
    """Return the numbers of a run's epochs, in order."""
    return sorted(
        int(path.name.removeprefix("epoch_"))
        for path in (folder / "monitor").glob("epoch_*")
        if path.name.removeprefix("epoch_").isdecimal()
    )


def epoch_folder(folder: Path, number: int) -> Path:
    """Return the folder of an epoch."""
    return folder / "monitor" / f"epoch_{number:06d}"


def _plain(value: Any) -> int | float:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return float(value)


def _new_folder(parent: Path, name: str) -> Path:
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise JobError(f"{folder}: cannot make the folder: {error.strerror or error}") from error
        return folder
    raise AssertionError("numbers do not end")


def _keep_luts(metadata_path: Path, folder: Path) -> None:
    document = documents.load(metadata_path, LutsDocument)
    names = [part.values_path for part in (document.color_lut, document.alpha_lut, document.psf_lut)]
    folder.mkdir()
    for name in names:
        shutil.copyfile(metadata_path.parent / name, folder / Path(name).name)
    shutil.copyfile(metadata_path, folder / "metadata.yaml")


def _versions() -> dict[str, str]:
    found = {"airbrush": __version__, "python": platform.python_version()}
    for name in _VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@contextlib.contextmanager
def _replacing_folder(final: Path) -> Iterator[Path]:
    """Yield a folder under another name, which takes its own once it is whole."""
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if final.exists():
            final.rename(temporary.with_name(f"{temporary.name}.old"))
        temporary.rename(final)
    except OSError as error:
        raise JobError(f"{final}: cannot write: {error.strerror or error}") from error
    finally:
        for rest in (temporary, temporary.with_name(f"{temporary.name}.old")):
            shutil.rmtree(rest, ignore_errors=True)


def _link(path: Path, to: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(to)
    temporary.replace(path)
