"""Thinning a mask to one-pixel lines, and reading these as a graph.

All arrays are flat views of a raster with an empty frame two pixels wide, so that a pixel's neighbours are fixed steps
away and need no bounds checks.
"""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit

# Along the middle of a line that tapers, half width changes by the sine of half its angle each pixel. Where it changes
# faster, the "end" is only a bump or a corner of the outline.
_END_SLOPE = 0.6


class Graph(NamedTuple):
    """The lines of a skeleton: nodes where lines end or meet, edges of pixels between them."""

    node_x: NDArray[np.float64]  # (N,) px, the mean of the node's pixels' centres
    node_y: NDArray[np.float64]
    edge_start: NDArray[np.int64]  # (E,) node that the edge leaves, -1 for a ring without nodes
    edge_end: NDArray[np.int64]  # (E,)
    offset: NDArray[np.int64]  # (E + 1,) edge e owns the pixels offset[e]:offset[e + 1]
    pixel: NDArray[np.int64]  # flat indices, in order along each edge, the nodes' own pixels left out


def _tables() -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Return, for the 8 neighbours as bits clockwise from north: is the middle simple; the number of neighbours."""
    codes = np.arange(256)
    bits = (codes[:, None] >> np.arange(8)) & 1
    # The crossing number for 8-connected figures (Hilditch 1969): 1 means that removal changes no topology.
    straight, diagonal, beyond = bits[:, 0::2], bits[:, 1::2], np.roll(bits[:, 0::2], -1, axis=1)
    crossings = ((1 - straight) & (diagonal | beyond)).sum(axis=1)
    return crossings == 1, bits.sum(axis=1).astype(np.uint8)


_SIMPLE, _COUNT = _tables()


@njit(cache=True)
def _code(image, p, width):
    return (
        image[p - width]
        | image[p - width + 1] << 1
        | image[p + 1] << 2
        | image[p + width + 1] << 3
        | image[p + width] << 4
        | image[p + width - 1] << 5
        | image[p - 1] << 6
        | image[p - width - 1] << 7
    )


@njit(cache=True)
def _steps(width):
    return np.array([-width, -width + 1, 1, width + 1, width, width - 1, -1, -width - 1])


def thin(mask: NDArray[np.uint8], distance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the skeleton of a framed mask: connected like it, one pixel thin, in the middle.

    Pixels are taken away in the order of their distance to the background, whenever that changes no topology (distance
    ordered homotopic thinning, Pudney 1998), except ends of lines.

    Args:
        mask: (H, W) of 0 and 1, with a frame of two zeros.
        distance: (H, W) Euclidean distance of each set pixel to the nearest zero, px.
    """
    image = mask.ravel().copy()
    pixels = np.flatnonzero(image)
    order = pixels[np.argsort(distance.ravel()[pixels], kind="stable")]
    _thin(image, distance.ravel(), order, mask.shape[1], _SIMPLE, _COUNT)
    return image.reshape(mask.shape)


@njit(cache=True)
def _thin(image, distance, order, width, simple, counts):
    steps = _steps(width)
    visited, bare = np.zeros(len(image), np.bool_), np.zeros(len(image), np.bool_)
    stack = np.empty(len(order) * 8 + 8, np.int64)
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and distance[order[last]] == distance[order[first]]:
            last += 1
        # Pixels equally deep go side by side: taken one after the other, a line two pixels wide would go from its end.
        for side in range(0, 8, 2):
            for k in range(first, last):
                bare[order[k]] = image[order[k]] != 0 and image[order[k] + steps[side]] == 0
            for k in range(first, last):
                if bare[order[k]]:
                    bare[order[k]] = False
                    _strip(image, distance, order[k], steps, width, simple, counts, visited, stack)
        for k in range(first, last):
            if image[order[k]] != 0 and not visited[order[k]]:
                _strip(image, distance, order[k], steps, width, simple, counts, visited, stack)
        first = last


@njit(cache=True)
def _strip(image, distance, start, steps, width, simple, counts, visited, stack):
    """Take away a pixel if it may go, and then those neighbours that had to stay until now."""
    stack[0] = start
    depth = 1
    while depth > 0:
        depth -= 1
        p = stack[depth]
        if image[p] == 0:
            continue
        visited[p] = True
        code = _code(image, p, width)
        if not simple[code]:
            continue
        if counts[code] == 1:
            k = 0
            while image[p + steps[k]] == 0:
                k += 1
            run = 1.0 if k % 2 == 0 else 1.4142135
            if distance[p + steps[k]] - distance[p] <= _END_SLOPE * run:
                continue
        image[p] = 0
        for k in range(8):
            q = p + steps[k]
            if image[q] != 0 and visited[q]:
                stack[depth] = q
                depth += 1


def read_graph(skeleton: NDArray[np.uint8]) -> Graph:
    """Read a framed skeleton as a graph. Pixels with other than two neighbours are nodes, those that touch one node."""
    return Graph(*_read(skeleton.ravel(), skeleton.shape[1], _COUNT))


@njit(cache=True)
def _read(image, width, counts):
    steps = _steps(width)
    pixels = np.flatnonzero(image)
    # label: 0 background, -1 on a line, n + 1 node n. A lone pixel is a node without edges.
    label = np.zeros(len(image), np.int64)
    for p in pixels:
        label[p] = -1
    node_x, node_y = np.empty(len(pixels)), np.empty(len(pixels))
    stack = np.empty(len(pixels) * 8 + 8, np.int64)
    node_pixels = np.empty(len(pixels), np.int64)
    nodes, filled = 0, 0
    for seed in pixels:
        if label[seed] != -1 or counts[_code(image, seed, width)] == 2:
            continue
        is_end = counts[_code(image, seed, width)] < 2
        nodes += 1
        stack[0], depth = seed, 1
        label[seed] = nodes
        members, x, y = 0, 0.0, 0.0
        while depth > 0:
            depth -= 1
            p = stack[depth]
            node_pixels[filled] = p
            filled += 1
            members += 1
            x += p % width + 0.5
            y += p // width + 0.5
            if is_end:
                break
            for k in range(8):
                q = p + steps[k]
                if label[q] == -1 and counts[_code(image, q, width)] > 2:
                    label[q] = nodes
                    stack[depth] = q
                    depth += 1
        node_x[nodes - 1], node_y[nodes - 1] = x / members, y / members

    chain = np.empty(2 * len(pixels) + 2, np.int64)
    offset = np.zeros(4 * len(pixels) + 2, np.int64)
    start, end = np.empty(4 * len(pixels) + 1, np.int64), np.empty(4 * len(pixels) + 1, np.int64)
    edges, used = 0, 0
    walked = np.zeros(len(image), np.bool_)
    for source in node_pixels[:filled]:
        node = label[source]
        for k in range(8):
            q = source + steps[k]
            if label[q] > 0 and label[q] != node and source < q:
                # An end beside another node: an edge without pixels of its own.
                start[edges], end[edges] = node - 1, label[q] - 1
                edges += 1
                offset[edges] = used
            if label[q] != -1 or walked[q]:
                continue
            # A line pixel that touches its node twice (over two node pixels) is walked once.
            previous, p = source, q
            while True:
                walked[p] = True
                chain[used] = p
                used += 1
                ahead, goal = -1, -1
                for j in range(8):
                    r = p + steps[j]
                    if r == previous or label[r] == 0:
                        continue
                    if label[r] > 0:
                        if not (label[r] == node and previous == source):
                            goal = r
                    elif not walked[r]:
                        ahead = r
                if goal >= 0:
                    finish = label[goal] - 1
                    break
                if ahead < 0:
                    finish = node - 1
                    break
                previous, p = p, ahead
            start[edges], end[edges] = node - 1, finish
            edges += 1
            offset[edges] = used
    for seed in pixels:
        if label[seed] != -1 or walked[seed]:
            continue
        p = seed
        while p >= 0:
            walked[p] = True
            chain[used] = p
            used += 1
            ahead = -1
            for j in range(8):
                r = p + steps[j]
                if label[r] == -1 and not walked[r]:
                    ahead = r
                    if j % 2 == 0:
                        break
            p = ahead
        start[edges], end[edges] = -1, -1
        edges += 1
        offset[edges] = used
    edge_table = (start[:edges].copy(), end[:edges].copy(), offset[: edges + 1].copy(), chain[:used].copy())
    return node_x[:nodes].copy(), node_y[:nodes].copy(), *edge_table
