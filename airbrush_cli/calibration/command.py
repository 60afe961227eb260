"""Calibration as people follow it: what to do next after printing, and the verdict on the tables as a table."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from airbrush_cli import config, console, documents, files
from airbrush_cli.calibration import form, store
from airbrush_cli.calibration.sheets import FORM, MANIFEST, write_sheets
from airbrush_cli.calibration.tables import Verdict, build
from airbrush_cli.errors import InputError
from airbrush_cli.gcode.command import duration
from airbrush_cli.gcode.profile import Profile
from airbrush_cli.schemas.calibration import CalibrationLayout, CalibrationManifest, ScannerProfile
from airbrush_cli.schemas.luts import Layering
from airbrush_cli.twin.luts import configured_luts

log = logging.getLogger(__name__)

SCANNED = "scanned_calibration_results"
# CIEDE2000 of a colour patch from which on somebody should look at it.
_SUSPICIOUS = 6.0
_LISTED = 5


def generate(out: Path, machine: Path | None, layout: Path | None, overrides: Sequence[str]) -> None:
    """Write the sheets, print the manifest's path, and say what to do next."""
    plan = config.load("calibration_layout", CalibrationLayout, layout, overrides)
    profile = Profile.load(machine or config.shipped("machine_grbl_airbrush_v1"))
    written = write_sheets(plan, profile, configured_luts(), out)
    for sheet in written.sheets:
        pen, cmy = (f"{name} ({duration(written.seconds[name])})" for name in (sheet.pen_gcode, sheet.cmy_gcode))
        log.info("sheet %s: first %s, then %s; it should look like %s", sheet.name, pen, cmy, out / sheet.picture)
    scans = " ".join(f"--scan {sheet.name}.png" for sheet in written.sheets)
    log.info("Print each on a fresh page, let it dry, scan it at 300 dpi without any automatic correction, and run")
    log.info("  airbrush calibrate build-luts %s %s", out, scans)
    log.info("or measure by hand into %s and run", out / FORM)
    log.info("  airbrush calibrate build-luts %s", out / FORM)
    console.current().result(written.manifest)


def build_luts(
    source: Path,
    scans: Sequence[Path],
    profile_path: Path | None,
    out: Path | None,
    layering: Layering | None,
    skip_missing: bool,
) -> None:
    """Build tables from a form or from scans, print their folder, and say how good they are."""
    from airbrush_cli.calibration.pictures import write_pictures

    filled = source
    if scans:
        profile = config.load("scanner_profile_v1", ScannerProfile, profile_path)
        filled = read_scans(_manifest(source), scans, profile)
        log.info("%s: what the scans gave; correct it if need be, and build from it again", filled)
    else:
        filled = source / FORM if source.is_dir() else source
        if not filled.is_file():
            raise InputError(f"{filled}: not there; name the filled-in form that `airbrush calibrate gen` wrote")
    manifest, measured = form.read(filled, skip_missing)
    luts, verdict = build(measured, manifest, _today(), layering)
    folder = out or store.free_folder(filled.parent)
    if (folder / "metadata.yaml").exists():
        raise InputError(f"{folder}: holds tables already; name another folder")
    store.save(luts, folder)
    write_pictures(folder, luts, measured, verdict)
    if not console.current().settings.quiet:
        console.current().stderr.write(table(measured, verdict, luts.layering))
        console.current().stderr.flush()
    log.info("Try them with: airbrush calibrate use %s", folder)
    console.current().result(folder)


def read_scans(manifest_path: Path, scans: Sequence[Path], profile: ScannerProfile) -> Path:
    """Measure scans, write what they gave as a form of measurements beside the manifest, and return its path.

    Raises:
        InputError: a scan cannot be used, two show the same sheet, or a sheet is missing.
    """
    from airbrush_cli.calibration.rectify import Rectified, missing_sheets, rectify
    from airbrush_cli.calibration.sampling import Reading, measure

    manifest = documents.load(manifest_path, CalibrationManifest)
    rectified: list[Rectified] = []
    for path in scans:
        scan = rectify(path, manifest, profile)
        for other in rectified:
            if other.sheet.name == scan.sheet.name:
                raise InputError(f"{path}: shows the sheet {scan.sheet.name}, as {other.path} does")
        log.info("%s: sheet %s, about %.0f dpi", path, scan.sheet.name, scan.dpi)
        rectified.append(scan)
    missing = missing_sheets(manifest, rectified)
    if missing:
        raise InputError(f"{', '.join(map(str, scans))}: no scan of sheet {', '.join(missing)}; give each with --scan")
    readings: dict[str, Reading] = {}
    for scan in rectified:
        readings |= measure(scan, manifest, profile.patch_sampling)
    values = {}
    for patch in manifest.patches:
        reading = readings[patch.label]
        if patch.kind == "spot":
            values[patch.label] = {"alpha_measured": f"{reading.alpha:.4f}", "width_mm": f"{reading.width_mm:.3f}"}
        elif patch.kind == "colour":
            values[patch.label] = {"rgb_linear_measured": _list(reading.light)}
        else:
            parts = dict(zip(("base", "overlap", "top"), reading.light, strict=True))
            values[patch.label] = {f"{name}_rgb_linear_measured": _list(light) for name, light in parts.items()}
    names = ", ".join(os.fspath(scan.path.name) for scan in rectified)
    note = f"# Measured from {names}. Correct what looks wrong, then: airbrush calibrate build-luts THIS_FILE"
    path = manifest_path.parent / f"{SCANNED}.yaml"
    number = 1
    while path.exists():
        number += 1
        path = manifest_path.parent / f"{SCANNED}_{number}.yaml"
    files.write_text(path, form.text_of(manifest, values, "[1.0, 1.0, 1.0]", note))
    return path


def table(measured: form.Measured, verdict: Verdict, layering: Layering) -> str:
    """Return the verdict as lines for people."""
    colours = verdict.colour_delta_e
    width = np.abs(verdict.width_left_out / measured.width_mm - 1.0)
    rows = [
        ("", "mean", "95 %", "worst"),
        ("colour, ΔE2000", *_row(colours, "{:.2f}"), measured.colour_labels[int(np.argmax(colours))]),
        ("opacity, missing light", *_row(np.abs(verdict.alpha_left_out - measured.alpha), "{:.3f}")),
        ("spot width", *_row(100 * width, "{:.1f} %")),
    ]
    rows += [
        (f"layering {model}, ΔE2000", *_row(errors, "{:.2f}"), "recommended" if model == verdict.recommended else "")
        for model, errors in verdict.layering_delta_e.items()
    ]
    lines = ["How well each patch is predicted from all others, and overlaps from their layers:"]
    lines += [
        "  " + f"{row[0]:<30}" + "".join(f"{cell:>9}" for cell in row[1:4]) + "  " + "".join(row[4:]) for row in rows
    ]
    for index in np.argsort(-colours)[:_LISTED]:
        if colours[index] > _SUSPICIOUS:
            label = measured.colour_labels[int(index)]
            lines.append(f"  look at {label}: the others predict a colour that is ΔE {colours[index]:.1f} away")
    if verdict.sheets_agree is not None and abs(verdict.sheets_agree - 1.0) > 0.05:
        lines.append(
            f"  the spot sheet is {100 * (verdict.sheets_agree - 1):+.0f} % denser than the colour sheet where both "
            "have the same patch: same ink, paper, pressure?"
        )
    if layering != verdict.recommended:
        lines.append(f"  the tables say {layering}, as was asked for")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def use_tables(tables: Path | None, back: bool) -> None:
    """Point the twin at tables, take that back, or tell which it obeys; print the physics config in use."""
    if back and tables is not None:
        raise InputError("--back: goes back to the tables before; name none")
    physics = store.back() if back else store.use(tables) if tables is not None else store.in_use()
    path, luts = store.tables_in_use()
    made = "synthetic" if luts.metadata.synthetic else f"measured {luts.metadata.date}"
    log.info("the twin obeys %s (%s, %s)", path.parent, made, luts.layering)
    console.current().result(physics)


def _row(values: np.ndarray, pattern: str) -> tuple[str, str, str]:
    return (
        pattern.format(float(np.mean(values))),
        pattern.format(float(np.quantile(values, 0.95))),
        pattern.format(float(np.max(values))),
    )


def _list(light: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.4f}" for value in light) + "]"


def _manifest(source: Path) -> Path:
    path = source / MANIFEST if source.is_dir() else source
    if not path.is_file():
        raise InputError(f"{path}: not there; name the folder or manifest that `airbrush calibrate gen` wrote")
    return path


def _today() -> str:
    """Return the date; SOURCE_DATE_EPOCH stands for it in reproducible builds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    return moment.date().isoformat()
