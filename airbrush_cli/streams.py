"""Streams of jobs: paths in from arguments or standard input, manifests out; a failed one does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from airbrush_cli import console
from airbrush_cli.errors import AirbrushError, ExitStatus, InputError

log = logging.getLogger(__name__)

Item = TypeVar("Item")


def paths(arguments: Sequence[Path] | None) -> Iterator[Path]:
    """Yield the paths to work on: the arguments, or the lines of standard input as they come. Blank lines are skipped.

    Raises:
        InputError: neither names a path.
    """
    if arguments:
        yield from arguments
        return
    stdin = console.current().stdin
    if stdin.isatty():
        raise InputError("nothing to do: name files, or pipe their paths in")
    empty = True
    for line in stdin:
        if line.strip():
            empty = False
            yield Path(line.strip())
    if empty:
        raise InputError("nothing to do: standard input named no path")


def run(items: Iterable[Item], work: Callable[[Item], Path | None], jobs: int = 1) -> int:
    """Do `work` for each item, print the manifest that it wrote at once, and return the exit status.

    An item that fails is reported, the others are still done. Status 1 if any job failed, else 2 if any input was bad.

    Args:
        items: paths, or what was made of them; `str` names them in errors.
        work: returns the manifest that it wrote, or None for no result; picklable, like the items, if `jobs` > 1.
        jobs: how many run at a time, each in a process of its own.
    """
    statuses: set[int] = set()
    if jobs > 1:
        _run_parallel(items, work, jobs, statuses)
    else:
        for item in items:
            _collect(partial(work, item), str(item), statuses)
    if ExitStatus.JOB_FAILED in statuses:
        return ExitStatus.JOB_FAILED
    return ExitStatus.BAD_INPUT if statuses else ExitStatus.OK


def _run_parallel(items: Iterable[Item], work: Callable[[Item], Path | None], jobs: int, statuses: set[int]) -> None:
    settings = console.current().settings
    running: dict[Future[Path | None], str] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(settings,)) as pool:
        try:
            for item in items:
                running[pool.submit(work, item)] = str(item)
                if len(running) >= jobs:
                    _drain(running, statuses)
            while running:
                _drain(running, statuses)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _start(settings: console.Settings) -> None:
    console.current().configure(settings)


def _drain(running: dict[Future[Path | None], str], statuses: set[int]) -> None:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        _collect(future.result, running.pop(future), statuses)


def _collect(finish: Callable[[], Path | None], name: str, statuses: set[int]) -> None:
    debug = console.current().settings.debug
    try:
        result = finish()
    except AirbrushError as error:
        log.error("%s", error, exc_info=debug)
        statuses.add(error.status)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        log.error("%s: unexpected %s: %s (--debug shows where)", name, type(error).__name__, message, exc_info=debug)
        statuses.add(ExitStatus.JOB_FAILED)
    else:
        if result is not None:
            console.current().result(result)
