"""Strokes and pen paths to G-code: the colour pass and the pen pass of one painting.

The flip from the image frame to the machine frame happens here, once. The same arguments give the same text.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import geometry, units
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.gcode.macros import Macros
from airbrush_cli.gcode.moves import max_rate
from airbrush_cli.gcode.program import Program
from airbrush_cli.gcode.zone import keep_clear, passes_through
from airbrush_cli.pen.curves import flatten
from airbrush_cli.pen.travel import optimise_travel
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.schemas.pen_vectors import PenVectors

Floats = NDArray[np.float64]

_GRID = np.linspace(0.0, 1.0, 33)
# A stroke of no length would leave no paint: the controller skips moves without a way.
_DOT_MM = 0.05


def write_strokes(
    strokes: Floats,
    ids: Sequence[str],
    machine: Machine,
    header: Sequence[str],
    *,
    macros: Macros,
    resume_from: str | None = None,
) -> str:
    """Write the colour pass.

    Args:
        strokes: (N, 15) strokes in the image frame (`schemas.stroke`), in painting order.
        ids: their N ids.
        machine: the profile.
        header: lines that say what made the file; they become comments.
        macros: the profile's macros.
        resume_from: id of the stroke to restart a stopped job from: those before it are left out, the origin is not
            set again, and the nozzle is purged before anything else.

    Returns:
        The file's text, ASCII.

    Raises:
        JobError: the machine cannot paint, or a stroke leaves its work area.
        InputError: there is no stroke of the id to resume from.
    """
    if macros.air_on is None:
        raise JobError("this machine has no airbrush: its profile names no macros.air_on")
    first = _resume_index(ids, resume_from)
    program = Program(machine)
    _begin(program, header, macros, resume_from)
    purged_ink: Floats | None = None
    painted_mm = 0.0
    mixed = ""
    for stroke_id, stroke in zip(ids[first:], np.asarray(strokes, float)[first:], strict=True):
        points, speed = _clear_of_purge_zone(*stroke_path(stroke, machine), machine, stroke_id)
        points, speed = _distinct(program.round(points), speed)
        _check_limits(points, machine, f"stroke {stroke_id}")
        ink = stroke[12:]
        values = dict(zip("cmy", ink.tolist(), strict=True))
        if macros.purge is not None and purge_is_due(machine, purged_ink, ink, painted_mm):
            program.code("; PURGE")
            program.macro(macros.purge, values)
            purged_ink, painted_mm = ink, 0.0
        program.code(f"; STROKE_ID: {stroke_id}")
        mix = "(MIX C{:.3f} M{:.3f} Y{:.3f})".format(*ink)
        if mix != mixed:
            program.code(mix)
            program.macro(macros.mix, values)
            mixed = mix
        program.travel(*points[0].tolist())
        program.macro(macros.air_on, values)
        program.paint(points.tolist(), segment_feeds(points, speed, machine).tolist())
        program.macro(macros.air_off, values)
        painted_mm += geometry.polyline_length(points)
    _end(program, macros)
    return program.text()


def write_pen(
    vectors: PenVectors,
    machine: Machine,
    header: Sequence[str],
    *,
    macros: Macros,
    order: Literal["keep", "travel"] = "keep",
    resume_from: str | None = None,
) -> str:
    """Write the pen pass. Path number 12 of the file, counted from 0, has the id `pen-00012`.

    Args:
        vectors: the pen layer.
        machine, header, macros, resume_from: see `write_strokes`.
        order: keep the paths' order and directions, or choose those that let the lifted pen travel least.

    Raises:
        JobError: the machine has no pen, or a path leaves the work area of the pen.
        InputError: there is no path of the id to resume from.
    """
    if macros.pen_down is None or macros.pen_up is None:
        raise JobError("this machine has no pen: its profile names no macros.pen_down and macros.pen_up")
    paths = [flatten(path, machine.path.tolerance_mm) for path in vectors.paths]
    ids = [f"pen-{number:05d}" for number in range(len(paths))]
    if order == "travel":
        chosen, reverse = optimise_travel(
            [path[0] for path in paths], [path[-1] for path in paths], (0.0, vectors.page_mm.y)
        )
        ids = [ids[index] for index in chosen]
        paths = [paths[index][:: -1 if back else 1] for index, back in zip(chosen, reverse, strict=True)]
    first = _resume_index(ids, resume_from)
    program = Program(machine)
    _begin(program, header, macros, resume_from)
    program.macro(macros.pen_up)
    offset = np.array([machine.pen.offset_mm.x, machine.pen.offset_mm.y])
    height = machine.pen.down_mm if machine.has_z else 0.0
    for path_id, path in zip(ids[first:], paths[first:], strict=True):
        plane = _to_machine(path, machine, vectors.page_mm.y) - offset
        points = program.round(np.column_stack([plane, np.full(len(plane), height)]))
        points, speed = _distinct(points, np.full(len(points) - 1, machine.pen.feed_mm_s))
        _check_limits(points, machine, f"pen path {path_id}")
        program.code(f"; STROKE_ID: {path_id}")
        program.rapid(*points[0, :2].tolist())
        program.macro(macros.pen_down)
        program.paint(points.tolist(), segment_feeds(points, speed, machine).tolist())
        program.macro(macros.pen_up)
    _end(program, macros)
    return program.text()


def stroke_path(stroke: Floats, machine: Machine) -> tuple[Floats, Floats]:
    """Turn one stroke into straight moves.

    Args:
        stroke: (15,) stroke, image frame.
        machine: the profile; its `path` gives the tolerances.

    Returns:
        ((K, 3) points in the machine frame, (K - 1,) speeds over the paper between them, mm/s).
    """
    z0, z1 = stroke[8:10].tolist() if machine.has_z else (0.0, 0.0)
    controls = np.column_stack([_to_machine(stroke[:8].reshape(4, 2), machine), np.linspace(z0, z1, 4)])
    v0, v1 = stroke[10:12].tolist()
    # Between two parameters the speed runs linearly; a step of `speed_step` of it follows from this density.
    density = abs(v1 - v0) / (machine.path.speed_step * (v0 + (v1 - v0) * _GRID))
    t = geometry.flatten_parameters(controls, machine.path.tolerance_mm, density)
    speed = v0 + (v1 - v0) * (t[1:] + t[:-1]) / 2.0
    return geometry.bezier_point(controls, t), speed


def segment_feeds(points: Floats, speed: Floats, machine: Machine) -> Floats:
    """Return the feeds, mm/min, at which moves keep a speed over the paper, as far as every axis can.

    GRBL's feed is that along the move in space, so a move that also climbs needs a higher one.

    Args:
        points: (K, 3) points.
        speed: (K - 1,) wanted speeds over the paper, mm/s.
        machine: the profile; the lower of its feeds and its controller's max rates binds.
    """
    steps = np.diff(points, axis=0)
    length = np.linalg.norm(steps, axis=1)
    plane = np.linalg.norm(steps[:, :2], axis=1)
    rates = max_rate(machine, machine.grbl)
    xy = machine.feeds.max_xy_mm_s * 60.0
    with np.errstate(divide="ignore", invalid="ignore"):
        feed = np.where(plane > 0, 60.0 * speed * length / plane, 60.0 * speed)
        most = np.nanmin(np.column_stack([rates * length[:, None] / np.abs(steps), xy * length / plane]), axis=1)
    # Rounded down where the machine binds: the file must not ask for more than it has.
    return np.maximum(np.where(feed > most, np.floor(10.0 * most) / 10.0, feed), 1.0)


def _to_machine(points: Floats, machine: Machine, page_height_mm: float = units.A4_MM[1]) -> Floats:
    corner = np.array([machine.paper_mm.x, machine.paper_mm.y])
    return units.image_to_machine(points, page_height_mm) + corner


def _clear_of_purge_zone(points: Floats, speed: Floats, machine: Machine, stroke_id: str) -> tuple[Floats, Floats]:
    zone = machine.safety.purge_zone_mm
    if zone is None:
        return points, speed
    if machine.has_z:
        return keep_clear(points, speed, zone, machine.work_area_mm.z)
    if passes_through(points, zone):
        raise JobError(f"stroke {stroke_id}: passes through the purge zone, and there is no Z axis to lift the nozzle")
    return points, speed


def _distinct(points: Floats, speed: Floats) -> tuple[Floats, Floats]:
    """Leave out points that rounding moved onto the one before; give a dot the least way that paints it."""
    kept = np.concatenate([[True], np.any(np.diff(points, axis=0) != 0.0, axis=1)])
    if not kept[1:].any():
        aside = points[0] + (_DOT_MM if points[0, 0] < _DOT_MM else -_DOT_MM, 0.0, 0.0)
        return np.stack([points[0], aside]), speed[:1]
    return points[kept], speed[kept[1:]]


def purge_is_due(machine: Machine, purged: Floats | None, ink: Floats, painted_mm: float) -> bool:
    """Return whether the machine's policy wants a purge before a stroke.

    Args:
        machine: the profile.
        purged: (3,) ink at the last purge, None before the first.
        ink: (3,) ink of the stroke.
        painted_mm: way painted since the last purge.
    """
    policy = machine.purge
    if purged is None or policy.policy == "every_stroke":
        return True
    if policy.policy == "on_colour_change":
        return bool(np.abs(ink - purged).max() > policy.colour_step)
    return painted_mm >= policy.volume_mm


def _resume_index(ids: Sequence[str], resume_from: str | None) -> int:
    if resume_from is None:
        return 0
    if resume_from not in ids:
        near = difflib.get_close_matches(resume_from, ids, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"no stroke has the id {resume_from}{hint}")
    return ids.index(resume_from)


def _begin(program: Program, header: Sequence[str], macros: Macros, resume_from: str | None) -> None:
    for line in header:
        program.comment(line)
    if resume_from is not None:
        program.comment(f"resumes at {resume_from}; the origin must be the one that the job was started with")
    for code in ("G21", "G90", "G94"):
        program.code(code)
    if program.machine.zero_at_start and resume_from is None:
        program.code("G92 X0 Y0 Z0" if program.machine.has_z else "G92 X0 Y0")
    if macros.air_off is not None:
        program.macro(macros.air_off)
    program.macro(macros.start)
    program.rapid(z=max(program.machine.park_mm.z, program.machine.travel_z_mm))


def _end(program: Program, macros: Macros) -> None:
    program.code("; END")
    machine = program.machine
    program.macro(macros.end)
    program.rapid(z=max(machine.park_mm.z, machine.travel_z_mm))
    program.rapid(machine.park_mm.x, machine.park_mm.y)
    program.rapid(z=machine.park_mm.z)
    program.code("M2")


def _check_limits(points: Floats, machine: Machine, what: str) -> None:
    if not machine.safety.soft_limits:
        return
    for axis, (low, high) in enumerate(machine.limits):
        values = points[:, axis]
        beyond = values.min() if values.min() < low else values.max()
        if not low <= beyond <= high:
            raise JobError(
                f"{what}: leaves the work area: {'XYZ'[axis]}{beyond:g} is not within {low:g} to {high:g} mm"
            )
