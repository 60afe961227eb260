"""The lists that a run appends to: rows of figures (metrics.yaml) and events (events.yaml), a line each."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
from pathlib import Path

import yaml

from airbrush_cli import documents, files
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.schemas.run import Event

log = logging.getLogger(__name__)

Row = dict[str, int | float]
"""A row of metrics.yaml: figures by name; `step` is always among them."""

_SPECIAL = {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}
_INTEGER = re.compile(r"-?[0-9]+")


def read_metrics(path: Path) -> list[Row]:
    """Return the rows of a metrics.yaml, oldest first; none when there is no file."""
    return MetricsReader(path).read()


def read_events(path: Path) -> list[Event]:
    """Return the events of an events.yaml, oldest first. A line that is not whole, or no event, is passed over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    events = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        with contextlib.suppress(InputError, IndexError, TypeError):
            events.append(documents.validate(documents.parse(line, str(path))[0], Event, str(path)))
    return events


class MetricsReader:
    """Reads a metrics.yaml that is being written: `read` returns all rows so far, and parses only what is new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Row] = []
        self._offset = 0
        self._inode = -1

    def read(self) -> list[Row]:
        """Return the rows so far, oldest first. A line that is not whole, or not a row of numbers, is passed over."""
        try:
            with self._path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._rows, self._offset, self._inode = [], 0, status.st_ino
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].decode("utf-8", "replace").splitlines():
            row = parse_row(line)
            if row:
                self._rows.append(row)
        return self._rows


def format_row(row: Row) -> str:
    """Return a row as its line of metrics.yaml."""
    return "- {" + ", ".join(f"{name}: {_number(value)}" for name, value in row.items()) + "}\n"


def parse_row(line: str) -> Row | None:
    """Return the row of a line, or None for a line that is no row: libyaml would take a hundred times longer."""
    if not (line.startswith("- {") and line.endswith("}")):
        return None
    row: Row = {}
    for pair in line[3:-1].split(", "):
        name, _, text = pair.partition(": ")
        try:
            row[name] = _SPECIAL[text] if text in _SPECIAL else int(text) if _INTEGER.fullmatch(text) else float(text)
        except ValueError:
            return None
    return row if "step" in row else None


def _number(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 reads 1e-05 as text; a number it is with a point.
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def format_event(event: Event) -> str:
    """Return an event as its line of events.yaml."""
    data = event.model_dump(mode="json")
    text = yaml.dump(
        data, Dumper=yaml.CSafeDumper, sort_keys=False, default_flow_style=True, width=1_000_000, allow_unicode=True
    )
    return f"- {text}"


def append(path: Path, line: str) -> None:
    """Append a whole line with one write, so that readers never see two halves of different lines."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            data = line.encode()
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise JobError(f"{path}: cannot write: {error.strerror or error}") from error


def cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line's end: the half line of a writer that died. No file becomes an empty one."""
    if not path.exists():
        path.touch()
        return
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end != len(data):
        log.warning("%s: the last line was torn; it is cut off", path)
        files.write_bytes(path, data[:end])
