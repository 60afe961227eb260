"""Watching as people and scripts do it: live, once, as YAML, as a check, as lines of a log."""

from __future__ import annotations

import contextlib
import io
import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import rich.console
from rich.live import Live

from airbrush_cli import console, documents
from airbrush_cli.errors import ExitStatus
from airbrush_cli.monitor import plain
from airbrush_cli.monitor.gather import Snapshot, Watcher
from airbrush_cli.monitor.screen import Room, screen

# Keys as terminals send them, and where they move the choice of a run.
_MOVES = {"j": 1, "k": -1, "\x1b[B": 1, "\x1b[A": -1, "\x1bOB": 1, "\x1bOA": -1, "\t": 1}
_QUIT = ("q", "Q")


def watch(folder: Path, once: bool, as_yaml: bool, check: bool, interval: float) -> int:
    """Show what runs in a folder and return the exit status.

    Args:
        folder: an output folder, a study's or a run's.
        once: show it and end.
        as_yaml: as a YAML document, and end.
        check: end with status 1 if there is an alert; alone, print the alerts and nothing else.
        interval: seconds between looks.

    Raises:
        InputError: no such folder.
    """
    streams = console.current()
    if isinstance(streams.stdout, io.TextIOWrapper):
        streams.stdout.reconfigure(errors="replace")  # a terminal of another encoding gets question marks, no traceback
    watcher = Watcher(folder)
    snapshot = watcher.look()
    if once or as_yaml:
        time.sleep(0.2)  # what CPUs do is told between two looks
        snapshot = watcher.look()
    if as_yaml:
        streams.stdout.write("---\n" + documents.dump(plain.to_data(snapshot)))
        streams.stdout.flush()
    elif once:
        _print_once(snapshot)
    elif check:
        for alert in snapshot.alerts:
            streams.result(f"{alert.kind}: {alert.where}: {alert.message}")
    if once or as_yaml or check:
        return ExitStatus.JOB_FAILED if check and snapshot.alerts else ExitStatus.OK
    if streams.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _live(watcher, snapshot, interval)
    else:
        _follow(watcher, snapshot, interval)
    return ExitStatus.OK


def _colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _print_once(snapshot: Snapshot) -> None:
    stdout = console.current().stdout
    size = shutil.get_terminal_size((100, 50))
    room = Room(size.columns, size.lines if stdout.isatty() else 50, _colour(stdout))
    drawer = rich.console.Console(file=stdout, width=size.columns, no_color=not room.colour, highlight=False)
    with drawer.capture() as captured:
        drawer.print(screen(snapshot, room))
    stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")
    stdout.flush()


def _live(watcher: Watcher, snapshot: Snapshot, interval: float) -> None:
    stdout = console.current().stdout
    drawer = rich.console.Console(file=stdout, no_color=not _colour(stdout), highlight=False)
    selected = 0
    due = time.monotonic() + interval
    with _keys() as keys, Live(console=drawer, screen=True, auto_refresh=False) as live:
        while True:
            room = Room(drawer.size.width, drawer.size.height, _colour(stdout))
            live.update(screen(snapshot, room, selected, keys=keys is not None), refresh=True)
            pressed = _wait(keys, max(0.0, due - time.monotonic()))
            if pressed in _QUIT:
                return
            selected = max(0, min(selected + _MOVES.get(pressed, 0), len(snapshot.runs) - 1))
            if time.monotonic() >= due:
                chosen = snapshot.runs[selected].folder if snapshot.runs else None
                snapshot = watcher.look()
                # The choice stays with its run when the order changes.
                selected = next((i for i, run in enumerate(snapshot.runs) if run.folder == chosen), 0)
                due = time.monotonic() + interval


def _follow(watcher: Watcher, snapshot: Snapshot, interval: float) -> None:
    """Print a line whenever a run goes on or changes its state: a log of what happens."""
    told: dict[Path, tuple[object, ...]] = {}
    alerted: set[object] = set()
    while True:
        for run in reversed(snapshot.runs):
            news = (run.state, run.step)
            if told.get(run.folder) != news:
                told[run.folder] = news
                console.current().result(plain.line(snapshot, run))
        for alert in snapshot.alerts:
            if alert not in alerted:
                console.current().result(f"{alert.kind}: {alert.where}: {alert.message}")
        alerted = set(snapshot.alerts)
        time.sleep(interval)
        snapshot = watcher.look()


@contextlib.contextmanager
def _keys() -> Iterator[int | None]:
    """Let keys come one by one, unseen; None where there is no keyboard."""
    try:
        import termios
        import tty

        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
    except (ImportError, OSError, ValueError):  # Windows, no terminal, a stream without a number
        yield None
        return
    except termios.error:
        yield None
        return
    try:
        tty.setcbreak(keyboard)
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _wait(keyboard: int | None, seconds: float) -> str:
    """Return the key that is pressed within some seconds, or nothing."""
    if keyboard is None:
        time.sleep(seconds)
        return ""
    ready, _, _ = select.select([keyboard], [], [], seconds)
    return os.read(keyboard, 16).decode(errors="replace") if ready else ""
