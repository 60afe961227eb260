"""What people and programs see: results on standard output, everything else on standard error.

One `Console` object holds the streams; tests put their own in its place with `use`. Library code never prints: it logs
through `logging`, and `Console.configure` decides where records go and how they look.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from airbrush_cli.errors import InputError, JobError

if TYPE_CHECKING:
    import rich.console

# Libraries that log more than a painter wants to read.
_QUIET_LIBRARIES = ("numba", "PIL", "matplotlib", "urllib3", "torch")


@dataclass(frozen=True)
class Settings:
    """What the common options ask for."""

    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None
    json_logs: bool = False
    debug: bool = False


@dataclass
class Console:
    """The streams of one process."""

    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    settings: Settings = Settings()

    @property
    def colour(self) -> bool:
        """Whether people's output may carry colour (https://no-color.org)."""
        return self.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def live(self) -> bool:
        """Whether progress may be redrawn in place."""
        plain = self.settings.quiet or self.settings.json_logs or os.environ.get("TERM") == "dumb"
        return self.stderr.isatty() and not plain

    def result(self, text: object) -> None:
        """Print one result line on standard output, at once.

        Raises:
            BrokenPipeError: who reads it has had enough.
            JobError: it cannot be written, to a full disk for instance.
        """
        try:
            self.stdout.write(f"{text}\n")
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise JobError(f"standard output: cannot write: {error.strerror or error}") from error

    def configure(self, settings: Settings) -> None:
        """Route log records: to standard error for people, and to a file when one is named. May be called again."""
        handlers: list[logging.Handler] = [logging.StreamHandler(self.stderr)]
        level = logging.ERROR if settings.quiet else logging.DEBUG if settings.verbose else logging.INFO
        handlers[0].setLevel(level)
        handlers[0].setFormatter(_JsonFormatter() if settings.json_logs else _PeopleFormatter(self.colour))
        if settings.log_file:
            try:
                settings.log_file.parent.mkdir(parents=True, exist_ok=True)
                handlers.append(logging.FileHandler(settings.log_file, encoding="utf-8", errors="backslashreplace"))
            except OSError as error:
                raise InputError(f"{settings.log_file}: cannot write the log: {error.strerror or error}") from error
            handlers[1].setLevel(logging.DEBUG)
            handlers[1].setFormatter(_JsonFormatter() if settings.json_logs else _FileFormatter())
        self.settings = settings
        root = logging.getLogger()
        for handler in list(root.handlers):
            if getattr(handler, "from_console", False):
                root.removeHandler(handler)
                handler.close()
        for handler in handlers:
            handler.from_console = True  # type: ignore[attr-defined]
            root.addHandler(handler)
        root.setLevel(logging.DEBUG if settings.log_file else level)
        for name in _QUIET_LIBRARIES:
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.captureWarnings(True)

    def rich(self) -> rich.console.Console:
        """Return a rich console on standard error, for tables and progress."""
        from rich.console import Console as RichConsole

        return RichConsole(file=self.stderr, no_color=not self.colour, highlight=False, soft_wrap=False)


_current: Console | None = None


def current() -> Console:
    """Return the process's console."""
    global _current
    if _current is None:
        _current = Console()
    return _current


@contextmanager
def use(console: Console) -> Iterator[Console]:
    """Put another console in place, for tests and for commands that run commands."""
    global _current
    before, _current = _current, console
    try:
        yield console
    finally:
        _current = before


class _PeopleFormatter(logging.Formatter):
    """`message`, or `warning: message`; no tracebacks unless they were asked for."""

    def __init__(self, colour: bool) -> None:
        super().__init__()
        self.colour = colour

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            word = "error" if record.levelno >= logging.ERROR else "warning"
            code = "31" if word == "error" else "33"
            message = f"\x1b[{code}m{word}:\x1b[0m {message}" if self.colour else f"{word}: {message}"
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return message


class _FileFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO name message`, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: for log collectors, the one place where the project speaks JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "t": f"{moment}.{int(record.msecs):03d}Z",
            "lvl": record.levelname,
            "name": record.name,
            "pid": record.process,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
