"""Checkpoints: everything that training needs to go on as if nothing had happened.

A checkpoint is Stable-Baselines3's own zip with one member more, `training_state.pt`. Each has a name of its own;
`last.yaml` and `best.yaml` name the files that count and their SHA-256, and are written after them, so that a
process killed at any moment leaves a last checkpoint that is whole. `last.zip` and `best.zip` are links for people.

Resuming reads tensors and plain data alone (`weights_only`). The pickle that SB3 puts into its zip is not opened here.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import secrets
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from airbrush_cli import documents, files
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.checkpoint import Checkpoint

STATE = "training_state.pt"
_POLICY, _OPTIMIZER = "policy.pth", "policy.optimizer.pth"
KINDS = ("last", "best")


def save(
    folder: Path,
    model: BaseAlgorithm,
    state: dict[str, Any],
    best: bool,
    *,
    step: int,
    epoch: int,
    stage: str,
    seed: int,
    figures: dict[str, float],
) -> Checkpoint:
    """Write a checkpoint and make it the last one, and the best one too if it is.

    Args:
        folder: the run's folder of checkpoints.
        model: whose policy and optimizer are kept.
        state: tensors and plain data; generators' states are added.
        best: whether it is the best so far.
        step, epoch, stage, seed, figures: for the record.
    """
    random_state = generator_states()
    path = folder / f"step_{step:09d}-{secrets.token_hex(2)}.zip"  # never the one that a record names already
    with files.replacing(path) as temporary:
        model.save(temporary)
        data = io.BytesIO()
        torch.save({**state, "random": random_state}, data)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(STATE, data.getvalue())
    record: Checkpoint = Checkpoint.build(
        file=path.name,
        sha256=files.sha256_file(path),
        step=step,
        epoch=epoch,
        stage=stage,
        seed=seed,
        rng_sha256=_digest(random_state),
        figures=figures,
    )
    for kind in KINDS if best else KINDS[:1]:
        documents.save(record, folder / f"{kind}.yaml")
        _link(folder / f"{kind}.zip", path.name)
    _prune(folder)
    return record


def load(folder: Path, kind: str = "last") -> tuple[Checkpoint, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Read a checkpoint.

    Returns:
        the record, the policy's weights, its optimizer's state, and the training's state.

    Raises:
        InputError: there is none, or it is not the file that was written.
    """
    record = documents.load(folder / f"{kind}.yaml", Checkpoint)
    path = folder / record.file
    if files.sha256_file(path) != record.sha256:
        raise InputError(f"{path}: damaged: its SHA-256 is not the one in {kind}.yaml")
    try:
        with zipfile.ZipFile(path) as archive:
            policy, optimizer, state = (_tensors(archive.read(name)) for name in (_POLICY, _OPTIMIZER, STATE))
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: not a checkpoint: {error}") from error
    return record, policy, optimizer, state


def load_newest(folder: Path) -> tuple[Checkpoint, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Read the last checkpoint, or, if its file is damaged, the best one.

    Raises:
        InputError: neither can be used.
    """
    try:
        return load(folder, "last")
    except InputError:
        if not (folder / "best.yaml").is_file():
            raise
        return load(folder, "best")


def generator_states() -> dict[str, Any]:
    """Return the states of the process's generators as tensors and plain data."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 - SB3 draws from it
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys, np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "python": json.dumps(random.getstate()),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_generators(state: dict[str, Any]) -> None:
    """Set the process's generators to what `generator_states` returned."""
    torch.set_rng_state(state["torch"])
    given = state["numpy"]
    np.random.set_state(  # noqa: NPY002 - SB3 draws from it
        (given["kind"], given["keys"].numpy().astype(np.uint32), given["position"], given["has_gauss"], given["cached"])
    )
    version, keys, gauss = json.loads(state["python"])
    random.setstate((version, tuple(keys), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def generator_to_text(generator: np.random.Generator) -> str:
    """Return a numpy generator's state; its numbers of 128 bits are at home in no tensor."""
    return json.dumps(generator.bit_generator.state)


def generator_from_text(text: str) -> np.random.Generator:
    """Return the generator that `generator_to_text` was given."""
    generator = np.random.default_rng()
    generator.bit_generator.state = json.loads(text)
    return generator


def _tensors(data: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return loaded


def _digest(random_state: dict[str, Any]) -> str:
    digest = hashlib.sha256(random_state["python"].encode())
    digest.update(random_state["torch"].numpy().tobytes())
    digest.update(random_state["numpy"]["keys"].numpy().tobytes())
    return digest.hexdigest()


def _link(path: Path, to: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(to)
    temporary.replace(path)


def _prune(folder: Path) -> None:
    """Remove the files that neither record names."""
    kept = set()
    for kind in KINDS:
        with contextlib.suppress(InputError):
            kept.add(documents.load(folder / f"{kind}.yaml", Checkpoint).file)
    for path in folder.glob("step_*.zip"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
