"""A scan turned into the sheet: corner marks found, the sheet recognised, perspective undone, light made linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour, units
from airbrush_cli.calibration.layout import mark_box
from airbrush_cli.errors import InputError
from airbrush_cli.imaging.load import load_image
from airbrush_cli.schemas.calibration import CalibrationManifest, ScannerProfile, Sheet

Floats = NDArray[np.floating]

# Of the rectified sheet, pixels per mm.
SCALE = 10
# What a scan must at least have, and what it is brought down to if it has more; pixels per mm.
_COARSEST, _FINEST = 4.0, 14.0
# Marks of which so many are found are enough.
_FEWEST_MARKS = 3
# Blurs to look for marks in, pixels; of scans between 150 and 600 dpi.
_BLURS = (0.6, 1.0, 1.5, 2.2, 3.2)
# Where a mark's corner may lie off after rectifying, mm.
_MOST_OFF_MM = 1.0


@dataclass(frozen=True, eq=False)
class Rectified:
    """A sheet as scanned: (2970, 2100, 3) float32 linear RGB, and what is known of the scan."""

    sheet: Sheet
    light: NDArray[np.float32]
    dpi: float
    path: Path


def rectify(path: Path, manifest: CalibrationManifest, profile: ScannerProfile) -> Rectified:
    """Read a scan.

    Raises:
        InputError: not a picture, no corner marks, too coarse, or a sheet that is not the manifest's.
    """
    picture = load_image(path)
    found = _find_marks(picture)
    if not found:
        raise InputError(
            f"{path}: no corner marks found; is this a scan of a calibration sheet, whole, and of at least 150 dpi?"
        )
    sheet = _recognise(path, found, manifest)
    marks = {number - 4 * sheet.code: points for number, points in found.items() if number // 4 == sheet.code}
    if len(marks) < _FEWEST_MARKS:
        raise InputError(
            f"{path}: only {len(marks)} of the 4 corner marks of sheet {sheet.name} found; scan the whole sheet, clean"
        )
    there = np.concatenate([_corners(manifest, corner) for corner in marks])
    here = np.concatenate(list(marks.values()))
    scale = float(np.sqrt(abs(np.linalg.det(_affine(there, here)[:, :2]))))
    if scale < _COARSEST:
        raise InputError(f"{path}: too coarse, about {scale * 25.4:.0f} dpi; scan with at least 150, better 300")
    if scale > _FINEST:
        factor = _FINEST / scale
        reduced = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        picture = np.asarray(reduced, np.uint8)
        here = (here + 0.5) * factor - 0.5
    matrix = _transform(there, here, profile)
    off = _apply(np.linalg.inv(matrix), here) - there
    worst = float(np.linalg.norm(off, axis=1).max())
    if worst > _MOST_OFF_MM:
        raise InputError(
            f"{path}: the corner marks do not form the sheet, one is {worst:.1f} mm off; scan the paper flat"
            + ("" if profile.homography.enabled and profile.deskew else ", or let the scanner profile correct more")
        )
    light = _linear(picture, profile)
    # From the pixels of the sheet, whose centres lie at halves, to those of the scan.
    pixels = matrix @ np.array([[1 / SCALE, 0, 0.5 / SCALE], [0, 1 / SCALE, 0.5 / SCALE], [0, 0, 1]])
    size = (round(units.A4_MM[0] * SCALE), round(units.A4_MM[1] * SCALE))
    sheet_light = cv2.warpPerspective(light, pixels, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return Rectified(sheet, np.asarray(sheet_light, np.float32), scale * 25.4, path)


def _linear(picture: NDArray[np.uint8], profile: ScannerProfile) -> NDArray[np.float32]:
    if profile.linearize and profile.input_color_space == "srgb":
        return colour.srgb8_to_linear(picture)
    return picture.astype(np.float32) / np.float32(255.0)


def _find_marks(picture: NDArray[np.uint8]) -> dict[int, Floats]:
    """Return the four corners (4, 2) of each mark, in pixels, by its number."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    parameters.adaptiveThreshWinSizeMin = 15
    parameters.adaptiveThreshWinSizeMax = 95
    parameters.adaptiveThreshWinSizeStep = 20
    parameters.minMarkerPerimeterRate = 0.02
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_1000)
    detector = cv2.aruco.ArucoDetector(dictionary, parameters)
    places: dict[int, Floats] = {}
    # The hatch of a pen is not quite even, and noise is not either: what is lost in one blur is found in another.
    # Corners are sharpest where the blur is least.
    for blur in _BLURS:
        smooth = cv2.GaussianBlur(grey, (0, 0), blur)
        found: Any = detector.detectMarkers(smooth)
        for points, number in zip(found[0], np.ravel(found[1]) if found[1] is not None else [], strict=True):
            places.setdefault(int(number), np.asarray(points, np.float64).reshape(4, 2))
    return places


def _recognise(path: Path, found: dict[int, Floats], manifest: CalibrationManifest) -> Sheet:
    codes = [number // 4 for number in found]
    code = max(set(codes), key=codes.count)
    for sheet in manifest.sheets:
        if sheet.code == code:
            return sheet
    known = ", ".join(f"{sheet.name} {sheet.code}" for sheet in manifest.sheets)
    raise InputError(f"{path}: the wrong sheet: its marks carry the code {code}, the manifest's sheets are {known}")


def _corners(manifest: CalibrationManifest, corner: int) -> Floats:
    left, top, right, bottom = mark_box(manifest.fiducials, corner)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _affine(there: Floats, here: Floats) -> Floats:
    basis = np.column_stack([there, np.ones(len(there))])
    return np.linalg.lstsq(basis, here, rcond=None)[0].T


def _transform(there: Floats, here: Floats, profile: ScannerProfile) -> Floats:
    """Return the (3, 3) matrix from mm on the sheet to pixels of the scan, with the freedom that the profile allows."""
    if profile.homography.enabled:
        matrix, _ = cv2.findHomography(there, here, 0)
        return np.asarray(matrix, np.float64)
    if profile.deskew:
        return np.vstack([_affine(there, here), [0.0, 0.0, 1.0]])
    columns = [np.polyfit(there[:, axis], here[:, axis], 1) for axis in range(2)]
    return np.array([[columns[0][0], 0, columns[0][1]], [0, columns[1][0], columns[1][1]], [0, 0, 1]])


def _apply(matrix: Floats, points: Floats) -> Floats:
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def missing_sheets(manifest: CalibrationManifest, scans: Sequence[Rectified]) -> list[str]:
    """Return the names of the sheets that no scan shows."""
    shown = {scan.sheet.name for scan in scans}
    return [sheet.name for sheet in manifest.sheets if sheet.name not in shown]
