"""A snapshot as plain data for scripts, and as plain lines where there is no terminal."""

from __future__ import annotations

from typing import Any

from airbrush_cli.monitor.gather import RunView, Snapshot, StudyView
from airbrush_cli.monitor.words import duration, figure


def to_data(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as plain data: what `--yaml` prints."""
    machine = snapshot.machine
    return {
        "time": snapshot.time.isoformat(timespec="seconds"),
        "folder": str(snapshot.folder),
        "machine": {
            "cpu_percent": machine.cpu_percent,
            "memory_used_mb": machine.memory_used // 1_000_000,
            "memory_total_mb": machine.memory_total // 1_000_000,
            "disk_free_mb": machine.disk_free // 1_000_000,
            "disk_total_mb": machine.disk_total // 1_000_000,
            "gpus": [vars(gpu) for gpu in machine.gpus],
        },
        "alerts": [vars(alert) for alert in snapshot.alerts],
        "runs": [_run(run) for run in snapshot.runs],
        "studies": [_study(study) for study in snapshot.studies],
        "elsewhere": [vars(run) for run in snapshot.elsewhere],
    }


def _run(run: RunView) -> dict[str, Any]:
    usage = run.usage and {"cpu_percent": run.usage.cpu_percent, "memory_mb": run.usage.memory // 1_000_000}
    epoch = run.epoch and {
        "epoch": run.epoch.state.epoch,
        "strokes": run.epoch.state.strokes,
        "folder": str(run.epoch.folder),
        "figures": run.epoch.state.figures,
    }
    data = {
        "name": run.name,
        "folder": str(run.folder),
        "kind": run.record.kind,
        "state": run.state,
        "host": run.record.process.host,
        "pid": run.record.process.pid,
        "updated": run.record.progress.updated.isoformat(timespec="seconds"),
        "step": run.step,
        "total_steps": run.record.progress.total_steps,
        "steps_per_second": run.steps_per_second if run.is_active else None,
        "seconds_left": run.seconds_left,
        "process": usage,
        "metrics": dict(run.rows[-1]) if run.rows else {},
        "figures": dict(run.record.figures),
        "epoch": epoch,
        "tracking": run.record.tracking and run.record.tracking.model_dump(),
        "alerts": [f"{alert.kind}: {alert.message}" for alert in run.alerts],
    }
    return {key: value for key, value in data.items() if value is not None}


def _study(study: StudyView) -> dict[str, Any]:
    data = study.trials.model_dump(mode="json", exclude_none=True, exclude={"trials"})
    ranked = [trial.model_dump(mode="json", exclude_none=True) for trial in study.trials.ranked()]
    return {"folder": str(study.folder), **data, "trials": ranked}


def line(snapshot: Snapshot, run: RunView) -> str:
    """Return how a run is, in one line of a log."""
    total = run.record.progress.total_steps
    parts = [
        f"{snapshot.time.astimezone():%H:%M:%S} {run.name}: {run.state}, step {run.step}{f'/{total}' if total else ''}"
    ]
    parts += [f"{name} {figure(run.last(name))}" for name in ("reward_mean", "lpips", "val_lpips") if run.series(name)]
    if run.seconds_left is not None:
        parts.append(f"{duration(run.seconds_left)} left")
    return ", ".join(parts)
