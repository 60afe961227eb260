"""Taking a picture apart: dark lines for the pen, everything else for the airbrush."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

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
        settings: see PenSettings.
        page_mm: (width, height) of the page.
    """
    mask = pen_mask(rgb, settings, page_mm)
    return Layers(without(rgb, mask), mask)


def pen_mask(rgb: NDArray[np.uint8], settings: PenSettings, page_mm: tuple[float, float] = A4_MM) -> NDArray[np.bool_]:
    """Return the (H, W) mask of dark lines (see `separate_layers`)."""
    if settings.mode == "none":
        return np.zeros(rgb.shape[:2], bool)
    lightness = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2LAB)[..., 0] * (100 / 255)
    return lightness < settings.threshold_lab_l


def without(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the picture with the masked pixels filled from around them (Telea 2004)."""
    if not mask.any():
        return rgb
    if mask.all():
        return np.full_like(rgb, 255)
    grown = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return cv2.inpaint(np.ascontiguousarray(rgb), grown, 3, cv2.INPAINT_TELEA).astype(np.uint8, copy=False)
