"""Write test sheets to print and measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airbrush_cli import app as root

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush calibrate gen
  airbrush calibrate gen --machine my_machine.yaml --out calibration_red_nozzle
  airbrush calibrate gen --set colour_grid.steps='[0, 0.5, 1]'"""


@app.command(cls=root.Command, epilog=_EPILOG)
def gen(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the sheets.")] = Path(
        "calibration"
    ),
    machine: Annotated[Path | None, root.settings_option("Machine profile.")] = None,
    layout: Annotated[Path | None, root.settings_option("What to print, in place of the default.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override the layout.")
    ] = None,
) -> None:
    """Write test sheets to print and measure.

    Each sheet gets G-code for the pen and for the colours, and a picture of what to expect. The manifest names them;
    the form beside it takes measurements by hand. Print, let dry, scan, then `airbrush calibrate build-luts`.
    """
    from airbrush_cli.calibration.command import generate

    generate(out, machine, layout, override or [])
