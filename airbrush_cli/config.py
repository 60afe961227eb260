"""Settings: the shipped defaults under configs/, the user's own in their place, a file that replaces both, overrides.

The user's own lie in $XDG_CONFIG_HOME/airbrush/ (~/.config/airbrush/). Only `default` looks there: it serves the twin's
physics, which `airbrush calibrate use` writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from airbrush_cli import documents
from airbrush_cli.errors import InputError

M = TypeVar("M", bound=BaseModel)


def shipped(name: str) -> Path:
    """Return the path of a default config, `name` as in `paint`, `paint.yaml` or `sim/physics_v1`.

    Raises:
        InputError: nothing of that name is shipped.
    """
    folder = Path(str(resources.files("airbrush_cli.configs")))
    path = folder / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        known = sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml"))
        raise InputError(f"{name}: no such file, and no such default config; in {folder} are {', '.join(known)}")
    return path


def find(path: Path) -> Path:
    """Return the path itself if something is there, else that of the default config of the name.

    Raises:
        InputError: there is neither.
    """
    return path if path.exists() or path.is_absolute() else shipped(str(path))


def beside(config: Path, name: str) -> Path:
    """Return the file that a config names: relative to the config, or, failing that, a default config."""
    path = config.parent / name
    return path if path.is_file() or Path(name).is_absolute() else shipped(name)


def user(name: str) -> Path:
    """Return where a config of the user's own lies, whether it is there or not (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".config") / "airbrush" / f"{name}.yaml"


def default(name: str) -> Path:
    """Return the path of the user's own config of a name, or, failing that, of the shipped one."""
    path = user(name)
    return path if path.is_file() else shipped(name)


def load(name: str, model: type[M], file: Path | None = None, overrides: Sequence[str] = (), prefix: str = "") -> M:
    """Load a config.

    Args:
        name: which default config (`configs/<name>.yaml`).
        model: its contract.
        file: a file that takes the default's place.
        overrides: texts of the form `key.key=value`, the value in YAML, applied in order.
        prefix: of the overrides that are for this config; the others are left out.

    Raises:
        InputError: names the file and line, or the override, that is wrong.
    """
    path = file or shipped(name)
    text = documents.read(path)
    data = documents.parse(text, str(path))
    origins: dict[documents.Location, str] = {}
    if isinstance(data, dict):
        for override in [text for text in overrides if text.startswith(prefix)]:
            location = _override(data, override, prefix)
            origins[location] = f"--set {override}"
    return documents.validate(data, model, str(path), text, origins)


def _override(data: dict[str, Any], override: str, prefix: str) -> documents.Location:
    key, sign, value = override.removeprefix(prefix).partition("=")
    steps = tuple(key.strip().split("."))
    if not sign or not all(steps):
        raise InputError(f"--set {override}: must have the form key.key=value")
    node = data
    for step in steps[:-1]:
        child = node.setdefault(step, {})
        if not isinstance(child, dict):
            raise InputError(f"--set {override}: {step} is a single value, it has no keys of its own")
        node = child
    node[steps[-1]] = documents.parse(value, f"--set {override}")
    return steps
