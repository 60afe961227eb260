"""G-code: reading, planning and checking speed, times against the firmware's, replay and order of a painting.

    python -m tests.bench.gcode [STROKES.yaml]...

Times and answers need the measuring data beside the checkout; without it they are left out.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from airbrush_cli import colour, config, documents
from airbrush_cli.gcode import dryrun, macros, order, planner, reader, replay, writer
from airbrush_cli.metrics.fidelity import psnr
from airbrush_cli.schemas.machine import GrblSettings, Machine
from airbrush_cli.schemas.stroke import HIGH, LOW, StrokesDocument
from airbrush_cli.twin.luts import shipped_luts
from airbrush_cli.twin.profile import CUT2
from airbrush_cli.twin.render import render
from airbrush_cli.twin.strokes import CHORDS, expand
from airbrush_cli.units import RENDER_PX

ROOT = Path(__file__).resolve().parents[2]
GRBL = ROOT.parent / "shared" / "data" / "grbl"
LINES = 200_000
ROUNDS = 15


def bench_speed() -> None:
    """Print lines per second of each stage for a file of 200 000 lines, best and median of several rounds."""
    rng = np.random.default_rng(0)
    path = np.clip(np.cumsum(rng.normal(0, 1.5, (LINES, 3)), axis=0) % (200, 290, 28), 0.5, None)
    text = [f"G1 X{x:.3f} Y{y:.3f} Z{z:.3f}" for x, y, z in path]
    text[0] += " F3000"
    machine = Machine.build()
    table = reader.settings_table(machine.grbl)
    inputs = {"straight moves": "\n".join(text).encode()}
    strokes = np.concatenate([scattered(1500, seed) for seed in range(6)])
    profile, texts = shipped()
    ids = [f"s{number:05d}" for number in range(len(strokes))]
    written = writer.write_strokes(strokes, ids, profile, [], macros=texts).encode()
    inputs["our own, markers and macros"] = b"\n".join(written.split(b"\n")[:LINES])
    print(f"\nSpeed, {LINES} lines, one core of {platform.processor() or platform.machine()}\n")
    print("| file | reading, M lines/s (median) | planning | in all |\n| --- | --- | --- | --- |")
    for name, data in inputs.items():
        count = data.count(b"\n") + 1
        reading = reader.read(data, table)
        cells = []
        for stage in (
            lambda data=data: reader.read(data, table),
            lambda reading=reading: planner.plan(reading.codes, reading.values, table),
            lambda data=data: dryrun.check(data, machine),
        ):
            best, median = timed(stage)
            cells.append(f"{count / best / 1e6:.2f} ({count / median / 1e6:.2f})")
        print(f"| {name} | {' | '.join(cells)} |")


def bench_firmware() -> None:
    """Print how far times and answers are from the firmware's."""
    if not GRBL.is_dir():
        print("\nTimes and answers: the measuring data is not here.")
        return
    print("\nTimes against the firmware's\n\n| file | firmware s | planned s | off by |\n| --- | --- | --- | --- |")
    errors = []
    for case in yaml.safe_load((GRBL / "times.yaml").read_text())["cases"]:
        table = reader.settings_table(GrblSettings.model_validate(case["settings"]))
        reading = reader.read((GRBL / case["file"]).read_bytes(), table)
        planned = sum(float(part.sum()) for part in planner.plan(reading.codes, reading.values, table))
        errors.append(planned / case["seconds"] - 1)
        print(f"| {case['file']} | {case['seconds']:.3f} | {planned:.3f} | {errors[-1]:+.4%} |")
    print(f"| **median, largest** | | | {np.median(np.abs(errors)):.4%}, {np.max(np.abs(errors)):.4%} |")
    table = reader.settings_table(GrblSettings())
    cases = yaml.safe_load((GRBL / "accepts.yaml").read_text())["lines"]
    right = 0
    for case in cases:
        reading = reader.read(f"G21\nG90\n{case['line']}\n".encode(), table)
        right += case["reply"] == (f"error:{reading.errors[0, 1]}" if reading.error_count else "ok")
    print(f"\nLines answered as the firmware does: {right} of {len(cases)}")


def bench_painting(paths: list[Path]) -> None:
    """Print replay and order of paintings, of the named strokes files or of scattered strokes."""
    print("\nA painting through G-code and back\n")
    print("| strokes | lines | replay dB | in travel order dB | travel m | in travel order m | saved | violations |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    machine, texts = shipped()
    luts = shipped_luts()
    works: dict[str, NDArray] = {"1500 scattered": scattered(1500, 0)}
    works |= {path.parent.name: documents.load(path, StrokesDocument).to_array() for path in paths}
    for name, strokes in works.items():
        sigma = expand(strokes, luts).nodes[:, 2].reshape(-1, CHORDS + 1).max(axis=1)
        chosen = order.for_travel(strokes, np.sqrt(CUT2) * sigma, machine)
        painting = colour.linear_to_srgb8(render(strokes, luts, RENDER_PX))
        reports, likeness = [], []
        for made in (strokes, strokes[chosen]):
            ids = [f"s{number}" for number in range(len(made))]
            data = writer.write_strokes(made, ids, machine, [], macros=texts).encode()
            reports.append(dryrun.check(data, machine))
            likeness.append(psnr(colour.linear_to_srgb8(replay.replay(data, machine, luts, RENDER_PX)), painting))
        before, after = (report.length_mm["travel"] / 1000 for report in reports)
        wrong = sum(report.violation_count + report.error_count for report in reports)
        print(
            f"| {name} | {reports[0].lines} | {likeness[0]:.1f} | {likeness[1]:.1f} | {before:.1f} | {after:.1f} | "
            f"{1 - after / before:.0%} | {wrong} |"
        )


def shipped() -> tuple[Machine, macros.Macros]:
    path = config.shipped("machine_grbl_airbrush_v1")
    machine = documents.load(path, Machine)
    return machine, macros.load(machine, path.parent)


def scattered(count: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    strokes = rng.uniform(LOW, HIGH, (count, 15))
    strokes[:, 2:8] = np.tile(strokes[:, :2], 3) + np.cumsum(rng.normal(0, 8, (count, 3, 2)), axis=1).reshape(-1, 6)
    strokes[:, 8:10] = rng.uniform(1, 15, (count, 1)) + rng.normal(0, 0.5, (count, 2))
    strokes[:, 10:12] = rng.uniform(5, 100, (count, 2))
    return np.clip(strokes, LOW, HIGH)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    work()
    spent = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent), float(np.median(spent))


if __name__ == "__main__":
    bench_speed()
    bench_firmware()
    bench_painting([Path(name) for name in sys.argv[1:]])
