"""Write G-code for painted jobs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airbrush_cli import app as root
from airbrush_cli.schemas.job import Order

if TYPE_CHECKING:
    from airbrush_cli.gcode.profile import Profile

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush gcode gen jobs/photo
  airbrush preprocess photo.png | airbrush paint --no-gcode | airbrush gcode gen --order travel
  airbrush gcode gen jobs/photo --from-stroke s0731 --out rest"""


@app.command(cls=root.Command, epilog=_EPILOG)
def gen(
    manifests: Annotated[
        list[Path] | None, typer.Argument(metavar="[JOB]...", help="Job manifests or folders; else on standard input.")
    ] = None,
    machine: Annotated[Path | None, root.settings_option("Machine profile; else that of the job's G-code.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write there, not into the job folder.")
    ] = None,
    order: Annotated[
        Order, typer.Option(help="Keep the planned order, or cut travel where it changes nothing.")
    ] = "keep",
    physics: Annotated[Path | None, root.settings_option("The twin's settings that jobs were painted with.")] = None,
    from_stroke: Annotated[
        str | None, typer.Option(metavar="ID", help="Restart a stopped job from this stroke; needs --out.")
    ] = None,
) -> None:
    """Write G-code for painted jobs.

    Each job gets <job>_cmy.gcode and <job>_pen.gcode. The same job gives the same bytes.
    """
    from airbrush_cli import streams
    from airbrush_cli.errors import InputError
    from airbrush_cli.gcode.profile import Profile

    if from_stroke and not out:
        raise InputError("--from-stroke: needs --out, so that the whole job's G-code is not overwritten")
    profile = Profile.load(machine) if machine else None
    work = partial(_work, profile=profile, out=out, order=order, from_stroke=from_stroke, physics=physics)
    raise typer.Exit(streams.run(streams.paths(manifests), work))


def _work(
    manifest: Path,
    profile: Profile | None,
    out: Path | None,
    order: Order,
    from_stroke: str | None,
    physics: Path | None,
) -> Path:
    from airbrush_cli.gcode.job import write_job
    from airbrush_cli.job import JobFolder

    folder = write_job(
        JobFolder.open(manifest), profile, out=out, order=order, resume_from=from_stroke, physics=physics
    )
    return folder.manifest if out else folder.save()
