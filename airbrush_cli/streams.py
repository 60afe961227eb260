"""Streams of jobs: paths in from arguments or standard input, manifests out; a failed one does not stop the others."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from airbrush_cli import console, threads
from airbrush_cli.errors import AirbrushError, ExitStatus, InputError, is_interrupt

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
            _collect(partial(_work, work, item), str(item), statuses)
    if ExitStatus.JOB_FAILED in statuses:
        return ExitStatus.JOB_FAILED
    return ExitStatus.BAD_INPUT if statuses else ExitStatus.OK


def _run_parallel(items: Iterable[Item], work: Callable[[Item], Path | None], jobs: int, statuses: set[int]) -> None:
    """Collect each result when it comes, also while the next item is waited for.

    Every process is a pool of its own: one that is killed, mostly for want of memory, takes no other with it.
    """
    pools = [_pool(jobs) for _ in range(jobs)]
    idle: SimpleQueue[int] = SimpleQueue()
    for place in range(jobs):
        idle.put(place)
    running: list[Future[Path | None]] = []
    ended: list[BaseException] = []  # what ends the stream: Ctrl-C, a closed pipe, a full disk

    def collect(future: Future[Path | None], name: str, place: int) -> None:
        try:
            _collect(future.result, name, statuses)
        except BaseException as error:
            ended.append(error)
        if isinstance(future.exception(), BrokenProcessPool):
            pools[place] = _pool(jobs)
        idle.put(place)

    try:
        for item in items:
            place = idle.get()
            if ended:
                break
            with _signals_held():  # a process that this starts inherits it
                future = pools[place].submit(_work_in_pool, work, item)
            running = [*(other for other in running if not other.done()), future]
            future.add_done_callback(partial(collect, name=str(item), place=place))
        wait(running)  # here, since a pool whose `shutdown` is interrupted waits no more (Python 3.11)
    except KeyboardInterrupt:
        _signal_processes(signal.SIGINT)
        try:
            wait(running)
        except KeyboardInterrupt:
            _signal_processes(signal.SIGKILL)
        raise
    finally:
        for pool in pools:
            pool.shutdown()
    if ended:
        raise ended[0]


def _signal_processes(number: int) -> None:
    for process in multiprocessing.active_children():
        if process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _pool(jobs: int) -> ProcessPoolExecutor:
    arguments = (console.current().settings, jobs)
    return ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=arguments
    )


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_at_work = False
_interrupted = False


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(settings: console.Settings, jobs: int) -> None:
    """Begin a process, one of so many: Ctrl-C interrupts it at work alone, and once, though it comes from two sides."""
    threads.divide(jobs)
    console.current().configure(settings)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _interrupt(number: int, frame: object) -> None:
    global _interrupted
    first, _interrupted = not _interrupted, True
    if first and _at_work:
        raise KeyboardInterrupt


def _work_in_pool(work: Callable[[Item], Path | None], item: Item) -> Path | None:
    global _at_work
    _at_work = True
    try:
        if _interrupted:
            raise KeyboardInterrupt
        return _work(work, item)
    finally:
        _at_work = False


def _work(work: Callable[[Item], Path | None], item: Item) -> Path | None:
    try:
        return work(item)
    except SystemError as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        raise


def _collect(finish: Callable[[], Path | None], name: str, statuses: set[int]) -> None:
    debug = console.current().settings.debug
    try:
        result = finish()
    except AirbrushError as error:
        log.error("%s", error, exc_info=debug)
        statuses.add(error.status)
    except BrokenPipeError:
        raise
    except BrokenProcessPool:
        log.error("%s: its process was killed, perhaps for want of memory; fewer --jobs need less", name)
        statuses.add(ExitStatus.JOB_FAILED)
    except Exception as error:
        message = " ".join(str(error).split())
        log.error("%s: unexpected %s: %s (--debug shows where)", name, type(error).__name__, message, exc_info=debug)
        statuses.add(ExitStatus.JOB_FAILED)
    else:
        if result is not None:
            console.current().result(result)
