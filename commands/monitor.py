"""Watch runs in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airbrush_cli import app as root

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush monitor
  airbrush monitor training --once
  airbrush monitor training --check || mail -s 'airbrush needs you' me
  airbrush monitor --play training/runs/train-20260131-220000 --epoch 40 --speed 50
  airbrush monitor --play training/runs/train-20260131-220000 --save growing.gif

Live, ↑ and ↓ choose a run and q quits. Exit status of --check: 0 all is well, 1 there are alerts."""


@app.command(cls=root.Command, epilog=_EPILOG)
def monitor(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where runs are written: an output folder, a study or one run.")
    ] = Path("training"),
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print it once, as a YAML document.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Print alerts; status 1 if there are any.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time between looks.")] = 1.0,
    play: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Play a run's painting stroke by stroke, instead of watching.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(min=0, help="With --play: which epoch; else the newest.")] = None,
    first: Annotated[int | None, typer.Option("--from", min=1, metavar="N", help="With --play: first stroke.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, metavar="N", help="With --play: last stroke.")] = None,
    speed: Annotated[float, typer.Option(min=0.1, metavar="N", help="With --play: strokes a second.")] = 20.0,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --play: write a .png or a .gif instead.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Write a run's report.html anew, instead of watching.")
    ] = None,
) -> None:
    """Watch runs in the terminal.

    Shows the runs of a folder and how they learn, the searches and their trials, the newest painting beside its target,
    and what needs attention. It only reads what lies on the disk: it can be started, stopped, and run many times over.
    Off a terminal it prints a line whenever a run goes on.
    """
    from airbrush_cli import console
    from airbrush_cli.errors import InputError

    if play is None and any(value is not None for value in (epoch, first, last, save)):
        raise InputError("--epoch, --from, --to and --save belong to --play RUN")
    if play is not None:
        from airbrush_cli.monitor.play import play as play_run

        if (written := play_run(play, epoch, first, last, speed, save)) is not None:
            console.current().result(written)
    elif report is not None:
        from airbrush_cli.learning.report import write

        console.current().result(write(report))
    else:
        from airbrush_cli.monitor.command import watch

        raise typer.Exit(watch(folder, once, yaml, check, interval))
