"""GPU kernels of the twin's second stage: strokes of CHORDS chords onto tiles of pixels, forward and backward.

One program composites one tile. Positions are in mm; where float32 would lose what matters on a page, a position is
split into a coarse part, a multiple of 1/64 mm and therefore exact, and a small rest.
"""

from __future__ import annotations

import triton
import triton.language as tl

from airbrush_cli.twin.profile import C1, C2, CUT2

SIDE = 16
# Columns of the chord table: start x coarse, rest, y coarse, rest, vector x, y, 1/length², sigma, its change, opacity,
# its change, and 1 if the whole stroke is short.
COLUMNS = 12
# A stroke's nodes, padded to a power of two.
NODES = 32

_PIXELS = tl.constexpr(SIDE * SIDE)
_SIDE = tl.constexpr(SIDE)
_COLUMNS = tl.constexpr(COLUMNS)
_NODES = tl.constexpr(NODES)
_GROUP = tl.constexpr(4)
_CUT2 = tl.constexpr(CUT2)
_H0, _H1, _H2 = tl.constexpr(1.0 / CUT2), tl.constexpr(C1 / CUT2), tl.constexpr(C2 / CUT2)
# As kernels.py: the end of a chord must not win over the inside of the next by rounding.
_HANDICAP, _HEAD_START = tl.constexpr(1e-6), tl.constexpr(1e-7)


@triton.jit
def cull(
    chords, radii, covers, strokes, tiles, columns, width, height, half, CHORDS: tl.constexpr, BLOCK: tl.constexpr
):
    """Write covers[tile, stroke] = whether a stroke reaches a tile; a program takes one stroke and BLOCK tiles."""
    stroke = tl.program_id(0)
    tile = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = (tile % columns + 0.5) * width
    y = (tile // columns + 0.5) * height
    reached = tl.zeros((BLOCK,), tl.int32)
    for k in tl.static_range(CHORDS):
        row = chords + (stroke * CHORDS + k) * _COLUMNS
        dx = x - tl.load(row) - tl.load(row + 1)
        dy = y - tl.load(row + 2) - tl.load(row + 3)
        ex, ey = tl.load(row + 4), tl.load(row + 5)
        u = tl.minimum(tl.maximum((dx * ex + dy * ey) * tl.load(row + 6), 0.0), 1.0)
        dx -= u * ex
        dy -= u * ey
        far = tl.load(radii + stroke * CHORDS + k) + half
        reached = reached | (dx * dx + dy * dy <= far * far).to(tl.int32)
    tl.store(covers + tile.to(tl.int64) * strokes + stroke, reached.to(tl.int8), mask=tile < tiles)


@triton.jit
def _nearest(chords, x, y, base_x, base_y, CHORDS: tl.constexpr):
    """The nearest point of a stroke for each pixel of a tile.

    Returns squared distance, chord, place on it (0..1), sigma, opacity, and of that chord the changes of sigma and
    opacity, the vector over length² and 1/length²; and the vector from the nearest point to the pixel.
    """
    short = tl.load(chords + 11) > 0.0
    origin_x = tl.load(chords) - base_x + tl.load(chords + 1)
    origin_y = tl.load(chords + 2) - base_y + tl.load(chords + 3)
    key = tl.full((_PIXELS,), 1e30, tl.float32)
    chord = tl.zeros((_PIXELS,), tl.int32)
    place = tl.zeros((_PIXELS,), tl.float32)
    sigma, opacity = place + 1.0, place
    sigma_change, opacity_change, gx, gy, inverse, wx, wy = place, place, place, place, place, place, place
    for k in tl.static_range(CHORDS):
        row = chords + k * _COLUMNS
        ax = tl.load(row) - base_x + tl.load(row + 1)
        ay = tl.load(row + 2) - base_y + tl.load(row + 3)
        ex, ey, inv = tl.load(row + 4), tl.load(row + 5), tl.load(row + 6)
        along = (ex * inv) * (x - ax) + (ey * inv) * (y - ay)
        u = tl.minimum(tl.maximum(along, 0.0), 1.0)
        dx = x - ax - u * ex
        dy = y - ay - u * ey
        d2 = dx * dx + dy * dy
        d2 = tl.where(along == u, d2, d2 + (d2 * _HANDICAP + _HEAD_START))
        # From the stroke's start: |p - c|² = p² + c (c - 2 p); short strokes compare the second term, see kernels.py.
        cx = (tl.load(row) - tl.load(chords)) + (tl.load(row + 1) - tl.load(chords + 1)) + u * ex
        cy = (tl.load(row + 2) - tl.load(chords + 2)) + (tl.load(row + 3) - tl.load(chords + 3)) + u * ey
        term = cx * (cx - 2.0 * (x - origin_x)) + cy * (cy - 2.0 * (y - origin_y))
        value = tl.where(short, term, d2)
        closer = value < key
        key = tl.where(closer, value, key)
        chord = tl.where(closer, k, chord)
        place = tl.where(closer, u, place)
        sigma = tl.where(closer, tl.load(row + 7) + u * tl.load(row + 8), sigma)
        opacity = tl.where(closer, tl.load(row + 9) + u * tl.load(row + 10), opacity)
        sigma_change = tl.where(closer, tl.load(row + 8), sigma_change)
        opacity_change = tl.where(closer, tl.load(row + 10), opacity_change)
        gx, gy = tl.where(closer, ex * inv, gx), tl.where(closer, ey * inv, gy)
        inverse = tl.where(closer, inv, inverse)
        wx, wy = tl.where(closer, dx, wx), tl.where(closer, dy, wy)
    px, py = x - origin_x, y - origin_y
    distance2 = tl.where(short, tl.maximum(px * px + py * py + key, 0.0), key)
    return distance2, chord, place, sigma, opacity, sigma_change, opacity_change, gx, gy, inverse, wx, wy


@triton.jit
def _profile(distance2, sigma):
    """q = d² / sigma² up to the cut, the profile's root h, and d h / d q."""
    inverse = 1.0 / sigma
    q = tl.minimum(distance2 * inverse * inverse, _CUT2)
    p = _H0 + q * (_H1 + q * _H2)
    return q, (_CUT2 - q) * p, (_CUT2 - q) * (_H1 + 2.0 * _H2 * q) - p, inverse


@triton.jit
def _pixels(frame_x, frame_y, column, band, pitch_x, pitch_y, width, height):
    """Of a tile: origin (mm), pixel centres from it (mm), rows and columns in the raster, and which lie inside it."""
    i = tl.arange(0, _PIXELS)
    base_x, base_y = tl.load(frame_x + 2 * column), tl.load(frame_y + 2 * band)
    x = tl.load(frame_x + 2 * column + 1) + (i % _SIDE) * pitch_x
    y = tl.load(frame_y + 2 * band + 1) + (i // _SIDE) * pitch_y
    at_x, at_y = column * _SIDE + i % _SIDE, band * _SIDE + i // _SIDE
    return base_x, base_y, x, y, (at_y * width + at_x) * 3, (at_x < width) & (at_y < height)


@triton.jit
def paint(
    chords, films, tile_starts, members, frame_x, frame_y, columns, pitch_x, pitch_y, width, height, canvas, out,
    CHORDS: tl.constexpr,
):  # fmt: skip
    """Composite one tile: C + a (k − m C) for each of its strokes; `films` (N, 6) holds k and m."""
    tile = tl.program_id(0)
    base_x, base_y, x, y, at, inside = _pixels(
        frame_x, frame_y, tile % columns, tile // columns, pitch_x, pitch_y, width, height
    )
    c0 = tl.load(canvas + at, mask=inside, other=0.0)
    c1 = tl.load(canvas + at + 1, mask=inside, other=0.0)
    c2 = tl.load(canvas + at + 2, mask=inside, other=0.0)
    for pair in range(tl.load(tile_starts + tile), tl.load(tile_starts + tile + 1)):
        stroke = tl.load(members + pair)
        near = _nearest(chords + stroke * CHORDS * _COLUMNS, x, y, base_x, base_y, CHORDS)
        _, h, _, _ = _profile(near[0], near[3])
        a = near[4] * h * h
        film = films + stroke * 6
        c0 += a * (tl.load(film) - tl.load(film + 3) * c0)
        c1 += a * (tl.load(film + 1) - tl.load(film + 4) * c1)
        c2 += a * (tl.load(film + 2) - tl.load(film + 5) * c2)
    tl.store(out + at, c0, mask=inside)
    tl.store(out + at + 1, c1, mask=inside)
    tl.store(out + at + 2, c2, mask=inside)


@triton.jit
def paint_backward(
    chords, films, ink_one, ink_colour, tile_starts, members, frame_x, frame_y, columns, pitch_x, pitch_y, width,
    height, canvas, gradient, beneath, canvas_gradient, pair_nodes, pair_inks, CHORDS: tl.constexpr,
):  # fmt: skip
    """The gradients of one tile, given that of the painted raster.

    Writes canvas_gradient, and per (tile, stroke) pair pair_nodes (P, NODES, 4) and pair_inks (P, 3). `beneath`
    (P, 3, pixels) is scratch.
    """
    tile = tl.program_id(0)
    base_x, base_y, x, y, at, inside = _pixels(
        frame_x, frame_y, tile % columns, tile // columns, pitch_x, pitch_y, width, height
    )
    first, last = tl.load(tile_starts + tile), tl.load(tile_starts + tile + 1)
    i = tl.arange(0, _PIXELS)
    c0 = tl.load(canvas + at, mask=inside, other=0.0)
    c1 = tl.load(canvas + at + 1, mask=inside, other=0.0)
    c2 = tl.load(canvas + at + 2, mask=inside, other=0.0)
    for pair in range(first, last):
        stroke = tl.load(members + pair)
        below = beneath + pair * 3 * _PIXELS + i
        tl.store(below, c0)
        tl.store(below + _PIXELS, c1)
        tl.store(below + 2 * _PIXELS, c2)
        near = _nearest(chords + stroke * CHORDS * _COLUMNS, x, y, base_x, base_y, CHORDS)
        _, h, _, _ = _profile(near[0], near[3])
        a = near[4] * h * h
        film = films + stroke * 6
        c0 += a * (tl.load(film) - tl.load(film + 3) * c0)
        c1 += a * (tl.load(film + 1) - tl.load(film + 4) * c1)
        c2 += a * (tl.load(film + 2) - tl.load(film + 5) * c2)
    g0 = tl.load(gradient + at, mask=inside, other=0.0)
    g1 = tl.load(gradient + at + 1, mask=inside, other=0.0)
    g2 = tl.load(gradient + at + 2, mask=inside, other=0.0)
    for step in range(last - first):
        pair = last - 1 - step
        stroke = tl.load(members + pair)
        d2, chord, u, sigma, opacity, sigma_change, opacity_change, gx, gy, inv, wx, wy = _nearest(
            chords + stroke * CHORDS * _COLUMNS, x, y, base_x, base_y, CHORDS
        )
        q, h, h_slope, inverse = _profile(d2, sigma)
        a = opacity * h * h
        film = films + stroke * 6
        k0, k1, k2 = tl.load(film), tl.load(film + 1), tl.load(film + 2)
        m0, m1, m2 = tl.load(film + 3), tl.load(film + 4), tl.load(film + 5)
        below = beneath + pair * 3 * _PIXELS + i
        c0, c1, c2 = tl.load(below), tl.load(below + _PIXELS), tl.load(below + 2 * _PIXELS)
        by_a = g0 * (k0 - m0 * c0) + g1 * (k1 - m1 * c1) + g2 * (k2 - m2 * c2)
        tl.store(pair_inks + pair * 3, tl.sum(g0 * a * (ink_one + ink_colour * c0)))
        tl.store(pair_inks + pair * 3 + 1, tl.sum(g1 * a * (ink_one + ink_colour * c1)))
        tl.store(pair_inks + pair * 3 + 2, tl.sum(g2 * a * (ink_one + ink_colour * c2)))
        g0 -= a * m0 * g0
        g1 -= a * m1 * g1
        g2 -= a * m2 * g2
        by_q = by_a * opacity * 2.0 * h * h_slope
        by_opacity = by_a * h * h
        by_sigma = -2.0 * by_q * q * inverse
        by_d2 = by_q * inverse * inverse
        # By the place on the chord, inside it; the vector to the pixel does not change with it at first order.
        by_u = tl.where((u > 0.0) & (u < 1.0), by_opacity * opacity_change + by_sigma * sigma_change, 0.0)
        along_x, along_y = -2.0 * by_d2 * wx - by_u * gx, -2.0 * by_d2 * wy - by_u * gy
        turn_x, turn_y = by_u * inv * wx, by_u * inv * wy
        # A few nodes at a time, or the registers do not suffice.
        for group in range(0, CHORDS + 1, _GROUP):
            node = group + tl.arange(0, _GROUP)
            starts = (node[None, :] == chord[:, None]).to(tl.float32)
            ends = (node[None, :] == chord[:, None] + 1).to(tl.float32)
            share = starts * (1.0 - u)[:, None] + ends * u[:, None]
            turn = ends - starts
            to = pair_nodes + (pair * _NODES + node) * 4
            tl.store(to, tl.sum(share * along_x[:, None] + turn * turn_x[:, None], axis=0))
            tl.store(to + 1, tl.sum(share * along_y[:, None] + turn * turn_y[:, None], axis=0))
            tl.store(to + 2, tl.sum(share * by_sigma[:, None], axis=0))
            tl.store(to + 3, tl.sum(share * by_opacity[:, None], axis=0))
    tl.store(canvas_gradient + at, g0, mask=inside)
    tl.store(canvas_gradient + at + 1, g1, mask=inside)
    tl.store(canvas_gradient + at + 2, g2, mask=inside)


@triton.jit
def gather(order, stroke_starts, pair_nodes, pair_inks, node_gradient, ink_gradient):
    """Sum the pairs of one stroke, in a fixed order: node_gradient (N, NODES, 4), ink_gradient (N, 4)."""
    stroke = tl.program_id(0)
    i = tl.arange(0, _NODES * 4)
    c = tl.arange(0, 4)
    nodes = tl.zeros((_NODES * 4,), tl.float64)
    inks = tl.zeros((4,), tl.float64)
    for n in range(tl.load(stroke_starts + stroke), tl.load(stroke_starts + stroke + 1)):
        pair = tl.load(order + n)
        nodes += tl.load(pair_nodes + pair * (_NODES * 4) + i).to(tl.float64)
        inks += tl.load(pair_inks + pair * 3 + c, mask=c < 3, other=0.0).to(tl.float64)
    tl.store(node_gradient + stroke * (_NODES * 4) + i, nodes)
    tl.store(ink_gradient + stroke * 4 + c, inks)
