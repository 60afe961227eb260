"""Tables in folders of their own, and which of them the twin obeys."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from airbrush_cli import config, documents, files
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.schemas.luts import LutsDocument, PhysicsConfig
from airbrush_cli.twin.luts import Luts, load_luts, luts_path, save_luts

PHYSICS = "sim/physics_v1"
_OLDER = re.compile(r"physics_v1\.(\d{3})\.yaml")


def free_folder(parent: Path, name: str = "luts") -> Path:
    """Return `parent/luts`, or `luts_2`, `luts_3` …: the first that is not there yet."""
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}_{number}")
        if not folder.exists():
            return folder
    raise JobError(f"{parent}: holds a thousand sets of tables; move some away")


def save(luts: Luts, folder: Path) -> Path:
    """Write tables and metadata, with the SHA-256 of each table, and return the path of metadata.yaml."""
    path = save_luts(luts, folder)
    document = documents.load(path, LutsDocument)
    names = (document.color_lut.values_path, document.alpha_lut.values_path, document.psf_lut.values_path)
    digests = {name: files.sha256_file(folder / name) for name in names}
    metadata = document.metadata.model_copy(update={"sha256": digests})
    documents.save(document.model_copy(update={"metadata": metadata}), path)
    return path


def in_use() -> Path:
    """Return the physics config that the twin obeys: the user's own, or the shipped one."""
    return config.default(PHYSICS)


def use(tables: Path) -> Path:
    """Point the twin at tables; what it obeyed before is kept.

    The tables are copied beside the user's physics config, so that the calibration folder may move or vanish.

    Args:
        tables: their folder, or its metadata.yaml.

    Returns:
        the physics config that was written.

    Raises:
        InputError: these are no tables.
    """
    metadata = tables / "metadata.yaml" if tables.is_dir() else tables
    if not metadata.is_file():
        raise InputError(f"{metadata}: not there; name the folder that `airbrush calibrate build-luts` wrote")
    luts = load_luts(metadata)
    target = config.user(PHYSICS)
    name = f"{luts.metadata.date or 'undated'}_{luts.sha256[:8]}"
    folder = target.parent / "luts" / name
    if not (folder / "metadata.yaml").is_file():
        document = documents.load(metadata, LutsDocument)
        for part in (document.color_lut, document.alpha_lut, document.psf_lut):
            files.write_bytes(folder / part.values_path, (metadata.parent / part.values_path).read_bytes())
        files.write_bytes(folder / "metadata.yaml", metadata.read_bytes())
    physics = config.load(PHYSICS, PhysicsConfig, in_use())
    if target.is_file():
        newest = max((int(path.name.split(".")[1]) for path in _older(target)), default=0)
        shutil.copy2(target, target.with_name(f"physics_v1.{newest + 1:03d}.yaml"))
    changed = physics.model_copy(update={"luts_config": f"luts/{name}/metadata.yaml"})
    head = "# Which look-up tables the twin obeys. Written by `airbrush calibrate use`; --back takes it back.\n"
    files.write_text(target, head + documents.dump(changed.model_dump(mode="json")))
    return target


def back() -> Path:
    """Return to what the twin obeyed before the last `use`, and return its physics config.

    Raises:
        InputError: the shipped tables are in use already.
    """
    target = config.user(PHYSICS)
    if not target.is_file():
        raise InputError("the shipped tables are in use; there is nothing to go back to")
    older = _older(target)
    if older:
        older[-1].replace(target)
    else:
        target.unlink()
    return in_use()


def tables_in_use() -> tuple[Path, Luts]:
    """Return the metadata.yaml that the twin obeys, and its tables."""
    physics = in_use()
    path = luts_path(config.load(PHYSICS, PhysicsConfig, physics), physics)
    return path, load_luts(path)


def _older(target: Path) -> list[Path]:
    return sorted(path for path in target.parent.glob("physics_v1.*.yaml") if _OLDER.fullmatch(path.name))
