"""MLflow as one more reader of what runs write. Training waits for it never, and does without it where it is absent.

The store is SQLite in the output folder, artefacts beside it, unless MLFLOW_TRACKING_URI names another: no server is
needed, and `mlflow ui --backend-store-uri sqlite:///out/mlflow.db` shows it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbrush_cli.learning.rows import Row
from airbrush_cli.learning.run import Run
from airbrush_cli.schemas.run import EpochState, Event, RunRecord, Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_BATCH_SECONDS = 5.0
# What MLflow takes in one request, and in one value.
_BATCH_METRICS, _VALUE_LENGTH = 1000, 500
_FINISH_SECONDS = 60.0
_FAILURES = 3
_STATUS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "running": "RUNNING"}


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def store_uri(out: Path) -> str | None:
    """Return where to log: MLFLOW_TRACKING_URI, else SQLite in the output folder; None without MLflow."""
    if importlib.util.find_spec("mlflow") is None:
        return None
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out.absolute() / 'mlflow.db'}"


def make_store(uri: str | None) -> None:
    """Make the tables of a new SQLite store now: two processes that make them at a time get in each other's way."""
    if uri is not None and uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        try:
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            _client(uri).search_experiments(max_results=1)
        except Exception as error:  # whatever MLflow or its store raises
            log.warning("MLflow: %s", _first_line(error))


def attach(run: Run, out: Path, experiment: str, tags: Mapping[str, str] | None = None) -> bool:
    """Log a run to MLflow from here on, its parameters, versions, seeds and hashes at once.

    A run that was logged before goes on in its MLflow run.

    Args:
        run: the run, made or opened.
        out: the output folder.
        experiment: MLflow's name for what belongs together.
        tags: more tags.

    Returns:
        whether it is logged; False without MLflow, or when its store cannot be reached.
    """
    uri = store_uri(out)
    if uri is None:
        log.info("MLflow is not installed: metrics are in %s alone", run.folder)
        return False
    make_store(uri)
    try:
        client = _client(uri)
        known = run.record.tracking
        if known is not None and known.uri == uri:
            run_id = known.run_id
            client.update_run(run_id, status="RUNNING")
        else:
            found = client.create_run(_experiment(client, uri, experiment), run_name=run.record.name)
            run_id = found.info.run_id
            _describe(client, run_id, run.record, tags or {})
            run.set_tracking(Tracking(uri=uri, experiment=experiment, run_id=run_id))
    except Exception as error:
        log.warning("MLflow: %s: metrics are in %s alone", _first_line(error), run.folder)
        return False
    run.sinks.append(MlflowSink(client, run_id, run.folder))
    return True


def log_once(
    uri: str | None,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    figures: Mapping[str, float],
    curve: Mapping[int, float],
    tags: Mapping[str, str],
    artifacts: Sequence[Path],
) -> None:
    """Log something that has ended, as one MLflow run. Trouble is logged and swallowed.

    Args:
        uri: the store; None to do nothing.
        experiment, name: MLflow's names for the collection and the run.
        params: parameters.
        figures: final figures.
        curve: intermediate values of the objective by step.
        tags: tags.
        artifacts: files to keep; a picture of a job keeps its job's name.
    """
    if uri is None:
        return
    from mlflow.entities import Metric, Param

    try:
        client = _client(uri)
        run_id = client.create_run(_experiment(client, uri, experiment), run_name=name, tags=dict(tags)).info.run_id
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, 0) for key, value in figures.items()]
        metrics += [Metric("intermediate", value, now, step) for step, value in curve.items()]
        client.log_batch(run_id, metrics, [Param(key, str(value)) for key, value in params.items()])
        for path in artifacts:
            if path.is_file():
                client.log_artifact(
                    run_id, str(path), f"paintings/{path.parent.name}" if path.suffix == ".png" else None
                )
        client.set_terminated(run_id)
    except Exception as error:
        log.warning("MLflow: %s", _first_line(error))


class MlflowSink:
    """Hands rows over to a thread, which sends them in batches. Trouble with MLflow ends the logging, not the run."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path) -> None:
        self._client, self._run_id, self._folder = client, run_id, folder
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=10_000)
        self._failures = 0
        self._thread = threading.Thread(target=self._send, name="mlflow", daemon=True)
        self._thread.start()

    def log(self, row: Row) -> None:
        """Take a row of metrics.yaml."""
        from mlflow.entities import Metric

        when, step = int(1000 * row.get("time", time.time())), int(row["step"])
        self._put(
            [Metric(name, float(value), when, step) for name, value in row.items() if name not in ("step", "time")]
        )

    def event(self, event: Event) -> None:
        """Count events by kind, and keep the newest's words as a tag."""
        self._put(
            lambda: self._client.set_tag(self._run_id, f"event.{event.kind}", f"step {event.step}: {event.message}")
        )

    def epoch(self, folder: Path, state: EpochState) -> None:
        """Keep the epoch's pictures and strokes as artefacts."""
        self._put(lambda: self._client.log_artifacts(self._run_id, str(folder), f"monitor/{folder.name}"))

    def finish(self, record: RunRecord) -> None:
        """Send what is left, the final figures and run.yaml, and wait a while for it."""
        when = int(time.time() * 1000)
        from mlflow.entities import Metric

        self._put(
            [Metric(f"final.{name}", value, when, record.progress.step) for name, value in record.figures.items()]
        )
        self._put(lambda: self._client.log_artifact(self._run_id, str(self._folder / "run.yaml")))
        self._put(lambda: self._client.set_terminated(self._run_id, _STATUS[record.state]))
        self._put(None)
        self._thread.join(_FINISH_SECONDS)

    def _put(self, item: Any) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._fail("it is too slow")

    def _send(self) -> None:
        metrics: list[Any] = []
        due = time.monotonic() + _BATCH_SECONDS
        while True:
            try:
                item = self._queue.get(timeout=max(0.01, due - time.monotonic()))
            except queue.Empty:
                item = []
            if isinstance(item, list):
                metrics += item
            if metrics and (not isinstance(item, list) or len(metrics) > _BATCH_METRICS or time.monotonic() >= due):
                for start in range(0, len(metrics), _BATCH_METRICS):
                    self._attempt(
                        lambda part=metrics[start : start + _BATCH_METRICS]: self._client.log_batch(self._run_id, part)
                    )
                metrics = []
            if time.monotonic() >= due:
                due = time.monotonic() + _BATCH_SECONDS
            if item is None:
                return
            if callable(item):
                self._attempt(item)

    def _attempt(self, action: Any) -> None:
        if self._failures >= _FAILURES:
            return
        try:
            action()
        except Exception as error:
            self._fail(_first_line(error))

    def _fail(self, reason: str) -> None:
        self._failures += 1
        if self._failures == _FAILURES:
            log.warning("MLflow: %s; nothing more is sent there, %s has everything", reason, self._folder)


def _client(uri: str) -> MlflowClient:
    # Nobody is told that somebody paints.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Return the number of an experiment, which is made if it is not there. SQLite's artefacts lie beside it."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = None
        if uri.startswith("sqlite:///"):
            location = (Path(uri.removeprefix("sqlite:///")).parent / "mlflow_artifacts").as_uri()
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
    assert found is not None
    return found.experiment_id


def _describe(client: MlflowClient, run_id: str, record: RunRecord, tags: Mapping[str, str]) -> None:
    from mlflow.entities import Param, RunTag

    params = {
        **record.parameters,
        **{f"seed.{name}": value for name, value in record.seeds.items()},
        **{f"determinism.{name}": value for name, value in record.determinism.items()},
    }
    marks = {
        "kind": record.kind,
        "command": " ".join(record.command),
        "host": record.process.host,
        **{f"version.{name}": value for name, value in record.versions.items()},
        **{f"sha256.{name}": value for name, value in record.hashes.items()},
        **tags,
    }
    client.log_batch(
        run_id,
        params=[Param(key, str(value)[:_VALUE_LENGTH]) for key, value in params.items()],
        tags=[RunTag(key, value[: 10 * _VALUE_LENGTH]) for key, value in marks.items()],
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
