"""Tulips and fruit by a window: a scene of distance fields, ray-marched. `python still_life.py` writes the picture.

The method is J. C. Hart's sphere tracing (1996); shadows and ambient occlusion are estimated from distances as well.
Lengths are in units of about a hand; x goes right, y up, z towards the viewer.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numba import njit

from airbrush_cli import colour

WIDTH, HEIGHT, SAMPLES = 600, 848, 2

CLOTH, WALL, JUG, ORANGE, PEAR, APPLE, LEMON, GRAPE, STEM, CORAL, GOLD, PINK, LEAF = range(13)
SRGB = [
    (0.93, 0.88, 0.80),
    (0.60, 0.74, 0.76),
    (0.22, 0.55, 0.68),
    (0.98, 0.60, 0.16),
    (0.83, 0.80, 0.32),
    (0.86, 0.22, 0.20),
    (0.99, 0.87, 0.28),
    (0.48, 0.30, 0.56),
    (0.40, 0.50, 0.25),
    (0.97, 0.45, 0.50),
    (0.99, 0.78, 0.35),
    (0.95, 0.62, 0.72),
    (0.42, 0.62, 0.36),
]
PALETTE = colour.srgb_to_linear(np.array(SRGB))

JUG_X, JUG_Z = 0.12, -0.25
# From the jug's axis: x, y, z of a tulip's middle, and its material.
TULIPS = np.array(
    [
        (-0.62, 3.10, 0.05, CORAL),
        (0.05, 3.52, -0.10, GOLD),
        (0.72, 3.18, 0.00, PINK),
        (-0.28, 2.78, 0.42, PINK),
        (0.42, 2.80, 0.40, CORAL),
        (-1.12, 2.74, -0.05, GOLD),
    ]
)
# From the jug's axis: x, y, z of a leaf's middle, and how far it leans, in radians.
LEAVES = np.array([(-0.88, 2.17, 0.22, -0.80), (0.95, 2.35, 0.20, 0.60), (0.35, 2.45, -0.20, 0.15)])
GRAPES = np.array(
    [
        (0.92 + 0.19 * i + 0.095 * (layer % 2), 0.135 + 0.135 * layer, 0.98 + 0.16 * j - 0.06 * layer)
        for layer in range(3)
        for j in range(4 - layer)
        for i in range(5 - layer - j)
    ]
)

EYE = np.array([0.0, 2.75, 8.6])
LOOK_AT = np.array([0.02, 1.66, 0.0])
FIELD = 0.615
LIGHT = np.array([-0.56, 0.66, 0.50])


@njit
def length(x, y, z):
    return math.sqrt(x * x + y * y + z * z)


@njit
def clamp(x):
    return min(max(x, 0.0), 1.0)


@njit
def blend(a, b, width):
    """Unite two bodies with a fillet."""
    h = max(width - abs(a - b), 0.0) / width
    return min(a, b) - h * h * width / 4


@njit
def capsule(x, y, z, ax, ay, az, bx, by, bz, radius):
    px, py, pz, dx, dy, dz = x - ax, y - ay, z - az, bx - ax, by - ay, bz - az
    t = clamp((px * dx + py * dy + pz * dz) / (dx * dx + dy * dy + dz * dz))
    return length(px - t * dx, py - t * dy, pz - t * dz) - radius


@njit
def ellipsoid(x, y, z, a, b, c):
    k = length(x / a, y / b, z / c)
    return k * (k - 1) / max(length(x / a**2, y / b**2, z / c**2), 1e-6)


@njit
def jug_radius(y):
    """Belly, lip, neck and foot."""
    outline = 0.36 + 0.36 * math.exp(-(((y - 0.72) / 0.50) ** 2)) + 0.12 * math.exp(-(((y - 2.02) / 0.20) ** 2))
    return outline - 0.06 * math.exp(-(((y - 1.55) / 0.25) ** 2)) - 0.10 * math.exp(-((y / 0.12) ** 2))


@njit
def jug(x, y, z):
    outside = math.hypot(x, z) - jug_radius(y)
    body = max((abs(outside + 0.03) - 0.03) * 0.62, y - 2, -y)
    body = min(body, max(outside * 0.62, abs(y - 0.06) - 0.06))
    ring = math.sqrt((x - 0.62) ** 2 + 0.72 * (y - 1.42) ** 2) - 0.44
    handle = max((math.hypot(ring, z) - 0.075) * 0.85, 0.40 - x)
    return blend(body, handle, 0.06)


@njit
def tulip(x, y, z, lean, turn):
    x, y = x * math.cos(lean) - y * math.sin(lean), x * math.sin(lean) + y * math.cos(lean)
    if length(x, y, z) > 0.6:
        return length(x, y, z) - 0.5
    lobes = math.cos(3 * (math.atan2(z, x) + turn))
    radius = math.hypot(x, z)
    outline = 0.265 * (1 - 0.07 * lobes) * math.sqrt(max(1 - ((y + 0.03) / 0.36) ** 2, 0.0)) * (1 - 0.25 * y)
    cup = max((radius - outline) * 0.55, (y - 0.19 + 0.06 * lobes) * 0.6, -y - 0.36)
    if y > 0.02:
        cup = max(cup, (outline - 0.05 - radius) * 0.55)
    return min(cup, ellipsoid(x, y, z, 0.205, 0.31, 0.205))


@njit
def stem(x, y, z, i):
    head_x, head_y, head_z = TULIPS[i, 0], TULIPS[i, 1] - 0.2, TULIPS[i, 2]
    foot_x, foot_z = head_x / 4, head_z / 4
    bend_x, bend_y, bend_z = 0.535 * head_x, 0.95 + head_y / 2 + 0.1, 0.625 * head_z
    lower = capsule(x, y, z, foot_x, 1.5, foot_z, bend_x, bend_y, bend_z, 0.035)
    upper = capsule(x, y, z, bend_x, bend_y, bend_z, head_x, head_y, head_z, 0.033)
    return blend(lower, upper, 0.05)


@njit
def leaf(x, y, z, lean):
    reach = length(x, y, z) - 0.95
    x, y = x * math.cos(lean) - y * math.sin(lean), x * math.sin(lean) + y * math.cos(lean)
    bend = math.copysign(0.35 * min(y * y, 0.7), lean)
    return max(ellipsoid(x + bend, y, z, 0.13, 0.75, 0.035) * 0.55, reach)


@njit
def apple(x, y, z):
    y *= 0.86
    ring = math.hypot(math.hypot(x, z) - 0.19, y) - 0.28 - 0.117 * y
    return blend(ring, length(x, y + 0.05, z) - 0.24, 0.10)


@njit
def pear(x, y, z):
    return blend(length(x, y - 0.47, z) - 0.47, length(x - 0.05, y - 1.10, z) - 0.23, 0.38)


@njit
def lemon(x, y, z):
    x, z = x * math.cos(0.5) + z * math.sin(0.5), z * math.cos(0.5) - x * math.sin(0.5)
    tips = ellipsoid(abs(x) - 0.40, y, z, 0.09, 0.07, 0.07)
    return blend(ellipsoid(x, y, z, 0.40, 0.28, 0.28), tips, 0.12) * 0.9


@njit
def scene(x, y, z):
    """Return the distance to the nearest surface and what it is made of."""
    best, material = y, CLOTH
    if z + 2.6 < best:
        best, material = z + 2.6, WALL
    jx, jz = x - JUG_X, z - JUG_Z
    if length(jx, y - 1.9, jz) - 2.6 < best:
        d = jug(jx, y, jz)
        if d < best:
            best, material = d, JUG
        for i in range(len(TULIPS)):
            d = stem(jx, y, jz, i)
            if d < best:
                best, material = d, STEM
            d = tulip(jx - TULIPS[i, 0], y - TULIPS[i, 1], jz - TULIPS[i, 2], 0.35 * TULIPS[i, 0], i)
            if d < best:
                best, material = d, int(TULIPS[i, 3])
        for i in range(len(LEAVES)):
            d = leaf(jx - LEAVES[i, 0], y - LEAVES[i, 1], jz - LEAVES[i, 2], LEAVES[i, 3])
            if d < best:
                best, material = d, LEAF
    d = length(x + 0.30, y - 0.44, z - 1.18) - 0.44
    if d < best:
        best, material = d, ORANGE
    d = pear(x + 1.18, y, z - 0.55)
    if d < best:
        best, material = d, PEAR
    d = apple(x - 0.50, y - 0.40, z - 1.45)
    if d < best:
        best, material = d, APPLE
    d = lemon(x + 1.05, y - 0.28, z - 1.65)
    if d < best:
        best, material = d, LEMON
    d = capsule(x, y, z, -1.12, 1.28, 0.55, -1.02, 1.52, 0.57, 0.028)
    d = min(d, capsule(x, y, z, 0.50, 0.60, 1.45, 0.57, 0.95, 1.44, 0.025))
    d = min(d, capsule(x, y, z, 1.22, 0.42, 1.0, 1.62, 0.66, 0.75, 0.028))
    if d < best:
        best, material = d, STEM
    if length(x - 1.35, y - 0.3, z - 1.2) - 0.9 < best:
        for i in range(len(GRAPES)):
            d = length(x - GRAPES[i, 0], y - GRAPES[i, 1], z - GRAPES[i, 2]) - 0.135
            if d < best:
                best, material = d, GRAPE
    return best, material


@njit
def normal(x, y, z, e):
    nx = scene(x + e, y, z)[0] - scene(x - e, y, z)[0]
    ny = scene(x, y + e, z)[0] - scene(x, y - e, z)[0]
    nz = scene(x, y, z + e)[0] - scene(x, y, z - e)[0]
    n = length(nx, ny, nz) + 1e-12
    return nx / n, ny / n, nz / n


@njit
def daylight(x, y, z):
    """Return how much of the window is seen: the narrowest passage on the way to it tells."""
    open_, t = 1.0, 0.03
    for _ in range(60):
        d = scene(x + LIGHT[0] * t, y + LIGHT[1] * t, z + LIGHT[2] * t)[0]
        open_ = min(open_, 0.5 + 2.5 * d / t)
        t += min(max(d, 0.03), 0.35)
        if open_ <= 0 or t > 7:
            break
    open_ = max(open_, 0.0)
    return open_ * open_ * (3 - 2 * open_)


@njit
def skylight(x, y, z, nx, ny, nz):
    """Return how little surrounds the point: ambient occlusion."""
    lost, weight = 0.0, 0.85
    for i in range(5):
        h = 0.03 + 0.14 * i
        lost += weight * (h - scene(x + nx * h, y + ny * h, z + nz * h)[0])
        weight *= 0.72
    return clamp(1 - lost)


@njit
def paint(material, x, y, z, base):
    """Write the colour of the surface to `base`; return how strong and how narrow its highlight is."""
    base[:] = PALETTE[material]
    if material == CLOTH:
        across = (0.94 * x + 0.34 * z) * 2 * math.pi / 0.78
        broad = clamp((0.5 + 0.5 * math.cos(across) - 0.80) / 0.08)
        thin = clamp((0.5 - 0.5 * math.cos(across) - 0.975) / 0.012)
        mix(base, 0.22, 0.42, 0.66, 0.75 * max(broad, 0.6 * thin))
    elif material == WALL:
        base *= 0.95 + 0.05 * math.sin(1.3 * x + 0.6 * y) * math.sin(0.9 * y - 0.4 * x)
    elif material == JUG:
        jx, jz = x - JUG_X, z - JUG_Z
        lozenges = abs(y - 0.78) < 0.10 + 0.10 * math.cos(9 * math.atan2(jz, jx))
        rings = abs(y - 1.32) < 0.045 or abs(y - 1.45) < 0.02 or abs(y - 1.94) < 0.05
        if (lozenges or rings) and math.hypot(jx, jz) < jug_radius(y) + 0.02:
            mix(base, 0.86, 0.84, 0.74, 1.0)
        return 0.55, 60.0
    elif material == PEAR:
        mix(base, 0.75, 0.35, 0.06, 0.6 * clamp(0.5 + 0.8 * (x + 1.18) + 0.3 * (0.6 - y)))
        return 0.25, 30.0
    elif material == APPLE:
        around = math.atan2(z - 1.45, x - 0.5)
        streaks = math.sin(17 * around + 3 * math.sin(5 * around)) + math.sin(31 * around + 2 * math.sin(9 * around))
        gold = 1.7 * (y - 0.50 + 0.10 * math.sin(around - 2.2)) + 0.07 * streaks * clamp(2 * (y - 0.25))
        mix(base, 0.90, 0.62, 0.12, min(clamp(gold), 0.85))
        return 0.45, 45.0
    elif material == GRAPE:
        base *= 1.0 + 0.2 * math.sin(23 * x + 17 * z + 9 * y)
        return 0.4, 40.0
    elif material in (ORANGE, LEMON):
        return 0.23, 24.0
    elif CORAL <= material <= PINK:
        return 0.08, 12.0
    return 0.0, 30.0


@njit
def mix(base, r, g, b, share):
    base[0] += (r - base[0]) * share
    base[1] += (g - base[1]) * share
    base[2] += (b - base[2]) * share


@njit
def shade(dx, dy, dz, base, light):
    """Write to `light` what comes back along the direction (dx, dy, dz) from the eye."""
    t = 0.0
    material = WALL
    for _ in range(160):
        d, material = scene(EYE[0] + dx * t, EYE[1] + dy * t, EYE[2] + dz * t)
        if d < 4e-4 * t:
            break
        t += d
    x, y, z = EYE[0] + dx * t, EYE[1] + dy * t, EYE[2] + dz * t
    nx, ny, nz = normal(x, y, z, 1e-3)
    gloss, power = paint(material, x, y, z, base)

    facing = nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2]
    sun = daylight(x + 0.01 * nx, y + 0.01 * ny, z + 0.01 * nz)
    # Skin and petals let some light through, past the terminator.
    soft = 0.22 if material > JUG else 0.0
    key = max((facing + soft) / (1 + soft), 0.0) * (soft / 2 + (1 - soft / 2) * sun)
    around = skylight(x, y, z, nx, ny, nz)
    sky, cloth = (0.5 + 0.5 * ny) * around, max(0.4 - 0.6 * ny, 0.0) * around
    # The window lights the wall unevenly.
    fall = 1.0
    if material == WALL:
        fall = 0.58 + 0.62 * math.exp(-((x + 1.3) ** 2) * 0.22 - (y - 3.3) ** 2 * 0.12)

    hx, hy, hz = LIGHT[0] - dx, LIGHT[1] - dy, LIGHT[2] - dz
    half = max((nx * hx + ny * hy + nz * hz) / length(hx, hy, hz), 0.0)
    rim = (1 - max(-(nx * dx + ny * dy + nz * dz), 0.0)) ** 4
    shine = gloss * (half**power * (0.2 + 0.8 * sun) + 0.1 * rim)
    light[0] = fall * base[0] * (1.95 * key + 0.34 * sky + 0.20 * cloth) + shine
    light[1] = fall * base[1] * (1.80 * key + 0.40 * sky + 0.17 * cloth) + shine
    light[2] = fall * base[2] * (1.55 * key + 0.50 * sky + 0.13 * cloth) + shine


@njit
def render(width, height, samples, forward, right, up):
    """Return the picture (height, width, 3) in linear light, with samples x samples rays a pixel."""
    picture = np.zeros((height, width, 3))
    base, light = np.zeros(3), np.zeros(3)
    for i in range(height):
        for j in range(width):
            for k in range(samples * samples):
                u = (j + (k % samples + 0.5) / samples - width / 2) / height * FIELD
                v = (height / 2 - i - (k // samples + 0.5) / samples) / height * FIELD
                ray = forward + u * right + v * up
                ray /= length(ray[0], ray[1], ray[2])
                shade(ray[0], ray[1], ray[2], base, light)
                # Bright light saturates softly, as on film.
                picture[i, j] += light / (1 + 0.18 * light) / (samples * samples)
    return picture


def main() -> None:
    forward = (LOOK_AT - EYE) / np.linalg.norm(LOOK_AT - EYE)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    picture = render(WIDTH, HEIGHT, SAMPLES, forward, right, np.cross(right, forward))
    path = Path(__file__).with_suffix(".png")
    cv2.imwrite(str(path), colour.linear_to_srgb8(picture)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
