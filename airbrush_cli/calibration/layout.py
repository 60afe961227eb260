"""Where the patches of the calibration sheets lie: row by row, on as many pages as it takes, and checked."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbrush_cli.calibration import lettering
from airbrush_cli.errors import InputError
from airbrush_cli.schemas import stroke
from airbrush_cli.schemas.calibration import CODES, Band, CalibrationLayout, Fiducials, Kind, Patch, Sheet
from airbrush_cli.schemas.machine import Machine
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.profile import CUT2
from airbrush_cli.twin.strokes import look_up
from airbrush_cli.units import A4_MM

Box = tuple[float, float, float, float]

# Spots may turn out wider than the present tables say.
_REACH = 1.1
# Height of the strip under a patch, in which a tick shows each place to measure.
TICK_MM = 1.2
# White around a corner mark, without which it is hard to find.
_QUIET_MM = 1.5


@dataclass(frozen=True)
class _Draft:
    """A patch before it has a place: x from the left end of its first band."""

    label: str
    kind: Kind
    z_mm: float
    v_mm_s: float
    bands: list[tuple[float, float, tuple[float, float, float]]]
    measured: list[tuple[float, float]]
    reach: float


def plan(layout: CalibrationLayout, machine: Machine, luts: Luts) -> list[Sheet]:
    """Lay the sheets out: colours with layering, and spots.

    Args:
        layout: what to print.
        machine: the profile; fast bands get a run-up by its acceleration.
        luts: the present tables, which say how far paint reaches.

    Raises:
        InputError: a patch is larger than a page, lies on another one, on a corner mark or in the purge zone, or the
            machine cannot spray it.
    """
    drafts = {
        "colours": [*_colours(layout, machine, luts), *_layering(layout, machine, luts)],
        "spots": list(_spots(layout, machine, luts)),
    }
    placed: dict[str, list[Patch]] = {}
    for name, wanted in drafts.items():
        for page, part in enumerate(_flow(wanted, layout), start=1):
            placed[name if page == 1 else f"{name}-{page}"] = part
    digest = hashlib.sha256(repr((layout, machine, placed)).encode()).digest()
    sheets = []
    for number, (name, patches) in enumerate(placed.items()):
        check(patches, layout.fiducials, machine)
        sheets.append(
            Sheet(
                name=name,
                code=(int.from_bytes(digest[:4]) + number) % CODES,
                pen_gcode=f"calibration_{name}_pen.gcode",
                cmy_gcode=f"calibration_{name}_cmy.gcode",
                picture=f"calibration_{name}.png",
                patches=patches,
            )
        )
    return sheets


def strokes_of(sheet: Sheet) -> tuple[NDArray[np.float64], list[str]]:
    """Return the (N, 15) strokes of a sheet and their ids.

    The first bands of layering patches come first and the second ones last, so that the first can dry in between.
    """
    first = [patch for patch in sheet.patches if len(patch.bands) == 2]
    rest = [patch for patch in sheet.patches if len(patch.bands) == 1]
    order = [*((p, 0, "a") for p in first), *((p, 0, "") for p in rest), *((p, 1, "b") for p in first)]
    rows, ids = [], []
    for patch, number, suffix in order:
        band = patch.bands[number]
        x = np.linspace(*band.x_mm, 4)
        points = np.column_stack([x, np.full(4, patch.y_mm)]).ravel()
        rows.append([*points, patch.z_mm, patch.z_mm, patch.v_mm_s, patch.v_mm_s, *band.ink])
        ids.append(patch.label + suffix)
    return np.array(rows), ids


def check(patches: Sequence[Patch], fiducials: Fiducials, machine: Machine) -> None:
    """Check that nothing lies on anything else or where the machine cannot go.

    Raises:
        InputError: names the patch.
    """
    width, height = A4_MM
    forbidden = [("a corner mark", mark_box(fiducials, corner, _QUIET_MM)) for corner in range(4)]
    for name, (left, top, right, bottom) in forbidden:
        if left < 0 or top < 0 or right > width or bottom > height:
            raise InputError(f"calibration layout: fiducials: {name} leaves the page")
    zone = machine.safety.purge_zone_mm
    if zone is not None:
        (left, right), (low, high) = zone.x, zone.y
        x, y = machine.paper_mm.x, machine.paper_mm.y
        forbidden.append(("the purge zone", (left - x, height - (high - y), right - x, height - (low - y))))
    boxes = np.array([patch.box_mm for patch in patches])
    for index, patch in enumerate(patches):
        left, top, right, bottom = patch.box_mm
        if left < 0 or top < 0 or right > width or bottom > height:
            raise InputError(f"calibration layout: {patch.label} leaves the page")
        for name, box in forbidden:
            if _overlap(patch.box_mm, box):
                raise InputError(f"calibration layout: {patch.label} lies on {name}")
        later = boxes[index + 1 :]
        if len(later):
            hit = (later[:, 0] < right) & (left < later[:, 2]) & (later[:, 1] < bottom) & (top < later[:, 3])
            if hit.any():
                other = patches[index + 1 + int(np.argmax(hit))].label
                raise InputError(f"calibration layout: {patch.label} and {other} overlap")


def mark_box(fiducials: Fiducials, corner: int, margin: float = 0.0) -> Box:
    """Return left, top, right and bottom of a corner mark, grown by a margin, mm."""
    x, y = fiducials.centres_mm[corner]
    half = fiducials.size_mm / 2 + margin
    return (x - half, y - half, x + half, y + half)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _reach(luts: Luts, z: float, v: float) -> float:
    sigma = look_up(luts, np.array([z]), np.array([v]))[0, 0]
    return float(_REACH * math.sqrt(CUT2) * sigma)


def _feasible(label: str, layout_key: str, z: float, v: float, machine: Machine) -> None:
    limits = {key: stroke.BOUNDS[key] for key in ("z", "speed")}
    highest = min(limits["z"][1], machine.work_area_mm.z) if machine.has_z else limits["z"][1]
    fastest = min(limits["speed"][1], machine.feeds.max_xy_mm_s)
    if not limits["z"][0] <= z <= highest:
        raise InputError(f"calibration layout: {layout_key}: {label}: z must be at most {highest:g} mm (found {z:g})")
    if not limits["speed"][0] <= v <= fastest:
        raise InputError(
            f"calibration layout: {layout_key}: {label}: v must be {limits['speed'][0]:g} to {fastest:g} mm/s "
            f"(found {v:g})"
        )


def _colours(layout: CalibrationLayout, machine: Machine, luts: Luts) -> Iterator[_Draft]:
    grid = layout.colour_grid
    z, v = _height(machine, grid.z_mm), grid.v_mm_s
    _feasible(grid.label_prefix, "colour_grid", z, v, machine)
    reach, run_up = _reach(luts, z, v), _run_up(v, machine)
    for index in itertools.product(range(len(grid.steps)), repeat=3):
        c, m, y = (grid.steps[i] for i in index)
        label = grid.label_prefix + "".join(map(str, index))
        measured = (run_up, run_up + grid.length_mm)
        yield _Draft(label, "colour", z, v, [(0.0, measured[1] + run_up, (c, m, y))], [measured], reach)


def _spots(layout: CalibrationLayout, machine: Machine, luts: Luts) -> Iterator[_Draft]:
    grid = layout.spot_grid
    heights = grid.z_steps_mm if machine.has_z else [machine.nozzle_z_mm]
    for row, z in enumerate(heights):
        for column, v in enumerate(grid.v_steps_mm_s):
            label = f"{grid.label_prefix}{row}{column}"
            _feasible(label, "spot_grid", z, v, machine)
            run_up = _run_up(v, machine)
            measured = (run_up, run_up + grid.length_mm)
            yield _Draft(label, "spot", z, v, [(0.0, measured[1] + run_up, grid.ink)], [measured], _reach(luts, z, v))


def _layering(layout: CalibrationLayout, machine: Machine, luts: Luts) -> Iterator[_Draft]:
    grid = layout.layering
    z, v = _height(machine, layout.colour_grid.z_mm), layout.colour_grid.v_mm_s
    reach, run_up, part = _reach(luts, z, v), _run_up(v, machine), grid.length_mm
    # Where one band alone is measured, the end of the other must be out of reach.
    first = run_up
    both = first + part + reach
    second = both + part + reach
    for number, (base, top) in enumerate(grid.pairs):
        bands = [(0.0, both + part + run_up, base), (both - run_up, second + part + run_up, top)]
        measured = [(first, first + part), (both, both + part), (second, second + part)]
        yield _Draft(f"{grid.label_prefix}{number:02d}", "layering", z, v, bands, measured, reach)


def _height(machine: Machine, z: float) -> float:
    return z if machine.has_z else machine.nozzle_z_mm


def _run_up(v: float, machine: Machine) -> float:
    """The way on which the machine gathers a speed, and sheds it, mm."""
    return v * v / (2.0 * machine.grbl.x_acceleration)


def _flow(drafts: Sequence[_Draft], layout: CalibrationLayout) -> list[list[Patch]]:
    """Give patches their places, row by row and page by page; a row is as high as its highest patch."""
    (margin_x, margin_y), gap = layout.margin_mm, layout.gap_mm
    page_width, page_height = A4_MM
    pages: list[list[Patch]] = [[]]
    left, top, lowest = margin_x, margin_y, margin_y
    kind = drafts[0].kind
    for draft in drafts:
        reach = draft.reach
        label_width = lettering.text_width(draft.label, layout.label_mm) + layout.pen_width_mm
        width = max(draft.bands[-1][1] + 2 * reach, label_width)
        height = 2 * reach + layout.label_mm + layout.pen_width_mm + TICK_MM
        if width > page_width - 2 * margin_x or height > page_height - 2 * margin_y:
            raise InputError(
                f"calibration layout: {draft.label} needs {width:.0f} x {height:.0f} mm, which no page has; "
                "take a lower height, a slower speed or a shorter length"
            )
        if left > margin_x and (left + width > page_width - margin_x or draft.kind != kind):
            left, top = margin_x, lowest + gap
        if top + height > page_height - margin_y:
            pages.append([])
            left, top, lowest = margin_x, margin_y, margin_y
        kind = draft.kind
        pages[-1].append(_placed(draft, left, top, (width, height), layout))
        lowest = max(lowest, top + height)
        left += width + gap
    return pages


def _placed(draft: _Draft, left: float, top: float, size: tuple[float, float], layout: CalibrationLayout) -> Patch:
    start = left + draft.reach

    def stretch(a: float, b: float) -> tuple[float, float]:
        return (round(start + a, 3), round(start + b, 3))

    return Patch(
        label=draft.label,
        kind=draft.kind,
        y_mm=round(top + layout.label_mm + layout.pen_width_mm + draft.reach, 3),
        z_mm=draft.z_mm,
        v_mm_s=draft.v_mm_s,
        bands=[Band(x_mm=stretch(a, b), ink=ink) for a, b, ink in draft.bands],
        measured_mm=[stretch(a, b) for a, b in draft.measured],
        reach_mm=round(draft.reach, 3),
        box_mm=(round(left, 3), round(top, 3), round(left + size[0], 3), round(top + size[1], 3)),
    )
