"""What can go wrong, and the exit status that each kind of trouble ends in."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of every command (documented in docs/cli.md)."""

    OK = 0
    JOB_FAILED = 1
    BAD_INPUT = 2
    INTERRUPTED = 130


class AirbrushError(Exception):
    """An expected failure. Its text is one line that names what, where and, if there is one, the remedy."""

    status = ExitStatus.JOB_FAILED


class JobError(AirbrushError):
    """A job could not be finished (status 1)."""


class InputError(AirbrushError):
    """What the user gave cannot be used: a missing file, a broken picture, a wrong value (status 2)."""

    status = ExitStatus.BAD_INPUT


def is_interrupt(error: BaseException) -> bool:
    """Whether an error is Ctrl-C, or Ctrl-C in disguise.

    Compiled functions wrap what a signal raises while they hand over (numba). Only who catches Ctrl-C asks this.
    """
    inner: BaseException | None = error
    while isinstance(inner, SystemError):
        inner = inner.__cause__
    return isinstance(inner, KeyboardInterrupt)
