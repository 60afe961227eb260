"""Rectified sheets measured: the paper's light, each band's colour and width, dust and neighbours left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf

from airbrush_cli.calibration.layout import mark_box
from airbrush_cli.calibration.rectify import SCALE, Rectified
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.calibration import CalibrationManifest, Patch, PatchSampling
from airbrush_cli.twin.luts import FWHM_PER_SIGMA
from airbrush_cli.twin.profile import C1, C2, CUT2

Floats = NDArray[np.floating]

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# Sheets are measured again with what was found before: how far the paint of each band reaches, and which colour it has.
_ROUNDS = 3
# Half the height of the strip in the middle of a band whose colour counts, in sigma.
_MIDDLE = 0.35
# The paper's light is sampled in squares of this side, where bands take less than this share of it.
_SQUARE_MM, _TOUCHED = 1.5, 0.02
# Degree of the polynomial that its change over the sheet is described by.
_DEGREE = 4


@dataclass
class _Band:
    """What is known of a band so far: spot width and missing light, by channel."""

    patch: Patch
    x: tuple[float, float]
    sigma: float
    missing: Floats


@dataclass(frozen=True)
class Reading:
    """What a patch was measured to be.

    Attributes:
        light: (3,) or, of a layering patch, (3, 3) linear RGB of base, overlap and top, relative to the paper.
        alpha: missing luminance in the middle of a spot patch's band.
        width_mm: full width at half of that.
    """

    light: Floats
    alpha: float = 0.0
    width_mm: float = 0.0


class _Sheet:
    """A scan under measurement: what is known of its bands and of its paper, better after each round."""

    def __init__(self, scan: Rectified, manifest: CalibrationManifest, sampling: PatchSampling) -> None:
        self.scan, self.manifest, self.sampling = scan, manifest, sampling
        # Before anything is known, bands are as wide as was expected when they were laid out, and black.
        self.bands = [
            _Band(patch, band.x_mm, patch.reach_mm / np.sqrt(CUT2), np.ones(3))
            for patch in scan.sheet.patches
            for band in patch.bands
        ]
        self.blur = edge_blur(scan, manifest)
        side = round(_SQUARE_MM * SCALE)
        rows, columns = scan.light.shape[0] // side, scan.light.shape[1] // side
        squares = scan.light[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
        self.squares = np.median(squares[:, ::2, :, ::2], axis=(1, 3)).astype(np.float64)
        # Factors of u^i v^j, by channel.
        self.paper = np.zeros((_DEGREE + 1, _DEGREE + 1, 3))

    def paper_at(self, x: Floats, y: Floats) -> Floats:
        """Return the bare paper's light (rows, columns, 3) on a grid of x and y, mm."""
        page = self.manifest.page_mm
        powers = np.arange(_DEGREE + 1)
        u, v = (2 * x / page.x - 1)[:, None] ** powers, (2 * y / page.y - 1)[:, None] ** powers
        light: Floats = np.einsum("xi,yj,ijc->yxc", u, v, self.paper, optimize=True)
        return np.maximum(light, 1e-3)


def measure(scan: Rectified, manifest: CalibrationManifest, sampling: PatchSampling) -> dict[str, Reading]:
    """Measure all patches of a scanned sheet.

    Returns:
        readings by label.

    Raises:
        InputError: no band has the form of one; or there is no paper to compare with.
    """
    sheet = _Sheet(scan, manifest, sampling)
    readings: dict[str, Reading] = {}
    for _ in range(_ROUNDS):
        _fit_paper(sheet)
        readings = _round(sheet)
    return readings


def profile(squared: Floats) -> Floats:
    """The twin's spot profile f(q), q = d² / sigma² (see twin/profile.py)."""
    q = np.minimum(squared, CUT2)
    result: Floats = ((1.0 - q / CUT2) * (1.0 + q * (C1 + C2 * q))) ** 2
    return result


def coverage(x: Floats, y: Floats, left: float, right: float, middle: float, sigma: float) -> Floats:
    """Return the spot profile of a horizontal band at points, 1 on its middle line."""
    away = np.maximum(np.maximum(left - x, x - right), 0.0)
    return profile((away**2 + (y - middle) ** 2) / sigma**2)


def _model(sheet: _Sheet, x: Floats, y: Floats, without: Patch | None = None) -> Floats:
    """Return the light (rows, columns, 3) that the bands known so far leave on a grid of x and y."""
    light = np.ones((len(y), len(x), 3))
    for band in sheet.bands:
        reach, middle = 3.0 * band.sigma, band.patch.y_mm
        far = middle < y[0] - reach or middle > y[-1] + reach or band.x[1] < x[0] - reach or band.x[0] > x[-1] + reach
        if far or band.patch is without:
            continue
        rows = np.flatnonzero(np.abs(y - middle) < reach)
        columns = np.flatnonzero((x > band.x[0] - reach) & (x < band.x[1] + reach))
        if len(rows) and len(columns):
            part = np.ix_(rows, columns)
            cover = coverage(x[columns][None], y[rows][:, None], *band.x, band.patch.y_mm, band.sigma)
            light[part] *= 1.0 - cover[..., None] * band.missing
    return light


def _fit_paper(sheet: _Sheet) -> None:
    """Fit the paper's light over the sheet: a polynomial through the bare places."""
    rows, columns, _ = sheet.squares.shape
    x, y = ((np.arange(count) + 0.5) * _SQUARE_MM for count in (columns, rows))
    expected = _model(sheet, x, y)
    bare = (1.0 - expected).max(axis=-1) < _TOUCHED
    for corner in range(4):
        left, top, right, bottom = mark_box(sheet.manifest.fiducials, corner, 1.0)
        bare &= ~((x > left) & (x < right) & (y > top)[:, None] & (y < bottom)[:, None])
    page = sheet.manifest.page_mm
    # The margin may show what lies beside the paper.
    bare &= (x > 2) & (x < page.x - 2) & (y > 2)[:, None] & (y < page.y - 2)[:, None]
    if bare.sum() < 50:
        raise InputError(f"{sheet.scan.path}: too little bare paper between the bands to compare with")
    u, v = 2 * x / page.x - 1, 2 * y / page.y - 1
    powers = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
    at = np.argwhere(bare)
    basis = np.stack([u[at[:, 1]] ** i * v[at[:, 0]] ** j for i, j in powers], axis=1)
    values = (sheet.squares / expected)[bare]
    for channel in range(3):
        factors = _robust_fit(basis, values[:, channel])
        for (i, j), factor in zip(powers, factors, strict=True):
            sheet.paper[i, j, channel] = factor


def _robust_fit(basis: Floats, values: Floats) -> Floats:
    """Least squares in which what is darker than the rest (ink, dust) counts little."""
    weights = np.ones(len(values))
    factors: Floats = np.zeros(basis.shape[1])
    for _ in range(12):
        weighted = basis * weights[:, None]
        factors = np.linalg.solve(weighted.T @ basis, weighted.T @ values)
        rest = values - basis @ factors
        spread = 1.4826 * np.median(np.abs(rest)) + 1e-4
        # Ink only darkens: what is brighter is noise.
        scaled = rest / spread / np.where(rest < 0, 1.0, 2.0)
        weights = 1.0 / (1.0 + (scaled / 2.0) ** 2)
    return factors


def edge_blur(scan: Rectified, manifest: CalibrationManifest) -> float:
    """Return the standard deviation of the scan's blur in mm, from the upper and lower edges of the corner marks."""
    half = 7
    found = []
    for corner in range(4):
        left, top, right, bottom = mark_box(manifest.fiducials, corner)
        cell = (right - left) / 7
        for edge, sign in ((top, 1), (bottom, -1)):
            row, first, last = round(edge * SCALE), round((left + cell) * SCALE), round((right - cell) * SCALE)
            part = scan.light[row - half : row + half, first:last].astype(np.float64) @ _LUMINANCE
            if part.shape[0] != 2 * half:
                continue
            across = np.median(part, axis=1)[::sign]
            y = (np.arange(2 * half) + 0.5 - half) / SCALE
            try:
                fit = least_squares(
                    lambda p, y=y, across=across: (
                        p[0] - p[1] * (1 + erf((y - p[2]) / (p[3] * np.sqrt(2)))) / 2 - across
                    ),
                    (across[0], across[0] - across[-1], 0.0, 0.1),
                    bounds=((0, 0, -0.5, 0.01), (2, 2, 0.5, 0.6)),
                )
            except ValueError:
                continue
            found.append(fit.x[3])
    return float(np.median(found)) if found else 0.0


def _round(sheet: _Sheet) -> dict[str, Reading]:
    """Measure every patch once, and remember what was found for the next round."""
    readings: dict[str, Reading] = {}
    wide = [patch for patch in sheet.scan.sheet.patches if patch.kind != "spot"]
    if wide:
        sigma, off = _common_width(sheet, wide)
        for band in sheet.bands:
            if band.patch.kind != "spot":
                band.sigma = sigma
        for patch in wide:
            light = np.array([_middle(sheet, patch, part, sigma, off) for part in patch.measured_mm])
            readings[patch.label] = Reading(light[0] if patch.kind == "colour" else light)
            own = [band for band in sheet.bands if band.patch is patch]
            for band, part in zip(own, light[[0, -1]], strict=False):
                band.missing = np.clip(1.0 - part, 0.0, 1.0)
    for band in sheet.bands:
        if band.patch.kind == "spot":
            fit = _fit_spot(sheet, band)
            readings[band.patch.label] = fit
            band.missing = np.clip(1.0 - fit.light, 0.0, 1.0)
            band.sigma = fit.width_mm / FWHM_PER_SIGMA
    return readings


def _window(sheet: _Sheet, patch: Patch, part: tuple[float, float], half_mm: float) -> tuple[Floats, Floats]:
    """Return heights from the middle of the band (n,) and the light there (n, 3), relative to the bare paper.

    Along the band the median (or mean) counts; what neighbours take from the light is given back.
    """
    margin = sheet.sampling.roi_margin_px
    first, last = round(part[0] * SCALE) + margin, round(part[1] * SCALE) - margin
    if last - first < 3:
        first, last = round(part[0] * SCALE), max(round(part[1] * SCALE), round(part[0] * SCALE) + 3)
    top, bottom = (round((patch.y_mm + sign * half_mm) * SCALE) for sign in (-1, 1))
    top, bottom = max(top, 0), min(bottom, sheet.scan.light.shape[0])
    y, x = (np.arange(top, bottom) + 0.5) / SCALE, (np.arange(first, last) + 0.5) / SCALE
    light = sheet.scan.light[top:bottom, first:last] / sheet.paper_at(x, y)
    # Neighbours change slowly along the stretch.
    few = x[:: max(len(x) // 6, 1)]
    others = _model(sheet, few, y, without=patch).mean(axis=1)
    take = np.median if sheet.sampling.method == "median" else np.mean
    return y - patch.y_mm, np.asarray(take(light, axis=1), np.float64) / others


def _middle(sheet: _Sheet, patch: Patch, part: tuple[float, float], sigma: float, off: float) -> Floats:
    """Return the light (3,) in the middle of a band, freed from blur and from the strip's own width."""
    y, light = _window(sheet, patch, part, 1.0 * sigma)
    strip = np.abs(y - off) < max(_MIDDLE * sigma, 1.01 / SCALE)
    seen = float(profile((y[strip] - off) ** 2 / (sigma**2 + sheet.blur**2)).mean())
    seen *= sigma / np.hypot(sigma, sheet.blur)
    result: Floats = np.clip(1.0 - (1.0 - np.median(light[strip], axis=0)) / seen, 0.0, 1.0)
    return result


def _common_width(sheet: _Sheet, patches: Sequence[Patch]) -> tuple[float, float]:
    """Return the spot width (sigma) that single bands of one height and speed share, and how far off they lie, mm."""
    single = [patch for patch in patches if patch.kind == "colour"] or list(patches)
    half = min(patch.reach_mm for patch in single)
    total: Floats | None = None
    y: Floats = np.empty(0)
    for patch in single:
        y, light = _window(sheet, patch, patch.measured_mm[0], half)
        missing = (1.0 - light) @ _LUMINANCE
        # Of unequal length only by the rounding of pixels.
        total = missing if total is None else total[: len(missing)] + missing[: len(total)]
    assert total is not None, "there are patches"
    y = y[: len(total)]
    _, sigma, off = _fit_profile(y, total / len(single), half / np.sqrt(CUT2), sheet.scan)
    return float(np.sqrt(max(sigma**2 - sheet.blur**2, (0.3 * sigma) ** 2))), off


def _fit_spot(sheet: _Sheet, band: _Band) -> Reading:
    patch = band.patch
    half = max(patch.reach_mm, min(3.0 * band.sigma, 1.5 * patch.reach_mm))
    y, light = _window(sheet, patch, patch.measured_mm[0], half)
    missing = (1.0 - light) @ _LUMINANCE
    alpha, sigma, off = _fit_profile(y, missing, band.sigma, sheet.scan)
    # Blur widens a line and lowers it in proportion.
    true = float(np.sqrt(max(sigma**2 - sheet.blur**2, (0.3 * sigma) ** 2)))
    cover = profile((y - off) ** 2 / sigma**2)
    by_channel = (1.0 - light).T @ cover / (cover @ cover) * sigma / true
    alpha = float(np.clip(alpha * sigma / true, 0.0, 1.0))
    return Reading(np.clip(1.0 - by_channel, 0.0, 1.0), alpha, true * FWHM_PER_SIGMA)


def _fit_profile(y: Floats, missing: Floats, sigma: float, scan: Rectified) -> tuple[float, float, float]:
    """Fit height, width (sigma, mm) and middle (mm) of a spot profile to the missing light (n,) at heights y (n,)."""
    peak = float(np.clip(np.median(missing[np.abs(y) < 0.3 * sigma + 0.1]), 0.005, 1.2))
    spread = 0.004 + 0.01 * peak

    def rest(p: Floats) -> Floats:
        height, width, off, ground = p
        # The ground is paper, give or take what its fit may be wrong by; the middle is where the machine put it.
        model = height * profile((y - off) ** 2 / width**2) + ground
        return np.concatenate([(model - missing) / spread, [ground / 0.004 * 3, off / 0.15 * 3]])

    fit = least_squares(
        rest,
        (peak, sigma, 0.0, 0.0),
        bounds=((0.0, 0.05, -0.8, -0.03), (1.5, 4.0 * sigma + 1.0, 0.8, 0.03)),
        loss="soft_l1",
        x_scale=(0.1, 0.3, 0.1, 0.003),
    )
    if not np.isfinite(fit.x).all():
        raise InputError(f"{scan.path}: a band of sheet {scan.sheet.name} has no form of one")
    return float(fit.x[0]), float(fit.x[1]), float(fit.x[2])
