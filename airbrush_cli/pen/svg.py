"""The pen layer as SVG, for people to look at: in millimetres, opening at true size."""

from __future__ import annotations

from collections.abc import Sequence

from airbrush_cli.schemas.pen_vectors import PenPath, PenVectors


def to_svg(document: PenVectors) -> str:
    """Return the SVG text of a pen layer: one `path` a pen path, in drawing order, one user unit a millimetre."""
    width, height, pen = document.page_mm.x, document.page_mm.y, document.pen_width_mm
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}">',
        f'<g fill="none" stroke="black" stroke-width="{pen:g}" stroke-linecap="round" stroke-linejoin="round">',
        *(f'<path d="{_data(path)}"/>' for path in document.paths),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _data(path: PenPath) -> str:
    first, *rest = path.vertices
    end = "Z" if path.closed else ""
    return f"M{_words([first])}{'C' if path.bezier is not None else 'L'}{_words(rest)}{end}"


def _words(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.6g},{y:.6g}" for x, y in points)
