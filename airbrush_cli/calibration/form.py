"""The YAML of measurements: written as an empty form or with what a scan gave, read and checked label by label."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import documents
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.calibration import CalibrationManifest, ManualCalibrationResults, Patch

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

# Opacity may rise by so much with height or speed before somebody is asked.
_RISE = 0.03
_KEYS = {
    "colour": ("rgb_linear_measured",),
    "spot": ("alpha_measured", "width_mm"),
    "layering": ("base_rgb_linear_measured", "top_rgb_linear_measured", "overlap_rgb_linear_measured"),
}
_HEAD = """\
# Measurements of the calibration sheets, by the label above each patch. A tick under a patch marks where to measure:
# in the middle of the band, where it is darkest. Then: airbrush calibrate build-luts THIS_FILE
#
# Colours are linear RGB from 0 to 1 (not the 0 to 255 of sRGB: set your picture editor to linear light). Measure the
# bare paper too; colours are divided by it.
"""
_ABOUT = {
    "colour": "Colour in the middle of the band: [R, G, B].",
    "spot": """\
alpha_measured: how much of the paper's luminance is missing in the middle of the band, 0 to 1:
#   1 - (0.2126 R + 0.7152 G + 0.0722 B) / (the same of the paper).
# width_mm: across the band, between the two places where half of that is missing, in mm.""",
    "layering": "Colours at the three ticks, from left to right: base (first ink), overlap (both), top (second ink).",
}


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of a print, relative to its paper.

    Attributes:
        colour: ink amounts (n, 3) and linear RGB (n, 3).
        spot: height mm and speed mm/s (m, 2), missing luminance (m,), full width at half of it in mm (m,).
        layering: inks (k, 2, 3), and linear RGB of base, top and overlap (k, 3, 3).
        colour_labels, spot_labels, layering_labels: the patches' labels, in the same order.
    """

    colour_labels: list[str]
    ink: Floats
    rgb: Floats
    spot_labels: list[str]
    zv: Floats
    alpha: Floats
    width_mm: Floats
    layering_labels: list[str]
    pairs: Floats
    layers: Floats


def is_filled(text: str) -> bool:
    """Return whether a form holds any measurement."""
    data = documents.parse(text, "form")
    sections = [data.get(kind) or {} for kind in _KEYS] if isinstance(data, dict) else []
    return any(
        value is not None for section in sections for entry in section.values() for value in (entry or {}).values()
    )


def empty(manifest: CalibrationManifest) -> str:
    """Return the text of a form to fill in, with every label in it."""
    return text_of(manifest, {}, "[1.0, 1.0, 1.0]")


def text_of(manifest: CalibrationManifest, values: dict[str, dict[str, str]], paper: str, note: str = "") -> str:
    """Return the text of a form.

    Args:
        manifest: names the labels.
        values: by label and key the value in YAML; what is not there is left to be measured.
        paper: linear RGB of the paper in YAML.
        note: a comment on top, in place of how to measure.
    """
    lines = [*(note or _HEAD).rstrip("\n").split("\n"), "manifest: calibration_manifest.yaml"]
    lines.append(f"paper_rgb_linear_measured: {paper}")
    for kind, keys in _KEYS.items():
        lines += ["", f"# {_ABOUT[kind]}", f"{kind}:"]
        for patch in manifest.patches:
            if patch.kind == kind:
                given = values.get(patch.label, {})
                entry = ", ".join(f"{key}: {given.get(key, 'null')}" for key in keys)
                lines.append(f"  {patch.label}: {{{entry}}}  # {_describe(patch)}")
    return "\n".join(lines) + "\n"


def _describe(patch: Patch) -> str:
    inks = " then ".join("C{:g} M{:g} Y{:g}".format(*band.ink) for band in patch.bands)
    return f"z {patch.z_mm:g} mm, v {patch.v_mm_s:g} mm/s" if patch.kind == "spot" else inks


def read(path: Path, skip_missing: bool = False) -> tuple[CalibrationManifest, Measured]:
    """Read a filled-in form and the manifest that it belongs to.

    Args:
        path: the form.
        skip_missing: do without patches that were not measured, with a warning.

    Raises:
        InputError: names file, line and label of what is wrong: a label that is missing, not measured, or on no sheet;
            a value out of range; two values for one label.
    """
    text = documents.read(path)
    results = documents.validate(documents.parse(text, str(path)), ManualCalibrationResults, str(path), text)
    manifest_path = path.parent / results.manifest
    if not manifest_path.is_file():
        raise InputError(f"{path}: manifest: {manifest_path} is not there; it says what the labels stand for")
    manifest = documents.load(manifest_path, CalibrationManifest)
    reader = _Reader(path, text, results, manifest)
    present = reader.present(skip_missing)
    measured = _arrays(present, results)
    reader.warn_of_rises(measured)
    return manifest, measured


@dataclass(frozen=True)
class _Reader:
    path: Path
    text: str
    results: ManualCalibrationResults
    manifest: CalibrationManifest

    def where(self, *location: str) -> str:
        line = documents.line_of(self.text, location)
        return f"{self.path}:{line}" if line else str(self.path)

    def present(self, skip_missing: bool) -> list[Patch]:
        """Return the measured patches."""
        for kind in _KEYS:
            known = {patch.label for patch in self.manifest.patches if patch.kind == kind}
            for label in getattr(self.results, kind):
                if label not in known:
                    raise InputError(
                        f"{self.where(kind, label)}: {kind}.{label}: no sheet of the manifest has this label"
                    )
        missing, present = [], []
        for patch in self.manifest.patches:
            entry = getattr(self.results, patch.kind).get(patch.label)
            lacking = [key for key in _KEYS[patch.kind] if entry is None or getattr(entry, key) is None]
            if not lacking:
                present.append(patch)
                continue
            what = f"{lacking[0]} is not measured" if entry else "the label is missing"
            missing.append((patch, f"{self.where(patch.kind, patch.label)}: {patch.kind}.{patch.label}: {what}"))
        if missing and not skip_missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise InputError(f"{missing[0][1]}{more}; --skip-missing does without")
        for _, message in missing:
            log.warning("%s", message)
        return present

    def warn_of_rises(self, measured: Measured) -> None:
        """Warn where opacity rises with height or speed: a slip, or a nozzle that spits."""
        places = {tuple(zv): index for index, zv in enumerate(measured.zv.tolist())}
        for axis, name in enumerate(("height", "speed")):
            for fixed in sorted({zv[1 - axis] for zv in places}):
                line = sorted(zv for zv in places if zv[1 - axis] == fixed)
                for before, after in itertools.pairwise(line):
                    low, high = measured.alpha[places[before]], measured.alpha[places[after]]
                    if high > low + _RISE:
                        self._warn_of_rise(measured, places[before], places[after], name)

    def _warn_of_rise(self, measured: Measured, before: int, after: int, name: str) -> None:
        label, other = measured.spot_labels[after], measured.spot_labels[before]
        where = f"{self.where('spot', label)}: spot.{label}: alpha_measured {measured.alpha[after]:.3g}"
        log.warning(
            "%s is more than %.3g of %s, but opacity falls with %s; it will be evened out",
            where,
            measured.alpha[before],
            other,
            name,
        )


def _arrays(present: list[Patch], results: ManualCalibrationResults) -> Measured:
    paper = np.array(results.paper_rgb_linear_measured)
    colour = [patch for patch in present if patch.kind == "colour"]
    spot = [patch for patch in present if patch.kind == "spot"]
    layering = [patch for patch in present if patch.kind == "layering"]

    def light(values: list[Any], shape: tuple[int, ...]) -> Floats:
        return np.minimum(np.array(values, np.float64).reshape(shape) / paper, 1.0)

    layers = [
        [getattr(results.layering[patch.label], f"{part}_rgb_linear_measured") for part in ("base", "top", "overlap")]
        for patch in layering
    ]
    return Measured(
        colour_labels=[patch.label for patch in colour],
        ink=np.array([patch.bands[0].ink for patch in colour]).reshape(-1, 3),
        rgb=light([results.colour[patch.label].rgb_linear_measured for patch in colour], (-1, 3)),
        spot_labels=[patch.label for patch in spot],
        zv=np.array([(patch.z_mm, patch.v_mm_s) for patch in spot]).reshape(-1, 2),
        alpha=np.array([results.spot[patch.label].alpha_measured for patch in spot], np.float64),
        width_mm=np.array([results.spot[patch.label].width_mm for patch in spot], np.float64),
        layering_labels=[patch.label for patch in layering],
        pairs=np.array([[band.ink for band in patch.bands] for patch in layering]).reshape(-1, 2, 3),
        layers=light(layers, (-1, 3, 3)),
    )
