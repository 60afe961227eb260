"""Files that are whole or absent: written under a temporary name, synced, renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from airbrush_cli.errors import InputError, JobError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and takes its name, on any failure it vanishes.

    The temporary name keeps the suffix of `path`, because writers of pictures choose the format by it.

    Raises:
        JobError: the folder cannot be written to, or the disk is full.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise JobError(f"{path}: cannot write: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    write_bytes(path, text.encode())


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of `path`.

    Raises:
        InputError: no such file, a folder, not readable, or larger than `limit` bytes.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
    if len(data) > limit:
        raise InputError(f"{path}: larger than {limit // 1_000_000} MB, which no file of its kind should be")
    return data


def readable(path: Path) -> str:
    """Return a path as text for documents: bytes that are not UTF-8, which a name may have, are replaced."""
    return os.fsencode(path).decode(errors="replace")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
