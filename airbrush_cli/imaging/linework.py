"""Telling drawn lines from everything else that is dark.

Lightness and darkness are CIE L*, 0..100. A drawing on paper and a picture ask for different questions: on paper all
that is darker than the paper about it is drawn; in a picture a drawn line is black, has sharp edges on both sides, and
above all keeps its width, as no shadow, gap or twig does.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli.pen import areas
from airbrush_cli.pen.raster import framed_depth
from airbrush_cli.pen.skeleton import thin
from airbrush_cli.schemas.preprocess import PenSettings

Lightness = NDArray  # (H, W) of float32, 0..100

_NEAR = 9  # px, the neighbourhood that a line's own darkness is taken from
_BORDER = 4  # px, dark rims of a picture are no lines
_PAPER = 0.7


def paper_likeness(lab: NDArray, thick: float) -> float:
    """Return how much a picture looks like paper with a drawing on it: mostly one bright, even, grey surface. 0..1.

    Clean drawings have over 0.9, colour photographs under 0.6 (103 of Kodak, CQ100 and Unsplash).

    Args:
        lab: (H, W, 3) CIE L*a*b*.
        thick: the greatest thickness of a line, px.
    """
    small = cv2.resize(lab, _quarter((lab.shape[1], lab.shape[0])), interpolation=cv2.INTER_AREA)
    paper = _paper(np.ascontiguousarray(small[..., 0]), thick)
    lightness, a, b = np.median(small.reshape(-1, 3), axis=0)
    tint = cv2.GaussianBlur(small[..., 1:], (0, 0), 1.0) - (a, b)
    even = float((np.abs(paper - np.median(paper)) < 22).mean())
    grey = float((np.hypot(tint[..., 0], tint[..., 1]) < 15).mean())
    bare = float((np.abs(paper - small[..., 0]) < 6).mean())
    return even * grey * bare if lightness > 50 and np.hypot(a, b) < 30 else 0.0


def _quarter(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 4), max(1, size[1] // 4)


def _paper(lightness: Lightness, size: float) -> Lightness:
    """Return the lightness of the paper: everything dark that is narrower than about `size` px closed over."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(1.8 * size) + 1,) * 2)
    closed = cv2.morphologyEx(lightness, cv2.MORPH_CLOSE, kernel)
    return cv2.GaussianBlur(closed, (0, 0), size / 2).astype(np.float32, copy=False)


def lines_on_paper(lightness: Lightness, settings: PenSettings, thick: float) -> NDArray[np.bool_]:
    """Return the mask of all that is drawn on paper: ink or pencil, whatever the light it was scanned in.

    A line's edge is where it is half as dark as at its darkest close by, so that its width is true however dark it is.
    """
    shape = (lightness.shape[1], lightness.shape[0])
    small = cv2.resize(lightness, _quarter(shape), interpolation=cv2.INTER_AREA)
    paper = cv2.resize(_paper(small.astype(np.float32), 2 * thick), shape, interpolation=cv2.INTER_LINEAR)
    dark = paper - lightness
    # Most of the page is paper: its median is its lightness, the median deviation its grain.
    dark -= np.median(dark)
    grain = 1.48 * float(np.median(np.abs(dark)))
    if grain > 0.3:
        dark = cv2.GaussianBlur(dark, (0, 0), 0.8)
        grain = 1.48 * float(np.median(np.abs(dark)))
    floor = max(7.0, 6 * grain)
    drawn = dark[dark > floor]
    full = float(np.percentile(drawn, 90)) if drawn.size else 0.0
    peak = cv2.dilate(dark, _disc(_NEAR))
    edge = (dark >= 0.5 * peak) & (dark > max(4.0, 4 * grain, 0.12 * full))
    edge |= lightness < 0.4 * np.median(paper)  # areas so large that they pass for paper
    return _tidy(_holding(edge, dark > max(floor, 0.2 * full), 4), settings)


def drawing(lab: NDArray, settings: PenSettings, thick: float) -> NDArray[np.bool_] | None:
    """Return the mask of all that is drawn on paper, or None if the picture is no drawing on paper.

    A photograph of something on plain ground is mostly paper too, but what stands on it is large and of many tones.

    Args:
        lab: (H, W, 3) CIE L*a*b*.
        settings: how masks are cleaned.
        thick: the greatest thickness of a line, px.
    """
    if paper_likeness(lab, thick) < _PAPER:
        return None
    mask = lines_on_paper(lab[..., 0], settings, thick)
    _, area = areas.split(mask.astype(np.uint8), thick)
    inner = cv2.erode(area, _disc(7)).astype(bool)
    if area.sum() > 0.4 * mask.sum() and inner.any() and lab[..., 0][inner].std() > 8:
        return None
    return mask


def lines_on_picture(lightness: Lightness, settings: PenSettings, thick: float, only_drawn: bool) -> NDArray[np.bool_]:
    """Return the mask of black lines in a picture.

    Args:
        lightness: of the picture.
        settings: what is black (`threshold_lab_l`), and how masks are cleaned.
        thick: the greatest thickness of a line, px.
        only_drawn: whether lines must look drawn. Otherwise all that is black counts, but for specks that hardly differ
            from what is about them.
    """
    black = lightness < settings.threshold_lab_l
    if not black.any():
        return black
    contrast = cv2.morphologyEx(lightness, cv2.MORPH_CLOSE, _disc(2 * int(1.2 * thick) + 1)) - lightness
    peak = cv2.dilate(np.where(black, contrast, 0).astype(np.float32), _disc(5))
    black |= (contrast >= 0.5 * peak) & (peak > 15)
    lines, area = areas.split(black.astype(np.uint8), thick)
    lines &= 1 - area
    if only_drawn:
        kept = _drawn(lines, lightness, contrast, settings.threshold_lab_l)
        if kept is None:
            return np.zeros_like(black)
        # Solid areas belong to a drawing when they are as black as its lines.
        solid = _of_components(area, lambda labels, count: _mean(labels, lightness, count) < settings.threshold_lab_l)
    else:
        kept = _of_components(lines, lambda labels, count: _mean(labels, contrast, count) > 15)
        solid = area.astype(bool)
    return _tidy(kept | solid, settings)


def _drawn(
    lines: NDArray[np.uint8], lightness: Lightness, contrast: Lightness, threshold: float
) -> NDArray[np.bool_] | None:
    """Return which lines look drawn, or None if so few do that it must be chance."""
    count, labels = cv2.connectedComponents(lines, connectivity=8)
    if count < 2:
        return None
    framed, depth, (left, top) = framed_depth(lines)
    rows, columns = np.nonzero(thin(framed, depth))
    radius = depth[rows, columns].astype(np.float64)
    rows, columns = rows + top, columns + left
    inside = (rows >= _BORDER) & (rows < lines.shape[0] - _BORDER)
    inside &= (columns >= _BORDER) & (columns < lines.shape[1] - _BORDER)
    rows, columns, radius = rows[inside], columns[inside], radius[inside]
    of = labels[rows, columns]
    length = np.bincount(of, minlength=count)
    total = np.maximum(length, 1)

    def mean(values: NDArray) -> NDArray[np.float64]:
        return np.bincount(of, values, minlength=count) / total

    slope = np.hypot(cv2.Sobel(lightness, -1, 1, 0) / 8, cv2.Sobel(lightness, -1, 0, 1) / 8)
    edge = cv2.dilate(slope, _disc(7))[rows, columns]
    against = contrast[rows, columns]
    width = np.maximum(mean(radius), 0.1)
    spread = np.sqrt(np.maximum(mean(radius**2) - width**2, 0)) / width
    drawn = (
        (length >= 40)
        & (spread < 0.33)
        & (mean(against < 20) < 0.1)
        & (mean(edge / np.maximum(against, 1)) > 0.4)
        & (mean(lightness[rows, columns]) < threshold)
    )
    if length[drawn].sum() < max(300, 0.5 * length.sum()):
        return None
    return drawn[labels] & (labels > 0)


def _holding(mask: NDArray[np.bool_], seeds: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return the components of the mask that hold at least so many seeds."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    held = np.bincount(labels[seeds & mask], minlength=count)
    held[0] = 0
    return (held >= least)[labels]


def _mean(labels: NDArray[np.int32], values: Lightness, count: int) -> NDArray[np.float64]:
    flat = labels.ravel()
    return np.bincount(flat, values.ravel(), minlength=count) / np.maximum(np.bincount(flat, minlength=count), 1)


def _of_components(mask: NDArray[np.uint8], keep) -> NDArray[np.bool_]:  # type: ignore[no-untyped-def]
    """Return the components of a mask that `keep(labels, count)` is true for, (count,)."""
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    kept = np.asarray(keep(labels, count), bool).copy()
    kept[0] = False
    return kept[labels]


def _tidy(mask: NDArray[np.bool_], settings: PenSettings) -> NDArray[np.bool_]:
    """Close small gaps and holes, and drop specks."""
    ink = mask.astype(np.uint8)
    if settings.close_px:
        kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * settings.close_px + 1,) * 2)
        ink = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, kernel).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= max(1, settings.min_area_px)
    kept[0] = False
    return kept[labels]


def _disc(size: int) -> NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size | 1, size | 1)).astype(np.uint8, copy=False)
