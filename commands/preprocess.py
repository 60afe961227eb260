"""Turn pictures into jobs: a colour target and a pen layer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airbrush_cli import app as root
from airbrush_cli.schemas.preprocess import Fill, Fit, PenMode, PreprocessConfig, Rotate, Trace

if TYPE_CHECKING:
    from airbrush_cli.imaging.prepare import Picture

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush preprocess photo.jpg | airbrush paint
  find photos -name '*.jpg' | airbrush preprocess --fit cover --out jobs
  airbrush preprocess drawing.png --pen-only | airbrush gcode gen"""


@app.command(cls=root.Command, epilog=_EPILOG)
def preprocess(
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE]...", help="Pictures; else paths on standard input.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where job folders are made.")] = Path("jobs"),
    fit: Annotated[Fit | None, typer.Option(help="How a picture is put on the page.")] = None,
    rotate: Annotated[Rotate | None, typer.Option(help="Turn a picture so that the paper is used.")] = None,
    pen_mode: Annotated[PenMode | None, typer.Option(help="How dark lines are found.")] = None,
    trace: Annotated[Trace | None, typer.Option(help="How lines become paths.")] = None,
    fill: Annotated[Fill | None, typer.Option(help="What becomes of dark areas.")] = None,
    pen_only: Annotated[bool, typer.Option("--pen-only", help="No colour: a drawing for the pen alone.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show the job in the terminal.")] = False,
    config: Annotated[Path | None, root.settings_option("Settings in place of the shipped preprocess.yaml.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many pictures at a time.")] = 1,
) -> None:
    """Turn pictures into jobs: a colour target and a pen layer.

    Reads PNG, JPEG, WebP and TIFF. Each picture becomes a folder with target.png, pen.yaml, pen.svg, pen.png and a
    manifest, whose path is printed.
    """
    from airbrush_cli import config as configs
    from airbrush_cli import streams
    from airbrush_cli.imaging.prepare import named

    given = {"fit": fit, "rotate": rotate, "pen.mode": pen_mode, "pen.trace": trace, "pen.fill": fill}
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = configs.load("preprocess", PreprocessConfig, config, [*(overrides or []), *flags])
    work = partial(_work, settings=settings, out=out, pen_only=pen_only, preview=preview)
    raise typer.Exit(streams.run(named(streams.paths(images)), work, jobs))


def _work(picture: Picture, settings: PreprocessConfig, out: Path, pen_only: bool, preview: bool) -> Path:
    from airbrush_cli import preview as terminal
    from airbrush_cli.imaging.prepare import prepare

    manifest = prepare(picture, settings, out, pen_only)
    if preview:
        terminal.show(manifest.parent / ("pen.png" if pen_only else "target.png"))
    return manifest
