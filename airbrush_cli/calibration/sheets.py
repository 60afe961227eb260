"""The files of the calibration sheets: G-code, pictures, a manifest, and a form to fill in."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from airbrush_cli import __version__, colour, documents, files, units
from airbrush_cli.calibration import form, lettering
from airbrush_cli.calibration.layout import TICK_MM, plan, strokes_of
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.gcode import dryrun, writer
from airbrush_cli.gcode.profile import Profile
from airbrush_cli.gcode.replay import replay
from airbrush_cli.schemas.calibration import CalibrationLayout, CalibrationManifest, Sheet
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.twin.luts import Luts

log = logging.getLogger(__name__)

MANIFEST = "calibration_manifest.yaml"
FORM = "manual_calibration_results.yaml"
# Of the pictures, pixels per mm: 254 dpi.
PIXELS_PER_MM = 10


@dataclass(frozen=True)
class Written:
    """What was written, for people."""

    manifest: Path
    sheets: list[Sheet]
    seconds: dict[str, float]  # time on the machine by file


def write_sheets(layout: CalibrationLayout, profile: Profile, luts: Luts, out: Path) -> Written:
    """Lay the sheets out and write everything that printing and measuring them needs.

    Args:
        layout: what to print.
        profile: of the machine.
        luts: the present tables, for the spacing and the expected pictures.
        out: folder; a form that somebody has filled in is not overwritten.

    Raises:
        InputError: the layout does not work out, or the profile cannot be used.
        JobError: the dry run finds something wrong, or a file cannot be written.
    """
    form_path = out / FORM
    if form_path.is_file() and form.is_filled(documents.read(form_path)):
        raise InputError(f"{form_path}: holds measurements already; write other sheets to another folder (--out)")
    machine, texts = profile.machine, profile.texts()
    if texts.air_on is None:
        raise InputError(f"machine {profile.name}: has no macro air_on, so it cannot spray the sheets")
    sheets = plan(layout, machine, luts)
    seconds = {}
    for sheet in sheets:
        header = [
            f"airbrush {__version__}",
            f"calibration sheet {sheet.name}, code {sheet.code}",
            f"machine {profile.name}",
        ]
        strokes, ids = strokes_of(sheet)
        pen = writer.write_pen(pen_layer(sheet, layout), machine, header, macros=texts)
        cmy = writer.write_strokes(strokes, ids, machine, header, macros=texts)
        picture = None
        for name, text in ((sheet.cmy_gcode, cmy), (sheet.pen_gcode, pen)):
            data = text.encode()
            report = dryrun.check(data, machine, file=name)
            if not report.ok:
                first = (report.errors + report.violations)[0]
                raise JobError(f"{out / name}:{first['line']}: not fit for the machine: {first['message']}")
            seconds[name] = report.seconds
            files.write_bytes(out / name, data)
            size = (round(units.A4_MM[0] * PIXELS_PER_MM), round(units.A4_MM[1] * PIXELS_PER_MM))
            picture = replay(data, machine, luts, size, pen_width_mm=layout.pen_width_mm, canvas=picture)
        assert picture is not None, "two files were replayed"
        _write_picture(out / sheet.picture, colour.linear_to_srgb8(picture))
    manifest = CalibrationManifest.build(
        made_by=f"airbrush {__version__}",
        machine_profile=profile.name,
        page_mm={"x": units.A4_MM[0], "y": units.A4_MM[1]},
        pen_width_mm=layout.pen_width_mm,
        fiducials=layout.fiducials,
        measurements=FORM,
        sheets=sheets,
    )
    files.write_text(form_path, form.empty(manifest))
    documents.save(manifest, out / MANIFEST)
    return Written(out / MANIFEST, sheets, seconds)


def pen_layer(sheet: Sheet, layout: CalibrationLayout) -> PenVectors:
    """Return what the pen draws: corner marks, title, labels, and a tick under each place to measure."""
    fiducials, height, pen = layout.fiducials, layout.label_mm, layout.pen_width_mm
    paths: list[lettering.Path] = []
    for corner, centre in enumerate(fiducials.centres_mm):
        paths += lettering.mark_paths(4 * sheet.code + corner, centre, fiducials.size_mm, pen)
    title = f"AIRBRUSH {sheet.name.upper()} {sheet.code}"
    middle = (units.A4_MM[0] - lettering.text_width(title, 1.5 * height)) / 2
    paths += lettering.text_paths(title, middle, fiducials.centres_mm[0][1] - 0.75 * height, 1.5 * height)
    for patch in sheet.patches:
        left, top, right, bottom = patch.box_mm
        # Above the band's left end, as far as the box allows.
        last = right - pen / 2 - lettering.text_width(patch.label, height)
        start = max(min(patch.bands[0].x_mm[0], last), left + pen / 2)
        paths += lettering.text_paths(patch.label, start, top + pen / 2, height)
        for low, high in patch.measured_mm:
            x = round((low + high) / 2, 3)
            paths.append([(x, round(bottom - TICK_MM + pen / 2, 3)), (x, round(bottom - pen / 2, 3))])
    page = {"x": units.A4_MM[0], "y": units.A4_MM[1]}
    return PenVectors.build(page_mm=page, pen_width_mm=pen, paths=[{"points": path} for path in paths])


def _write_picture(path: Path, srgb: np.ndarray) -> None:
    """Write a PNG that prints at true size."""
    with files.replacing(path) as temporary:
        Image.fromarray(srgb).save(temporary, dpi=(PIXELS_PER_MM * 25.4, PIXELS_PER_MM * 25.4))
