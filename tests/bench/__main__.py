"""All measurements that the docs quote: `make bench`. Timings are of the machine named on top, as busy as it was."""

import os
import platform
import runpy
import sys
from pathlib import Path

model = next(
    (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
    platform.processor(),
)
print(f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, {platform.system()}")
for room in sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")):
    sys.argv = [f"tests.bench.{room}"]
    runpy.run_module(f"tests.bench.{room}", run_name="__main__")
