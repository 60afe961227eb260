"""From a skeleton's graph to strokes: spurs pruned, crossings undone, the straightest continuation taken."""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.compiled import njit
from airbrush_cli.pen.skeleton import Graph, read_graph, thin

_PRUNING_ROUNDS = 4
_MAX_TURN = np.radians(70.0)  # through a junction; more is not one stroke
# Two strokes that cross share a middle line: at 30° it is about 1.5 times as long as the crossing's two junctions are
# deep, at 10° six times. A long one counts as a crossing only if both of its ends fork.
_CROSSING = 1.5
_SHALLOW = 7.0
_FORK = np.radians(35.0)


class Strokes(NamedTuple):
    """Raw strokes: points in pixel coordinates, in drawing direction."""

    offset: NDArray[np.int64]  # (S + 1,) stroke s owns the points offset[s]:offset[s + 1]
    xy: NDArray[np.float64]  # (P, 2) px
    trusted: NDArray[np.bool_]  # (P,) False where a junction pulls the skeleton away from the middle of the line
    closed: NDArray[np.bool_]  # (S,)
    anchor: NDArray[np.float64]  # (S, 2, 2) px, the junctions that start and end lead into; NaN where there is none


def prune(skeleton: NDArray[np.uint8], distance: NDArray[np.float32]) -> tuple[NDArray[np.uint8], Graph]:
    """Take spurs off a framed skeleton: side lines that stick out of their line by less than its half width."""
    skeleton = skeleton.copy()
    for _ in range(_PRUNING_ROUNDS):
        graph = read_graph(skeleton)
        if not _erase_spurs(*graph, skeleton.ravel(), distance.ravel(), skeleton.shape[1]):
            break
        skeleton = thin(skeleton, distance)
    return skeleton, graph


@njit(cache=True)
def _erase_spurs(node_x, node_y, start, end, offset, pixel, image, distance, width):
    """Erase insignificant spurs in place. Returns how many."""
    nodes = len(node_x)
    degree = np.zeros(nodes, np.int64)
    for e in range(len(start)):
        if start[e] >= 0:
            degree[start[e]] += 1
            degree[end[e]] += 1
    candidates = np.empty(len(start), np.int64)
    rank = np.empty(len(start))
    count = 0
    for e in range(len(start)):
        if start[e] < 0 or start[e] == end[e]:
            continue
        tip, base = (start[e], end[e]) if degree[start[e]] == 1 else (end[e], start[e])
        if degree[tip] != 1 or degree[base] < 3:
            continue
        at_base = distance[int(node_y[base]) * width + int(node_x[base])]
        at_tip = distance[int(node_y[tip]) * width + int(node_x[tip])]
        length = _edge_length(e, node_x, node_y, start, end, offset, pixel, width)
        if length + at_tip - at_base < 0.7 * at_base + 1.0:
            candidates[count] = e
            rank[count] = length
            count += 1
    order = np.argsort(rank[:count])
    left = degree.copy()
    erased = 0
    for index in order:
        e = candidates[index]
        tip, base = (start[e], end[e]) if degree[start[e]] == 1 else (end[e], start[e])
        if left[base] < 3:
            continue  # what is left is a line with this as its end
        left[base] -= 1
        image[int(node_y[tip]) * width + int(node_x[tip])] = 0
        for k in range(offset[e], offset[e + 1]):
            image[pixel[k]] = 0
        erased += 1
    return erased


@njit(cache=True)
def _edge_length(e, node_x, node_y, start, end, offset, pixel, width):
    x, y = node_x[start[e]], node_y[start[e]]
    length = 0.0
    for k in range(offset[e], offset[e + 1]):
        px, py = pixel[k] % width + 0.5, pixel[k] // width + 0.5
        length += np.hypot(px - x, py - y)
        x, y = px, py
    return length + np.hypot(node_x[end[e]] - x, node_y[end[e]] - y)


def link(graph: Graph, distance: NDArray[np.float32]) -> Strokes:
    """Join the edges of a graph into strokes.

    Junctions closer than the lines are thick are one crossing. There the pair of lines that turns least goes on as one
    stroke, then the next pair; a line that is left over ends there.

    Args:
        graph: of a framed skeleton, without spurs.
        distance: (H, W) framed, distance of each set pixel to the background, px.
    """
    return Strokes(*_link(*graph, distance.ravel(), distance.shape[1]))


@njit(cache=True)
def _root(parent, a):
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@njit(cache=True)
def _crossings(node_x, node_y, start, end, offset, pixel, radius, degree, width):
    """Merge near junctions. Returns each node's crossing (a node index) and whether each edge vanished in one."""
    parent = np.arange(len(node_x))
    extent = np.zeros(len(node_x))
    biggest = radius.copy()
    gone = np.zeros(len(start), np.bool_)
    length = np.full(len(start), np.inf)
    for e in range(len(start)):
        if start[e] >= 0 and degree[start[e]] > 2 and degree[end[e]] > 2:
            near = radius[start[e]] + radius[end[e]]
            if offset[e + 1] - offset[e] <= _SHALLOW * near:
                long = _edge_length(e, node_x, node_y, start, end, offset, pixel, width)
                if long <= _SHALLOW * near:
                    length[e] = long
    for e in np.argsort(length):
        if length[e] > _CROSSING * (radius[start[e]] + radius[end[e]]) + 1.0:
            continue
        a, b = _root(parent, start[e]), _root(parent, end[e])
        if a == b:
            gone[e] = length[e] <= 2 * biggest[a] + 1.0
            continue
        whole = extent[a] + extent[b] + length[e]
        if whole <= 4.0 * max(biggest[a], biggest[b]) + 2.0:
            parent[b] = a
            extent[a] = whole
            biggest[a] = max(biggest[a], biggest[b])
            gone[e] = True
    head, following = np.full(len(node_x), -1), np.full(2 * len(start), -1)  # the half-edges at each node
    for h in range(2 * len(start)):
        n = start[h >> 1] if h & 1 == 0 else end[h >> 1]
        if n >= 0:
            following[h] = head[n]
            head[n] = h
    for e in range(len(start)):
        if gone[e] or length[e] == np.inf or degree[start[e]] != 3 or degree[end[e]] != 3:
            continue
        a, b = _root(parent, start[e]), _root(parent, end[e])
        if a == b or extent[a] > 0 or extent[b] > 0:
            continue
        fork_a = _forks(2 * e, head, following, start[e], offset, pixel, width)
        if fork_a and _forks(2 * e + 1, head, following, end[e], offset, pixel, width):
            parent[b] = a
            extent[a] = length[e]
            gone[e] = True
    for a in range(len(parent)):
        parent[a] = _root(parent, a)
    return parent, gone


@njit(cache=True)
def _forks(h, head, following, node, offset, pixel, width):
    """Return whether the line of half-edge h splits, at the node it leaves, in two that go on almost as it came."""
    mx, my = _leaving(h, offset, pixel, width)
    other = head[node]
    while other >= 0:
        if other != h:
            x, y = _leaving(other, offset, pixel, width)
            if _turn(x, y, -mx, -my) > _FORK:
                return False
        other = following[other]
    return True


@njit(cache=True)
def _leaving(h, offset, pixel, width):
    """Return the direction in which half-edge h leaves its node."""
    count = offset[(h >> 1) + 1] - offset[h >> 1]
    if count < 2:
        return 0.0, 0.0
    x, y, _ = _half(h, min(count - 1, 12), offset, pixel, width)
    nx, ny, _ = _half(h, 0, offset, pixel, width)
    return x - nx, y - ny


@njit(cache=True)
def _half(h, k, offset, pixel, width):
    """Return pixel k of an edge, counted from the end that half-edge h leaves."""
    e = h >> 1
    p = pixel[offset[e] + k] if h & 1 == 0 else pixel[offset[e + 1] - 1 - k]
    return p % width + 0.5, p // width + 0.5, p


@njit(cache=True)
def _median_depth(distance, pixel, first, last):
    """Return the median depth of an edge's pixels, to a quarter of a pixel."""
    counts = np.zeros(400, np.int64)
    for k in range(first, last):
        counts[min(399, int(4 * distance[pixel[k]] + 0.5))] += 1
    level, below = 0, counts[0]
    while 2 * below < last - first and level < 399:
        level += 1
        below += counts[level]
    return level / 4 if last > first else np.inf


@njit(cache=True)
def _link(node_x, node_y, start, end, offset, pixel, distance, width):
    nodes, edges = len(node_x), len(start)
    degree = np.zeros(nodes, np.int64)
    radius = np.empty(nodes)
    for e in range(edges):
        if start[e] >= 0:
            degree[start[e]] += 1
            degree[end[e]] += 1
    for n in range(nodes):
        radius[n] = distance[int(node_y[n]) * width + int(node_x[n])]
    crossing, gone = _crossings(node_x, node_y, start, end, offset, pixel, radius, degree, width)

    # The middle of each crossing, and what its half-edges are: 2e leaves the start of edge e, 2e + 1 its end.
    middle_x, middle_y, reach = np.zeros(nodes), np.zeros(nodes), np.zeros(nodes)
    members = np.zeros(nodes, np.int64)
    for n in range(nodes):
        c = crossing[n]
        middle_x[c] += node_x[n]
        middle_y[c] += node_y[n]
        members[c] += 1
    for n in range(nodes):
        if members[n] > 0:
            middle_x[n] /= members[n]
            middle_y[n] /= members[n]
    for n in range(nodes):
        c = crossing[n]
        reach[c] = max(reach[c], np.hypot(node_x[n] - middle_x[c], node_y[n] - middle_y[c]) + radius[n])

    skip = np.zeros(2 * edges, np.int64)  # pixels of a half-edge that its crossing pulls aside
    tip_x, tip_y = np.zeros(2 * edges), np.zeros(2 * edges)  # the first trusted point
    to_x, to_y = np.zeros(2 * edges), np.zeros(2 * edges)  # direction there, into the crossing
    owner = np.full(2 * edges, -1)
    for e in range(edges):
        if start[e] < 0 or gone[e]:
            continue
        count = offset[e + 1] - offset[e]
        half_width = _median_depth(distance, pixel, offset[e], offset[e + 1])
        for side in range(2):
            h = 2 * e + side
            n = start[e] if side == 0 else end[e]
            c = crossing[n]
            if degree[n] < 2:
                continue
            owner[h] = c
            k = 0
            while k < count // 2:
                x, y, p = _half(h, k, offset, pixel, width)
                away = np.hypot(x - middle_x[c], y - middle_y[c])
                if away > reach[c] and distance[p] <= 1.1 * half_width + 0.4:
                    break
                k += 1
            skip[h] = k
            if count == 0:
                tip_x[h], tip_y[h] = node_x[n], node_y[n]
                other = end[e] if side == 0 else start[e]
                dx, dy = node_x[n] - node_x[other], node_y[n] - node_y[other]
            else:
                k = min(k, count - 1)
                tip_x[h], tip_y[h], _ = _half(h, k, offset, pixel, width)
                far = min(count - 1, k + max(6, int(3 * half_width)))
                x, y, _ = _half(h, far, offset, pixel, width)
                if far - k < 3:
                    dx, dy = middle_x[c] - x, middle_y[c] - y
                else:
                    dx, dy = tip_x[h] - x, tip_y[h] - y
            norm = max(np.hypot(dx, dy), 1e-9)
            to_x[h], to_y[h] = dx / norm, dy / norm

    partner = _pair(owner, tip_x, tip_y, to_x, to_y, nodes)
    return _assemble(node_x, node_y, start, end, offset, pixel, width, gone, skip, partner, owner, degree)


@njit(cache=True)
def _turn(ax, ay, bx, by):
    return abs(np.arctan2(ax * by - ay * bx, ax * bx + ay * by))


@njit(cache=True)
def _pair(owner, tip_x, tip_y, to_x, to_y, nodes):
    """Pair the half-edges at each crossing, straightest first. Returns each half-edge's partner, or -1."""
    partner = np.full(len(owner), -1)
    order = np.argsort(owner)
    first = 0
    while first < len(order) and owner[order[first]] < 0:
        first += 1
    while first < len(order):
        last = first
        while last < len(order) and owner[order[last]] == owner[order[first]]:
            last += 1
        group = order[first:last]
        first = last
        size = len(group)
        cost = np.full((size, size), np.inf)
        for i in range(size):
            for j in range(i + 1, size):
                a, b = group[i], group[j]
                dx, dy = tip_x[b] - tip_x[a], tip_y[b] - tip_y[a]
                if dx * dx + dy * dy < 2.5:
                    cost[i, j] = _turn(to_x[a], to_y[a], -to_x[b], -to_y[b])
                else:
                    cost[i, j] = _turn(to_x[a], to_y[a], dx, dy) + _turn(dx, dy, -to_x[b], -to_y[b])
        limit = _MAX_TURN if size > 2 else 10.0
        for _ in range(size // 2):
            best = np.argmin(cost)
            i, j = best // size, best % size
            if cost[i, j] > limit:
                break
            partner[group[i]], partner[group[j]] = group[j], group[i]
            cost[i, :] = np.inf
            cost[:, i] = np.inf
            cost[j, :] = np.inf
            cost[:, j] = np.inf
    return partner


@njit(cache=True)
def _assemble(node_x, node_y, start, end, offset, pixel, width, gone, skip, partner, owner, degree):
    edges = len(start)
    room = len(pixel) + 4 * edges + len(node_x)
    xy = np.empty((room, 2))
    trusted = np.empty(room, np.bool_)
    strokes = np.zeros(edges + len(node_x) + 1, np.int64)
    closed = np.zeros(edges + len(node_x), np.bool_)
    anchor = np.full((edges + len(node_x), 2, 2), np.nan)
    count, used = 0, 0
    done = gone.copy()
    for turn in range(2):  # open strokes from their ends, then rings
        for h in range(2 * edges):
            if done[h >> 1] or (turn == 0 and (partner[h] >= 0 or start[h >> 1] < 0)):
                continue
            if start[h >> 1] >= 0 and owner[h] >= 0 and partner[h] < 0:
                n = start[h >> 1] if h & 1 == 0 else end[h >> 1]
                anchor[count, 0, 0], anchor[count, 0, 1] = node_x[n], node_y[n]
            here = h
            while True:
                e = here >> 1
                done[e] = True
                size = offset[e + 1] - offset[e]
                there = here ^ 1
                n, m = (start[e], end[e]) if here & 1 == 0 else (end[e], start[e])
                if start[e] >= 0 and owner[here] < 0:
                    xy[used, 0], xy[used, 1], trusted[used] = node_x[n], node_y[n], True
                    used += 1
                low, high = skip[here], size - skip[there]
                for k in range(size):
                    if low <= k < high or (low >= high and k == min(low, size - 1)):
                        x, y, _ = _half(here, k, offset, pixel, width)
                        xy[used, 0], xy[used, 1], trusted[used] = x, y, low < high
                        used += 1
                if start[e] < 0:
                    closed[count] = True
                    break
                if owner[there] < 0:
                    xy[used, 0], xy[used, 1], trusted[used] = node_x[m], node_y[m], True
                    used += 1
                    break
                if partner[there] < 0:
                    anchor[count, 1, 0], anchor[count, 1, 1] = node_x[m], node_y[m]
                    break
                # The way through a crossing is drawn by what lies on both sides of it.
                here = partner[there]
                if done[here >> 1]:
                    closed[count] = True
                    break
            count += 1
            strokes[count] = used
    for n in range(len(node_x)):
        if degree[n] == 0:
            xy[used, 0], xy[used, 1], trusted[used] = node_x[n], node_y[n], True
            used += 1
            count += 1
            strokes[count] = used
    return (
        strokes[: count + 1].copy(),
        xy[:used].copy(),
        trusted[:used].copy(),
        closed[:count].copy(),
        anchor[:count].copy(),
    )
