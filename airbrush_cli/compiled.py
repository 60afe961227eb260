"""numba's compiler, with a cache that cannot go stale.

numba keeps compiled code as long as the file of a function is unchanged, though functions of other files may be
compiled into it. Here the cache lies in the user's cache folder, under a name made of all of the project's compiled
sources: change one, and all are compiled anew.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba
from numba import njit

__all__ = ["njit"]


def _cache_folder() -> Path:
    digest = hashlib.sha256(numba.__version__.encode())
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        text = path.read_bytes()
        if b"njit" in text:
            digest.update(text)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "airbrush" / "numba" / digest.hexdigest()[:16]


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_cache_folder())
