"""Check G-code as the controller will read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airbrush_cli import app as root

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush gcode dryrun jobs/photo
  airbrush gcode dryrun jobs/*/ --render replays
  airbrush gcode dryrun plot.nc --settings controller.txt --yaml
  some-program | airbrush gcode dryrun -

Exit status: 0 clean, 1 a line is refused or a limit violated, 2 not readable."""


@app.command(cls=root.Command, epilog=_EPILOG)
def dryrun(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Job manifests or G-code; else their paths on standard input."),
    ] = None,
    machine: Annotated[Path | None, root.settings_option("Machine profile.")] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the controller's $$ prints, in place of the profile's.")
    ] = None,
    render: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write the picture that the G-code paints: a .png, or a folder for many."),
    ] = None,
    physics: Annotated[Path | None, root.settings_option("The twin's settings that jobs were painted with.")] = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="One YAML document per file on standard output.")] = False,
) -> None:
    """Check G-code as the controller will read it.

    Tells for each file whether GRBL 1.1f takes every line, how long it runs, what is drawn, and whether it stays inside
    the machine's limits. Clean jobs are passed on: their paths are printed. `-` reads G-code from standard input.
    """
    from airbrush_cli import streams
    from airbrush_cli.errors import InputError
    from airbrush_cli.gcode.command import DryRun

    if render and render.suffix.lower() == ".png" and files and len(files) > 1:
        raise InputError(f"--render {render}: one picture for {len(files)} inputs; name a folder")
    work = DryRun(machine, settings, yaml, render, physics)
    items = files if files and str(files[0]) == "-" else streams.paths(files)
    raise typer.Exit(streams.run(items, work))
