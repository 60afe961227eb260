"""Turn measurements of a printed sheet into look-up tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from airbrush_cli import app as root

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush calibrate build-luts calibration/manual_calibration_results.yaml
  airbrush calibrate build-luts calibration --scan colours.png --scan spots.png
  airbrush calibrate use $(airbrush calibrate build-luts --scan colours.jpg --scan spots.jpg)"""


@app.command(cls=root.Command, epilog=_EPILOG)
def build_luts(
    source: Annotated[
        Path,
        typer.Argument(metavar="[SOURCE]", help="Filled-in form, or, with --scan, manifest or folder of the sheets."),
    ] = Path("calibration"),
    scan: Annotated[
        list[Path] | None, typer.Option(metavar="PICTURE", help="Scan of a sheet; once for each sheet.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the tables; else luts beside the form."),
    ] = None,
    layering: Annotated[
        Literal["auto", "alpha_over", "multiply"], typer.Option(help="Layering model; auto takes the one that fits.")
    ] = "auto",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Do without patches that are not measured.")
    ] = False,
    scanner: Annotated[Path | None, root.settings_option("How scans are read, in place of the default.")] = None,
) -> None:
    """Turn measurements of a printed sheet into look-up tables.

    Takes a form filled in by hand, or scans, whose measurements are written as such a form first. Prints the folder of
    the tables, with pictures of them, and says how well they predict the paper and which layering model fits.
    """
    from airbrush_cli.calibration import command

    model = None if layering == "auto" else layering
    command.build_luts(source, scan or [], scanner, out, model, skip_missing)
