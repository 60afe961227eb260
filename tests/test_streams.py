"""Streams of jobs in processes of their own: who fails, who is killed, what Ctrl-C reaches, when results come."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from airbrush_cli import console, streams, threads
from airbrush_cli.errors import InputError
from tests.test_app import Streams


def run(items: Iterator[Path] | list[Path], work: Callable[[Path], Path | None], jobs: int) -> tuple[int, Streams]:
    with console.use(Streams()) as made:
        made.configure(console.Settings())
        assert isinstance(made, Streams)
        return streams.run(items, work, jobs), made


def wait_for(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def some_fail(path: Path) -> Path:
    if path.name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "bad":
        raise InputError(f"{path}: bad")
    return path


def test_who_is_killed_takes_no_other_with_it() -> None:
    items = [Path(name) for name in ("a", "dies", "b", "bad", "dies", "c")]
    status, made = run(items, some_fail, 2)
    assert status == 1
    assert sorted(made.out.split()) == ["a", "b", "c"]
    assert sorted(made.err.splitlines())[0] == "error: bad: bad"
    assert made.err.count("error: dies: its process was killed") == 2


def threads_of(path: Path) -> Path:
    return Path(f"{threads.workers()} {os.environ['OMP_NUM_THREADS']}")


def test_processes_divide_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run([Path("a")], threads_of, 3)[1].out == "2 1\n"
    assert threads.workers() == 7


def test_results_do_not_wait_for_the_next_item() -> None:
    def items() -> Iterator[Path]:
        yield Path("a")
        wait_for(lambda: made.out)
        yield Path("b")

    with console.use(Streams()) as made:
        assert isinstance(made, Streams)
        assert streams.run(items(), some_fail, 2) == 0
    assert made.out.split() == ["a", "b"]


def long_work(path: Path, marks: Path) -> Path:
    (marks / f"{path}.begun").touch()
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        time.sleep(0.5)  # to save what there is
        (marks / f"{path}.interrupted").touch()
        raise
    return path


@pytest.mark.parametrize("waiting_for", ["an item", "results"])
def test_ctrl_c_reaches_those_at_work_once_and_nobody_else(
    waiting_for: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def items() -> Iterator[Path]:
        yield Path("a")
        yield Path("b")
        if waiting_for == "an item":
            interrupt()

    thread = threading.Thread(target=interrupt)
    if waiting_for == "results":
        thread.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(items(), partial(long_work, marks=tmp_path), 3)
    finally:
        signal.signal(signal.SIGINT, before)
    assert {path.name for path in tmp_path.glob("*.interrupted")} == {"a.interrupted", "b.interrupted"}
    assert capfd.readouterr().err == ""


def interrupted_in_compiled_code(path: Path) -> None:
    try:
        raise SystemError("a function returned a result with an exception set") from KeyboardInterrupt()
    except SystemError as error:
        raise SystemError("another one too") from error


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_in_compiled_code_is_ctrl_c(jobs: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run([Path("a")], interrupted_in_compiled_code, jobs)
