"""Drawings with known centre lines, for the pen tracer's tests and its bench."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def rasterise(strokes: list[Points], width: float, size: tuple[int, int], samples: int = 8) -> NDArray[np.uint8]:
    """Draw (N, 2) px polylines with a round pen of `width` px; (H, W) of 0 and 1, set where a pixel is half covered."""
    canvas = np.zeros((size[1] * samples, size[0] * samples), np.uint8)
    for stroke in strokes:
        fixed = np.round((stroke * samples - 0.5) * 256).astype(np.int32)
        cv2.polylines(canvas, [fixed], False, 255, max(1, round(width * samples)), cv2.LINE_8, 8)
    return (cv2.resize(canvas, size, interpolation=cv2.INTER_AREA) >= 128).astype(np.uint8)


def dense(polyline: Points, step: float = 0.25) -> Points:
    """Return points about `step` apart along a polyline."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(polyline, axis=0).T))])
    at = np.linspace(0, along[-1], max(2, int(along[-1] / step) + 1))
    return np.stack([np.interp(at, along, polyline[:, axis]) for axis in (0, 1)], axis=1)


def length_of(polyline: Points) -> float:
    """Return a polyline's length."""
    return float(np.hypot(*np.diff(polyline, axis=0).T).sum())


def arc(x: float, y: float, radius: float, start: float = 0.0, stop: float = 2 * np.pi) -> Points:
    """Return a circular arc as a fine polyline."""
    angle = np.linspace(start, stop, 200)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def scrawl(generator: np.random.Generator, size: tuple[int, int], count: int) -> list[Points]:
    """Return smooth strokes like those of a quick sketch: cubic Béziers anywhere on the page."""
    strokes = []
    t = np.linspace(0, 1, 60)[:, None]
    for _ in range(count):
        start = generator.uniform(0.1, 0.9, 2) * size
        steps = generator.normal(0, 0.25 * min(size), (3, 2))
        p = np.clip(np.vstack([start, start + np.cumsum(steps, axis=0)]), 8, np.array(size) - 8)
        strokes.append((1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3])
    return strokes


def svg_strokes(path: Path) -> list[Points]:
    """Return the strokes of a KanjiVG file as polylines in its own units (109 x 109)."""
    return [_polyline(data) for data in re.findall(r'<path[^>]* d="([^"]+)"', path.read_text(encoding="utf-8"))]


def _polyline(data: str) -> Points:
    words = re.findall(r"[MmLlCcSs]|-?\d*\.?\d+(?:e-?\d+)?", data)
    parts: list[Points] = []
    here, handle, command, at = np.zeros(2), np.zeros(2), "M", 0
    t = np.linspace(0, 1, 40)[1:, None]
    while at < len(words):
        if words[at].isalpha():
            command, at = words[at], at + 1
        count = {"m": 2, "l": 2, "c": 6, "s": 4}[command.lower()]
        points = np.array([float(word) for word in words[at : at + count]]).reshape(-1, 2)
        at += count
        if command.islower():
            points = points + here
        if len(points) == 1:
            parts.append(points)
            handle = points[0]
        else:
            p1 = points[0] if len(points) == 3 else 2 * here - handle
            p2, p3 = points[-2], points[-1]
            parts.append((1 - t) ** 3 * here + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3)
            handle = p2
        here = points[-1]
    return np.concatenate(parts)


def nearest_neighbour(starts: Points, ends: Points) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the plain greedy tour, from the origin, either end first: order and reversal, as of `optimise_travel`."""
    left = np.ones(len(starts), bool)
    here, order, reverse = np.zeros(2), [], []
    for _ in range(len(starts)):
        to_start = np.where(left, np.hypot(*(starts - here).T), np.inf)
        to_end = np.where(left, np.hypot(*(ends - here).T), np.inf)
        back = bool(to_end.min() < to_start.min())
        index = int(np.argmin(to_end if back else to_start))
        here = starts[index] if back else ends[index]
        left[index] = False
        order.append(index)
        reverse.append(back)
    return np.array(order), np.array(reverse)
