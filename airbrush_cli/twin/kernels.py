"""CPU kernels of the twin's second stage: polylines of spots onto pixels, forward and backward.

The canvas is cut into tiles of SIDE x SIDE pixels, tiles into bands (rows of tiles). A worker takes whole bands. For each
band it lists, tile by tile and in painting order, which polylines reach the tile and which of their chords can be the
nearest there; then it composites the tile in scratch memory. The backward pass composites again, keeps what lay beneath
each film, and walks from the top film down. Gradients are summed per (band, polyline), then over bands in a fixed order,
so that results do not depend on the number of workers.

Inner loops run over the pixels of a tile in one float32 scratch array, with offsets that are multiples of PIXELS, because
that is the form that LLVM vectorises.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from airbrush_cli.twin.profile import C1, C2, CUT2

SIDE = 8
PIXELS = SIDE * SIDE

# h(q) = (9 − q) (H0 + H1 q + H2 q²), the profile is h²: exactly 0 at q = 9.
_H0, _H1, _H2 = np.float32(1.0 / CUT2), np.float32(C1 / CUT2), np.float32(C2 / CUT2)
_CUT2 = np.float32(CUT2)
_NONE, _BIT, _LAST_BIT = np.int32(0), np.int32(1), np.float32(31.0)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
CUT = math.sqrt(CUT2)

# Scratch slots of PIXELS floats each: fixed ones first, then DEPTH_SLOTS per film of the tile.
# Unsigned, so that indexing needs no test for negative numbers, which would keep loops from being vectorised.
_P = np.uint64(PIXELS)
_P2, _P3, _P4, _P5, _P6 = (np.uint64(i * PIXELS) for i in range(2, 7))
_X, _Y, _C0, _C1, _C2, _G0, _G1, _G2, _GO, _GS, _GD = (np.uint64(i * PIXELS) for i in range(11))
FIXED = 11 * PIXELS
_FIXED = np.uint64(FIXED)
# per film: d2, t, sigma, opacity, colour beneath
FILM = 7 * PIXELS

_OPTIONS = {"cache": True, "fastmath": True, "error_model": "numpy", "nogil": True}


@njit(**_OPTIONS)
def chord_table(nodes, starts):
    """Return per node the chord that begins there, (M, 10) float64, and per polyline its bounds.

    Columns: start x y, vector x y, 1/length² (0 for a point), sigma and its change, opacity and its change, cut-off radius.
    """
    table = np.zeros((nodes.shape[0], 10))
    reach = np.zeros(starts.shape[0] - 1)
    for s in range(starts.shape[0] - 1):
        for k in range(starts[s], starts[s + 1] - 1):
            ex = nodes[k + 1, 0] - nodes[k, 0]
            ey = nodes[k + 1, 1] - nodes[k, 1]
            length2 = ex * ex + ey * ey
            table[k, 0] = nodes[k, 0]
            table[k, 1] = nodes[k, 1]
            table[k, 2] = ex
            table[k, 3] = ey
            table[k, 4] = 1.0 / length2 if length2 > 1e-18 else 0.0
            table[k, 5] = nodes[k, 2]
            table[k, 6] = nodes[k + 1, 2] - nodes[k, 2]
            table[k, 7] = nodes[k, 3]
            table[k, 8] = nodes[k + 1, 3] - nodes[k, 3]
            table[k, 9] = CUT * max(nodes[k, 2], nodes[k + 1, 2])
            reach[s] = max(reach[s], table[k, 9])
    return table, reach


@njit(**_OPTIONS)
def bin_bands(nodes, starts, reach, bands, pitch_y):
    """List the polylines of each band, in order.

    Returns:
        band_starts (bands + 1,), members (P,) polyline of each (band, polyline) pair, node_starts (P + 1,) where the pair's
        node gradients begin.
    """
    count = starts.shape[0] - 1
    low = np.empty(count, np.int64)
    high = np.empty(count, np.int64)
    band_starts = np.zeros(bands + 1, np.int64)
    height = SIDE * pitch_y
    for s in range(count):
        top, bottom = 1e30, -1e30
        for k in range(starts[s], starts[s + 1]):
            top = min(top, nodes[k, 1])
            bottom = max(bottom, nodes[k, 1])
        low[s] = max(0, math.floor((top - reach[s]) / height))
        high[s] = min(bands, math.floor((bottom + reach[s]) / height) + 1)
        for b in range(low[s], high[s]):
            band_starts[b + 1] += 1
    for b in range(bands):
        band_starts[b + 1] += band_starts[b]
    fill = band_starts[:-1].copy()
    members = np.empty(band_starts[bands], np.int64)
    for s in range(count):
        for b in range(low[s], high[s]):
            members[fill[b]] = s
            fill[b] += 1
    node_starts = np.zeros(members.shape[0] + 1, np.int64)
    for i in range(members.shape[0]):
        node_starts[i + 1] = node_starts[i] + starts[members[i] + 1] - starts[members[i]]
    return band_starts, members, node_starts


@njit(**_OPTIONS)
def _projects(table, k, cx, cy, half_x, half_y, end):
    """Whether every pixel of a tile lies beyond the end (1) or before the start (-1) of a chord."""
    along = ((cx - table[k, 0]) * table[k, 2] + (cy - table[k, 1]) * table[k, 3]) * table[k, 4] - 0.5
    spread = (abs(table[k, 2]) * half_x + abs(table[k, 3]) * half_y) * table[k, 4]
    return end * along - spread > 0.5 + 1e-6


@njit(**_OPTIONS)
def _list_tiles(band, first, last, members, table, starts, reach, columns, pitch_x, pitch_y, distance2, depth, lists):
    """Fill `lists[tile, i] = (pair, first chord, last chord + 1)` and `depth[tile]` for one band."""
    width, height = SIDE * pitch_x, SIDE * pitch_y
    half_x, half_y = 0.5 * (SIDE - 1) * pitch_x, 0.5 * (SIDE - 1) * pitch_y
    half = math.sqrt(half_x * half_x + half_y * half_y) + 1e-6
    cy = (band + 0.5) * height
    for tile in range(columns):
        depth[tile] = 0
    for pair in range(first, last):
        s = members[pair]
        k0, chords = starts[s], starts[s + 1] - starts[s] - 1
        far = reach[s] + half
        left, right = 1e30, -1e30
        for k in range(k0, k0 + chords):
            y0, y1 = table[k, 1], table[k, 1] + table[k, 3]
            if min(y0, y1) - far <= cy and max(y0, y1) + far >= cy:
                x0, x1 = table[k, 0], table[k, 0] + table[k, 2]
                left = min(left, x0, x1)
                right = max(right, x0, x1)
        if left > right:
            continue
        t0 = max(0, math.floor((left - far) / width + 0.5))
        t1 = min(columns, math.floor((right + far) / width + 0.5) + 1)
        for k in range(chords):
            ax, ay, ex, ey = table[k0 + k, 0], table[k0 + k, 1], table[k0 + k, 2], table[k0 + k, 3]
            inv = table[k0 + k, 4]
            dy = cy - ay
            for tile in range(t0, t1):
                dx = (tile + 0.5) * width - ax
                u = min(max((dx * ex + dy * ey) * inv, 0.0), 1.0)
                wx, wy = dx - u * ex, dy - u * ey
                distance2[k, tile] = wx * wx + wy * wy
        for tile in range(t0, t1):
            nearest2 = 1e30
            touched = False
            for k in range(chords):
                nearest2 = min(nearest2, distance2[k, tile])
                touched |= distance2[k, tile] <= (table[k0 + k, 9] + half) ** 2
            if not touched:
                continue
            # A chord is left out if it is out of reach, farther than another one from every pixel, or (at the ends of
            # the list) if every pixel projects beyond the node that it shares with the next chord of the list.
            limit2 = min(far, math.sqrt(nearest2) + 2.0 * half) ** 2
            cx = (tile + 0.5) * width
            a, b = 0, chords
            while a < b - 1 and (distance2[a, tile] > limit2 or _projects(table, k0 + a, cx, cy, half_x, half_y, 1.0)):
                a += 1
            while a < b - 1 and (
                distance2[b - 1, tile] > limit2 or _projects(table, k0 + b - 1, cx, cy, half_x, half_y, -1.0)
            ):
                b -= 1
            i = depth[tile]
            lists[tile, i, 0] = pair
            lists[tile, i, 1] = a
            lists[tile, i, 2] = b
            depth[tile] = i + 1


@njit(**_OPTIONS)
def _nearest(scratch, film, table, chord, count, cx, cy):
    """Write d2, t, sigma, opacity of the nearest point for every pixel of the tile at `film`."""
    for k in range(count):
        row = table[chord + k]
        ax64, ay64 = row[0] - cx, row[1] - cy
        gx = np.float32(row[2] * row[4])
        gy = np.float32(row[3] * row[4])
        g0 = np.float32(-(ax64 * row[2] + ay64 * row[3]) * row[4])
        ax, ay, ex, ey = np.float32(ax64), np.float32(ay64), np.float32(row[2]), np.float32(row[3])
        sa, sd, oa, od = np.float32(row[5]), np.float32(row[6]), np.float32(row[7]), np.float32(row[8])
        tk = np.float32(k)
        if k == 0:
            for i in range(_P):
                x, y = scratch[_X + i], scratch[_Y + i]
                u = min(max(gx * x + gy * y + g0, _ZERO), _ONE)
                wx = x - ax - u * ex
                wy = y - ay - u * ey
                scratch[film + i] = wx * wx + wy * wy
                scratch[film + _P + i] = u
                scratch[film + _P2 + i] = sa + u * sd
                scratch[film + _P3 + i] = oa + u * od
        else:
            for i in range(_P):
                x, y = scratch[_X + i], scratch[_Y + i]
                u = min(max(gx * x + gy * y + g0, _ZERO), _ONE)
                wx = x - ax - u * ex
                wy = y - ay - u * ey
                d2 = wx * wx + wy * wy
                best, t = scratch[film + i], scratch[film + _P + i]
                sigma, opacity = scratch[film + _P2 + i], scratch[film + _P3 + i]
                closer = d2 < best
                scratch[film + i] = d2 if closer else best
                scratch[film + _P + i] = u + tk if closer else t
                scratch[film + _P2 + i] = sa + u * sd if closer else sigma
                scratch[film + _P3 + i] = oa + u * od if closer else opacity


@njit(**_OPTIONS)
def _composite(scratch, film, keep, k0, k1, k2, m0, m1, m2):
    """Lay a film over the tile's colours: C + a (k − m C); keep what lay beneath if asked."""
    if keep:
        for i in range(_P):
            scratch[film + _P4 + i] = scratch[_C0 + i]
            scratch[film + _P5 + i] = scratch[_C1 + i]
            scratch[film + _P6 + i] = scratch[_C2 + i]
    for i in range(_P):
        sigma = scratch[film + _P2 + i]
        q = min(scratch[film + i] / (sigma * sigma), _CUT2)
        h = (_CUT2 - q) * (_H0 + q * (_H1 + q * _H2))
        a = scratch[film + _P3 + i] * h * h
        c0, c1, c2 = scratch[_C0 + i], scratch[_C1 + i], scratch[_C2 + i]
        scratch[_C0 + i] = c0 + a * (k0 - m0 * c0)
        scratch[_C1 + i] = c1 + a * (k1 - m1 * c1)
        scratch[_C2 + i] = c2 + a * (k2 - m2 * c2)


@njit(**_OPTIONS)
def _peel(scratch, film, k0, k1, k2, m0, m1, m2, ink_one, ink_colour, ink_gradient):
    """Take the film off: from the gradient above it to that beneath it, and those of opacity, sigma and distance.

    Adds to `ink_gradient` (3,). Returns a bit set of the chords that are nearest to a pixel which
    the film covers: bit k for t in [k, k + 1), bit 31 for all from there on.
    """
    s0, s1, s2 = _ZERO, _ZERO, _ZERO
    owners = _NONE
    for i in range(_P):
        inverse = _ONE / scratch[film + _P2 + i]
        q = min(scratch[film + i] * inverse * inverse, _CUT2)
        p = _H0 + q * (_H1 + q * _H2)
        h = (_CUT2 - q) * p
        slope = _TWO * h * ((_CUT2 - q) * (_H1 + _TWO * _H2 * q) - p)
        opacity = scratch[film + _P3 + i]
        a = opacity * h * h
        c0, c1, c2 = scratch[film + _P4 + i], scratch[film + _P5 + i], scratch[film + _P6 + i]
        g0, g1, g2 = scratch[_G0 + i], scratch[_G1 + i], scratch[_G2 + i]
        ga = g0 * (k0 - m0 * c0) + g1 * (k1 - m1 * c1) + g2 * (k2 - m2 * c2)
        s0 += g0 * a * (ink_one + ink_colour * c0)
        s1 += g1 * a * (ink_one + ink_colour * c1)
        s2 += g2 * a * (ink_one + ink_colour * c2)
        scratch[_G0 + i] = g0 - a * m0 * g0
        scratch[_G1 + i] = g1 - a * m1 * g1
        scratch[_G2 + i] = g2 - a * m2 * g2
        gq = ga * opacity * slope
        scratch[_GO + i] = ga * h * h
        scratch[_GS + i] = -_TWO * gq * q * inverse
        scratch[_GD + i] = gq * inverse * inverse
        bit = np.int32(_BIT << np.int32(min(scratch[film + _P + i], _LAST_BIT)))
        owners = np.int32(owners | (bit if q < _CUT2 else _NONE))
    ink_gradient[0] += s0
    ink_gradient[1] += s1
    ink_gradient[2] += s2
    return owners


@njit(**_OPTIONS)
def _pull_back(scratch, film, table, chord, count, owners, cx, cy, node_gradient, first):
    """Add the film's gradients to the nodes of its chords, rows `first` to `first + count` of `node_gradient`."""
    for k in range(count):
        mask = _BIT << min(k, 31)
        if k == count - 1:
            mask |= _BIT << min(k + 1, 31)
        if owners & mask == 0:
            continue
        row = table[chord + k]
        ax, ay = np.float32(row[0] - cx), np.float32(row[1] - cy)
        ex, ey = np.float32(row[2]), np.float32(row[3])
        sd, od = np.float32(row[6]), np.float32(row[8])
        tk = np.float32(k)
        top = _TWO if k == count - 1 else _ONE
        p0, p1, q0, q1 = _ZERO, _ZERO, _ZERO, _ZERO
        o0, o1, s0, s1 = _ZERO, _ZERO, _ZERO, _ZERO
        u0, u1, ux, uy = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(_P):
            u = scratch[film + _P + i] - tk
            gd, go, gs = scratch[_GD + i], scratch[_GO + i], scratch[_GS + i]
            gd = gd if u >= _ZERO else _ZERO
            go = go if u >= _ZERO else _ZERO
            gs = gs if u >= _ZERO else _ZERO
            gd = gd if u < top else _ZERO
            go = go if u < top else _ZERO
            gs = gs if u < top else _ZERO
            wx = scratch[_X + i] - ax - u * ex
            wy = scratch[_Y + i] - ay - u * ey
            # Where along the chord the nearest point lies matters to sigma and opacity, unless it is an end.
            gu = go * od + gs * sd
            gu = gu if u > _ZERO else _ZERO
            gu = gu if u < _ONE else _ZERO
            p0 += gd * wx
            p1 += u * gd * wx
            q0 += gd * wy
            q1 += u * gd * wy
            o0 += go
            o1 += u * go
            s0 += gs
            s1 += u * gs
            u0 += gu
            u1 += u * gu
            ux += gu * wx
            uy += gu * wy
        inv, n = row[4], first + k
        node_gradient[n, 0] += -_TWO * (p0 - p1) - inv * (ux + (u0 - u1) * ex)
        node_gradient[n, 1] += -_TWO * (q0 - q1) - inv * (uy + (u0 - u1) * ey)
        node_gradient[n, 2] += s0 - s1
        node_gradient[n, 3] += o0 - o1
        node_gradient[n + 1, 0] += -_TWO * p1 + inv * (ux - u1 * ex)
        node_gradient[n + 1, 1] += -_TWO * q1 + inv * (uy - u1 * ey)
        node_gradient[n + 1, 2] += s1
        node_gradient[n + 1, 3] += o1


@njit(**_OPTIONS)
def _load(scratch, slot, raster, top, left):
    """Copy a tile of an (H, W, 3) raster into three scratch slots; zero beyond its edges."""
    height, width = raster.shape[0], raster.shape[1]
    for i in range(SIDE):
        for j in range(SIDE):
            inside = top + i < height and left + j < width
            for c in range(3):
                value = raster[top + i, left + j, c] if inside else _ZERO
                scratch[np.int64(slot) + c * PIXELS + i * SIDE + j] = value


@njit(**_OPTIONS)
def _store(scratch, slot, raster, top, left):
    """Copy three scratch slots into a tile of an (H, W, 3) raster."""
    for i in range(min(SIDE, raster.shape[0] - top)):
        for j in range(min(SIDE, raster.shape[1] - left)):
            for c in range(3):
                raster[top + i, left + j, c] = scratch[np.int64(slot) + c * PIXELS + i * SIDE + j]


@njit(**_OPTIONS)
def _grid(scratch, pitch_x, pitch_y):
    """Write the pixel centres of a tile, mm from its middle."""
    for i in range(SIDE):
        for j in range(SIDE):
            scratch[i * SIDE + j] = (j + 0.5 - 0.5 * SIDE) * pitch_x
            scratch[PIXELS + i * SIDE + j] = (i + 0.5 - 0.5 * SIDE) * pitch_y


@njit(**_OPTIONS)
def _list_capacity(bands, step, first_band, band_starts, starts):
    most, longest = 1, 1
    for b in range(first_band, bands, step):
        most = max(most, band_starts[b + 1] - band_starts[b])
    for s in range(starts.shape[0] - 1):
        longest = max(longest, starts[s + 1] - starts[s] - 1)
    return most, longest


@njit(**_OPTIONS)
def paint(worker, workers, table, starts, reach, films, band_starts, members, pitch_x, pitch_y, blank, canvas, out):
    """Composite the bands worker, worker + workers, ... of `canvas` (white if `blank`) into `out`, both (H, W, 3).

    films: (N, 6) float32, k and m of C + a (k − m C) per polyline.
    """
    bands = band_starts.shape[0] - 1
    columns = (out.shape[1] + SIDE - 1) // SIDE
    most, longest = _list_capacity(bands, workers, worker, band_starts, starts)
    lists = np.empty((columns, most, 3), np.int32)
    depth = np.empty(columns, np.int64)
    distance2 = np.empty((longest, columns))
    scratch = np.empty(FIXED + FILM, np.float32)
    _grid(scratch, pitch_x, pitch_y)
    for band in range(worker, bands, workers):
        _list_tiles(
            band, band_starts[band], band_starts[band + 1], members, table, starts, reach, columns, pitch_x, pitch_y,
            distance2, depth, lists,
        )  # fmt: skip
        cy = (band + 0.5) * SIDE * pitch_y
        for tile in range(columns):
            cx = (tile + 0.5) * SIDE * pitch_x
            if blank:
                for i in range(_P3):
                    scratch[_C0 + i] = _ONE
            else:
                _load(scratch, _C0, canvas, band * SIDE, tile * SIDE)
            for i in range(depth[tile]):
                s = members[lists[tile, i, 0]]
                a, b = lists[tile, i, 1], lists[tile, i, 2]
                _nearest(scratch, _FIXED, table, starts[s] + a, b - a, cx, cy)
                f = films[s]
                _composite(scratch, _FIXED, False, f[0], f[1], f[2], f[3], f[4], f[5])
            _store(scratch, _C0, out, band * SIDE, tile * SIDE)


@njit(**_OPTIONS)
def paint_backward(
    worker, workers, table, starts, reach, films, ink_one, ink_colour, band_starts, members, node_starts,
    pitch_x, pitch_y, blank, canvas, gradient, want_canvas, canvas_gradient, node_gradient, ink_gradient,
):  # fmt: skip
    """The gradients of `paint`, given that of `out`, (H, W, 3).

    Adds to node_gradient (node_starts[-1], 4) and ink_gradient (P, 3), per (band, polyline) pair; writes canvas_gradient.
    """
    bands = band_starts.shape[0] - 1
    columns = (gradient.shape[1] + SIDE - 1) // SIDE
    most, longest = _list_capacity(bands, workers, worker, band_starts, starts)
    lists = np.empty((columns, most, 3), np.int32)
    depth = np.empty(columns, np.int64)
    distance2 = np.empty((longest, columns))
    room = 64
    scratch = np.empty(FIXED + room * FILM, np.float32)
    _grid(scratch, pitch_x, pitch_y)
    for band in range(worker, bands, workers):
        _list_tiles(
            band, band_starts[band], band_starts[band + 1], members, table, starts, reach, columns, pitch_x, pitch_y,
            distance2, depth, lists,
        )  # fmt: skip
        cy = (band + 0.5) * SIDE * pitch_y
        for tile in range(columns):
            if depth[tile] == 0 and not want_canvas:
                continue
            if depth[tile] > room:
                room = 2 * depth[tile]
                scratch = np.empty(FIXED + room * FILM, np.float32)
                _grid(scratch, pitch_x, pitch_y)
            cx = (tile + 0.5) * SIDE * pitch_x
            if blank:
                for i in range(_P3):
                    scratch[_C0 + i] = _ONE
            else:
                _load(scratch, _C0, canvas, band * SIDE, tile * SIDE)
            for i in range(depth[tile]):
                s = members[lists[tile, i, 0]]
                a, b = lists[tile, i, 1], lists[tile, i, 2]
                _nearest(scratch, np.uint64(FIXED + i * FILM), table, starts[s] + a, b - a, cx, cy)
                f = films[s]
                _composite(scratch, np.uint64(FIXED + i * FILM), True, f[0], f[1], f[2], f[3], f[4], f[5])
            _load(scratch, _G0, gradient, band * SIDE, tile * SIDE)
            for i in range(depth[tile] - 1, -1, -1):
                pair = lists[tile, i, 0]
                s = members[pair]
                a, b = lists[tile, i, 1], lists[tile, i, 2]
                f = films[s]
                owners = _peel(
                    scratch, np.uint64(FIXED + i * FILM), f[0], f[1], f[2], f[3], f[4], f[5], ink_one, ink_colour,
                    ink_gradient[pair],
                )  # fmt: skip
                if owners:
                    _pull_back(
                        scratch, np.uint64(FIXED + i * FILM), table, starts[s] + a, b - a, owners, cx, cy,
                        node_gradient, node_starts[pair] + a,
                    )  # fmt: skip
            if want_canvas:
                _store(scratch, _G0, canvas_gradient, band * SIDE, tile * SIDE)


@njit(**_OPTIONS)
def gather(starts, members, node_starts, pair_nodes, pair_inks, node_gradient, ink_gradient):
    """Sum the pairs' gradients over bands: node_gradient (M, 4), ink_gradient (N, 3)."""
    for pair in range(members.shape[0]):
        s = members[pair]
        first = node_starts[pair]
        for k in range(starts[s + 1] - starts[s]):
            for c in range(4):
                node_gradient[starts[s] + k, c] += pair_nodes[first + k, c]
        for c in range(3):
            ink_gradient[s, c] += pair_inks[pair, c]
