"""The screen: a snapshot laid out with rich for the room there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from airbrush_cli.monitor.gather import RunView, Snapshot, State, StudyView
from airbrush_cli.monitor.machine import Machine
from airbrush_cli.monitor.words import duration, figure, short, size, spark
from airbrush_cli.schemas.run import METRICS

STYLES: dict[State, str] = {
    "running": "bold green",
    "stalled": "bold yellow",
    "died": "bold red",
    "failed": "red",
    "interrupted": "yellow",
    "done": "blue",
}
_ALERT = "bold red"
_HEAD = "bold"
_FAINT = "dim"
# What a run's panel shows, the most telling first; a taller screen shows more.
_FIGURES = (
    "reward_mean",
    "lpips",
    "val_lpips",
    "policy_loss",
    "value_loss",
    "approx_kl",
    "entropy",
    "explained_variance",
    "warm_start_loss",
    "loss",
    "clip_fraction",
    "stroke_utilization",
    "learning_rate",
    "steps_per_second",
    "val_psnr",
    "technician_steps",
    "technician_convergence",
    "renderer_fallbacks",
    "gpu_memory_peak_mb",
)
_SPARK = {"higher": "green", "lower": "cyan", "": "magenta"}


@dataclass(frozen=True)
class Room:
    """How large the screen is, and what it can show."""

    columns: int
    lines: int
    colour: bool = True


def screen(snapshot: Snapshot, room: Room, selected: int = 0, keys: bool = False) -> RenderableType:
    """Lay a snapshot out.

    Args:
        snapshot: what was gathered.
        room: what there is to fill; never more is used.
        selected: which of the runs is shown in full.
        keys: whether to name the keys that the live screen listens to.
    """
    lines = room.lines - 2
    alerts = _alerts(snapshot, room, 2 if room.lines < 30 else 6)
    lines -= len(alerts)
    elsewhere = _elsewhere(snapshot, room, 1 if room.lines < 30 else 4)
    lines -= len(elsewhere)
    studies = [study for study in snapshot.studies if study.running] or list(snapshot.studies[-1:])
    parts: list[RenderableType] = []
    if studies:
        trials = 1 if room.lines < 20 else 3 if room.lines < 30 else 8
        for study in studies[: 1 if room.lines < 30 else 2]:
            parts += [_study_rule(study, room), _study(study, room, trials)]
            lines -= 2 + min(trials, len(study.trials.trials))
    if not snapshot.runs:
        nothing = "" if studies else f"Nothing runs in {snapshot.folder} yet. `airbrush train` writes there with --out."
        return Group(*_head(snapshot, room, keys), Text(nothing, style=_FAINT), *parts, *elsewhere, *alerts)
    selected = max(0, min(selected, len(snapshot.runs) - 1))
    table_rows = max(1, min(len(snapshot.runs), lines // 3 if room.lines < 30 else lines // 2 - 2))
    detail_lines = max(3, lines - table_rows - 2)
    run = snapshot.runs[selected]
    first = max(0, min(selected - table_rows // 2, len(snapshot.runs) - table_rows))
    return Group(
        *_head(snapshot, room, keys),
        _runs(snapshot.runs, first, table_rows, selected, room),
        _rule(run.name, _condition(run), room),
        _detail(run, room, min(detail_lines, 34)),
        *parts,
        *elsewhere,
        *alerts,
    )


def _head(snapshot: Snapshot, room: Room, keys: bool) -> list[RenderableType]:
    counts: dict[str, int] = {}
    for run in snapshot.runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    title = Text()
    for letters, style in (("air", "bold cyan"), ("bru", "bold magenta"), ("sh", "bold yellow")):
        title.append(letters, style)
    title.append(f"  {short(str(snapshot.folder), max(8, room.columns // 3))}  ", _FAINT)
    for state, count in counts.items():
        title.append(f" {count} {state}", STYLES[state])  # type: ignore[index]
    right = snapshot.time.astimezone().strftime("%H:%M:%S")
    if keys and room.columns >= 70:
        right = f"↑↓ run  q quit  {right}"
    return [_ends(title, Text(right, _FAINT)), _machine(snapshot.machine, room)]


def _machine(machine: Machine, room: Room) -> Text:
    def gauge(name: str, share: float, words: str) -> Text:
        width = 5 if room.columns < 120 else 10
        filled = round(max(0.0, min(1.0, share)) * width)
        style = "red" if share > 0.95 else "yellow" if share > 0.8 else "green"
        return Text.assemble(
            (f"{name} ", _FAINT), ("━" * filled, style), ("─" * (width - filled), _FAINT), f" {words}  "
        )

    line = gauge("CPU", machine.cpu_percent / 100, f"{machine.cpu_percent:.0f}%")
    used, total = machine.memory_used, machine.memory_total
    line += gauge("memory", used / total, f"{used / 1e9:.0f}/{total / 1e9:.0f} GB")
    line += gauge("disk", 1 - machine.disk_free / machine.disk_total, f"{machine.disk_free / 1e9:.0f} GB free")
    for gpu in machine.gpus:
        words = f"{gpu.percent or 0:.0f}%"
        if gpu.memory_used_mb is not None and gpu.memory_total_mb:
            words += f" {gpu.memory_used_mb / 1024:.0f}/{gpu.memory_total_mb / 1024:.0f} GB"
        if room.columns >= 120:
            words += f" {gpu.name}"
            words += f" {gpu.celsius:.0f} °C" if gpu.celsius is not None else ""
            words += f" {gpu.watts:.0f} W" if gpu.watts is not None else ""
        line += gauge(f"GPU{gpu.index}", (gpu.percent or 0) / 100, words)
    line.truncate(room.columns)
    return line


def _runs(runs: Sequence[RunView], first: int, count: int, selected: int, room: Room) -> Table:
    wide = room.columns >= 120
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style=_FAINT, show_edge=False)
    table.add_column(" run", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("state", no_wrap=True, width=11)
    for name in ("step", "done", "reward", "LPIPS"):
        table.add_column(name, justify="right", no_wrap=True, min_width=7 if name != "done" else 4)
    if wide:
        for name in ("val LPIPS", "KL", "entropy", "CPU", "memory"):
            table.add_column(name, justify="right", no_wrap=True, min_width=8)
        table.add_column("reward so far", no_wrap=True, width=24)
    table.add_column("steps/s", justify="right", no_wrap=True, min_width=7)
    table.add_column("left", justify="right", no_wrap=True, min_width=7)
    for index, run in enumerate(runs[first : first + count], first):
        mark = "▸" if index == selected and len(runs) > 1 else " "
        bang = Text(" !", _ALERT) if run.alerts else Text()
        done = "–" if run.fraction is None else f"{run.fraction:.0%}"
        cells: list[RenderableType] = [
            Text(mark + short(run.name, room.columns - 57 if not wide else 60), _HEAD if index == selected else ""),
            Text(run.state, STYLES[run.state]) + bang,
            figure(run.step),
            done,
            figure(run.last("reward_mean")),
            figure(run.last("lpips")),
        ]
        if wide:
            cells += [figure(run.last(name)) for name in ("val_lpips", "approx_kl", "entropy")]
            cells += [f"{run.usage.cpu_percent:.0f}%", size(run.usage.memory)] if run.usage else ["–", "–"]
            cells.append(Text(spark(run.series("reward_mean"), 24), "green"))
        pace = run.steps_per_second if run.is_active else None
        table.add_row(*cells, figure(pace), duration(run.seconds_left))
    return table


def _condition(run: RunView) -> Text:
    text = Text(run.state, STYLES[run.state])
    if run.fraction is not None:
        text.append(f"  {run.fraction:.0%}", "default")
    if run.seconds_left is not None:
        text.append(f"  {duration(run.seconds_left)} left", "default")
    return text


def _detail(run: RunView, room: Room, lines: int) -> Table:
    pictures = _pictures(run, room, lines)
    known = [name for name in _FIGURES if run.series(name)]
    others = sorted({name for row in run.rows[-50:] for name in row} - set(METRICS))
    names = [*known, *others][:lines]
    pictures_width = sum(max(map(len, block)) + 2 for block in pictures)
    wide = room.columns - pictures_width
    title_width = 19 if room.columns < 120 else 26
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=title_width, no_wrap=True, style=_FAINT)
    table.add_column(width=max(8, wide - title_width - 12), no_wrap=True)
    table.add_column(width=8, justify="right", no_wrap=True)
    for name in names:
        title, better = METRICS.get(name, (name, ""))
        values = run.series(name)
        newest = Text(figure(values[-1]), _ALERT if figure(values[-1]) in ("NaN", "inf", "-inf") else _HEAD)
        curve = Text(spark(values, max(8, wide - title_width - 12)), _SPARK[better])
        table.add_row(short(title, title_width), curve, newest)
    if not names:
        table.add_row("no figures yet", "", "")
    happened = _happened(run, lines - max(len(names), 1), wide - 2)
    left = Group(table, *happened) if happened else table
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(left, *(Group(*block) for block in pictures))
    return grid


def _happened(run: RunView, lines: int, width: int) -> list[Text]:
    """The newest events, where figures leave room for them."""
    if lines < 3 or not run.events:
        return []
    shown = [Text()]
    for event in run.events[-(lines - 1) :]:
        style = _ALERT if event.is_trouble else _FAINT
        text = Text.assemble((f"{event.time.astimezone():%H:%M} step {figure(event.step)} {event.kind}: ", style))
        text.append(event.message)
        text.truncate(width, overflow="ellipsis")
        shown.append(text)
    return shown


def _pictures(run: RunView, room: Room, lines: int) -> list[list[Text]]:
    """The newest canvas beside its target, each block of lines with its caption; as many pictures as fit."""
    if run.epoch is None or lines < 5 or room.columns < 60:
        return []
    from airbrush_cli import preview
    from airbrush_cli.errors import InputError
    from airbrush_cli.imaging.load import load_image

    state = run.epoch.state
    captions = {"target.png": "target", "canvas.png": f"epoch {state.epoch}", "heatmap.png": "paint"}
    if room.columns < 120:
        del captions["heatmap.png"]
    blocks = []
    for name, caption in captions.items():
        path: Path = run.epoch.folder / name
        try:
            picture = preview.half_blocks(load_image(path), room.columns // 5, lines - 1, room.colour)
        except InputError:
            continue
        block = [Text.from_ansi(line) if room.colour else Text(line) for line in picture]
        width = max(map(len, block))
        blocks.append([Text(short(caption, width).center(width), _FAINT), *block])
    return blocks


def _study_rule(study: StudyView, room: Room) -> Rule:
    trials = study.trials.trials
    complete = sum(trial.state in ("complete", "pruned") for trial in trials)
    name = f"{study.trials.study}: {study.trials.objective}"
    running = sum(trial.state == "running" for trial in trials)
    words = f"{complete} of {study.trials.n_trials} trials" + (f", {running} running" if running else "")
    return _rule(name, Text(words), room)


def _study(study: StudyView, room: Room, count: int) -> Table:
    styles = {"running": "bold green", "complete": "blue", "pruned": _FAINT, "failed": "red"}
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style=_FAINT, show_edge=False)
    params = list(dict.fromkeys(name for trial in study.trials.trials for name in trial.params))
    shown = params[: max(1, (room.columns - 44) // 10)]
    table.add_column("rank", justify="right", width=4)
    table.add_column("trial", justify="right", width=5)
    table.add_column("state", width=9)
    table.add_column("value", justify="right", width=9)
    table.add_column("time", justify="right", width=7)
    for name in shown:
        table.add_column(short(name.rpartition(".")[2], 14), justify="right", no_wrap=True, ratio=1)
    for rank, trial in enumerate(study.trials.ranked()[:count], 1):
        value = trial.value if trial.value is not None else trial.last_value
        table.add_row(
            str(rank) if trial.state == "complete" else "",
            str(trial.number),
            Text(trial.state, styles.get(trial.state, _FAINT)),
            Text(figure(value), _HEAD if rank == 1 and trial.state == "complete" else ""),
            duration(trial.seconds),
            *(figure(trial.params.get(name)) for name in shown),
        )
    return table


def _elsewhere(snapshot: Snapshot, room: Room, count: int) -> list[Text]:
    """Runs that MLflow alone knows of."""
    lines = []
    for run in snapshot.elsewhere[:count]:
        figures = [
            f"{name} {figure(run.metrics[name])}" for name in ("reward_mean", "lpips", "step") if name in run.metrics
        ]
        line = Text.assemble(
            (" MLflow: ", _FAINT), run.name, (f" ({run.experiment})", _FAINT), "  ", ", ".join(figures)
        )
        line.truncate(room.columns, overflow="ellipsis")
        lines.append(line)
    return lines


def _alerts(snapshot: Snapshot, room: Room, count: int) -> list[RenderableType]:
    alerts = snapshot.alerts
    if not alerts:
        return []
    lines: list[RenderableType] = [Rule(style="red", characters="─")]
    for alert in alerts[:count]:
        line = Text.assemble((f" {alert.kind.upper().replace('_', ' ')} ", "bold white on red"), f" {alert.where}: ")
        line.append(alert.message)
        line.truncate(room.columns, overflow="ellipsis")
        lines.append(line)
    if len(alerts) > count:
        lines[-1] = Text(f" … and {len(alerts) - count + 1} more", _ALERT)
    return lines


def _rule(left: str, right: Text, room: Room) -> Rule:
    width = room.columns - len(right.plain) - 10
    title = Text.assemble((short(left, max(8, width)), _HEAD), "  ", right)
    return Rule(title, align="left", style=_FAINT)


def _ends(left: Text, right: Text) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(left, right)
    return grid
