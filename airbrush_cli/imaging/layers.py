"""Taking a picture apart: dark lines for the pen, everything else for the airbrush."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.imaging.linework import drawing, lines_on_paper, lines_on_picture
from airbrush_cli.pen import areas
from airbrush_cli.schemas.preprocess import PenSettings
from airbrush_cli.units import A4_MM


@dataclass(frozen=True)
class Layers:
    """A picture's two layers."""

    target: NDArray[np.uint8]  # (H, W, 3) sRGB, the pen's lines painted over with what surrounds them
    mask: NDArray[np.bool_]  # (H, W), True where the pen draws


def separate_layers(rgb: NDArray[np.uint8], settings: PenSettings, page_mm: tuple[float, float] = A4_MM) -> Layers:
    """Find the dark lines of a picture, and what lies beneath them.

    Args:
        rgb: (H, W, 3) sRGB, the page.
        settings: `mode` chooses how lines are found, see docs/pen.md.
        page_mm: (width, height) of the page.
    """
    mask = pen_mask(rgb, settings, page_mm)
    return Layers(without(rgb, mask), mask)


def pen_mask(rgb: NDArray[np.uint8], settings: PenSettings, page_mm: tuple[float, float] = A4_MM) -> NDArray[np.bool_]:
    """Return the (H, W) mask of dark lines, and of dark areas where `fill` gives them to the pen."""
    mask = np.zeros(rgb.shape[:2], bool)
    box = _content(rgb)
    if settings.mode == "none" or rgb[box].size == 0:
        return mask
    lab = cv2.cvtColor(rgb[box].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    thick = settings.max_line_mm * rgb.shape[1] / page_mm[0]
    if settings.mode == "adaptive":
        mask[box] = lines_on_paper(lab[..., 0], settings, thick)
    elif settings.mode == "threshold":
        mask[box] = lines_on_picture(lab[..., 0], settings, thick, only_drawn=False)
    else:
        found = drawing(lab, settings, thick)
        mask[box] = lines_on_picture(lab[..., 0], settings, thick, only_drawn=True) if found is None else found
    if settings.fill == "none" and mask.any():
        lines, area = areas.split(mask.astype(np.uint8), thick)
        mask = lines > area
    return mask


def without(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the picture with the masked pixels and their soft edge filled from beside them (Telea 2004)."""
    if not mask.any():
        return rgb
    grown = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    if grown.all():
        return np.full_like(rgb, 255)
    return cv2.inpaint(np.ascontiguousarray(rgb), grown, 3, cv2.INPAINT_TELEA).astype(np.uint8, copy=False)


def _content(rgb: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return where on the page the picture lies: all but its white margins."""
    dark = (rgb < 250).any(axis=2)
    rows, columns = np.flatnonzero(np.any(dark, axis=1)), np.flatnonzero(np.any(dark, axis=0))
    if len(rows) == 0:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
