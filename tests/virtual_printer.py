"""A printer with a hidden ink, and a scanner with its faults: what calibration is tested against.

The ink's own colour mixing, spot width and opacity are random functions of the kinds that are met; the printer replays
G-code with them, the scanner turns, tilts, darkens, blurs, speckles and compresses the sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour, config, documents
from airbrush_cli.gcode.replay import replay
from airbrush_cli.schemas import stroke
from airbrush_cli.schemas.calibration import CalibrationManifest
from airbrush_cli.schemas.luts import Layering
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.twin.luts import FWHM_PER_SIGMA, Luts, synthetic_luts
from airbrush_cli.twin.render import render

PIXELS_PER_MM = 10


@dataclass(frozen=True)
class Scanner:
    """What a scanner, or a camera, does to a sheet."""

    dpi: float = 200.0
    degrees: float = 3.0
    perspective: float = 0.01  # of the page, that corners are off
    vignetting: float = 0.1  # of the light, that corners lack
    blur_px: float = 0.8
    noise: float = 0.01  # of full scale, sRGB
    jpeg: int | None = 90
    dust: int = 150
    paper: tuple[float, float, float] = (0.95, 0.93, 0.88)
    quarter_turns: int = 0

    @classmethod
    def random(cls, generator: np.random.Generator) -> Scanner:
        """Return one that is as bad as they come."""
        return cls(
            dpi=float(generator.choice([150, 200, 300])),
            degrees=float(generator.uniform(-10, 10)),
            perspective=float(generator.uniform(0, 0.03)),
            vignetting=float(generator.uniform(0, 0.25)),
            blur_px=float(generator.uniform(0.4, 1.3)),
            noise=float(generator.uniform(0.003, 0.02)),
            jpeg=int(generator.integers(75, 98)),
            dust=int(generator.integers(0, 300)),
            paper=tuple(generator.uniform(0.82, 0.98, 3).tolist()),  # type: ignore[arg-type]
            quarter_turns=int(generator.integers(0, 4)),
        )


def random_ink(generator: np.random.Generator, layering: Layering) -> Luts:
    """Return a hidden ink as finely sampled tables."""
    return Luts(
        colour=_mixing(generator).astype(np.float32),
        **_spots(generator),
        layering=layering,
        metadata=synthetic_luts().metadata,
    )


def _mixing(generator: np.random.Generator) -> NDArray[np.float64]:
    """(25, 25, 25, 3): dyes (Beer-Lambert, with a bend), pigments (Kubelka-Munk) or dots (Yule-Nielsen-Neugebauer)."""
    amounts = np.linspace(0, 1, 25) ** generator.uniform(0.8, 1.3)
    c, m, y = np.meshgrid(amounts, amounts, amounts, indexing="ij")
    amount = np.stack([c, m, y], axis=-1)
    density = generator.uniform(0.03, 0.45, (3, 3))
    density[np.diag_indices(3)] = generator.uniform(1.2, 3.5, 3)
    kind = generator.integers(3)
    if kind == 0:
        return np.exp(-amount @ density)
    if kind == 1:
        # K/S adds up over pigments; R of an opaque layer, white paper-like pigment having K/S near 0.
        ks = amount @ (density**2 / 1.5)
        return 1 + ks - np.sqrt(ks**2 + 2 * ks)
    exponent = generator.uniform(1.0, 3.0)
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1)
    primaries = np.exp(-corners @ density) ** (1 / exponent)
    weights = np.prod(
        np.where(corners[None, None, None], amount[..., None, None, None, :], 1 - amount[..., None, None, None, :]), -1
    )
    return np.einsum("abcijk,ijkn->abcn", weights, primaries) ** exponent


def _spots(generator: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    z_axis, v_axis = np.linspace(0, 30, 61), np.geomspace(11, 310, 60) - 10
    z, v = z_axis[:, None], v_axis[None, :]
    near, far = generator.uniform(0.6, 1.4), generator.uniform(8, 15)
    width = near + (far - near) * (z / 30) ** generator.uniform(0.85, 1.2)
    width = width * (1 + generator.uniform(0, 0.25) / (1 + v / generator.uniform(10, 80)))
    speed, height = generator.uniform(10, 50), generator.uniform(10, 25)
    thinning = (1 + v / speed) ** generator.uniform(0.7, 1.0) * (1 + (z / height) ** generator.uniform(1.5, 2.2))
    most = generator.uniform(0.75, 0.97)
    dyes = generator.random() < 0.5
    opacity = -np.expm1(np.log1p(-most) / thinning) if dyes else most / thinning**0.8
    return {"opacity": opacity, "sigma_mm": width / FWHM_PER_SIGMA, "z_mm": z_axis, "v_mm_s": v_axis}


def print_sheets(manifest_path: Path, ink: Luts, machine: Machine | None = None) -> dict[str, NDArray[np.float32]]:
    """Return each sheet of a manifest as printed, (2970, 2100, 3) linear RGB, by replay of its G-code."""
    manifest = documents.load(manifest_path, CalibrationManifest)
    machine = machine or documents.load(config.shipped("machine_grbl_airbrush_v1"), Machine)
    size = (210 * PIXELS_PER_MM, 297 * PIXELS_PER_MM)
    sheets = {}
    for sheet in manifest.sheets:
        paper = None
        for name in (sheet.cmy_gcode, sheet.pen_gcode):
            data = (manifest_path.parent / name).read_bytes()
            paper = replay(data, machine, ink, size, pen_width_mm=manifest.pen_width_mm, canvas=paper)
        assert paper is not None
        sheets[sheet.name] = paper
    return sheets


def scan(sheet: NDArray[np.float32], scanner: Scanner, generator: np.random.Generator, path: Path) -> Path:
    """Write the picture that a scanner makes of a sheet, as PNG or JPEG by the path's suffix."""
    height, width = sheet.shape[:2]
    light = sheet * np.array(scanner.paper, np.float32)
    for _ in range(scanner.dust):
        centre = (int(generator.integers(width)), int(generator.integers(height)))
        shade = float(generator.choice([0.05, 0.3, 0.98]))
        if generator.random() < 0.2:
            end = (centre[0] + int(generator.integers(-40, 40)), centre[1] + int(generator.integers(-40, 40)))
            cv2.line(light, centre, end, (shade,) * 3, 2, cv2.LINE_AA)
        else:
            cv2.circle(light, centre, int(generator.integers(1, 6)), (shade,) * 3, -1, cv2.LINE_AA)
    scale = scanner.dpi / 25.4
    border = 12.0
    size = (int((210 + 2 * border) * scale), int((297 + 2 * border) * scale))
    page = np.array([[0, 0], [210, 0], [0, 297], [210, 297]], float)
    middle = np.array([105.0, 148.5])
    angle = np.radians(scanner.degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    off = generator.uniform(-1, 1, (4, 2)) * scanner.perspective * np.array([210, 297])
    shrink = 1.0 - 0.8 * abs(np.sin(angle))
    there = ((page - middle) * shrink @ turn.T + off + middle + border) * scale
    # The raster's pixel centres lie at half pixels.
    matrix = cv2.getPerspectiveTransform(
        (page * PIXELS_PER_MM - 0.5).astype(np.float32), (there - 0.5).astype(np.float32)
    )
    soft = cv2.GaussianBlur(light, (0, 0), max(0.5 * PIXELS_PER_MM / scale, 0.3))
    seen = cv2.warpPerspective(soft, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(0.25, 0.25, 0.25))
    ys, xs = np.mgrid[: size[1], : size[0]].astype(np.float32)
    radius2 = ((xs / size[0] - 0.5) ** 2 + (ys / size[1] - 0.5) ** 2) / 0.5
    seen = seen * (1 - scanner.vignetting * radius2)[..., None]
    seen = cv2.GaussianBlur(seen, (0, 0), scanner.blur_px)
    code = colour.linear_to_srgb(np.clip(seen, 0, 1)) * 255
    code = code + generator.normal(0, 255 * scanner.noise, code.shape)
    picture = np.clip(np.round(code), 0, 255).astype(np.uint8)
    picture = np.ascontiguousarray(np.rot90(picture, scanner.quarter_turns))
    options = [] if scanner.jpeg is None else [cv2.IMWRITE_JPEG_QUALITY, scanner.jpeg]
    path = path.with_suffix(".png" if scanner.jpeg is None else ".jpg")
    assert cv2.imwrite(str(path), picture[:, :, ::-1], options)
    return path


def random_strokes(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return (count, 15) strokes within the bounds: 5 to 60 mm long, of any height, speed and ink."""
    start = generator.uniform((15, 15), (195, 282), (count, 2))
    steps = generator.normal(0, 1, (count, 3, 2))
    steps *= (generator.uniform(5, 60, count) / 3 / np.linalg.norm(steps, axis=2).mean(axis=1))[:, None, None]
    points = np.concatenate([start[:, None], start[:, None] + np.cumsum(steps, axis=1)], axis=1)
    rest = generator.uniform(stroke.LOW[8:], stroke.HIGH[8:], (count, 7))
    return stroke.project(np.concatenate([points.reshape(count, 8), rest], axis=1))


def differences(truth: Luts, found: Luts, strokes: NDArray[np.float64], width: int = 210) -> list[NDArray[np.float64]]:
    """Return CIEDE2000 where strokes, each alone on white paper, visibly cover it: one array of pixels per stroke.

    Visible is a pixel that either ink changes by at least 1 from paper.
    """
    size = (width, round(width * 297 / 210))
    result = []
    for one in strokes:
        pictures = [
            colour.linear_rgb_to_lab(render(one[None], luts, size).astype(np.float64)) for luts in (truth, found)
        ]
        result.append(_visible(*pictures))
    return result


def painting_differences(
    truth: Luts, found: Luts, strokes: NDArray[np.float64], width: int = 420
) -> NDArray[np.float64]:
    """The same for all strokes painted over one another."""
    size = (width, round(width * 297 / 210))
    pictures = [colour.linear_rgb_to_lab(render(strokes, luts, size).astype(np.float64)) for luts in (truth, found)]
    return _visible(*pictures)


def _visible(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    paper = np.array([100.0, 0.0, 0.0])
    touched = (np.abs(one - paper).max(axis=-1) > 0.5) | (np.abs(other - paper).max(axis=-1) > 0.5)
    a, b = one[touched], other[touched]
    seen = np.maximum(colour.delta_e2000(a, paper), colour.delta_e2000(b, paper)) >= 1.0
    return colour.delta_e2000(a[seen], b[seen])
