"""A harbour in pen and wash: lines for the pen, colour for the airbrush. `python harbour_ink.py` writes the picture."""

from __future__ import annotations

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

    def line(self, points: Points, width: float = 1.5, wobble: float = 0.7, closed: bool = False) -> None:
        """Draw an ink line through `points` with a hand that is not quite steady."""
        corners = np.array([*points, points[0]] if closed else points, float)
        steps = np.hypot(*np.diff(corners, axis=0).T)
        at = np.concatenate([[0], np.cumsum(steps)])
        along = np.linspace(0, at[-1], max(int(at[-1] / 3), 2))
        path = np.stack([np.interp(along, at, corners[:, i]) for i in range(2)], 1)
        knots = self.random.normal(0, wobble, (2, int(at[-1] / 22) + 3))
        sway = [np.interp(along, np.linspace(0, at[-1], knots.shape[1]), knot) for knot in knots]
        path += cv2.GaussianBlur(np.stack(sway, 1), (1, 9), 2.0)
        cv2.polylines(self.ink, [_fixed(path)], False, 255, round(width * SCALE), cv2.LINE_AA, 4)

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


def window(sheet: Sheet, left: float, top: float, wide: float, tall: float, shutters: Tone | None) -> None:
    right, bottom = left + wide, top + tall
    sheet.wash(box(left, top, right, bottom), (0.42, 0.55, 0.66), 0.9, 0.8)
    sheet.line(box(left, top, right, bottom), 1.3, 0.4, closed=True)
    sheet.line([(left + wide / 2, top), (left + wide / 2, bottom)], 0.9, 0.3)
    sheet.line([(left, top + 0.42 * tall), (right, top + 0.42 * tall)], 0.9, 0.3)
    if shutters:
        for edge in (left - 0.42 * wide, right):
            shutter = box(edge, top, edge + 0.42 * wide, bottom)
            sheet.wash(shutter, shutters, 1.0, 0.7)
            sheet.line(shutter, 1.1, 0.4, closed=True)


def house(
    sheet: Sheet,
    left: float,
    right: float,
    eaves: float,
    gable: str,
    wall: Tone,
    floors: int,
    bays: int,
    shutters: Tone | None = None,
) -> None:
    """A narrow house on the quay, its gable to the water."""
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
    front = [*roof, (right, QUAY), (left, QUAY)]
    sheet.wash(front, wall)
    shade = [(right - 0.22 * wide, eaves + 6), (right, eaves), (right, QUAY), (right - 0.16 * wide, QUAY)]
    sheet.wash(shade, (0.70, 0.66, 0.74), 0.7, 3.0)
    sheet.line(front, 1.7, closed=True)
    if gable == "plain":
        sheet.line([(left - 4, eaves + 3), (middle, peak - 4), (right + 4, eaves + 3)], 1.9)
    sheet.line([(left + 2, eaves + 4), (right - 2, eaves + 4)], 1.0)

    door_tall = 46.0
    story = (QUAY - eaves - door_tall - 8) / floors
    pane = min(0.46 * wide / bays, 0.62 * story)
    for floor in range(floors):
        for bay in range(bays):
            x = left + wide * (bay + 0.5) / bays - pane / 2
            window(sheet, x, eaves + 14 + floor * story, pane, min(0.68 * story, 1.5 * pane), shutters)
    attic = 0.13 * wide
    window(sheet, middle - attic / 2, eaves - 0.30 * (eaves - peak) - attic / 2, attic, 1.1 * attic, None)

    door = left + 0.30 * wide
    entrance = box(door - 9, QUAY - door_tall + 6, door + 9, QUAY)
    sheet.wash(entrance, (0.36, 0.30, 0.28), 0.9, 0.8)
    sheet.line(entrance, 1.4, 0.4, closed=True)
    sheet.line([(door, QUAY - door_tall + 8), (door, QUAY - 2)], 0.8, 0.3)
    start, end, top = left + 0.50 * wide, right - 0.10 * wide, QUAY - door_tall + 6
    shop = box(start, top + 2, end, QUAY - 10)
    sheet.wash(shop, (0.55, 0.66, 0.72), 0.8, 0.8)
    sheet.line(shop, 1.3, 0.4, closed=True)
    awning = [(start - 4, top), (end + 4, top), (end + 8, top + 13), (start - 8, top + 13)]
    sheet.wash(awning, shutters or (0.85, 0.42, 0.34), 0.9, 0.7)
    sheet.line(awning, 1.2, 0.4, closed=True)


def boat(sheet: Sheet, x: float, water: float, size: float, hull: Tone, sail: Tone) -> None:
    """A fishing smack, moored, its sail half furled."""

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + size * px, water + size * py) for px, py in points]

    deck = at((-1.0, -0.34), (-0.6, -0.24), (0.0, -0.20), (0.6, -0.25), (1.05, -0.42))
    body = [*deck, *at((0.88, -0.10), (0.72, 0.06), (-0.74, 0.06), (-0.90, -0.12))]
    sheet.spare(body)
    sheet.wash(body, hull, 1.0, 0.8)
    sheet.wash(at((-0.90, -0.12), (0.88, -0.10), (0.72, 0.06), (-0.74, 0.06)), (0.55, 0.50, 0.56), 0.7, 1.5)
    canvas = at((0.02, -2.25), (0.10, -2.30), (0.86, -0.62), (0.05, -0.55))
    sheet.spare(canvas)
    sheet.wash(canvas, sail, 0.9, 0.9)
    sheet.line(canvas, 1.4, 0.9, closed=True)
    for k in (0.3, 0.55, 0.8):
        sheet.line(at((0.03, -2.25 + 1.7 * k), (0.10 + 0.72 * k, -2.2 + 1.6 * k)), 0.8)
    jib = at((-0.04, -1.95), (-0.92, -0.42), (-0.06, -0.60))
    sheet.spare(jib)
    sheet.wash(jib, (0.97, 0.93, 0.84), 0.8, 0.9)
    sheet.line(jib, 1.3, 0.9, closed=True)
    sheet.line(body, 2.0, 0.6, closed=True)
    sheet.line(at((-0.93, -0.20), (-0.4, -0.13), (0.3, -0.12), (0.94, -0.26)), 1.1, 0.5)
    sheet.line(at((0.0, -0.2), (0.0, -2.62)), 2.4, 0.5)
    sheet.line(at((0.0, -0.58), (0.95, -0.60)), 1.7, 0.4)
    sheet.line(at((0.0, -2.55), (1.02, -0.40)), 0.8, 0.3)
    sheet.line(at((0.0, -2.5), (-1.0, -0.34)), 0.8, 0.3)
    pennant = at((0.0, -2.62), (0.30, -2.56), (0.0, -2.48))
    sheet.spare(pennant)
    sheet.wash(pennant, (0.85, 0.25, 0.22), 1.0, 0.6)
    sheet.line(pennant, 1.0, 0.3, closed=True)
    cabin = at((-0.55, -0.25), (-0.55, -0.48), (-0.14, -0.48), (-0.14, -0.22))
    sheet.spare(cabin)
    sheet.wash(cabin, (0.93, 0.80, 0.52), 0.9, 0.7)
    sheet.line(cabin, 1.3, 0.4, closed=True)
    # The reflection: the colours, run into one another, and short strokes of the pen.
    for part, tone, strength in ((canvas, sail, 0.40), (jib, (0.97, 0.93, 0.84), 0.3), (body, hull, 0.55)):
        sheet.wash([(px, water + 0.10 * size + 0.5 * (water - py)) for px, py in part], tone, strength, 3.0)
    for k in range(9):
        reach = size * (1.0 - 0.09 * k)
        y = water + size * (0.14 + 0.13 * k)
        middle = x + sheet.random.normal(0, 0.12 * size)
        left, right = reach * sheet.random.uniform(0.2, 0.8, 2)
        sheet.line([(middle - left, y), (middle + right, y)], 1.1, 0.9)


def gull(sheet: Sheet, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        t = np.linspace(0, 1, 9)
        rise = 0.55 * np.sin(0.85 * np.pi * t) - 0.10 * t
        sheet.line(list(zip(x + side * size * t, y - size * rise, strict=True)), 1.4, 0.2)


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
    sheet.line([(14, QUAY), (586, QUAY)], 2.0)
    sheet.line([(16, WATER), (584, WATER)], 1.7, 1.0)
    for row, y in enumerate((QUAY + 11, QUAY + 21)):
        sheet.line([(18, y), (582, y)], 0.9, 0.5)
        for x in np.arange(30 + 14 * row, 580, 31.0):
            sheet.line([(x, y), (x, y - 10)], 0.9, 0.3)
    for x in (70, 300, 520):
        sheet.solid(box(x - 3, QUAY - 9, x + 3, QUAY))
        sheet.line([(x - 5, QUAY - 9), (x + 5, QUAY - 9)], 2.2, 0.1)


def lamp(sheet: Sheet, x: float) -> None:
    sheet.line([(x, QUAY), (x, QUAY - 92)], 2.2, 0.3)
    sheet.line([(x - 6, QUAY), (x + 6, QUAY)], 2.4, 0.1)
    glass = [(x - 6, QUAY - 108), (x + 6, QUAY - 108), (x + 4, QUAY - 92), (x - 4, QUAY - 92)]
    sheet.wash(glass, (1.0, 0.82, 0.36), 1.0, 0.6)
    sheet.line(glass, 1.2, 0.2, closed=True)
    sheet.line([(x - 8, QUAY - 108), (x, QUAY - 117), (x + 8, QUAY - 108)], 1.5, 0.2)


def main() -> None:
    sheet = Sheet(np.random.default_rng(5))
    background(sheet)
    teal, brick, blue = (0.25, 0.50, 0.48), (0.72, 0.30, 0.24), (0.30, 0.42, 0.62)
    house(sheet, 28, 128, 306, "steps", (0.90, 0.58, 0.44), 3, 2)
    house(sheet, 128, 216, 262, "bell", (0.96, 0.83, 0.56), 4, 2, teal)
    house(sheet, 216, 326, 318, "plain", (0.74, 0.84, 0.78), 3, 3)
    house(sheet, 326, 414, 246, "steps", (0.93, 0.72, 0.66), 4, 2, blue)
    house(sheet, 414, 500, 300, "bell", (0.80, 0.83, 0.90), 3, 2, brick)
    house(sheet, 500, 574, 336, "plain", (0.93, 0.78, 0.58), 3, 2)
    quay(sheet)
    lamp(sheet, 212)
    lamp(sheet, 470)
    for _ in range(34):
        x, y = sheet.random.uniform(40, 540), 556 + 230 * sheet.random.uniform() ** 0.8
        sheet.line([(x, y), (x + sheet.random.uniform(12, 40) * (y / 700), y)], 1.0, 0.8)
    boat(sheet, 410, 640, 92, (0.30, 0.50, 0.64), (0.86, 0.46, 0.32))
    boat(sheet, 168, 690, 112, (0.72, 0.32, 0.26), (0.95, 0.80, 0.52))
    for x, y, size in ((120, 130, 17), (170, 108, 12), (452, 120, 15), (500, 152, 10), (300, 92, 11)):
        gull(sheet, x, y, size)
    path = Path(__file__).with_suffix(".png")
    cv2.imwrite(str(path), sheet.picture()[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
