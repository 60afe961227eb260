"""Which polylines reach which tiles of the raster, and with which of their chords."""

from __future__ import annotations

import math

import numpy as np

from airbrush_cli.compiled import njit
from airbrush_cli.twin.profile import CUT2

# Pixels of a tile; 12 x 12 measured fastest from 454x640 to 908x1280.
TILE_W, TILE_H = 12, 12
CUT = math.sqrt(CUT2)
# Polylines that go no farther from their start than this need distances of a precision relative to their own size.
SHORT_MM = 0.5

KERNEL = {"cache": True, "fastmath": True, "error_model": "numpy", "nogil": True}
# Helpers become part of the kernels: as functions of their own, a kernel fresh from the compiler and the same kernel
# from the cache could be linked to copies of them that round differently.
HELPER = {"fastmath": True, "error_model": "numpy", "forceinline": True}


@njit(**KERNEL)
def chord_table(nodes, starts):
    """Return the chord that begins at each node, (M, 11), and the greatest cut-off radius of each polyline, (N,).

    Columns: start x y, vector x y, 1/length² (0 for a point), sigma and its change, opacity and its change, cut-off
    radius, and 1 if the whole polyline is short.
    """
    table = np.zeros((nodes.shape[0], 11))
    reach = np.zeros(starts.shape[0] - 1)
    for s in range(starts.shape[0] - 1):
        extent = 0.0
        for k in range(starts[s], starts[s + 1]):
            extent = max(extent, abs(nodes[k, 0] - nodes[starts[s], 0]), abs(nodes[k, 1] - nodes[starts[s], 1]))
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
            table[k, 10] = extent < SHORT_MM
            reach[s] = max(reach[s], table[k, 9])
    return table, reach


@njit(**KERNEL)
def bin_bands(nodes, starts, reach, bands, pitch_y):
    """List the polylines of each band, in order.

    Returns:
        band_starts (bands + 1,); members (P,), the polyline of each (band, polyline) pair; node_starts (P + 1,), where
        the node gradients of each pair begin.
    """
    count = starts.shape[0] - 1
    low = np.empty(count, np.int64)
    high = np.empty(count, np.int64)
    band_starts = np.zeros(bands + 1, np.int64)
    height = TILE_H * pitch_y
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


@njit(**HELPER)
def _distance2(table, k, x, y):
    """Squared distance of a point from a chord."""
    dx, dy = x - table[k, 0], y - table[k, 1]
    u = min(max((dx * table[k, 2] + dy * table[k, 3]) * table[k, 4], 0.0), 1.0)
    dx, dy = dx - u * table[k, 2], dy - u * table[k, 3]
    return dx * dx + dy * dy


@njit(**HELPER)
def _projects(table, k, cx, cy, half_x, half_y, end):
    """Whether every pixel of a tile lies beyond the end (1) or before the start (-1) of a chord."""
    along = ((cx - table[k, 0]) * table[k, 2] + (cy - table[k, 1]) * table[k, 3]) * table[k, 4] - 0.5
    spread = (abs(table[k, 2]) * half_x + abs(table[k, 3]) * half_y) * table[k, 4]
    return end * along - spread > 0.5 + 1e-6


@njit(**HELPER)
def _span(table, k, y, radius):
    """The interval of x, at height y, within `radius` of a chord; empty if low > high."""
    low, high = 1e30, -1e30
    ax, ay, ex, ey = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
    for end in range(2):
        dy = y - ay - end * ey
        rest = radius * radius - dy * dy
        if rest >= 0.0:
            root = math.sqrt(rest)
            low = min(low, ax + end * ex - root)
            high = max(high, ax + end * ex + root)
    # The long sides of the capsule: the chord moved by the radius along its normal.
    if ey != 0.0:
        scale = radius * math.sqrt(table[k, 4])
        for side in (-1.0, 1.0):
            u = (y - ay - side * scale * ex) / ey
            if 0.0 <= u <= 1.0:
                x = ax + u * ex - side * scale * ey
                low = min(low, x)
                high = max(high, x)
    return low, high


@njit(**HELPER)
def list_band(band, pairs, members, table, starts, reach, columns, pitch_x, pitch_y, ends, depth, lists):
    """Fill `lists[column, i] = (pair, first chord, last chord + 1)` and `depth[column]` for one band.

    `pairs` are the first and last + 1 of the band; `ends` (columns, 2) is scratch.
    """
    width = TILE_W * pitch_x
    half_x, half_y = 0.5 * (TILE_W - 1) * pitch_x, 0.5 * (TILE_H - 1) * pitch_y
    half = math.sqrt(half_x * half_x + half_y * half_y) + 1e-6
    cy = (band + 0.5) * TILE_H * pitch_y
    for column in range(columns):
        depth[column] = 0
        ends[column, 1] = 0
    for pair in range(pairs[0], pairs[1]):
        s = members[pair]
        k0, chords = starts[s], starts[s + 1] - starts[s] - 1
        far = reach[s] + half
        left, right = columns, 0
        for k in range(chords):
            low, high = _span(table, k0 + k, cy, far)
            if low <= high:
                c0 = max(0, math.ceil(low / width - 0.5))
                c1 = min(columns, math.floor(high / width - 0.5) + 1)
                left, right = min(left, c0), max(right, c1)
                for column in range(c0, c1):
                    if ends[column, 1] == 0:
                        ends[column, 0] = k
                    ends[column, 1] = k + 1
        for column in range(left, right):
            a, b = ends[column, 0], ends[column, 1]
            if b == 0:
                continue
            ends[column, 1] = 0
            cx = (column + 0.5) * width
            touched = False
            for k in range(k0 + a, k0 + b):
                if _distance2(table, k, cx, cy) <= (table[k, 9] + half) ** 2:
                    touched = True
                    break
            if not touched:
                continue
            # A chord at an end of the list goes if every pixel projects beyond the node that it shares with the next.
            while a < b - 1 and _projects(table, k0 + a, cx, cy, half_x, half_y, 1.0):
                a += 1
            while a < b - 1 and _projects(table, k0 + b - 1, cx, cy, half_x, half_y, -1.0):
                b -= 1
            i = depth[column]
            lists[column, i, 0] = pair
            lists[column, i, 1] = a
            lists[column, i, 2] = b
            depth[column] = i + 1
