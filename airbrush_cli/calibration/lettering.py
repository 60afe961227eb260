"""What the pen draws on a calibration sheet: labels in a single-stroke font, and corner marks as hatched squares."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Path = list[tuple[float, float]]

# Cells along the side of a mark of ArUco's 5x5 dictionary, its black border included.
CELLS = 7
# Neighbouring lines of a hatch overlap by a fifth of the pen.
_HATCH = 0.8


@cache
def _font() -> Any:
    from HersheyFonts import HersheyFonts

    font = HersheyFonts()
    font.load_default_font("futural")
    font.normalize_rendering(1.0)
    return font


@cache
def _glyphs(text: str) -> list[NDArray[np.float64]]:
    """Return the strokes of a line of text, capitals 0 to 1 high, +Y down, starting at x = 0."""
    font = _font()
    # The font's own zero point and scale are those of capitals.
    reference = np.concatenate([np.array(list(points)) for points in font.strokes_for_text("H")])
    base, cap = reference[:, 1].min(), np.ptp(reference[:, 1])
    strokes = [np.array(list(points)) for points in font.strokes_for_text(text)]
    start = min((points[:, 0].min() for points in strokes), default=0.0)
    return [(points - (start, base)) / cap * (1, -1) + (0, 1) for points in strokes if len(points) > 1]


def text_paths(text: str, left: float, top: float, height: float) -> list[Path]:
    """Return the pen's paths of a line of text.

    Args:
        text: printable ASCII.
        left, top: of the capitals, mm, image frame.
        height: of the capitals, mm.
    """
    return [
        [(round(left + x * height, 3), round(top + y * height, 3)) for x, y in points.tolist()]
        for points in _glyphs(text)
    ]


def text_width(text: str, height: float) -> float:
    """Return the width of a line of text in mm."""
    return max((x for path in text_paths(text, 0.0, 0.0, height) for x, _ in path), default=0.0)


def mark_cells(number: int) -> NDArray[np.bool_]:
    """Return the (7, 7) black cells of a mark of ArUco's DICT_5X5_1000."""
    import cv2

    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_1000)
    return np.asarray(cv2.aruco.generateImageMarker(dictionary, number, CELLS)) == 0


def mark_paths(number: int, centre: tuple[float, float], size: float, pen_width: float) -> list[Path]:
    """Return horizontal lines that blacken a mark.

    Args:
        number: of the mark, 0 to 999.
        centre: mm, image frame.
        size: side of the black square, mm.
        pen_width: mm; lines stop half of it before a cell's edge.
    """
    cell, radius = size / CELLS, pen_width / 2
    count = math.ceil(max(cell - pen_width, 0.0) / (_HATCH * pen_width)) + 1
    offsets = np.linspace(radius, cell - radius, count) if count > 1 else np.array([cell / 2])
    paths: list[Path] = []
    for row, cells in enumerate(mark_cells(number)):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], cells, [False]]).astype(int)))
        for offset in offsets:
            y = round(centre[1] - size / 2 + row * cell + float(offset), 3)
            for first, last in zip(edges[::2], edges[1::2], strict=True):
                x0, x1 = (centre[0] - size / 2 + edge * cell for edge in (first, last))
                paths.append([(round(x0 + radius, 3), y), (round(x1 - radius, 3), y)])
    return paths
