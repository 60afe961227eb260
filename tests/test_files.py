"""A file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbrush_cli import files
from airbrush_cli.errors import InputError, JobError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot write: No space left"), files.replacing(tmp_path / "a") as temporary:
        temporary.touch()
        Path("/dev/full").write_bytes(b"x")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a", "x")


def test_limits_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert files.sha256_file(path).startswith("ba7816bf")
    assert files.read_bytes(path, 3) == b"abc"
    with pytest.raises(InputError, match="larger than"):
        files.read_bytes(path, 2)
