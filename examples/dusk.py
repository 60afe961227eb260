"""A lake among hills as the sun goes down, made of gradients and noise. `python dusk.py` writes the picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import colour

WIDTH, HEIGHT, SCALE = 600, 848, 2

Array = NDArray[np.float64]

HORIZON = 0.56  # of the height
SUN = (0.735, 0.405)  # of width and height


def rgb(*srgb: float) -> Array:
    return colour.srgb_to_linear(np.array(srgb))


def smooth(low: float, high: float, x: Array) -> Array:
    """Go from 0 at `low` to 1 at `high`, without a corner."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(random: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 5) -> Array:
    """Return noise (H, W) of about -1..1 whose largest features fill one of `cells`; each octave is half the last."""
    total = np.zeros(shape)
    for octave in range(octaves):
        rows, columns = (min(n << octave, size) for n, size in zip(cells, shape, strict=True))
        grid = random.uniform(-1, 1, (rows + 3, columns + 3)).astype(np.float32)
        large = cv2.resize(grid, None, fx=shape[1] / columns, fy=shape[0] / rows, interpolation=cv2.INTER_CUBIC)
        total += large[: shape[0], : shape[1]] / 2**octave
    return total


def sample(picture: Array, x: Array, y: Array) -> Array:
    """Look `picture` up at the pixels (x, y), beyond its border as at its border."""
    at = x.astype(np.float32), y.astype(np.float32)
    return cv2.remap(picture.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def over(picture: Array, ink: Array, cover: Array) -> Array:
    return picture + (ink - picture) * cover[..., None]


def sky(random: np.random.Generator, x: Array, y: Array) -> Array:
    heights = [0.0, 0.16, 0.30, 0.41, 0.49, 0.56, 1.0]
    tones = [
        rgb(0.33, 0.41, 0.64),
        rgb(0.48, 0.50, 0.72),
        rgb(0.72, 0.58, 0.73),
        rgb(0.93, 0.66, 0.60),
        rgb(0.99, 0.78, 0.52),
        rgb(1.00, 0.87, 0.62),
        rgb(1.00, 0.87, 0.62),
    ]
    light = np.stack([np.interp(y, heights, [tone[i] for tone in tones]) for i in range(3)], -1)
    far = np.hypot((x - SUN[0]) * WIDTH / HEIGHT, (y - SUN[1]) * 1.15)
    light += rgb(1.0, 0.72, 0.42) * (0.55 * np.exp(-far / 0.10) + 0.20 * np.exp(-far / 0.32))[..., None]

    clouds = noise(random, x.shape, (9, 2), 6) + 0.35 * noise(random, x.shape, (26, 3), 4)
    cover = smooth(-0.15, 0.9, clouds) * smooth(0.02, 0.14, y) * (1 - smooth(0.40, 0.50, y))
    lit = np.exp(-far / 0.28)[..., None]
    cloud = rgb(0.62, 0.52, 0.70) * (1 - lit) + rgb(1.0, 0.66, 0.48) * lit
    light = over(light, cloud, 0.75 * cover)
    # The undersides nearest to the sun catch the light.
    edge = smooth(0.0, 0.5, clouds - np.roll(clouds, -round(0.012 * HEIGHT * SCALE), 0)) * cover
    light = over(light, rgb(1.0, 0.80, 0.58), 0.65 * edge * lit[..., 0] ** 0.5)

    disc = 1 - smooth(0.0335, 0.0350, np.hypot((x - SUN[0]) * WIDTH / HEIGHT, y - SUN[1]))
    return over(light, rgb(1.0, 0.97, 0.82), disc)


def hills(random: np.random.Generator, light: Array, x: Array, y: Array) -> Array:
    """Five ranges, the nearer the darker; mist lies in the valleys."""
    ranges = [
        (0.470, 0.060, 3, rgb(0.74, 0.58, 0.68), 0.75),
        (0.500, 0.055, 4, rgb(0.58, 0.48, 0.64), 0.70),
        (0.522, 0.042, 5, rgb(0.42, 0.40, 0.58), 0.60),
        (0.541, 0.030, 7, rgb(0.29, 0.32, 0.47), 0.45),
    ]
    for level, relief, cells, tone, mist in ranges:
        ridge = level - relief * (0.35 + noise(random, (1, x.shape[1]), (1, cells), 7)[0])
        below = y - ridge
        cover = smooth(-0.0006, 0.0006, below)
        glow = np.exp(-np.abs(x - SUN[0]) / 0.20) * 0.35
        haze = mist * smooth(level - 0.5 * relief, HORIZON - 0.004, y) + glow * np.exp(-below / 0.05)
        body = tone + (rgb(1.0, 0.74, 0.55) - tone) * haze[..., None]
        light = over(light, body, cover * (y < HORIZON))
    shore = HORIZON - 0.006 * (1.2 + noise(random, (1, x.shape[1]), (1, 9), 5)[0])
    trees = shore - 0.016 * np.abs(noise(random, (1, x.shape[1]), (1, 60), 4)[0])
    cover = smooth(-0.0006, 0.0006, y - trees) * (y < HORIZON)
    return over(light, rgb(0.21, 0.25, 0.36), cover)


def lake(random: np.random.Generator, light: Array, x: Array, y: Array) -> Array:
    """Mirror what is above the horizon, broken by ripples that grow towards the viewer."""
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    # Perspective: ripples are noise over the water's plane, whose rows crowd together at the horizon.
    rows, columns = x.shape
    plane = noise(random, (rows, columns), (90, 5), 4)
    along = 1 / (depth + 0.045)
    plane_row = (along - along.min()) / (along.max() - along.min()) * (rows - 1)
    ripple = sample(plane, x * columns, plane_row)
    lift = ripple * (0.003 + 0.020 * depth)
    mirror_y = (HORIZON - (y - HORIZON) * 0.98 + lift) * rows
    mirror_x = (x + 0.4 * lift) * columns
    above = cv2.GaussianBlur(light, (0, 0), 1.5 * SCALE)
    mirror = sample(above, mirror_x, mirror_y)
    water = mirror * (0.90 - 0.25 * depth)[..., None] + rgb(0.20, 0.30, 0.42) * (0.05 + 0.45 * depth**1.5)[..., None]
    path = np.exp(-(((x - SUN[0]) / (0.035 + 0.10 * depth)) ** 2)) * smooth(0.05, 0.65, ripple + 0.35 - 0.2 * depth)
    water = over(water, rgb(1.0, 0.86, 0.62), 0.70 * path * (1 - 0.55 * depth))
    return over(light, water, smooth(HORIZON - 0.0008, HORIZON + 0.0008, y))


def boat(light: Array) -> Array:
    """A sailing boat and its broken reflection."""
    rows, columns = light.shape[:2]

    def polygon(points: list[tuple[float, float]]) -> Array:
        mask = np.zeros((rows, columns), np.uint8)
        pixels = [(round(x * columns * 16), round(y * rows * 16)) for x, y in points]
        cv2.fillPoly(mask, [np.array(pixels)], 255, cv2.LINE_AA, shift=4)
        return mask / 255.0

    water = 0.668
    sail = [(0.318, -0.165), (0.318, -0.026), (0.392, -0.028), (0.372, -0.070), (0.344, -0.125)]
    jib = [(0.310, -0.150), (0.310, -0.028), (0.243, -0.024), (0.272, -0.070)]
    mast = [(0.3125, -0.175), (0.3155, -0.175), (0.3165, -0.01), (0.3115, -0.01)]
    hull = [(0.235, -0.014), (0.40, -0.017), (0.385, -0.002), (0.365, 0.002), (0.262, 0.002), (0.248, -0.004)]
    tones = [rgb(0.98, 0.80, 0.66), rgb(0.93, 0.68, 0.60), rgb(0.30, 0.24, 0.32), rgb(0.33, 0.22, 0.32)]
    parts = list(zip((sail, jib, mast, hull), tones, strict=True))
    wave = np.sin(np.arange(rows) / SCALE * 0.23)[:, None] * 0.004
    x = np.arange(columns)[None] / columns
    for points, tone in parts:
        mirrored = polygon([(px, water - py + 0.004) for px, py in points])
        shift = (x + wave * np.ones_like(x)) * columns
        mirrored = sample(mirrored, shift, np.arange(rows)[:, None] + 0 * shift)
        fade = np.exp(-np.clip(np.arange(rows)[:, None] / rows - water, 0, 1) / 0.10)
        light = over(light, 0.85 * tone, 0.60 * fade * mirrored)
    for points, tone in parts:
        light = over(light, tone, polygon([(px, water + py) for px, py in points]))
    return light


def reeds(random: np.random.Generator, light: Array) -> Array:
    """Grass and bulrushes of the near bank, in the lower corners."""
    rows, columns = light.shape[:2]
    tones = [rgb(0.28, 0.30, 0.38), rgb(0.22, 0.25, 0.31), rgb(0.33, 0.30, 0.35)]
    for k in range(210):
        side = k % 5 > 1
        inward = min(abs(random.normal(0, 0.14 if side else 0.09)), 0.3 if side else 0.2) - 0.02
        root = 1 - inward if side else inward
        tall = (0.17 if side else 0.11) * random.uniform(0.45, 1.15) * (1 - 0.9 * min(abs(root - side), 0.5))
        lean = random.normal(0.0, 0.05) + (0.03 if side else -0.01)
        t = np.linspace(0, 1, 24)
        px = (root + lean * t**2) * columns
        py = (1.01 - tall * t) * rows
        tone = tones[k % 3]
        mask = np.zeros((rows, columns), np.uint8)
        width = (1 - t) * random.uniform(1.6, 3.2) * SCALE + 0.6 * SCALE
        outline = np.concatenate([np.stack([px - width / 2, py], 1), np.stack([px + width / 2, py], 1)[::-1]])
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        if side and k % 6 == 0:
            head, axes = (round(px[-3] * 16), round(py[-3] * 16)), (round(42 * SCALE), round(208 * SCALE))
            cv2.ellipse(mask, head, axes, np.degrees(2 * lean), 0, 360, 255, -1, cv2.LINE_AA, 4)
        light = over(light, tone, mask / 255.0)
    return light


def main() -> None:
    random = np.random.default_rng(12)
    rows, columns = HEIGHT * SCALE, WIDTH * SCALE
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    x, y = x / columns, y / rows
    light = sky(random, x, y)
    light = hills(random, light, x, y)
    light = lake(random, light, x, y)
    light = boat(light)
    light = reeds(random, light)
    small = cv2.resize(np.clip(light, 0, 1), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    path = Path(__file__).with_suffix(".png")
    cv2.imwrite(str(path), colour.linear_to_srgb8(small)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
