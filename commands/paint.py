"""Plan the strokes of jobs, and write pictures and G-code."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from airbrush_cli import app as root
from airbrush_cli.schemas.paint import Effort, PaintSettings

if TYPE_CHECKING:
    from airbrush_cli.painter.painting import Options

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush preprocess photo.png | airbrush paint
  airbrush paint jobs/photo --time 20 --preview
  airbrush paint jobs/*/*_manifest.yaml --effort best --frames frames"""


@app.command(cls=root.Command, epilog=_EPILOG)
def paint(
    manifests: Annotated[
        list[Path] | None, typer.Argument(metavar="[JOB]...", help="Job manifests or folders; else on standard input.")
    ] = None,
    strokes: Annotated[int | None, typer.Option(help="At most so many strokes, 1 to 1500.")] = None,
    effort: Annotated[Effort | None, typer.Option(help="How long to plan: always the same strokes.")] = None,
    time: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="How long a job may take, instead of an effort.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all randomness.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A trained strategist (best.pt) in place of the built-in."),
    ] = None,
    strategist: Annotated[
        bool, typer.Option("--strategist/--no-strategist", help="Whether strokes start where the picture wants them.")
    ] = True,
    technician: Annotated[
        bool, typer.Option("--technician/--no-technician", help="Whether strokes are refined or stay as proposed.")
    ] = True,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")] = "auto",
    gcode: Annotated[bool, typer.Option("--gcode/--no-gcode", help="Write G-code too.")] = True,
    machine: Annotated[Path | None, root.settings_option("Machine profile; else that of the job's G-code.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show the painting growing in the terminal.")] = False,
    frames: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the painting as it grows: DIR/JOB/0025.png …")
    ] = None,
    frames_every: Annotated[int, typer.Option(min=1, metavar="K", help="Strokes between frames.")] = 25,
    config: Annotated[Path | None, root.settings_option("Settings in place of the shipped paint.yaml.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many jobs at a time.")] = 1,
) -> None:
    """Plan the strokes of jobs, and write pictures and G-code.

    Each job gets strokes.yaml, painting_cmy.png (the colours), painting.png (with the pen's lines), heatmap.png (where
    paint lies), G-code for both passes, and its figures in the manifest, whose path is printed. Ctrl-C keeps the best
    so far.
    """
    from airbrush_cli import config as configs
    from airbrush_cli import streams
    from airbrush_cli.gcode.profile import Profile
    from airbrush_cli.painter.painting import Options

    given = {"strokes": strokes, "effort": effort, "seed": seed}
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = configs.load("paint", PaintSettings, config, [*(overrides or []), *flags])
    options = Options(
        config_path=config or configs.shipped("paint"),
        seconds=time,
        device=device,
        gcode=gcode,
        machine=Profile.load(machine) if machine else None,
        frames=frames,
        frames_every=frames_every,
        policy=policy,
        strategist=strategist,
        technician=technician,
    )
    work = partial(_work, settings=settings, options=options, preview=preview, live=jobs == 1)
    raise typer.Exit(streams.run(streams.paths(manifests), work, jobs))


def _work(manifest: Path, settings: PaintSettings, options: Options, preview: bool, live: bool) -> Path:
    from airbrush_cli.painter.command import paint_and_tell

    return paint_and_tell(manifest, settings, options, preview, live)
