"""A trainer and a painter with the contract of the real ones, which take no time: what they reach follows from the
settings alone."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from airbrush_cli import documents
from airbrush_cli.job import JobFolder
from airbrush_cli.learning.run import Run
from airbrush_cli.schemas.job import Figures, Metrics
from airbrush_cli.schemas.training import SearchSpace, Train

EPOCHS = 5


def train_command(config: Path, out: Path) -> list[str]:
    return [sys.executable, __file__, "train", "--config", str(config), "--out", str(out)]


def slow_train_command(config: Path, out: Path) -> list[str]:
    return [*train_command(config, out), "--seconds", "0.3"]


def endless_train_command(config: Path, out: Path) -> list[str]:
    return [*train_command(config, out), "--seconds", "60"]


def failing_train_command(config: Path, out: Path) -> list[str]:
    return [sys.executable, "-c", "import sys; sys.exit('error: no such picture')"]


def refusing_train_command(config: Path, out: Path) -> list[str]:
    return [sys.executable, "-c", "import sys; print('error: photos: no such folder of pictures'); sys.exit(2)"]


def paint_command(policy: Path, space: SearchSpace, jobs: Sequence[Path]) -> list[str]:
    return [sys.executable, __file__, "paint", str(policy), str(space.validation.stroke_cap), *map(str, jobs)]


def final_lpips(settings: Train) -> float:
    """How good a trainer gets: best at a learning rate of 3e-4."""
    return 0.3 + 0.1 * abs(math.log10(settings.agent.learning_rate) - math.log10(3e-4))


def train(config: Path, out: Path, seconds: float) -> None:
    settings = documents.load(config, Train)
    final = final_lpips(settings)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(130))
    with Run.create(out, "ppo", configs={"train": settings}, total_steps=EPOCHS) as run:
        for epoch in range(1, EPOCHS + 1):
            time.sleep(seconds)
            value = final + 0.2 * (1 - epoch / EPOCHS)
            run.log(epoch, epoch=epoch, val_lpips=value, val_psnr=20 - 10 * value, reward_mean=-value)
        (run.checkpoints / "best.pt").write_text(f"{final}")


def paint(policy: Path, strokes: int, jobs: Sequence[Path]) -> None:
    lpips = float(policy.read_text())
    for manifest in jobs:
        figures = Figures(psnr=20.0, ssim=0.5, lpips=lpips, lpips_net="alex")
        folder = JobFolder.open(manifest)
        folder.update(state="painted", metrics=Metrics(strokes=strokes, colour=figures, paper=figures)).save()


if __name__ == "__main__":
    if sys.argv[1] == "paint":
        paint(Path(sys.argv[2]), int(sys.argv[3]), [Path(name) for name in sys.argv[4:]])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--config", type=Path)
        parser.add_argument("--out", type=Path)
        parser.add_argument("--seconds", type=float, default=0.0)
        options = parser.parse_args(sys.argv[2:])
        train(options.config, options.out, options.seconds)
