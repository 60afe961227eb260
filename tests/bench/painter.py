"""Paintings: the whole command, start-up included, on Kodak photographs (or the project's own pictures).

python -m tests.bench.painter [SECONDS] [PICTURE]...
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from airbrush_cli.job import JobFolder

ROOT = Path(__file__).resolve().parents[2]


def pictures() -> list[Path]:
    """The Kodak photographs beside the checkout, or the examples."""
    found = sorted((ROOT.parent / "shared" / "data" / "kodak").glob("*.png"))
    return found or sorted((ROOT / "examples").glob("*.png"))


def bench_painter(seconds: float, paths: list[Path]) -> None:
    """Paint each picture with a command of its own and print the table."""
    print(
        f"\nPainting with `--time {seconds:g}`, whole command, colour layer against target.png, and against the colours"
    )
    print("of it that the inks reach\n")
    print(
        "| picture | PSNR dB | of reachable | SSIM | LPIPS (alex) | strokes | hours | seconds |\n" + "| --- " * 8 + "|"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            run = [sys.executable, "-m", "airbrush_cli.app"]
            made = subprocess.run(
                [*run, "preprocess", str(path), "-q", "-o", folder], check=True, capture_output=True, text=True
            ).stdout.strip()
            start = time.perf_counter()
            subprocess.run([*run, "paint", made, "-q", "--time", str(seconds)], check=True, stdout=subprocess.DEVNULL)
            spent = time.perf_counter() - start
            measured = JobFolder.open(Path(made)).job.metrics
            assert measured
            figures = measured.colour
            rows.append(
                (
                    figures.psnr,
                    measured.reachable_psnr or np.nan,
                    figures.ssim,
                    figures.lpips or np.nan,
                    measured.strokes,
                    measured.spray_hours or np.nan,
                    spent,
                )
            )
            print(_row(path.stem, rows[-1]), flush=True)
    print(_row("**mean**", tuple(np.mean(rows, axis=0))))


def _row(name: str, values: tuple[float, ...]) -> str:
    psnr, reachable, ssim, lpips, strokes, hours, spent = values
    fidelity = f"{psnr:.2f} | {reachable:.2f} | {ssim:.3f} | {lpips:.3f}"
    return f"| {name} | {fidelity} | {strokes:.0f} | {hours:.1f} | {spent:.1f} |"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    budget = float(arguments.pop(0)) if arguments and arguments[0].replace(".", "").isdigit() else 60.0
    bench_painter(budget, [Path(name) for name in arguments] or pictures())
