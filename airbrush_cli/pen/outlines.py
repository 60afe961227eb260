"""The outlines of a mask by other people's tracers: picture and parameters in, Bézier chains out."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.schemas.preprocess import PotraceSettings, VtracerSettings

_PATH = re.compile(r'<path d="([^"]*)"[^>]*transform="translate\(([-\d.e]+),([-\d.e]+)\)"')
_STEP = re.compile(r"([MLCZ])([^MLCZ]*)")
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")


def potrace_outlines(mask: NDArray[np.uint8], settings: PotraceSettings) -> list[NDArray[np.float64]]:
    """Trace a mask, (H, W) of 0 and 1, with potrace (Selinger 2003).

    Returns:
        Closed chains of cubic Béziers, (3n + 1, 2) px each; straight sides are Béziers too.
    """
    import potrace

    policy = getattr(potrace, f"POTRACE_TURNPOLICY_{settings.turnpolicy.upper()}")
    traced = potrace.Bitmap(mask == 0).trace(  # it takes True for white
        turdsize=settings.turdsize,
        turnpolicy=policy,
        alphamax=settings.alphamax,
        opticurve=settings.opttolerance > 0,
        opttolerance=settings.opttolerance,
    )
    chains = []
    for curve in traced:
        here = curve.start_point
        points = [(here.x, here.y)]
        for segment in curve.segments:
            end = (segment.end_point.x, segment.end_point.y)
            if segment.is_corner:
                middle = (segment.c.x, segment.c.y)
                points += [*_thirds(points[-1], middle), middle]
                points += [*_thirds(middle, end), end]
            else:
                points += [(segment.c1.x, segment.c1.y), (segment.c2.x, segment.c2.y), end]
        chains.append(np.array(points))
    return chains


def vtracer_outlines(mask: NDArray[np.uint8], settings: VtracerSettings) -> list[NDArray[np.float64]]:
    """Trace a mask, (H, W) of 0 and 1, with vtracer.

    Returns:
        Closed chains of cubic Béziers, (3n + 1, 2) px each; straight sides are Béziers too.
    """
    import vtracer

    ok, png = cv2.imencode(".png", (1 - mask.astype(np.uint8)) * 255)
    assert ok
    svg = vtracer.convert_raw_image_to_svg(png.tobytes(), img_format="png", colormode="binary", **settings.model_dump())
    return [chain for d, dx, dy in _PATH.findall(svg) for chain in _chains(d, np.array([float(dx), float(dy)]))]


def _chains(data: str, shift: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the closed chains of one `d` attribute, which has absolute M, L, C and Z only."""
    chains: list[list[tuple[float, float]]] = []
    for step, words in _STEP.findall(data):
        numbers = [float(word) for word in _NUMBER.findall(words)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if step == "M":
            chains.append([points[0]])
        elif step == "L":
            for point in points:
                chains[-1] += [*_thirds(chains[-1][-1], point), point]
        elif step == "C":
            chains[-1] += points
        elif chains[-1][-1] != chains[-1][0]:
            chains[-1] += [*_thirds(chains[-1][-1], chains[-1][0]), chains[-1][0]]
    return [np.array(chain) + shift for chain in chains if len(chain) >= 4]


def _thirds(a: tuple[float, float], b: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the inner control points of a straight line as a Bézier."""
    return [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for t in (1 / 3, 2 / 3)]
