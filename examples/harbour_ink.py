"""A harbour in pen and wash: lines for the pen, colour for the airbrush. `python harbour_ink.py` writes the picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour

WIDTH, HEIGHT, SCALE = 600, 848, 3

Points = Sequence[tuple[float, float]]
Tone = tuple[float, float, float]

QUAY, WATER = 508.0, 540.0
GLASS = (0.56, 0.66, 0.74)
NIB = 1.7  # 0.6 mm on A4: one pen drew it all


class Sheet:
    """White paper that takes washes, one over the other, and ink lines on top. Coordinates are final pixels."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        shape = (HEIGHT * SCALE, WIDTH * SCALE)
        self.density = np.zeros((*shape, 3), np.float32)
        self.ink = np.zeros(shape, np.uint8)
        self.bloom = self._noise(90) + 0.6 * self._noise(37) + 0.3 * self._noise(14)

    def _noise(self, cell: int) -> NDArray[np.float32]:
        grid = self.random.uniform(-1, 1, (HEIGHT // cell + 2, WIDTH // cell + 2)).astype(np.float32)
        return cv2.resize(grid, (WIDTH * SCALE, HEIGHT * SCALE), interpolation=cv2.INTER_CUBIC)

    def wash(self, outline: Points, tone: Tone, strength: float = 1.0, soft: float = 1.2) -> None:
        """Lay a wash of the colour `tone` (sRGB) inside `outline`: uneven, and darker where its edge dried."""
        here, pool = self._fill(outline, soft, margin=16)
        edge = np.clip(pool - cv2.GaussianBlur(pool, (0, 0), 5 * SCALE), 0, 1)
        amount = strength * (pool * (0.85 + 0.22 * self.bloom[here]) + 0.5 * edge)
        self.density[here] -= np.log(colour.srgb_to_linear(np.array(tone, np.float32))) * amount[..., None]

    def spare(self, outline: Points) -> None:
        """Take out of `outline` what is there, for something nearer."""
        here, mask = self._fill(outline, soft=0.4, margin=2)
        self.density[here] *= 1 - mask[..., None]
        self.ink[here] = self.ink[here] * (1 - mask)

    def _fill(self, outline: Points, soft: float, margin: float) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Return a softened mask of `outline`, and the part of the sheet that it covers."""
        corners = np.asarray(outline, float) * SCALE
        reach = (margin + 3 * soft) * SCALE
        left, top = np.maximum(corners.min(0) - reach, 0).astype(int)
        right, bottom = np.minimum(corners.max(0) + reach, self.ink.shape[::-1]).astype(int)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [np.round((corners - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        pool = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), soft * SCALE)
        return (slice(top, bottom), slice(left, right)), pool

    def line(self, points: Points, closed: bool = False) -> None:
        """Draw an ink line through `points` with a hand that is not quite steady."""
        corners = np.array([*points, points[0]] if closed else points, float)
        steps = np.hypot(*np.diff(corners, axis=0).T)
        at = np.concatenate([[0], np.cumsum(steps)])
        along = np.linspace(0, at[-1], max(int(at[-1] / 3), 2))
        path = np.stack([np.interp(along, at, corners[:, i]) for i in range(2)], 1)
        knots = self.random.normal(0, 0.5, (2, int(at[-1] / 22) + 3))
        sway = [np.interp(along, np.linspace(0, at[-1], knots.shape[1]), knot) for knot in knots]
        path += cv2.GaussianBlur(np.stack(sway, 1), (1, 9), 2.0)
        cv2.polylines(self.ink, [_fixed(path)], False, 255, round(NIB * SCALE), cv2.LINE_AA, 4)

    def solid(self, outline: Points) -> None:
        cv2.fillPoly(self.ink, [_fixed(outline)], 255, cv2.LINE_AA, shift=4)

    def picture(self) -> NDArray[np.uint8]:
        paper = colour.srgb_to_linear(np.array([0.985, 0.975, 0.945], np.float32))
        light = paper * np.exp(-self.density)
        black = colour.srgb_to_linear(np.array([0.05, 0.05, 0.06], np.float32))
        cover = (self.ink / np.float32(255))[..., None]
        light = light * (1 - cover) + black * cover
        small = cv2.resize(light, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return colour.linear_to_srgb8(small)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(np.asarray(points, float) * SCALE * 16).astype(np.int32)


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def outlined(sheet: Sheet, outline: Points, tone: Tone, strength: float = 0.9) -> None:
    """Colour something near in place of what is behind it, and draw around it."""
    sheet.spare(outline)
    sheet.wash(outline, tone, strength, 0.8)
    sheet.line(outline, closed=True)


def window(sheet: Sheet, middle: float, top: float, wide: float, shutters: Tone | None) -> None:
    left, right, bottom = middle - wide / 2, middle + wide / 2, top + 1.4 * wide
    outlined(sheet, box(left, top, right, bottom), GLASS)
    sheet.line([(middle, top), (middle, bottom)])
    sheet.line([(left, top + 0.55 * wide), (right, top + 0.55 * wide)])
    if shutters:
        for edge in (left - 0.45 * wide, right):
            outlined(sheet, box(edge, top, edge + 0.45 * wide, bottom), shutters)


def house(
    sheet: Sheet,
    span: tuple[float, float],
    eaves: float,
    gable: str,
    wall: Tone,
    windows: tuple[int, int],
    shutters: Tone | None = None,
) -> None:
    """A narrow house on the quay, its gable to the water, with so many (floors, bays) of windows."""
    left, right = span
    wide, middle = right - left, (left + right) / 2
    peak = eaves - 0.62 * wide
    if gable == "steps":
        rise = (eaves - peak) / 4
        roof = [(left, eaves)]
        for k in range(4):
            x, y = left + wide * k / 9, eaves - rise * (k + 1)
            roof += [(x, y), (left + wide * (k + 1) / 9, y)]
        roof += [(left + right - x, y) for x, y in reversed(roof)]
    elif gable == "bell":
        turn = np.linspace(-1, 1, 25)
        rise = (eaves - peak) * (0.5 + 0.5 * np.cos(np.pi * turn)) ** 0.8
        roof = list(zip(middle + wide / 2 * turn, eaves - rise, strict=True))
    else:
        roof = [(left, eaves), (middle, peak), (right, eaves)]
    sheet.wash([*roof, (right, QUAY), (left, QUAY)], wall)
    shade = [(right - 0.22 * wide, eaves + 6), (right, eaves), (right, QUAY), (right - 0.16 * wide, QUAY)]
    sheet.wash(shade, (0.70, 0.66, 0.74), 0.7, 3.0)
    sheet.line(roof)
    sheet.line([(left, eaves), (right, eaves)])
    attic, height = 0.10 * wide, eaves - 0.36 * (eaves - peak)
    outlined(sheet, box(middle - attic, height - attic, middle + attic, height + 1.2 * attic), GLASS)

    floors, bays = windows
    story = (QUAY - 56 - eaves) / floors
    pane = min((0.45 if shutters else 0.54) * wide / bays, 0.50 * story)
    for floor in range(floors):
        for bay in range(bays):
            middle_of_bay = left + wide * (0.5 + 0.92 * ((bay + 0.5) / bays - 0.5))
            window(sheet, middle_of_bay, eaves + 12 + floor * story, pane, shutters)

    door = left + 0.26 * wide
    outlined(sheet, box(door - 9, QUAY - 40, door + 9, QUAY), (0.52, 0.42, 0.36))
    start, end, top = left + 0.52 * wide, right - 0.12 * wide, QUAY - 44
    outlined(sheet, box(start, top, end, QUAY - 9), GLASS)
    awning = [(start - 3, top), (end + 3, top), (end + 6, top + 13), (start - 6, top + 13)]
    outlined(sheet, awning, shutters or (0.85, 0.42, 0.34))


def street(sheet: Sheet) -> None:
    teal, brick, blue = (0.36, 0.60, 0.57), (0.78, 0.38, 0.31), (0.42, 0.54, 0.72)
    edges = [24, 126, 218, 326, 416, 504, 578]
    eaves = [306, 262, 318, 246, 300, 336]
    spans = list(itertools.pairwise(edges))
    house(sheet, spans[0], eaves[0], "steps", (0.92, 0.62, 0.48), (3, 2))
    house(sheet, spans[1], eaves[1], "bell", (0.96, 0.84, 0.58), (4, 2), teal)
    house(sheet, spans[2], eaves[2], "plain", (0.74, 0.85, 0.79), (3, 3))
    house(sheet, spans[3], eaves[3], "steps", (0.94, 0.74, 0.68), (4, 2), blue)
    house(sheet, spans[4], eaves[4], "bell", (0.82, 0.85, 0.92), (3, 2), brick)
    house(sheet, spans[5], eaves[5], "plain", (0.94, 0.80, 0.60), (3, 2))
    for x, left, right in zip(edges, [QUAY, *eaves], [*eaves, QUAY], strict=True):
        sheet.line([(x, min(left, right)), (x, QUAY)])


def boat(sheet: Sheet, x: float, water: float, size: float, hull: Tone, sail: Tone) -> None:
    """A fishing smack, moored, its sail half furled."""

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + size * px, water + size * py) for px, py in points]

    cream = (0.97, 0.93, 0.84)
    deck = at((-1.0, -0.34), (-0.6, -0.24), (0.0, -0.20), (0.6, -0.25), (1.05, -0.42))
    body = [*deck, *at((0.88, -0.10), (0.72, 0.06), (-0.74, 0.06), (-0.90, -0.12))]
    canvas = at((0.08, -2.12), (0.16, -2.14), (0.76, -0.70), (0.08, -0.64))
    jib = at((-0.12, -1.95), (-0.82, -0.46), (-0.12, -0.62))
    sheet.line(at((0.0, -2.55), (1.02, -0.40)))
    sheet.line(at((0.0, -2.55), (-1.0, -0.34)))
    outlined(sheet, canvas, sail)
    outlined(sheet, jib, cream)
    for k in (0.3, 0.55, 0.8):
        sheet.line(at((0.08, -2.12 + 1.48 * k), (0.16 + 0.60 * k, -2.14 + 1.44 * k)))
    sheet.line(at((0.0, -0.2), (0.0, -2.62)))
    sheet.line(at((0.0, -0.50), (0.92, -0.54)))
    outlined(sheet, at((0.0, -2.62), (0.34, -2.53), (0.0, -2.44)), (0.85, 0.25, 0.22))
    outlined(sheet, at((-0.60, -0.22), (-0.60, -0.42), (-0.22, -0.42), (-0.22, -0.20)), (0.93, 0.80, 0.52))
    outlined(sheet, body, hull)
    sheet.wash(at((-0.90, -0.12), (0.88, -0.10), (0.72, 0.06), (-0.74, 0.06)), (0.55, 0.50, 0.56), 0.7, 1.5)
    sheet.line(at((-0.95, -0.20), (-0.4, -0.11), (0.3, -0.10), (0.96, -0.25)))
    # The reflection: the colours, run into one another, and short strokes of the pen.
    for part, tone, strength in ((canvas, sail, 0.40), (jib, cream, 0.3), (body, hull, 0.55)):
        sheet.wash([(px, water + 0.10 * size + 0.5 * (water - py)) for px, py in part], tone, strength, 3.0)
    for k in range(9):
        reach = size * (1.0 - 0.09 * k)
        y = water + size * (0.14 + 0.13 * k)
        middle = x + sheet.random.normal(0, 0.12 * size)
        left, right = reach * sheet.random.uniform(0.2, 0.8, 2)
        sheet.line([(middle - left, y), (middle + right, y)])


def gull(sheet: Sheet, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        t = np.linspace(0, 1, 9)
        rise = 0.55 * np.sin(0.85 * np.pi * t) - 0.10 * t
        sheet.line(list(zip(x + side * size * t, y - size * rise, strict=True)))


def background(sheet: Sheet) -> None:
    """Sky and water, wet in wet."""
    sheet.wash([(30, 60), (300, 28), (575, 70), (570, 330), (30, 350)], (0.66, 0.79, 0.88), 0.75, 30)
    sheet.wash([(60, 300), (560, 280), (560, 400), (60, 400)], (0.97, 0.84, 0.70), 0.7, 34)
    sheet.wash([(26, 548), (574, 548), (580, 770), (300, 812), (24, 780)], (0.52, 0.72, 0.76), 0.8, 9)
    sheet.wash([(60, 700), (540, 690), (500, 800), (140, 806)], (0.38, 0.56, 0.68), 0.55, 30)


def quay(sheet: Sheet) -> None:
    wall = box(18, QUAY, 582, WATER)
    sheet.wash(wall, (0.80, 0.74, 0.66), 1.0)
    sheet.wash(box(18, QUAY + 16, 582, WATER + 3), (0.66, 0.62, 0.64), 0.8, 4)
    sheet.line([(14, QUAY), (586, QUAY)])
    sheet.line([(16, WATER), (584, WATER)])
    for row, y in enumerate((QUAY + 11, QUAY + 21)):
        sheet.line([(18, y), (582, y)])
        for x in np.arange(30 + 14 * row, 580, 31.0):
            sheet.line([(x, y), (x, y - 10)])
    for x in (70, 330, 466):
        sheet.solid(box(x - 3, QUAY - 9, x + 3, QUAY))
        sheet.line([(x - 5, QUAY - 9), (x + 5, QUAY - 9)])


def lamp(sheet: Sheet, x: float) -> None:
    sheet.line([(x, QUAY), (x, QUAY - 92)])
    sheet.line([(x - 6, QUAY), (x + 6, QUAY)])
    glass = [(x - 7, QUAY - 108), (x + 7, QUAY - 108), (x + 4, QUAY - 92), (x - 4, QUAY - 92)]
    outlined(sheet, glass, (1.0, 0.82, 0.36))
    sheet.line([(x - 8, QUAY - 108), (x, QUAY - 117), (x + 8, QUAY - 108)])


def main() -> None:
    sheet = Sheet(np.random.default_rng(5))
    background(sheet)
    street(sheet)
    quay(sheet)
    lamp(sheet, 300)
    lamp(sheet, 540)
    for _ in range(24):
        x, y = sheet.random.uniform(40, 540), 556 + 230 * sheet.random.uniform() ** 0.8
        sheet.line([(x, y), (x + sheet.random.uniform(32, 52) * (y / 700), y)])
    boat(sheet, 410, 640, 92, (0.30, 0.50, 0.64), (0.86, 0.46, 0.32))
    boat(sheet, 168, 690, 112, (0.72, 0.32, 0.26), (0.95, 0.80, 0.52))
    for x, y, size in ((120, 130, 18), (176, 106, 15), (452, 118, 17), (506, 154, 15), (300, 92, 15)):
        gull(sheet, x, y, size)
    path = Path(__file__).with_suffix(".png")
    cv2.imwrite(str(path), sheet.picture()[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
