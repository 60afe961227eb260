"""From a mask of dark pixels to an ordered pen layer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.pen import areas
from airbrush_cli.pen.centerline import centre_lines
from airbrush_cli.pen.curves import along_bezier, fit_bezier, simplify
from airbrush_cli.pen.lines import Line, in_order, merge, with_length
from airbrush_cli.pen.outlines import potrace_outlines, vtracer_outlines
from airbrush_cli.schemas.base import SizeMm
from airbrush_cli.schemas.pen_vectors import DECIMALS, PenPath, PenVectors
from airbrush_cli.schemas.preprocess import PenSettings
from airbrush_cli.units import A4_MM, px_to_mm

Mask = NDArray[np.uint8]


def trace_mask(mask: NDArray, settings: PenSettings, page_mm: tuple[float, float] = A4_MM) -> PenVectors:
    """Trace a mask.

    Args:
        mask: (H, W), non-zero where the pen draws; it covers the page.
        settings: tracer and its parameters.
        page_mm: (width, height) of the page.

    Returns:
        The pen layer, in drawing order, within the page. An empty mask gives an empty one.
    """
    ink: Mask = (np.asarray(mask) != 0).astype(np.uint8)
    px = ink.shape[1] / page_mm[0]
    size = (ink.shape[1], ink.shape[0])
    lines, area = areas.split(ink, settings.max_line_mm * px)
    if settings.trace == "centerline":
        traced = centre_lines(lines)
    elif settings.trace == "potrace":
        traced = [Line(*along_bezier(chain, 1.0), True) for chain in potrace_outlines(ink, settings.potrace)]
    else:
        traced = [Line(*along_bezier(chain, 1.0), True) for chain in vtracer_outlines(ink, settings.vtracer)]
    if settings.fill != "none" and area.any():
        traced += _filled(area, settings, px)
    in_mm = [
        line._replace(xy=px_to_mm(line.xy, page_mm, size), width=line.width and line.width / px) for line in traced
    ]
    merged = merge(in_mm, settings.join_mm)
    long_enough = (with_length(line, settings.pen_width_mm) for line in merged)
    paths, seen = [], set()
    for line in in_order([line for line in long_enough if line is not None]):
        path = _path(line, settings, page_mm)
        key = min(tuple(path.vertices), tuple(reversed(path.vertices)))
        if key not in seen and _length(path) >= settings.pen_width_mm:
            seen.add(key)
            paths.append(path)
    return PenVectors.build(page_mm=SizeMm(x=page_mm[0], y=page_mm[1]), pen_width_mm=settings.pen_width_mm, paths=paths)


def _filled(area: Mask, settings: PenSettings, px: float) -> list[Line]:
    """Draw the areas: an outline half a pen inside the edge, where no tracer draws it, and hatching."""
    pen = settings.pen_width_mm * px
    depth, shift = areas.depth_of(area)
    lines = []
    if settings.trace == "centerline":
        for xy in areas.contours(depth, pen / 2):
            lines.append(Line(xy + shift, np.zeros(len(xy), bool), True))
    if settings.fill == "hatch":
        angle, spacing = math.radians(settings.hatch_angle_deg), pen * settings.hatch_spacing
        for xy in areas.hatch(depth, pen, spacing, angle, shift):  # its ends reach halfway under the outline
            lines.append(Line(xy + shift, np.ones(len(xy), bool)))
    return lines


def _path(line: Line, settings: PenSettings, page_mm: tuple[float, float]) -> PenPath:
    if settings.curves == "bezier" and not line.corner.all():
        kind, xy = "bezier", fit_bezier(line.xy, line.corner, line.closed, settings.tolerance_mm)
    else:
        kind, xy = "points", simplify(line.xy, settings.tolerance_mm)
    x, y = np.clip(xy, 0.0, page_mm).round(DECIMALS).T.tolist()
    points = list(zip(x, y, strict=True))
    width = round(line.width, DECIMALS) if line.width else None
    return PenPath(**{kind: points}, closed=line.closed, width_mm=width)


def _length(path: PenPath) -> float:
    """Return a lower bound of a path's length, mm: that of its chords."""
    points = np.array(path.vertices)[:: 3 if path.bezier is not None else 1]
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
