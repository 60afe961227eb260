"""Threads: how many there are to work with, and work shared among them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_R = TypeVar("_R")

# Who else makes threads, and asks one of these how many while it is loaded: numba, torch and BLAS, OpenCV.
_ASKED = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def workers() -> int:
    """Return how many threads `share` has: NUMBA_NUM_THREADS, else the processors that this process may use."""
    return _given("NUMBA_NUM_THREADS")


def _given(name: str) -> int:
    given = os.environ.get(name, "")
    if given.isdigit():
        return max(1, int(given))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def divide(processes: int) -> None:
    """Leave this process its part of the threads, as one of so many. Call it before numba, torch and OpenCV load."""
    for name in _ASKED:
        os.environ[name] = str(max(1, _given(name) // processes))


@functools.lru_cache(maxsize=1)
def _pool(_process: int, size: int) -> ThreadPoolExecutor:
    # Keyed by process, because threads do not survive a fork.
    return ThreadPoolExecutor(size, thread_name_prefix="share")


def share(task: Callable[[int], _R], tasks: int) -> list[_R]:
    """Call task(0) ... task(tasks - 1) on all workers and return what they return; tasks should release the GIL."""
    if tasks > 1 and workers() > 1:
        return list(_pool(os.getpid(), workers()).map(task, range(tasks)))
    return [task(index) for index in range(tasks)]
