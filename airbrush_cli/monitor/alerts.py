"""What people should look at: rules over what a run wrote, and over the machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Literal

from airbrush_cli.learning.rows import Row
from airbrush_cli.monitor.machine import Machine
from airbrush_cli.schemas.run import Event, RunRecord

Kind = Literal["died", "failed", "stalled", "nan", "entropy_collapse", "kl", "error", "disk", "memory"]

# A run is stalled when nothing came for so many of its usual pauses, and for so many seconds at least.
STALLED_PAUSES, STALLED_SECONDS = 10.0, 120.0
# A failure is news for a day.
FAILED_HOURS = 24.0
DISK_SHARE, DISK_BYTES = 0.05, 2_000_000_000
MEMORY_SHARE = 0.04
_RECENT_ROWS = 5


@dataclass(frozen=True)
class Alert:
    """One line that should not be missed."""

    kind: Kind
    where: str  # the run's name, or the machine
    message: str


def run_alerts(
    name: str, record: RunRecord, rows: Sequence[Row], events: Sequence[Event], alive: bool | None, now: datetime
) -> list[Alert]:
    """Return what is wrong with a run.

    Args:
        name: how the run is called in alerts.
        record: run.yaml.
        rows, events: all of them, oldest first.
        alive: whether its process lives; None when that cannot be known from here.
        now: the time.
    """
    if record.state == "failed":
        if now - record.progress.updated > timedelta(hours=FAILED_HOURS):
            return []
        reason = next((event.message for event in reversed(events) if event.is_trouble), "no reason was left")
        return [Alert("failed", name, reason)]
    if record.state != "running":
        return []
    found = []
    if alive is False:
        found.append(Alert("died", name, f"process {record.process.pid} is gone; --resume goes on"))
    elif (quiet := quiet_seconds(record, rows, now)) > stall_seconds(rows):
        found.append(Alert("stalled", name, f"nothing new for {int(quiet / 60)} min"))
    bad = sorted(
        key
        for key in (rows[-1] if rows else {})
        if any(not math.isfinite(row.get(key, 0)) for row in rows[-_RECENT_ROWS:])
    )
    if bad:
        found.append(Alert("nan", name, f"{', '.join(bad)}: not a number"))
    troubles = _open_troubles(events)
    found += [Alert(_KINDS[event.kind], name, event.message) for event in troubles if not (bad and event.kind == "nan")]
    return found


_KINDS: dict[str, Kind] = {"nan": "nan", "kl": "kl", "entropy_collapse": "entropy_collapse", "error": "error"}


def _open_troubles(events: Sequence[Event]) -> list[Event]:
    """The newest trouble of each kind since the run last began anew."""
    found: dict[str, Event] = {}
    for event in events:
        if event.kind in ("restart", "resume"):
            found.clear()
        elif event.is_trouble:
            found[event.kind] = event
    return list(found.values())


def quiet_seconds(record: RunRecord, rows: Sequence[Row], now: datetime) -> float:
    """Seconds since the run last said anything."""
    last = max(record.progress.updated.timestamp(), rows[-1].get("time", 0.0) if rows else 0.0)
    return now.timestamp() - last


def stall_seconds(rows: Sequence[Row]) -> float:
    """Seconds of silence after which a run is stalled, from its usual pace."""
    times = [row["time"] for row in rows[-50:] if "time" in row]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    return max(STALLED_SECONDS, STALLED_PAUSES * median(pauses)) if pauses else 10 * STALLED_SECONDS


def machine_alerts(machine: Machine) -> list[Alert]:
    """Return what is wrong with the machine."""
    found = []
    free = machine.disk_free / max(machine.disk_total, 1)
    if free < DISK_SHARE or machine.disk_free < DISK_BYTES:
        found.append(Alert("disk", "disk", f"nearly full: {machine.disk_free / 1e9:.1f} GB left ({free:.0%})"))
    left = 1 - machine.memory_used / max(machine.memory_total, 1)
    if left < MEMORY_SHARE:
        found.append(Alert("memory", "memory", f"nearly full: {left:.0%} left"))
    return found
