"""Training as people start and follow it: what is read, what is written, how it is stopped."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import torch
from pydantic import BaseModel

from airbrush_cli import config, documents, files
from airbrush_cli.errors import AirbrushError, InputError
from airbrush_cli.learning import plans, report, targets, tracking
from airbrush_cli.learning.run import Run, read_record
from airbrush_cli.learning.targets import Target
from airbrush_cli.learning.trainer import Material, Place, Trainer
from airbrush_cli.metrics import Lpips
from airbrush_cli.schemas.environment import OF_ENVIRONMENT, Environment
from airbrush_cli.schemas.luts import PhysicsConfig
from airbrush_cli.schemas.stroke import StrokeMetadata, StrokesDocument, to_yaml
from airbrush_cli.schemas.training import Sources, Train
from airbrush_cli.twin.luts import Luts, load_luts, luts_path

log = logging.getLogger(__name__)

# A run's settings: config/<name>.yaml, complete, so that they can be trained with again.
_TRAIN, _ENVIRONMENT, _PHYSICS, _SOURCES = "train", "env", "physics", "sources"
_KEPT_LUTS = "../luts/metadata.yaml"


def start(sources: Sources, config_path: Path | None, overrides: Sequence[str], out: Path) -> Path:
    """Begin a run and train it to its end.

    Args:
        sources: where the pictures are.
        config_path: in place of configs/train.yaml.
        overrides: `key=value` of train.yaml; with `env.` before the key, of the environment's settings.
        out: where `runs/` is made.

    Returns:
        the run's folder.

    Raises:
        InputError: something given cannot be used.
        JobError: training failed.
        KeyboardInterrupt: it was stopped; the run is saved and can be resumed.
    """
    of_training = [text for text in overrides if not text.startswith(OF_ENVIRONMENT)]
    settings = config.load("train", Train, config_path, of_training)
    base = config_path or config.shipped("train")
    environment_path = config.beside(base, settings.env_config)
    environment = config.load("env_airbrush_v1", Environment, environment_path, overrides, OF_ENVIRONMENT)
    physics_path = config.beside(base, settings.sim_config)
    physics = documents.load(physics_path, PhysicsConfig)
    tables = luts_path(physics, physics_path)
    luts = load_luts(tables)
    loaded = _pictures(sources, settings, environment)
    lpips = _lpips(settings)
    run = Run.create(
        out,
        "ppo",
        prefix=settings.logging.run_name_prefix,
        configs={
            _TRAIN: settings.model_copy(update={"env_config": "env.yaml", "sim_config": "physics.yaml"}),
            _ENVIRONMENT: environment,
            _PHYSICS: physics.model_copy(update={"luts_config": _KEPT_LUTS}),
            _SOURCES: sources,
        },
        luts=tables,
        total_steps=settings.total_steps,
        seeds={"seed": settings.seed} if settings.logging.log_seeds else {},
        determinism=_determinism(settings) if settings.logging.log_seeds else {},
        hashes={"luts": luts.sha256, **_data_hashes(*loaded)},
        parameters=_flat(settings) | _flat(environment.resolutions, "resolutions."),
    )
    return _train(run, _material(run, settings, environment, luts, lpips, loaded, sources), resume=False)


def resume(folder: Path) -> Path:
    """Go on with a run that was stopped or killed, to its end; see `start`.

    Raises:
        InputError: not a run that can be gone on with: it still runs, or its pictures have changed.
    """
    read_record(folder)  # says so where there is none
    settings = documents.load(folder / "config" / f"{_TRAIN}.yaml", Train)
    environment = documents.load(folder / "config" / f"{_ENVIRONMENT}.yaml", Environment)
    sources = documents.load(folder / "config" / f"{_SOURCES}.yaml", Sources)
    luts = load_luts(folder / "luts" / "metadata.yaml")
    loaded = _pictures(sources, settings, environment)
    lpips = _lpips(settings)
    run = Run.open(folder)
    for name, found in _data_hashes(*loaded).items():
        if run.record.hashes.get(name) != found:
            raise InputError(f"{folder}: {name} is not what the run began with, so it cannot go on the same way")
    return _train(run, _material(run, settings, environment, luts, lpips, loaded, sources), resume=True)


def _train(run: Run, material: Material, resume: bool) -> Path:
    try:
        _train_logged(run, material, resume)
    finally:
        with contextlib.suppress(AirbrushError):  # what ended the training says more
            report.write(run.folder)
    return run.folder


def _train_logged(run: Run, material: Material, resume: bool) -> None:
    with run, _deterministic(), _asked_to_stop() as asked:
        tracking.attach(run, run.folder.parents[1], material.settings.logging.mlflow_experiment)
        trainer = Trainer(material, run)
        if resume:
            trainer.resume()

        def observe(place: Place, row: dict[str, float]) -> None:
            trainer.stop = asked.is_set()
            log.info("%s", _line(place, row, material.settings.total_steps))

        complete = trainer.train(observe)
        run.finish("done" if complete else "interrupted", val_lpips=trainer.place.best)
        if not complete:
            log.warning("stopped; `airbrush train ppo --resume %s` goes on", run.folder)
            raise KeyboardInterrupt


def _line(place: Place, row: dict[str, float], total: int) -> str:
    rate = row["steps_per_second"]
    parts = [f"epoch {place.epoch} ({place.part})", f"{place.step} of {total} strokes"]
    names = {"reward_mean": "reward", "warm_start_loss": "loss", "val_lpips": "val LPIPS", "val_psnr": "val PSNR"}
    parts += [f"{words} {row[name]:.4g}" for name, words in names.items() if name in row]
    left = max(total - place.step, 0) / max(rate, 1e-9)
    return ", ".join([*parts, f"{rate:.0f} strokes/s", f"{left / 60:.0f} min left"])


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; the second one ends at once, at the last checkpoint."""
    asked = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        log.warning("stopping after this epoch; once more to stop at once")

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """Make torch take the algorithms that give the same result twice, where there are such."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=True)
        torch.backends.cudnn.benchmark = before[1]


def _determinism(settings: Train) -> dict[str, bool | int | str]:
    """What a run's record says about what could make it differ; the flags as `_deterministic` sets them."""
    return {
        "device": settings.device,
        "torch_threads": torch.get_num_threads(),
        "deterministic_algorithms": True,
        "cudnn.deterministic": True,
        "cudnn.benchmark": False,
    }


def _material(
    run: Run,
    settings: Train,
    environment: Environment,
    luts: Luts,
    lpips: Lpips,
    loaded: tuple[list[Target], list[Target]],
    sources: Sources,
) -> Material:
    training, judged = loaded

    def demonstrations() -> list[plans.Demonstration]:
        size = environment.resolutions.render_px.wh
        if sources.plans:
            return plans.load_demonstrations(Path(sources.plans), size)
        return _kept_plans(run.folder / "plans", training, luts, settings, environment)

    return Material(settings, environment, luts, lpips, training, judged, demonstrations)


def _kept_plans(
    folder: Path, training: list[Target], luts: Luts, settings: Train, environment: Environment
) -> list[plans.Demonstration]:
    """Plan some of the pictures, or load the plans from when the run began."""
    clone = settings.warm_start.clone
    some = training[:: max(1, len(training) // clone.plans)][: clone.plans]
    found = []
    for target in some:
        path = folder / f"{target.sha256[:16]}.yaml"
        if not path.is_file():
            log.info("planning %s", target.name)
            made = plans.make_demonstrations([target], luts, environment.stroke_cap, clone.work, settings.seed)
            strokes = made[0].strokes if made else plans.NO_STROKES
            ids = [f"s{number:04d}" for number in range(1, len(strokes) + 1)]
            files.write_text(path, to_yaml(strokes, ids, StrokeMetadata(luts_sha256=luts.sha256, seed=settings.seed)))
        strokes = documents.load(path, StrokesDocument).to_array()
        if len(strokes):
            found.append(plans.Demonstration(target, strokes))
    if not found:
        raise InputError("the training pictures need no strokes: there is nothing to learn from")
    return found


def _pictures(sources: Sources, settings: Train, environment: Environment) -> tuple[list[Target], list[Target]]:
    """Load the pictures to train on and those to judge by. Where none are given for that, some are held out."""
    size = environment.resolutions.render_px.wh
    training = targets.load_targets(Path(sources.pictures), size)
    count = settings.validation.pictures
    if sources.validation:
        judged = targets.load_targets(Path(sources.validation), size)
        judged = judged[:: max(1, len(judged) // count)][:count]
        known = {target.sha256 for target in judged}
        training = [target for target in training if target.sha256 not in known]
    else:
        if len(training) < 2:
            raise InputError(f"{sources.pictures}: one picture alone cannot be trained on and judged by; add more")
        count = min(count, len(training) // 2)
        held = {round((i + 0.5) * len(training) / count) for i in range(count)}
        judged = [target for i, target in enumerate(training) if i in held]
        training = [target for i, target in enumerate(training) if i not in held]
    if not training:
        raise InputError(f"{sources.pictures}: holds only pictures that are judged by")
    return training, judged


def _data_hashes(training: list[Target], judged: list[Target]) -> dict[str, str]:
    """One SHA-256 of the names and contents of all pictures of a kind."""
    return {f"data/{name}": targets.digest(some) for name, some in (("training", training), ("validation", judged))}


def _lpips(settings: Train) -> Lpips:
    device = settings.device
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {device}: torch sees no CUDA device here; --device cpu trains without")
    return Lpips(settings.lpips.net, device=device)


def _flat(settings: BaseModel, prefix: str = "") -> dict[str, int | float | bool | str]:
    """Return settings as `key.key: value`."""
    found: dict[str, int | float | bool | str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            found |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value if isinstance(value, int | float | bool | str) else str(value)
    return found
