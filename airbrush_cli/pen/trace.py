"""From a mask of dark pixels to an ordered pen layer."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.pen.travel import optimise_travel
from airbrush_cli.schemas.base import SizeMm
from airbrush_cli.schemas.pen_vectors import DECIMALS, PenPath, PenVectors
from airbrush_cli.schemas.preprocess import PenSettings
from airbrush_cli.units import A4_MM, px_to_mm


def trace_mask(mask: NDArray, settings: PenSettings, page_mm: tuple[float, float] = A4_MM) -> PenVectors:
    """Trace a mask.

    Args:
        mask: (H, W), non-zero where the pen draws; it covers the page.
        settings: tracer and its parameters.
        page_mm: (width, height) of the page.

    Returns:
        The pen layer, in drawing order. An empty mask gives an empty one.
    """
    size = (mask.shape[1], mask.shape[0])
    contours, _ = cv2.findContours((mask != 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    lines = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 0.7, True)[:, 0] + 0.5
        if len(points) > 1:
            lines.append(np.round(px_to_mm(np.vstack([points, points[:1]]), page_mm, size), DECIMALS))
    order, _ = optimise_travel([line[0] for line in lines], [line[-1] for line in lines])
    paths = [PenPath(points=[(x, y) for x, y in lines[index].tolist()], closed=True) for index in order]
    return PenVectors.build(page_mm=SizeMm(x=page_mm[0], y=page_mm[1]), pen_width_mm=settings.pen_width_mm, paths=paths)
