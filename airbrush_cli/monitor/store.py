"""MLflow's SQLite store, read without MLflow: runs that are logged there, and whose folders lie elsewhere."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

STORE = "mlflow.db"
_RUNS = """
SELECT r.run_uuid, r.name, r.status, r.start_time, e.name FROM runs r JOIN experiments e USING (experiment_id)
WHERE r.lifecycle_stage = 'active' ORDER BY r.start_time DESC LIMIT 200
"""
_METRICS = "SELECT key, value FROM latest_metrics WHERE run_uuid = ? AND NOT is_nan"


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow knows it."""

    run_id: str
    name: str
    experiment: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    started: float  # seconds since 1970
    metrics: dict[str, float] = field(default_factory=dict)


def store_path(folder: Path) -> Path | None:
    """Return the SQLite store of an output folder; None when there is none, or runs are logged to a server."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    path = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else folder / STORE
    return path if path.is_file() and (not uri or uri.startswith("sqlite:///")) else None


def tracked(path: Path, known: Collection[str]) -> list[TrackedRun]:
    """Return the newest runs of a store, those of `known` numbers left out. A store that cannot be read has none."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as store:
            rows = [row for row in store.execute(_RUNS) if row[0] not in known]
            return [
                TrackedRun(
                    run_id=run_id,
                    name=str(name or run_id[:8]),
                    experiment=experiment,
                    status=status,
                    started=(started or 0) / 1000,
                    metrics={key: value for key, value in store.execute(_METRICS, (run_id,)) if math.isfinite(value)},
                )
                for run_id, name, status, started, experiment in rows
            ]
    except sqlite3.Error as error:
        log.debug("%s: %s", path, error)
        return []
