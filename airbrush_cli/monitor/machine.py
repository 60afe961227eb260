"""How the machine and its processes do: CPU, memory, disk, GPUs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

# nvidia-smi takes its time, and a GPU that trains all night does not change from second to second.
_GPU_SECONDS = 5.0
_QUERY = "index,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"
_MB = 1024**2


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU. Figures that the driver does not tell are None."""

    index: int
    name: str
    percent: float | None
    memory_used_mb: float | None
    memory_total_mb: float | None
    celsius: float | None
    watts: float | None


@dataclass(frozen=True)
class Machine:
    """The machine that the monitor runs on, and the disk that the folder lies on."""

    cpu_percent: float  # of all cores, since the last look
    memory_used: int  # bytes
    memory_total: int
    disk_free: int
    disk_total: int
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class Usage:
    """What a process and its children take."""

    cpu_percent: float  # of one core
    memory: int  # bytes


class Probe:
    """Looks at the machine; keeps what a next look compares with."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._gpus: tuple[Gpu, ...] = ()
        self._gpus_due = 0.0
        psutil.cpu_percent()

    def machine(self, folder: Path) -> Machine:
        """Look at the machine and at the disk that `folder` lies on."""
        memory = psutil.virtual_memory()
        disk = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists()))
        if time.monotonic() >= self._gpus_due:
            self._gpus = gpus()
            self._gpus_due = time.monotonic() + _GPU_SECONDS
        return Machine(
            cpu_percent=psutil.cpu_percent(),
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_free=disk.free,
            disk_total=disk.total,
            gpus=self._gpus,
        )

    def usage(self, pid: int) -> Usage | None:
        """Look at a process of this machine; None when it is gone."""
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.Error:
            return None
        percent, resident = 0.0, 0
        for process in family:
            # A process object remembers its times: the next look at the same one tells what it did since.
            known = self._processes.setdefault(process.pid, process)
            if known != process:
                known = self._processes[process.pid] = process
            with contextlib.suppress(psutil.Error):
                percent += known.cpu_percent()
                resident += known.memory_info().rss
        return Usage(percent, resident)


def gpus() -> tuple[Gpu, ...]:
    """Ask nvidia-smi for its GPUs; none when it is not there or does not answer."""
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(answer)


def parse_gpus(answer: str) -> tuple[Gpu, ...]:
    """Read nvidia-smi's answer, a line of comma-separated values for each GPU; `[N/A]` stands for an unknown value."""
    found = []
    for line in answer.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 7 and cells[0].isdecimal():
            percent, used, total, celsius, watts = (_number(cell) for cell in cells[2:])
            found.append(Gpu(int(cells[0]), cells[1], percent, used, total, celsius, watts))
    return tuple(found)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
