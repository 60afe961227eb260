"""How well calibration finds hidden inks: `python -m tests.bench.calibration [INKS]`."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airbrush_cli import app, config
from airbrush_cli.calibration import command, form
from airbrush_cli.calibration.tables import build
from airbrush_cli.schemas.calibration import ScannerProfile
from airbrush_cli.schemas.luts import Layering
from airbrush_cli.twin.luts import Luts
from tests import virtual_printer as printer

MODELS: tuple[Layering, Layering] = ("alpha_over", "multiply")


@dataclass(frozen=True)
class Outcome:
    """Of one ink: what was recommended, and CIEDE2000 of fresh strokes, alone and painted over one another."""

    recommended: Layering
    alone: np.ndarray
    painted: np.ndarray


def judge(ink: Luts, filled: Path, seed: int) -> Outcome:
    """Build tables from a form, and hold 200 fresh strokes against the hidden ink."""
    manifest, measured = form.read(filled)
    luts, verdict = build(measured, manifest, "2026-01-01")
    strokes = printer.random_strokes(np.random.default_rng([seed, 1]), 200)
    alone = np.concatenate(printer.differences(ink, luts, strokes))
    return Outcome(verdict.recommended, alone, printer.painting_differences(ink, luts, strokes))


def as_a_person_would(filled: Path) -> Path:
    """Return a copy of a form with light of three digits and widths of 0.1 mm."""
    text = re.sub(r"(width_mm: )([\d.]+)", lambda match: f"{match[1]}{float(match[2]):.1f}", filled.read_text())
    text = re.sub(r"\b\d\.\d{4}\b", lambda match: f"{float(match[0]):.3f}", text)
    path = filled.with_name("by_hand.yaml")
    path.write_text(text)
    return path


def outcomes(manifest: Path, seed: int) -> tuple[Layering, dict[str, Outcome]]:
    """Print, scan and calibrate the ink of a seed: from the scan, and with its measurements rounded."""
    generator = np.random.default_rng(seed)
    model = MODELS[seed % 2]
    ink = printer.random_ink(generator, model)
    scanner = printer.Scanner.random(generator)
    scans = [
        printer.scan(sheet, scanner, generator, manifest.parent / f"{name}.png")
        for name, sheet in printer.print_sheets(manifest, ink).items()
    ]
    filled = command.read_scans(manifest, scans, config.load("scanner_profile_v1", ScannerProfile))
    rounded = as_a_person_would(filled)
    result = {"scan": judge(ink, filled, seed), "hand": judge(ink, rounded, seed)}
    for path in (*scans, filled, rounded):
        path.unlink()
    return model, result


@contextlib.contextmanager
def sheets() -> Iterator[Path]:
    """Yield the manifest of freshly written sheets."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        app.run(["calibrate", "gen", "-q", "--out", folder])
        yield Path(folder) / "calibration_manifest.yaml"


def bench_inks(count: int) -> None:
    print(f"\n200 fresh strokes of each of {count} random inks, ΔE2000 over the pixels that they visibly cover\n")
    print(
        "| ink | layering | chosen | alone: mean | 95 % | painted: mean | 95 % | by hand: chosen | alone: mean | 95 % |"
    )
    print("|" + " --- |" * 10)
    with sheets() as manifest:
        for seed in range(count):
            model, found = outcomes(manifest, seed)
            cells = []
            for way, outcome in found.items():
                cells += ["right" if outcome.recommended == model else "WRONG", *figures(outcome.alone)]
                cells += figures(outcome.painted) if way == "scan" else []
            print(f"| {seed} | {model} | {' | '.join(cells)} |", file=sys.__stdout__, flush=True)


def figures(values: np.ndarray) -> list[str]:
    return [f"{values.mean():.2f}", f"{np.quantile(values, 0.95):.2f}"]


def bench_commands() -> None:
    """CPU seconds of each step in this process, compiled before; a process of its own adds its start."""
    with sheets() as manifest:
        generator = np.random.default_rng(0)
        printed = printer.print_sheets(manifest, printer.random_ink(generator, "multiply"))
        scanner = printer.Scanner(dpi=300)
        scans = [printer.scan(sheet, scanner, generator, manifest.parent / name) for name, sheet in printed.items()]
        options = [f"--scan={path}" for path in scans]
        print("\n| command | CPU s | s |\n| --- | --- | --- |", file=sys.__stdout__)
        for words in (
            ["gen", "--out", str(manifest.parent / "again")],
            ["build-luts", str(manifest.parent), *options],
            ["build-luts", str(manifest.parent / f"{command.SCANNED}.yaml")],
        ):
            before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            app.run(["calibrate", *words, "-q"])
            after, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            name = " --scan" if words[-1].startswith("--scan") else " FORM" if words[0] == "build-luts" else ""
            print(f"| calibrate {words[0]}{name} | {cpu:.1f} | {wall:.1f} |", file=sys.__stdout__)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    bench_commands()
    bench_inks(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
