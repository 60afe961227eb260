"""Point the twin at look-up tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airbrush_cli import app as root

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush calibrate use calibration/luts
  airbrush calibrate use --back
  airbrush calibrate use            # which tables are in use?"""


@app.command(cls=root.Command, epilog=_EPILOG)
def use(
    tables: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Folder that build-luts wrote.")] = None,
    back: Annotated[bool, typer.Option("--back", help="Return to the tables that were in use before.")] = False,
) -> None:
    """Point the twin at look-up tables.

    The tables are copied beside a physics config of your own, in $XDG_CONFIG_HOME/airbrush/sim (by default
    ~/.config/airbrush/sim), that every command reads from then on in place of the shipped one. Its path is printed.
    Older tables stay.
    """
    from airbrush_cli.calibration.command import use_tables

    use_tables(tables, back)
