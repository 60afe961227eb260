"""Pictures of tables and of how well they fit: for people who want to see where a calibration is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour
from airbrush_cli import pictures as png
from airbrush_cli.calibration.form import Measured
from airbrush_cli.calibration.tables import Verdict, delta_e
from airbrush_cli.twin.luts import FWHM_PER_SIGMA, Luts

Picture = NDArray[np.uint8]

_INK = (40, 40, 40)
_SWATCH, _SIDE = 56, 34
_SLICES = 5


def write_pictures(folder: Path, luts: Luts, measured: Measured, verdict: Verdict) -> None:
    """Write colours.png, spots.png and residuals.png beside the tables."""
    png.write_png(folder / "colours.png", colour_slices(luts))
    png.write_png(folder / "spots.png", spot_tables(luts, measured))
    png.write_png(folder / "residuals.png", residuals(measured, verdict))


def colour_slices(luts: Luts) -> Picture:
    """Return slices through the colour table: magenta to the right, yellow downwards, one square per amount of cyan."""
    tiles = []
    for index in np.linspace(0, luts.colour.shape[0] - 1, _SLICES).round().astype(int):
        part = colour.linear_to_srgb8(np.ascontiguousarray(luts.colour[index].transpose(1, 0, 2)))
        tile = cv2.resize(part, (220, 220), interpolation=cv2.INTER_NEAREST)
        amount = index / (luts.colour.shape[0] - 1)
        tiles.append(_under_title(np.asarray(tile, np.uint8), f"C {amount:.2f}: M right, Y down"))
    return _row(tiles)


def spot_tables(luts: Luts, measured: Measured) -> Picture:
    """Return opacity and width over speed (to the right) and height (downwards); rings show where it was measured."""
    tables = [
        ("opacity", luts.opacity, "{:.2f}"),
        ("width, mm", luts.sigma_mm * FWHM_PER_SIGMA, "{:.1f}"),
    ]
    return _row([_heat(title, table, pattern, luts, measured) for title, table, pattern in tables])


def residuals(measured: Measured, verdict: Verdict) -> Picture:
    """Return each colour patch as measured and as predicted from the others, then each overlap and both models'."""
    cells = [
        _swatches([rgb, left_out], f"{label} {error:.1f}")
        for rgb, left_out, label, error in zip(
            measured.rgb, verdict.colour_left_out, measured.colour_labels, verdict.colour_delta_e, strict=True
        )
    ]
    parts = [_under_title(_grid(cells, 16), "measured | predicted from all other patches, delta E 2000")]
    for model, light in verdict.layering_predicted.items():
        errors = delta_e(light, measured.layers[:, 2])
        rows = zip(measured.layers[:, 2], light, measured.layering_labels, errors, strict=True)
        cells = [_swatches([seen, predicted], f"{label} {error:.1f}") for seen, predicted, label, error in rows]
        word = " (recommended)" if model == verdict.recommended else ""
        parts.append(_under_title(_grid(cells, 16), f"overlaps measured | predicted by {model}{word}"))
    width = max(part.shape[1] for part in parts)
    return np.concatenate([_padded(part, width, part.shape[0]) for part in parts])


def _heat(title: str, table: NDArray[np.float32], pattern: str, luts: Luts, measured: Measured) -> Picture:
    width, height = 520, 420
    # Evenly spaced nodes, as the tables have them: their axes are closer where more happens.
    scaled = (table - table.min()) / max(float(np.ptp(table)), 1e-9)
    grey = cv2.resize((255 * scaled).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    picture = np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[:, :, ::-1])
    for z, v in measured.zv:
        row = int(np.interp(z, luts.z_mm, np.linspace(0, height - 1, len(luts.z_mm))))
        column = int(np.interp(v, luts.v_mm_s, np.linspace(0, width - 1, len(luts.v_mm_s))))
        cv2.circle(picture, (column, row), 4, (255, 255, 255), 1, cv2.LINE_AA)
        value = table[int(np.argmin(np.abs(luts.z_mm - z))), int(np.argmin(np.abs(luts.v_mm_s - v)))]
        at = (min(max(column - 12, 2), width - 34), min(max(row + 16, 12), height - 4))
        _text(picture, pattern.format(float(value)), at, (255, 255, 255))
    speeds = f"v {luts.v_mm_s[0]:g} to {luts.v_mm_s[-1]:g} mm/s right, z {luts.z_mm[0]:g} to {luts.z_mm[-1]:g} mm down"
    return _under_title(np.asarray(picture, np.uint8), f"{title}: {speeds}")


def _swatches(lights: Sequence[NDArray[np.float64]], label: str) -> Picture:
    cell = np.full((_SIDE + 16, _SWATCH + 8, 3), 255, np.uint8)
    step = _SWATCH // len(lights)
    for index, light in enumerate(lights):
        left = 4 + index * step
        cell[:_SIDE, left : left + step] = colour.linear_to_srgb8(np.clip(light, 0, 1)[None].astype(np.float32))[0]
    _text(cell, label, (3, _SIDE + 12), _INK, 0.33)
    return cell


def _grid(cells: Sequence[Picture], columns: int) -> Picture:
    rows = [_row(cells[start : start + columns], 0) for start in range(0, len(cells), columns)]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_padded(row, width, row.shape[0]) for row in rows])


def _row(tiles: Sequence[Picture], gap: int = 12) -> Picture:
    height = max(tile.shape[0] for tile in tiles)
    return np.concatenate([_padded(tile, tile.shape[1] + gap, height) for tile in tiles], axis=1)


def _padded(picture: Picture, width: int, height: int) -> Picture:
    result = np.full((height, width, 3), 255, np.uint8)
    result[: picture.shape[0], : picture.shape[1]] = picture
    return result


def _under_title(picture: Picture, title: str) -> Picture:
    wide = max(picture.shape[1], 8 * len(title))
    result = np.full((picture.shape[0] + 30, wide, 3), 255, np.uint8)
    result[24 : 24 + picture.shape[0], : picture.shape[1]] = picture
    _text(result, title, (4, 16), _INK, 0.45)
    return result


def _text(picture: Picture, text: str, at: tuple[int, int], ink: tuple[int, int, int], size: float = 0.38) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
