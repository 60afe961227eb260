"""CPU kernels of the twin's second stage: polylines of spots onto pixels, forward and backward.

The raster is cut into tiles, tiles into bands (rows of tiles). A worker takes whole bands. For each band it lists, tile
by tile and in painting order, which polylines reach the tile (binning.py); then it composites the tile in scratch
memory. The backward pass composites again, keeps what lay beneath each film, and walks from the top film down.
Gradients are summed per (band, polyline), then over bands in a fixed order, so that results do not depend on the
number of workers.

LLVM vectorises an inner loop over a tile's pixels if there are few arrays that it could believe to overlap, and if no
index could be negative. Therefore all that belongs to a tile lies in one array (`tile`), all that belongs to a film in
another (`film`), in slots of PIXELS floats, and the offsets of slots are unsigned.
"""

from __future__ import annotations

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.twin.binning import HELPER, KERNEL, TILE_H, TILE_W, bin_bands, chord_table, list_band
from airbrush_cli.twin.profile import C1, C2, CUT2

PIXELS = TILE_W * TILE_H

_P, _P2, _P3, _P4, _P5, _P6 = (np.uint64(i * PIXELS) for i in range(1, 7))
# Slots of a tile: pixel centres (mm from its middle), colours, and gradients by colours, opacity, sigma and squared
# distance.
_X, _Y, _C0, _C1, _C2, _G0, _G1, _G2, _GO, _GS, _GD = (np.uint64(i * PIXELS) for i in range(11))
_TILE = 11 * PIXELS
# Slots of a film: squared distance, t, sigma, opacity, and the three colours beneath it.
_FILM = 7 * PIXELS

# h(q) = (9 − q) (H0 + H1 q + H2 q²), the profile is h²: exactly 0 at q = 9.
_H0, _H1, _H2 = np.float32(1.0 / CUT2), np.float32(C1 / CUT2), np.float32(C2 / CUT2)
_CUT2 = np.float32(CUT2)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_I, _II, _C = np.uint64(1), np.uint64(2), np.uint64(3)
_FAR = np.float32(1e30)
_NONE, _BIT, _LAST_BIT = np.int32(0), np.int32(1), np.float32(31.0)

# Near a joint, rounding must not let the end of one chord win over the inside of the next, because only there sigma
# and opacity change with the place: what is nearest at its end counts as farther by a little more than rounding errs.
_HANDICAP, _HEAD_START = np.float32(1e-6), np.float32(1e-7)


@njit(**HELPER)
def _nearest_short(tile, film, table, chord, count, cx, cy):
    """`_nearest` for polylines that are much shorter than pixels are far from them.

    With p a pixel's and c the nearest point's place from the first chord's start, |p − c|² = p² + c (c − 2 p): compared
    is the second term alone, in which the chords differ.
    """
    ox, oy = table[chord, 0], table[chord, 1]
    ox32, oy32 = np.float32(ox - cx), np.float32(oy - cy)
    for i in range(_P):
        film[i] = _FAR
    for k in range(count):
        row = table[chord + k]
        gx, gy = np.float32(row[2] * row[4]), np.float32(row[3] * row[4])
        ax, ay, ex, ey = np.float32(row[0] - ox), np.float32(row[1] - oy), np.float32(row[2]), np.float32(row[3])
        sa, sd, oa, od = np.float32(row[5]), np.float32(row[6]), np.float32(row[7]), np.float32(row[8])
        tk = np.float32(k)
        for i in range(_P):
            x, y = tile[_X + i] - ox32, tile[_Y + i] - oy32
            u = min(max(gx * (x - ax) + gy * (y - ay), _ZERO), _ONE)
            px, py = ax + u * ex, ay + u * ey
            term = px * (px - _TWO * x) + py * (py - _TWO * y)
            best, t, sigma, opacity = film[i], film[_P + i], film[_P2 + i], film[_P3 + i]
            closer = term < best
            film[i] = term if closer else best
            film[_P + i] = u + tk if closer else t
            film[_P2 + i] = sa + u * sd if closer else sigma
            film[_P3 + i] = oa + u * od if closer else opacity
    for i in range(_P):
        x, y = tile[_X + i] - ox32, tile[_Y + i] - oy32
        film[i] = max(x * x + y * y + film[i], _ZERO)


@njit(**HELPER)
def _nearest(tile, film, table, chord, count, cx, cy):
    """Write squared distance, t, sigma and opacity of the nearest point of `count` chords, for every pixel."""
    if table[chord, 10] > 0.0:
        _nearest_short(tile, film, table, chord, count, cx, cy)
        return
    for k in range(count):
        row = table[chord + k]
        ax64, ay64 = row[0] - cx, row[1] - cy
        gx, gy = np.float32(row[2] * row[4]), np.float32(row[3] * row[4])
        g0 = np.float32(-(ax64 * row[2] + ay64 * row[3]) * row[4])
        ax, ay, ex, ey = np.float32(ax64), np.float32(ay64), np.float32(row[2]), np.float32(row[3])
        sa, sd, oa, od = np.float32(row[5]), np.float32(row[6]), np.float32(row[7]), np.float32(row[8])
        tk = np.float32(k)
        if k == 0:
            for i in range(_P):
                x, y = tile[_X + i], tile[_Y + i]
                along = gx * x + gy * y + g0
                u = min(max(along, _ZERO), _ONE)
                wx = x - ax - u * ex
                wy = y - ay - u * ey
                d2 = wx * wx + wy * wy
                film[i] = d2 if along == u else d2 + (d2 * _HANDICAP + _HEAD_START)
                film[_P + i] = u
                film[_P2 + i] = sa + u * sd
                film[_P3 + i] = oa + u * od
        else:
            for i in range(_P):
                x, y = tile[_X + i], tile[_Y + i]
                along = gx * x + gy * y + g0
                u = min(max(along, _ZERO), _ONE)
                wx = x - ax - u * ex
                wy = y - ay - u * ey
                d2 = wx * wx + wy * wy
                d2 = d2 if along == u else d2 + (d2 * _HANDICAP + _HEAD_START)
                # All loads stand before the choice: a load inside it would be a branch.
                best, t, sigma, opacity = film[i], film[_P + i], film[_P2 + i], film[_P3 + i]
                closer = d2 < best
                film[i] = d2 if closer else best
                film[_P + i] = u + tk if closer else t
                film[_P2 + i] = sa + u * sd if closer else sigma
                film[_P3 + i] = oa + u * od if closer else opacity


@njit(**HELPER)
def _composite(tile, film, keep, k0, k1, k2, m0, m1, m2):
    """Lay a film over the tile's colours: C + a (k − m C). Return whether it covers any pixel.

    keep: whether to write what lay beneath into the film's slots.
    """
    if keep:
        for i in range(_P):
            film[_P4 + i] = tile[_C0 + i]
            film[_P5 + i] = tile[_C1 + i]
            film[_P6 + i] = tile[_C2 + i]
    covered = _NONE
    for i in range(_P):
        sigma = film[_P2 + i]
        q = min(film[i] / (sigma * sigma), _CUT2)
        h = (_CUT2 - q) * (_H0 + q * (_H1 + q * _H2))
        a = film[_P3 + i] * h * h
        c0, c1, c2 = tile[_C0 + i], tile[_C1 + i], tile[_C2 + i]
        tile[_C0 + i] = c0 + a * (k0 - m0 * c0)
        tile[_C1 + i] = c1 + a * (k1 - m1 * c1)
        tile[_C2 + i] = c2 + a * (k2 - m2 * c2)
        covered = np.int32(covered | (_BIT if q < _CUT2 else _NONE))
    return covered != 0


@njit(**HELPER)
def _peel(tile, film, k0, k1, k2, m0, m1, m2, ink_one, ink_colour, ink_gradient):
    """Take the film off: from the gradient above it to that beneath it, and those of opacity, sigma and distance.

    Adds to `ink_gradient` (3,). Returns a bit set of the chords that are nearest to a pixel which the film covers:
    bit k for t in [k, k + 1), bit 31 for all from there on.
    """
    s0, s1, s2 = _ZERO, _ZERO, _ZERO
    owners = _NONE
    for i in range(_P):
        inverse = _ONE / film[_P2 + i]
        q = min(film[i] * inverse * inverse, _CUT2)
        p = _H0 + q * (_H1 + q * _H2)
        h = (_CUT2 - q) * p
        slope = _TWO * h * ((_CUT2 - q) * (_H1 + _TWO * _H2 * q) - p)
        opacity = film[_P3 + i]
        a = opacity * h * h
        c0, c1, c2 = film[_P4 + i], film[_P5 + i], film[_P6 + i]
        g0, g1, g2 = tile[_G0 + i], tile[_G1 + i], tile[_G2 + i]
        ga = g0 * (k0 - m0 * c0) + g1 * (k1 - m1 * c1) + g2 * (k2 - m2 * c2)
        s0 += g0 * a * (ink_one + ink_colour * c0)
        s1 += g1 * a * (ink_one + ink_colour * c1)
        s2 += g2 * a * (ink_one + ink_colour * c2)
        tile[_G0 + i] = g0 - a * m0 * g0
        tile[_G1 + i] = g1 - a * m1 * g1
        tile[_G2 + i] = g2 - a * m2 * g2
        gq = ga * opacity * slope
        tile[_GO + i] = ga * h * h
        tile[_GS + i] = -_TWO * gq * q * inverse
        tile[_GD + i] = gq * inverse * inverse
        bit = np.int32(_BIT << np.int32(min(film[_P + i], _LAST_BIT)))
        owners = np.int32(owners | (bit if q < _CUT2 else _NONE))
    ink_gradient[0] += s0
    ink_gradient[1] += s1
    ink_gradient[2] += s2
    return owners


@njit(**HELPER)
def _pull_back(tile, film, table, chord, count, owners, cx, cy, node_gradient, first):
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
            u = film[_P + i] - tk
            gd, go, gs = tile[_GD + i], tile[_GO + i], tile[_GS + i]
            gd = gd if u >= _ZERO else _ZERO
            go = go if u >= _ZERO else _ZERO
            gs = gs if u >= _ZERO else _ZERO
            gd = gd if u < top else _ZERO
            go = go if u < top else _ZERO
            gs = gs if u < top else _ZERO
            wx = tile[_X + i] - ax - u * ex
            wy = tile[_Y + i] - ay - u * ey
            # Where along the chord the nearest point lies matters to sigma and opacity, unless it is an end.
            gu = go * od + gs * sd
            gu = gu if u > _ZERO else _ZERO
            gu = gu if u < _ONE else _ZERO
            rest = _ONE - u
            p0 += rest * gd * wx
            p1 += u * gd * wx
            q0 += rest * gd * wy
            q1 += u * gd * wy
            o0 += rest * go
            o1 += u * go
            s0 += rest * gs
            s1 += u * gs
            u0 += rest * gu
            u1 += u * gu
            ux += gu * wx
            uy += gu * wy
        inv, n = row[4], first + k
        node_gradient[n, 0] += -_TWO * p0 - inv * (ux + u0 * ex)
        node_gradient[n, 1] += -_TWO * q0 - inv * (uy + u0 * ey)
        node_gradient[n, 2] += s0
        node_gradient[n, 3] += o0
        node_gradient[n + 1, 0] += -_TWO * p1 + inv * (ux - u1 * ex)
        node_gradient[n + 1, 1] += -_TWO * q1 + inv * (uy - u1 * ey)
        node_gradient[n + 1, 2] += s1
        node_gradient[n + 1, 3] += o1


@njit(**HELPER)
def _load(tile, slot, raster, band, column):
    """Copy a tile of an (H, 3 W) raster into three slots; what lies beyond its edges is zero."""
    top, left = band * TILE_H, column * TILE_W
    rows, columns = min(TILE_H, raster.shape[0] - top), min(TILE_W, raster.shape[1] // 3 - left)
    if rows < TILE_H or columns < TILE_W:
        for i in range(_P3):
            tile[slot + i] = _ZERO
    for i in range(rows):
        line, to, at = np.uint64(top + i), slot + np.uint64(i * TILE_W), np.uint64(3 * left)
        for j in range(np.uint64(columns)):
            tile[to + j] = raster[line, at + _C * j]
            tile[to + _P + j] = raster[line, at + _C * j + _I]
            tile[to + _P2 + j] = raster[line, at + _C * j + _II]


@njit(**HELPER)
def _store(tile, slot, raster, band, column):
    """Copy three slots into a tile of an (H, 3 W) raster."""
    top, left = band * TILE_H, column * TILE_W
    rows, columns = min(TILE_H, raster.shape[0] - top), min(TILE_W, raster.shape[1] // 3 - left)
    for i in range(rows):
        line, to, at = np.uint64(top + i), slot + np.uint64(i * TILE_W), np.uint64(3 * left)
        for j in range(np.uint64(columns)):
            raster[line, at + _C * j] = tile[to + j]
            raster[line, at + _C * j + _I] = tile[to + _P + j]
            raster[line, at + _C * j + _II] = tile[to + _P2 + j]


@njit(**HELPER)
def _new_tile(pitch_x, pitch_y):
    tile = np.empty(_TILE, np.float32)
    for i in range(TILE_H):
        for j in range(TILE_W):
            tile[i * TILE_W + j] = (j + 0.5 - 0.5 * TILE_W) * pitch_x
            tile[PIXELS + i * TILE_W + j] = (i + 0.5 - 0.5 * TILE_H) * pitch_y
    return tile


@njit(**KERNEL)
def paint(
    worker, workers, table, starts, reach, films, band_starts, members, pitch_x, pitch_y, blank, in_place, canvas, out
):
    """Composite the bands worker, worker + workers, ... of `canvas` (white if `blank`) into `out`, both (H, 3 W).

    films: (N, 6) float32, k and m of C + a (k − m C) per polyline.
    in_place: `out` is `canvas`; only tiles that are covered are touched.

    Returns:
        What covers each tile, for `paint_backward`: rows (pair, first chord, last chord + 1), bottom film first, and
        the row at which each of the worker's tiles begins.
    """
    bands = band_starts.shape[0] - 1
    columns = (out.shape[1] // 3 + TILE_W - 1) // TILE_W
    most = 1
    for band in range(worker, bands, workers):
        most = max(most, band_starts[band + 1] - band_starts[band])
    lists, depth = np.empty((columns, most, 3), np.int32), np.empty(columns, np.int64)
    ends = np.empty((columns, 2), np.int64)
    tile, film = _new_tile(pitch_x, pitch_y), np.empty(_FILM, np.float32)
    kept = np.empty((1024, 3), np.int32)
    row, n = 0, 0
    tile_starts = np.zeros(((bands + workers - 1) // workers) * columns + 1, np.int64)
    for band in range(worker, bands, workers):
        pairs = band_starts[band], band_starts[band + 1]
        if in_place and pairs[0] == pairs[1]:
            continue
        list_band(band, pairs, members, table, starts, reach, columns, pitch_x, pitch_y, ends, depth, lists)
        cy = (band + 0.5) * TILE_H * pitch_y
        for column in range(columns):
            cx = (column + 0.5) * TILE_W * pitch_x
            if not (in_place and depth[column] == 0):
                if blank:
                    for i in range(_P3):
                        tile[_C0 + i] = _ONE
                else:
                    _load(tile, _C0, canvas, band, column)
                if row + depth[column] > kept.shape[0]:
                    grown = np.empty((2 * (row + depth[column]), 3), np.int32)
                    for i in range(row):  # a slice would drag numba's text formatting in, for its error message
                        for c in range(3):
                            grown[i, c] = kept[i, c]
                    kept = grown
                for i in range(depth[column]):
                    pair, a, b = lists[column, i, 0], lists[column, i, 1], lists[column, i, 2]
                    s = members[pair]
                    _nearest(tile, film, table, starts[s] + a, b - a, cx, cy)
                    f = films[s]
                    if _composite(tile, film, False, f[0], f[1], f[2], f[3], f[4], f[5]):
                        kept[row, 0] = pair
                        kept[row, 1] = a
                        kept[row, 2] = b
                        row += 1
                _store(tile, _C0, out, band, column)
            n += 1
            tile_starts[n] = row
    return kept, tile_starts


@njit(**KERNEL)
def paint_batch(worker, workers, nodes, starts, films, pitch_x, pitch_y, canvases):
    """Paint, in place, the same number of polylines on each of the canvases worker, worker + workers, ..., (B, H, 3 W).

    Those of a canvas follow one another in `nodes`, `starts` and `films`.
    """
    count = (starts.shape[0] - 1) // canvases.shape[0]
    bands = (canvases.shape[1] + TILE_H - 1) // TILE_H
    for b in range(worker, canvases.shape[0], workers):
        first = b * count
        own_starts = np.empty(count + 1, np.int64)
        for s in range(count + 1):
            own_starts[s] = starts[first + s] - starts[first]
        own_nodes = nodes[starts[first] : starts[first + count]]
        table, reach = chord_table(own_nodes, own_starts)
        band_starts, members, _ = bin_bands(own_nodes, own_starts, reach, bands, pitch_y)
        canvas = canvases[b]
        paint(
            0, 1, table, own_starts, reach, films[first : first + count], band_starts, members, pitch_x, pitch_y,
            False, True, canvas, canvas,
        )  # fmt: skip


@njit(**KERNEL)
def paint_backward(
    worker, workers, table, starts, films, ink_one, ink_colour, members, node_starts, kept, tile_starts,
    pitch_x, pitch_y, blank, canvas, gradient, want_canvas, canvas_gradient, node_gradient, ink_gradient,
):  # fmt: skip
    """The gradients of `paint`, given that of `out`, (H, 3 W).

    Adds to node_gradient (node_starts[-1], 4) and ink_gradient (P, 3), per (band, polyline) pair; writes
    canvas_gradient.
    """
    bands = (gradient.shape[0] + TILE_H - 1) // TILE_H
    columns = (gradient.shape[1] // 3 + TILE_W - 1) // TILE_W
    deepest = 1
    for n in range(tile_starts.shape[0] - 1):
        deepest = max(deepest, tile_starts[n + 1] - tile_starts[n])
    stack = np.empty((deepest, _FILM), np.float32)
    tile = _new_tile(pitch_x, pitch_y)
    n = -1
    for band in range(worker, bands, workers):
        cy = (band + 0.5) * TILE_H * pitch_y
        for column in range(columns):
            n += 1
            first, depth = tile_starts[n], tile_starts[n + 1] - tile_starts[n]
            if depth == 0 and not want_canvas:
                continue
            cx = (column + 0.5) * TILE_W * pitch_x
            if blank:
                for i in range(_P3):
                    tile[_C0 + i] = _ONE
            else:
                _load(tile, _C0, canvas, band, column)
            for i in range(depth):
                s = members[kept[first + i, 0]]
                a, b = kept[first + i, 1], kept[first + i, 2]
                _nearest(tile, stack[i], table, starts[s] + a, b - a, cx, cy)
                f = films[s]
                _composite(tile, stack[i], True, f[0], f[1], f[2], f[3], f[4], f[5])
            _load(tile, _G0, gradient, band, column)
            for i in range(depth - 1, -1, -1):
                pair, a, b = kept[first + i, 0], kept[first + i, 1], kept[first + i, 2]
                s = members[pair]
                f = films[s]
                owners = _peel(
                    tile, stack[i], f[0], f[1], f[2], f[3], f[4], f[5], ink_one, ink_colour, ink_gradient[pair]
                )
                _pull_back(
                    tile, stack[i], table, starts[s] + a, b - a, owners, cx, cy, node_gradient, node_starts[pair] + a
                )
            if want_canvas:
                _store(tile, _G0, canvas_gradient, band, column)


@njit(**KERNEL)
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
