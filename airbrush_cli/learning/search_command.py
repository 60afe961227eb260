"""A search as people follow it: a line of progress, the winner's path at the end."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from airbrush_cli import console
from airbrush_cli.learning.search import Search, prepare, run
from airbrush_cli.learning.study import Study
from airbrush_cli.learning.trial import Commands
from airbrush_cli.schemas.search import Trials

log = logging.getLogger(__name__)


def search(
    space: Path | None,
    train: Path | None,
    overrides: Sequence[str],
    out: Path,
    name: str | None,
    storage: str | None,
    workers: int,
    trials: int | None,
    minutes: float | None,
    trainer: Sequence[str],
) -> None:
    """Search, say how it goes on standard error, and print the path of best_config.yaml.

    Raises:
        InputError: a setting is wrong, the storage cannot be opened, or a trainer refuses what it is given.
        JobError: no trial came to an end.
        KeyboardInterrupt: Ctrl-C came; the best so far is written, and the study can be gone on with.
    """
    prepared = prepare(out, name, space, train, overrides, storage, trials, minutes, Commands(extra=tuple(trainer)))
    log.info("study %s in %s", prepared.name, prepared.folder)
    screen = _Screen(prepared) if console.current().live else None
    try:
        best = run(prepared, workers, screen)
    except KeyboardInterrupt:
        log.warning("interrupted; the same command with --study %s goes on", prepared.name)
        raise
    finally:
        if screen:
            screen.clear()
    console.current().result(best)


def progress_line(trials: Trials, seconds_left: float) -> str:
    """Return how a search is, in one line."""
    ended = sum(trial.state in ("complete", "pruned", "failed") for trial in trials.trials)
    running = sum(trial.state == "running" for trial in trials.trials)
    best = next((trial for trial in trials.ranked() if trial.state == "complete"), None)
    parts = [f"{ended} of {trials.n_trials} trials", f"{running} running"]
    if best is not None:
        parts.append(f"best {best.value:.4f} (trial {best.number})")
    parts.append(f"at most {seconds_left / 60:.0f} min left")
    return "  ".join(parts)


class _Screen:
    """Redraws the line of progress in place."""

    def __init__(self, prepared: Search) -> None:
        self._search = prepared

    def __call__(self, study: Study) -> None:
        line = progress_line(study.summary(), max(0.0, self._search.deadline - time.time()))
        stderr = console.current().stderr
        stderr.write(f"\r\x1b[K{self._search.name}  {line}"[: shutil.get_terminal_size().columns + 3])
        stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        stderr = console.current().stderr
        stderr.write("\r\x1b[K")
        stderr.flush()
