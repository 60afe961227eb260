"""G-code of a job: both passes written into its folder, and named in its manifest."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import __version__, documents, files
from airbrush_cli.errors import InputError
from airbrush_cli.gcode import writer
from airbrush_cli.gcode.order import for_travel, trip
from airbrush_cli.gcode.profile import Profile
from airbrush_cli.gcode.tables import luts_of
from airbrush_cli.job import JobFolder
from airbrush_cli.schemas.job import Order, Provenance
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.schemas.stroke import StrokesDocument
from airbrush_cli.twin.profile import CUT2
from airbrush_cli.twin.strokes import CHORDS, expand

log = logging.getLogger(__name__)

PROFILE_COPY = "machine.yaml"


def write_job(
    folder: JobFolder,
    profile: Profile | None = None,
    *,
    out: Path | None = None,
    order: Order = "keep",
    resume_from: str | None = None,
    physics: Path | None = None,
) -> JobFolder:
    """Write `<job>_cmy.gcode` and `<job>_pen.gcode`, as far as the job has strokes and the machine can do it.

    Args:
        folder: the job; its manifest is updated, not yet saved.
        profile: of the machine; that of the job's G-code, or the default one, if None.
        out: a folder to write to in place of the job's; the manifest then stays as it is.
        order: keep the planned order, or cut travel where the picture allows it.
        resume_from: id of the stroke to restart a stopped job from.
        physics: the twin's settings that the strokes were planned with, if they were not the shipped ones. What
            overlaps, and so must keep its order, depends on them.

    Returns:
        the job, its manifest naming the files. A profile that is none of the shipped ones is copied into the job.

    Raises:
        InputError: the strokes, the pen layer or the profile cannot be used, or there are no strokes to restart from.
        JobError: a stroke leaves the machine's work area, or a file cannot be written.
    """
    profile = profile or Profile.of(folder)
    machine, texts = profile.machine, profile.texts()
    name = folder.job.job
    target = out or folder.folder
    made_by = [f"airbrush {__version__}", f"job {name}", f"machine {profile.name}"]
    # What this machine cannot do, another may have been named for.
    artifacts: dict[str, str | None] = {"cmy_gcode_out": None, "pen_gcode_out": None}
    strokes = next((part.strokes_path for part in folder.job.passes if part.strokes_path), None)
    if resume_from and (strokes is None or texts.air_on is None):
        raise InputError(f"{folder.manifest}: has no strokes that the machine {profile.name} could go on with")
    if strokes and texts.air_on is not None:
        path = folder.path(strokes)
        document = documents.load(path, StrokesDocument)
        header = [*made_by, f"strokes {files.sha256_file(path)}"]
        array, ids = document.to_array(), document.ids
        if order == "travel":
            chosen = _ordered(array, machine, document, path, physics)
            array, ids = array[chosen], [ids[index] for index in chosen]
        text = writer.write_strokes(array, ids, machine, header, macros=texts, resume_from=resume_from)
        files.write_text(target / f"{name}_cmy.gcode", text)
        artifacts["cmy_gcode_out"] = f"{name}_cmy.gcode"
    elif texts.air_on is not None and not _pen_only(folder):
        log.warning("%s: has no strokes yet, so no G-code for colours; `airbrush paint` plans them", folder.manifest)
    if texts.pen_down is not None and resume_from is None:
        path = folder.path(folder.job.inputs.pen_layer_path)
        header = [*made_by, f"pen {files.sha256_file(path)}"]
        vectors = documents.load(path, PenVectors)
        text = writer.write_pen(vectors, machine, header, macros=texts, order=order)
        files.write_text(target / f"{name}_pen.gcode", text)
        artifacts["pen_gcode_out"] = f"{name}_pen.gcode"
    if out:
        return folder
    artifacts["machine_profile_out"] = None
    if not profile.is_shipped():
        files.write_bytes(folder.path(PROFILE_COPY), profile.data)
        artifacts["machine_profile_out"] = PROFILE_COPY
    made = Provenance(
        airbrush=__version__, machine_sha256=hashlib.sha256(profile.data).hexdigest(), options={"order": order}
    )
    return folder.update(
        machine_profile=profile.name,
        artifacts=folder.job.artifacts.model_copy(update=artifacts),
        provenance={**folder.job.provenance, "gcode": made},
    )


def _pen_only(folder: JobFolder) -> bool:
    prepared = folder.job.provenance.get("preprocess")
    return prepared is not None and prepared.options.get("pen_only") is True


def _ordered(
    strokes: NDArray[np.float64], machine: Machine, document: StrokesDocument, path: Path, physics: Path | None
) -> NDArray[np.int64]:
    """Return an order with less travel, and tell what it saves. Paint reaches as far as the twin's spots do."""
    luts = luts_of(document.metadata.luts_sha256, physics, str(path))
    sigma = expand(strokes, luts).nodes[:, 2].reshape(-1, CHORDS + 1)
    chosen = for_travel(strokes, np.sqrt(CUT2) * sigma.max(axis=1, initial=0.0), machine)
    before, after = trip(strokes, machine), trip(strokes, machine, chosen)
    log.info(
        "travel between strokes %.1f m, before %.1f m; purges %d, before %d",
        after.travel_mm / 1000,
        before.travel_mm / 1000,
        after.purges,
        before.purges,
    )
    return chosen
