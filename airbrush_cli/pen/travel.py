"""The travel optimiser: in which order, and from which end, to draw many paths so that the lifted pen travels least.

Paths count only by where they start and end. The tour is that of a travelling salesman over all ends in which the
edge along each path is fixed. Greedy edges build it (Bentley 1992, "Fast algorithms for geometric traveling salesman
problems"); 2-opt and the sequential 3-opt move, which contains Or-opt, improve it over neighbour lists with a work
queue in place of don't-look bits; then local double-bridge kicks, each kept only if repairing it makes the tour
shorter (Johnson and McGeoch 1997, "The traveling salesman problem: a case study in local optimization").
"""

# mypy: disallow-untyped-defs=false, check-untyped-defs=false
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from airbrush_cli.compiled import njit

NEIGHBOURS = 6
# Kicks for each path: few paths leave time for more of them.
MOST_KICKS, LEAST_KICKS, ALL_KICKS = 20.0, 3.0, 32_000
SOME_KICKS = 100  # in any case
ROUNDS = 2
REGION = 700  # paths
LONGEST = 30  # stretch that a kick moves, in paths


def optimise_travel(
    starts: ArrayLike,
    ends: ArrayLike,
    origin: tuple[float, float] = (0.0, 0.0),
    kicks_per_path: float | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order to draw paths in, and which of them to draw backwards.

    The pen comes from `origin` and stays where the last path ends. The result depends on the arguments alone.

    Args:
        starts: (N, 2) finite points where the paths start, in any unit.
        ends: (N, 2) points where they end; closed paths end where they start.
        origin: where the pen is at first.
        kicks_per_path: how many attempts to make beyond the local optimum; time grows with it. None: as many as keep
            10 000 paths under a second.
        seed: of the random choice of places to kick.

    Returns:
        order (N,), indices of paths in drawing order; reverse (N,), for each place in that order, whether its path is
        drawn from end to start.
    """
    starts, ends = np.asarray(starts, np.float64).reshape(-1, 2), np.asarray(ends, np.float64).reshape(-1, 2)
    count = len(starts)
    if count == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    if kicks_per_path is None:
        kicks_per_path = min(MOST_KICKS, max(LEAST_KICKS, ALL_KICKS / count))
    # End 2i starts path i and end 2i + 1 ends it. The last path is the pen's way in: it "starts" at a nowhere that is
    # no way from anything, which leaves the tour open, and ends at the origin.
    points = np.vstack([np.stack([starts, ends], axis=1).reshape(-1, 2), [origin, origin]])
    nowhere = 2 * count
    # Greedy edges do better on the whole, the nearest neighbour on rows of parallel lines.
    tours = (_greedy_tour(points, nowhere), _nearest_tour(points, nowhere))
    tour = min(tours, key=lambda circle: _lifted(points, nowhere, circle))
    rng = np.random.default_rng(seed)
    if count > 1:
        few = count <= REGION
        kicks = int(kicks_per_path * count) + SOME_KICKS if few else 0
        _improve(points, _neighbours(points, nowhere), tour, nowhere, kicks, rng)
        for turn in range(0 if few else ROUNDS):
            tour = _kick_by_regions(points, tour, nowhere, kicks_per_path / ROUNDS, turn, rng)
    tour = np.roll(tour, -int(np.flatnonzero(tour == nowhere)[0]))
    if tour[1] != nowhere + 1:  # walked the other way round: turn the circle
        tour = np.roll(tour[::-1], 1)
    first = tour[2::2]
    return (first // 2).astype(np.int64), (first % 2).astype(np.bool_)


def travel_length(
    starts: ArrayLike,
    ends: ArrayLike,
    order: NDArray[np.int64],
    reverse: NDArray[np.bool_],
    origin: tuple[float, float] = (0.0, 0.0),
) -> float:
    """Return the length of the way from `origin` through all paths in `order` that the pen goes lifted."""
    starts, ends = np.asarray(starts, np.float64).reshape(-1, 2), np.asarray(ends, np.float64).reshape(-1, 2)
    flip = reverse[:, None]
    into = np.where(flip, ends[order], starts[order])
    out = np.where(flip, starts[order], ends[order])
    return float(np.hypot(*(into - np.vstack([[origin], out])[:-1]).T).sum())


def _neighbours(points: NDArray, nowhere: int = -1) -> NDArray[np.int32]:
    """Return (len(points), k) indices of the nearest ends, a path's own other end and nowhere left out."""
    k = min(NEIGHBOURS + 3, len(points))
    _, found = cKDTree(points).query(points, k=k)
    own = np.arange(len(points))[:, None]
    strange = (found != own) & (found != own ^ 1) & (found != nowhere)
    kept = np.argsort(~strange, axis=1, kind="stable")[:, : max(k - 3, 1)]
    return np.take_along_axis(found, kept, axis=1).astype(np.int32)


def _kick_by_regions(
    points: NDArray, tour: NDArray[np.int32], nowhere: int, kicks_per_path: float, turn: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Improve the tour in one region of the plane after the other. Returns the new tour.

    Within a region only the lifted ways that lie in it may change: all that lies between two of them counts as one
    path. So the arrays that a move turns round stay short, however many paths there are (Karp's partitioning, as in
    Helsgaun's LKH).
    """
    tour = np.roll(tour, -int(np.flatnonzero(tour == nowhere)[0]))
    if tour[1] != nowhere ^ 1:
        tour = np.roll(tour[::-1], 1)
    # Gap g leads from tour[2g + 1] to tour[2g + 2]; the last one, into nowhere, is left alone.
    middles = (points[tour[1:-1:2]] + points[tour[2::2]]) / 2
    angle = 0.7 * turn  # other borders each time
    turned = middles @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    regions = _regions(turned, np.arange(len(middles)), REGION, turn % 2)
    exits = tour[1:-1:2].copy()  # names of the gaps that outlive the shuffling of the tour
    for region in regions:
        tour = _kick_region(points, tour, exits[region], int(kicks_per_path * len(region)), rng)
    return tour


def _kick_region(
    points: NDArray, tour: NDArray[np.int32], gaps: NDArray[np.int32], kicks: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Improve the tour by changing none but the given gaps, each named by one of its two ends."""
    total, size = len(tour), len(gaps)
    if size < 2:
        return tour
    place = np.empty(total, np.int64)
    place[tour] = np.arange(total)
    left = place[gaps]
    left = np.sort(np.where(tour[left - 1] == gaps ^ 1, left, left - 1) % total)
    tour = np.roll(tour, -int(left[-1]) - 1)
    stops = (left - left[-1] - 1) % total + 1  # chain k is tour[stops[k - 1] : stops[k]]
    starts = np.concatenate([[0], stops[:-1]])
    ends = np.stack([tour[starts], tour[stops - 1]], axis=1).ravel()
    chains = np.arange(2 * size, dtype=np.int32)
    _improve(points[ends], _neighbours(points[ends]), chains, -1, kicks, rng)
    if chains[0] ^ 1 != chains[1]:
        chains = np.roll(chains, -1)
    parts = [tour[starts[chain // 2] : stops[chain // 2]][:: -1 if chain % 2 else 1] for chain in chains[::2].tolist()]
    return np.concatenate(parts)


def _regions(middles: NDArray, members: NDArray[np.int64], size: int, axis: int) -> list[NDArray[np.int64]]:
    """Halve the members by position, along x and y in turn, until none holds more than `size`."""
    if len(members) <= size:
        return [members]
    half = len(members) // 2
    members = members[np.argpartition(middles[members, axis], half)]
    return [part for side in (members[:half], members[half:]) for part in _regions(middles, side, size, 1 - axis)]


def _greedy_tour(points: NDArray, nowhere: int) -> NDArray[np.int32]:
    """Join ends by the shortest edges first, until all hang together. Returns the circle of ends."""
    link = np.full(len(points), -1, np.int32)  # the end that each end is joined to
    tail = np.arange(len(points), dtype=np.int32) ^ 1  # the other end of the chain that an end belongs to
    while True:
        free = np.flatnonzero(link < 0)
        free = free[free != nowhere]
        if len(free) == 1:
            break
        k = min(NEIGHBOURS + 2, len(free))
        distances, found = cKDTree(points[free]).query(points[free], k=k)
        left, right, distances = np.repeat(free, k), free[found.ravel()], distances.ravel()
        useful = (left < right) & (tail[left] != right)
        left, right, distances = left[useful], right[useful], distances[useful]
        by_length = np.lexsort((right, left, distances))
        if not join_ends(left[by_length], right[by_length], link, tail):
            # Only a crowd of coincident ends can hide all strangers from one another: join chains as they come.
            heads = free[free < tail[free]]
            join_ends(tail[heads[:-1]], heads[1:], link, tail)
    link[free[0]], link[nowhere] = nowhere, free[0]
    return _walk(link, nowhere)


@njit(cache=True)
def _nearest_tour(points, nowhere):
    """Go from the origin always to the nearest end that is left, found by rings of cells around the pen."""
    count = nowhere
    low_x, low_y = points[:, 0].min(), points[:, 1].min()
    size = max(points[:, 0].max() - low_x, points[:, 1].max() - low_y, 1e-9)
    cells = max(1, int(np.sqrt(count / 2)))
    cell = size / cells * (1 + 1e-9)
    head, following = np.full((cells, cells), -1), np.full(count, -1)
    for end in range(count - 1, -1, -1):
        i, j = int((points[end, 1] - low_y) / cell), int((points[end, 0] - low_x) / cell)
        following[end] = head[i, j]
        head[i, j] = end
    used = np.zeros(count, np.bool_)
    tour = np.empty(len(points), np.int32)
    tour[0], tour[1] = nowhere, nowhere + 1
    for index in range(2, len(points), 2):
        here = tour[index - 1]
        row, column = int((points[here, 1] - low_y) / cell), int((points[here, 0] - low_x) / cell)
        best, nearest, ring = np.inf, -1, 0
        while nearest < 0 or (ring - 1) * cell < best:
            for i in range(max(0, row - ring), min(cells, row + ring + 1)):
                edge = i in (row - ring, row + ring)
                for j in range(column - ring, column + ring + 1, 1 if edge else max(1, 2 * ring)):
                    if j < 0 or j >= cells:
                        continue
                    before, end = -1, head[i, j]
                    while end >= 0:
                        after = following[end]
                        if used[end]:  # taken out of its cell when met
                            if before < 0:
                                head[i, j] = after
                            else:
                                following[before] = after
                        else:
                            away = _distance(points, nowhere, here, end)
                            if away < best:
                                best, nearest = away, end
                            before = end
                        end = after
            ring += 1
        tour[index], tour[index + 1] = nearest, nearest ^ 1
        used[nearest] = used[nearest ^ 1] = True
    return tour


@njit(cache=True)
def _lifted(points, nowhere, tour):
    """Return how far the pen travels lifted on a circle of ends that starts with a path."""
    length = 0.0
    for index in range(1, len(tour) - 1, 2):
        length += _distance(points, nowhere, tour[index], tour[index + 1])
    return length


@njit(cache=True)
def join_ends(left, right, link, tail):
    joined = 0
    for index in range(len(left)):
        a, b = left[index], right[index]
        if link[a] < 0 and link[b] < 0 and tail[a] != b:
            link[a], link[b] = b, a
            far_a, far_b = tail[a], tail[b]
            tail[far_a], tail[far_b] = far_b, far_a
            joined += 1
    return joined


@njit(cache=True)
def _walk(link, nowhere):
    tour = np.empty(len(link), np.int32)
    end = np.int32(nowhere)
    for index in range(0, len(link), 2):
        tour[index], tour[index + 1] = end, end ^ 1
        end = link[end ^ 1]
    return tour


@njit(cache=True)
def _distance(points, nowhere, a, b):
    if a == nowhere or b == nowhere:
        return 0.0
    dx, dy = points[a, 0] - points[b, 0], points[a, 1] - points[b, 1]
    return np.sqrt(dx * dx + dy * dy)


@njit(cache=True)
def _reverse(tour, place, first, last):
    """Turn round the stretch of the circle from place `first` to `last`, or, if that is shorter, all the rest."""
    total = len(tour)
    length = last - first
    if length < 0:
        length += total
    length += 1
    if 2 * length > total:
        first, last = last + 1, first - 1
        length = total - length
        if first == total:
            first = 0
        if last < 0:
            last = total - 1
    for _ in range(length // 2):
        a, b = tour[first], tour[last]
        tour[first], tour[last] = b, a
        place[b], place[a] = first, last
        first += 1
        if first == total:
            first = 0
        last -= 1
        if last < 0:
            last = total - 1


@njit(cache=True)
def _next(tour, place, a):
    index = place[a] + 1
    return tour[index] if index < len(tour) else tour[0]


@njit(cache=True)
def _mate(tour, place, a):
    """Return the end that `a` is joined to by a lifted pen, on whichever side that is."""
    after = _next(tour, place, a)
    return after if after != a ^ 1 else tour[place[a] - 1]


@njit(cache=True)
def _exchange(tour, place, a, b, c, d):
    """Replace the edges a-b and c-d by a-c and b-d; b follows a and d follows c, in one direction of the circle."""
    if _next(tour, place, a) == b:
        _reverse(tour, place, place[b], place[c])
    else:
        _reverse(tour, place, place[a], place[d])


@njit(cache=True)
def _better_move(points, nowhere, neighbours, near, tour, place, t1, move):
    """Find an improving 2-opt or 3-opt move at end `t1`. Returns its gain, or 0.0, and fills `move` with exchanges."""
    small = 1e-9
    t2 = _mate(tour, place, t1)
    d12 = _distance(points, nowhere, t1, t2)
    forward = _next(tour, place, t1) == t2
    for i in range(neighbours.shape[1]):
        t3 = neighbours[t1, i]
        gain_1 = d12 - near[t1, i]
        if gain_1 <= small:
            break
        t4 = _mate(tour, place, t3)
        if t3 == t2:
            continue
        gain_2 = gain_1 + _distance(points, nowhere, t3, t4)
        if (_next(tour, place, t3) == t4) == forward:
            gain = gain_2 - _distance(points, nowhere, t2, t4)
            if gain > small:
                _fill(move, 0, t1, t2, t3, t4)
                return gain, 1
            if t4 == nowhere:
                continue
            # Joined to t3, what is left is a way from t2 to t4: go on from t4 to t5, and break the way behind it.
            low, high = (place[t2], place[t3]) if forward else (place[t3], place[t2])
            for j in range(neighbours.shape[1]):
                t5 = neighbours[t4, j]
                gain_3 = gain_2 - near[t4, j]
                if gain_3 <= small:
                    break
                if t5 in (t2, t3):
                    continue
                t6 = _mate(tour, place, t5)
                at = place[t5]
                between = (low <= at <= high) if low <= high else (at >= low or at <= high)
                if ((_next(tour, place, t5) == t6) == forward) != between or t5 == t1:
                    continue
                gain = gain_3 + _distance(points, nowhere, t5, t6) - _distance(points, nowhere, t2, t6)
                if gain > small:
                    _fill(move, 0, t1, t2, t3, t4)
                    _fill(move, 1, t4, t2, t5, t6)
                    return gain, 2
            continue
        # t1-t3 would close the stretch t3..t1 into a circle of its own: open it at t5-t6, beside t2 or t4.
        low, high = (place[t2], place[t4]) if forward else (place[t4], place[t2])
        for side in range(2):
            this, far = (t2, t4) if side == 0 else (t4, t2)
            if this == nowhere:
                continue
            for j in range(neighbours.shape[1]):
                t5 = neighbours[this, j]
                gain_3 = gain_2 - near[this, j]
                if gain_3 <= small:
                    break
                at = place[t5]
                inside = (low <= at <= high) if low <= high else (at >= low or at <= high)
                if inside or t5 in (t1, t3):
                    continue
                t6 = _mate(tour, place, t5)
                gain = gain_3 + _distance(points, nowhere, t5, t6) - _distance(points, nowhere, far, t6)
                if gain > small:
                    p, q = (t5, t6) if side == 0 else (t6, t5)  # joined to t2 and to t4
                    if (_next(tour, place, p) == q) == forward:
                        _fill(move, 0, t1, t2, p, q)
                        _fill(move, 1, t1, p, t3, t4)
                        _fill(move, 2, p, t4, t2, q)
                        return gain, 3
                    _fill(move, 0, t1, t2, q, p)
                    _fill(move, 1, t1, q, t3, t4)
                    return gain, 2
    return 0.0, 0


@njit(cache=True)
def _fill(move, row, a, b, c, d):
    move[row, 0], move[row, 1], move[row, 2], move[row, 3] = a, b, c, d


@njit(cache=True)
def _settle(points, nowhere, neighbours, near, tour, place, queue, waiting, head, count, undo, done):
    """Make improving moves at the queued ends until none is left. Returns the gain and the count of exchanges."""
    total = len(queue)
    move = np.empty((3, 4), np.int32)
    gained = 0.0
    while count > 0:
        end = queue[head]
        head = head + 1 if head + 1 < total else 0
        count -= 1
        waiting[end] = False
        while end != nowhere:
            gain, steps = _better_move(points, nowhere, neighbours, near, tour, place, end, move)
            if steps == 0:
                break
            gained += gain
            for step in range(steps):
                _exchange(tour, place, move[step, 0], move[step, 1], move[step, 2], move[step, 3])
                if done < len(undo):
                    undo[done] = move[step]
                done += 1
                for k in range(4):
                    touched = move[step, k]
                    if touched != nowhere and not waiting[touched]:
                        waiting[touched] = True
                        tail = head + count
                        queue[tail if tail < total else tail - total] = touched
                        count += 1
    return gained, done


@njit(cache=True)
def _improve(points, neighbours, tour, nowhere, kicks, rng):
    total = len(tour)
    place = np.empty(total, np.int32)
    for index in range(total):
        place[tour[index]] = index
    near = np.empty(neighbours.shape)
    for end in range(total):
        for k in range(neighbours.shape[1]):
            near[end, k] = _distance(points, nowhere, end, neighbours[end, k])
    queue = tour.copy()
    waiting = np.ones(total, np.bool_)
    no_undo = np.empty((0, 4), np.int32)
    _settle(points, nowhere, neighbours, near, tour, place, queue, waiting, 0, total, no_undo, 0)

    paths = total // 2
    if paths < 4:
        return
    reach = min(LONGEST, (paths - 1) // 3)
    undo = np.empty((1000, 4), np.int32)
    for _ in range(kicks):
        # Swap two short neighbouring stretches of the circle (a double bridge): t1 [t2..t4] [t3..t5] t6.
        at = rng.integers(0, paths)
        size_a, size_b = rng.integers(1, reach + 1), rng.integers(1, reach + 1)
        offset = 0 if tour[0] != tour[1] ^ 1 else 1
        at = 2 * at + offset
        t1, t2 = tour[at % total], tour[(at + 1) % total]
        t4, t3 = tour[(at + 2 * size_a) % total], tour[(at + 2 * size_a + 1) % total]
        t5, t6 = tour[(at + 2 * (size_a + size_b)) % total], tour[(at + 2 * (size_a + size_b) + 1) % total]
        gain = _distance(points, nowhere, t1, t2) - _distance(points, nowhere, t1, t3)
        gain += _distance(points, nowhere, t4, t3) - _distance(points, nowhere, t5, t2)
        gain += _distance(points, nowhere, t5, t6) - _distance(points, nowhere, t4, t6)
        _fill(undo, 0, t1, t2, t5, t6)
        _fill(undo, 1, t1, t5, t3, t4)
        _fill(undo, 2, t5, t4, t2, t6)
        count = 0
        for step in range(3):
            _exchange(tour, place, undo[step, 0], undo[step, 1], undo[step, 2], undo[step, 3])
        for touched in (t1, t2, t3, t4, t5, t6):
            if touched != nowhere and not waiting[touched]:
                waiting[touched] = True
                queue[count] = touched
                count += 1
        gained, done = _settle(points, nowhere, neighbours, near, tour, place, queue, waiting, 0, count, undo, 3)
        if gain + gained < -1e-9 and done <= len(undo):
            for step in range(done - 1, -1, -1):
                _exchange(tour, place, undo[step, 0], undo[step, 2], undo[step, 1], undo[step, 3])
