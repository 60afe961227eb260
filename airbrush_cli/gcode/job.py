"""G-code of a job: both passes written into its folder, and named in its manifest."""

from __future__ import annotations

from pathlib import Path

from airbrush_cli import __version__, documents, files
from airbrush_cli.gcode import macros, writer
from airbrush_cli.job import JobFolder
from airbrush_cli.schemas.job import Order, Provenance
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.schemas.stroke import StrokesDocument


def write_job(
    folder: JobFolder,
    machine_path: Path,
    *,
    out: Path | None = None,
    order: Order = "keep",
    resume_from: str | None = None,
) -> JobFolder:
    """Write `<job>_cmy.gcode` and `<job>_pen.gcode`, as far as the job has strokes and the machine can do it.

    Args:
        folder: the job; its manifest is updated, not yet saved.
        machine_path: the machine's profile.
        out: a folder to write to in place of the job's; the manifest then stays as it is.
        order: keep the planned order, or cut travel where the picture allows it.
        resume_from: id of the stroke to restart a stopped job from.

    Returns:
        the job, its manifest naming the files.

    Raises:
        InputError: the strokes, the pen layer or the profile cannot be used.
        JobError: a stroke leaves the machine's work area, or a file cannot be written.
    """
    machine = documents.load(machine_path, Machine)
    texts = macros.load(machine, machine_path.parent)
    name = folder.job.job
    target = out or folder.folder
    profile = machine_path.stem.removeprefix("machine_")
    made_by = [f"airbrush {__version__}", f"job {name}", f"machine {profile}"]
    artifacts: dict[str, str] = {}
    strokes = next((part.strokes_path for part in folder.job.passes if part.strokes_path), None)
    if strokes and texts.air_on is not None:
        path = folder.path(strokes)
        document = documents.load(path, StrokesDocument)
        header = [*made_by, f"strokes sha256 {files.sha256_file(path)}"]
        text = writer.write_strokes(
            document.to_array(), document.ids, machine, header, macros=texts, resume_from=resume_from
        )
        files.write_text(target / f"{name}_cmy.gcode", text)
        artifacts["cmy_gcode_out"] = f"{name}_cmy.gcode"
    if texts.pen_down is not None and resume_from is None:
        path = folder.path(folder.job.inputs.pen_layer_path)
        header = [*made_by, f"pen sha256 {files.sha256_file(path)}"]
        vectors = documents.load(path, PenVectors)
        text = writer.write_pen(vectors, machine, header, macros=texts, order=order)
        files.write_text(target / f"{name}_pen.gcode", text)
        artifacts["pen_gcode_out"] = f"{name}_pen.gcode"
    if out:
        return folder
    made = Provenance(airbrush=__version__, machine_sha256=files.sha256_file(machine_path), options={"order": order})
    return folder.update(
        machine_profile=profile,
        artifacts=folder.job.artifacts.model_copy(update=artifacts),
        provenance={**folder.job.provenance, "gcode": made},
    )
