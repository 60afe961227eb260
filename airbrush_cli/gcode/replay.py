"""G-code through the digital twin: the picture that a file will paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import units
from airbrush_cli.gcode import moves, reader
from airbrush_cli.pen.draw import coverage
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.render import render_polylines
from airbrush_cli.twin.strokes import Polylines, ink_colour, look_up

Floats = NDArray[np.float64]


def replay(
    data: bytes,
    machine: Machine,
    luts: Luts,
    size_px: tuple[int, int],
    *,
    pen_width_mm: float = 0.5,
    canvas: NDArray[np.float32] | None = None,
    page_mm: tuple[float, float] = units.A4_MM,
) -> NDArray[np.float32]:
    """Paint what a file's moves at a feed paint.

    Moves after an ink was named (`(MIX C0.1 M0.2 Y0.3)`) spray it, at the height and the speed that the file asks for,
    as far as the axes' rates allow; moves before that draw with the pen. Purges leave nothing on the paper.

    Args:
        data: the file's bytes.
        machine: the profile.
        luts: the twin's look-up tables.
        size_px: (width, height) of the picture.
        pen_width_mm: of the pen.
        canvas: (H, W, 3) linear RGB to paint on, as the colour pass is for the pen pass; white if None.
        page_mm: (width, height) of the page that the picture shows.

    Returns:
        (H, W, 3) float32 linear RGB in [0, 1].
    """
    reading = reader.read(data, reader.settings_table(machine.grbl))
    rows = moves.of(reading)
    speed = np.minimum(rows.feed, moves.fastest(rows, moves.max_rate(machine, machine.grbl))) / 60.0
    painting = rows.feeds & ~rows.purges
    sprayed = painting & (rows.ink > 0)
    polylines = _sprayed(reading, rows, sprayed, speed, machine, luts, page_mm[1])
    picture = render_polylines(polylines, luts, size_px, canvas, page_mm)
    drawn = painting & (rows.ink == 0)
    if machine.has_z:
        pen = machine.pen
        drawn &= np.maximum(rows.start[2], rows.end[2]) < (pen.up_mm + pen.down_mm) / 2
    paths = _pen_paths(reading, rows, drawn, machine, page_mm)
    if paths:
        page = {"x": page_mm[0], "y": page_mm[1]}
        layer = PenVectors.build(page_mm=page, pen_width_mm=pen_width_mm, paths=[{"points": path} for path in paths])
        picture = picture * (1.0 - coverage(layer, size_px)[..., None])
    return picture


def _runs(rows: moves.Moves, chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the [first, last) stretches of chosen rows without a gap, of one stroke and one ink each."""
    index = np.flatnonzero(chosen)
    if not len(index):
        return []
    follows = np.diff(index) == 1
    same = (np.diff(rows.stroke[index]) == 0) & (np.diff(rows.ink[index]) == 0)
    cuts = np.flatnonzero(~(follows & same)) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(index, cuts)]


def _path(reading: reader.Reading, rows: moves.Moves, speed: Floats, first: int, last: int) -> tuple[Floats, Floats]:
    """Return the (K, 3) points of consecutive moves, and the (K - 1,) speeds over the paper between them.

    `speed` has the speeds of all rows in space, (R,).
    """
    points, speeds = [rows.start[:, first][None]], []
    for row in range(first, last):
        if rows.arcs[row]:
            part = moves.arc_path(rows.start[:, row], reading, row)
        else:
            part = np.stack([rows.start[:, row], rows.end[:, row]])
        step = np.diff(part, axis=0)
        length = np.linalg.norm(step, axis=1)
        plane = np.linalg.norm(step[:, :2], axis=1)
        points.append(part[1:])
        speeds.append(speed[row] * np.divide(plane, length, out=np.zeros_like(plane), where=length > 0))
    path, over_paper = np.concatenate(points), np.concatenate(speeds)
    moved = np.concatenate([[True], np.any(np.diff(path[:, :2], axis=0) != 0, axis=1)])
    return path[moved], over_paper[moved[1:]]


def _node_speeds(points: Floats, speed: Floats) -> Floats:
    """Return (K,) speeds at a path's nodes from the (K - 1,) of its moves, by interpolation between their middles."""
    length = np.linalg.norm(np.diff(points, axis=0), axis=1)
    middles = np.cumsum(length) - length / 2
    if len(speed) == 1:
        return np.repeat(speed, 2)
    nodes = np.concatenate([[0.0], np.cumsum(length)])
    inner = np.interp(nodes, middles, speed)
    first = speed[0] - (speed[1] - speed[0]) * length[0] / (length[0] + length[1])
    last = speed[-1] + (speed[-1] - speed[-2]) * length[-1] / (length[-1] + length[-2])
    inner[0], inner[-1] = max(first, speed[0] / 2), max(last, speed[-1] / 2)
    return inner


def _sprayed(
    reading: reader.Reading,
    rows: moves.Moves,
    chosen: NDArray[np.bool_],
    speed: Floats,
    machine: Machine,
    luts: Luts,
    height_mm: float,
) -> Polylines:
    nodes, counts, inks = [np.empty((0, 4))], [0], []
    for first, last in _runs(rows, chosen):
        points, over_paper = _path(reading, rows, speed, first, last)
        if len(points) < 2:
            continue
        z = points[:, 2] if machine.has_z else np.full(len(points), machine.nozzle_z_mm)
        spots = look_up(luts, z, _node_speeds(points[:, :2], over_paper))
        nodes.append(np.column_stack([_to_image(points[:, :2], machine, height_mm), spots]))
        counts.append(len(points))
        inks.append(reading.inks[rows.ink[first]])
    ink = ink_colour(luts, np.array(inks).reshape(-1, 3))
    return Polylines(np.concatenate(nodes), np.cumsum(counts, dtype=np.int64), ink)


def _pen_paths(
    reading: reader.Reading,
    rows: moves.Moves,
    chosen: NDArray[np.bool_],
    machine: Machine,
    page_mm: tuple[float, float],
) -> list[list[tuple[float, float]]]:
    offset = np.array([machine.pen.offset_mm.x, machine.pen.offset_mm.y])
    paths = []
    for first, last in _runs(rows, chosen):
        points, _ = _path(reading, rows, rows.feed, first, last)
        if len(points) > 1:
            plane = _to_image(points[:, :2] + offset, machine, page_mm[1])
            paths.append([(x, y) for x, y in np.clip(plane, 0.0, page_mm).tolist()])
    return paths


def _to_image(points: Floats, machine: Machine, height_mm: float) -> Floats:
    return units.image_to_machine(points - (machine.paper_mm.x, machine.paper_mm.y), height_mm)
