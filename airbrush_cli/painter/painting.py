"""One job painted: its target in, strokes, pictures, figures and G-code out."""

from __future__ import annotations

import functools
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import __version__, colour, config, documents, files, metrics, pictures
from airbrush_cli.errors import InputError, is_interrupt
from airbrush_cli.gcode.job import write_job
from airbrush_cli.gcode.profile import Profile
from airbrush_cli.imaging.load import load_image
from airbrush_cli.job import JobFolder
from airbrush_cli.painter import pace
from airbrush_cli.painter.choice import Sketch, make_strategist
from airbrush_cli.painter.clock import Clock, WallClock, WorkClock
from airbrush_cli.painter.gamut import map_to_gamut
from airbrush_cli.painter.perception import LpipsGradient
from airbrush_cli.painter.plan import Planner, Progress
from airbrush_cli.pen.draw import draw_over
from airbrush_cli.schemas import stroke
from airbrush_cli.schemas.job import Figures, Metrics, Pass, Provenance
from airbrush_cli.schemas.luts import Backend, PhysicsConfig
from airbrush_cli.schemas.paint import DEFAULT_MACHINE, PaintSettings
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.twin.luts import Luts, configured_luts, configured_physics
from airbrush_cli.twin.model import BackendError, Twin

log = logging.getLogger(__name__)

# What writing and measuring takes after planning, seconds on two reference cores: kept back from a budget of seconds.
_FINISH_SECONDS = 5.0


@dataclass(frozen=True)
class Options:
    """What the command line asks for, beyond the settings."""

    config_path: Path  # the paint.yaml that was read; paths in it are relative to it
    seconds: float | None = None  # budget for the whole job
    device: str = "auto"
    gcode: bool = True
    machine: Profile | None = None  # in place of the settings' and the job's own
    frames: Path | None = None
    frames_every: int = 25
    policy: Path | None = None  # a trained strategist in place of the built-in one
    strategist: bool = True  # whether it looks; else strokes start anywhere
    technician: bool = True  # whether strokes are refined; else they stay as proposed


@dataclass(frozen=True)
class Painted:
    """What came out, for people."""

    manifest: Path
    metrics: Metrics
    partial: bool
    seconds: float


def paint_job(
    folder: JobFolder,
    settings: PaintSettings,
    options: Options,
    started: float,
    observe: Callable[[Progress], None] | None = None,
) -> Painted:
    """Paint a job and write its files.

    Args:
        folder: a preprocessed job.
        settings: paint.yaml with overrides.
        options: the rest of what was asked for.
        started: `time.monotonic()` at which the job's budget of seconds began.
        observe: called after every step of the planner.

    Returns:
        what was written; `partial` says that Ctrl-C came before the end.

    Raises:
        KeyboardInterrupt: Ctrl-C came while the painting was worse than one that the job had; that one stays.
        InputError: one of the job's files cannot be used.
        JobError: the files cannot be written, the machine cannot paint them, or the GPU failed (what there was until
            then is saved as partial).
    """
    target = load_image(folder.path(folder.job.inputs.target_image_path))
    size = folder.job.resolutions.render_px.wh
    if (target.shape[1], target.shape[0]) != size:
        path = folder.path(folder.job.inputs.target_image_path)
        raise InputError(f"{path}: is {target.shape[1]}x{target.shape[0]}, but the manifest says {size[0]}x{size[1]}")
    pen = documents.load(folder.path(folder.job.inputs.pen_layer_path), PenVectors)
    profile = _profile(folder, settings, options)
    luts = load_physics(settings, options.config_path)
    twin = Twin(luts, options.device, load_backend(settings, options.config_path))
    mapped = map_to_gamut(target, luts)
    lpips = _lpips(settings.finish.net, settings.lpips_weights, twin.device)

    strategist = make_strategist(luts, options.policy, options.strategist, twin.device)
    planner: Planner | Sketch
    if options.technician:
        clock = _clock(settings, options, started)
        perception = LpipsGradient(lpips, target) if lpips else None
        climb = profile.machine.feeds.max_z_mm_s
        planner = Planner(mapped.linear, twin, strategist, settings, clock, perception, observe, climb, target)
    else:
        planner = Sketch(mapped.linear, twin, strategist, settings)
    partial = False
    failure: BackendError | None = None
    log.debug("%s: planning", folder.job.job)
    try:
        strokes = planner.run()
    except (KeyboardInterrupt, SystemError) as error:
        if not is_interrupt(error):
            raise
        partial = True
        strokes = planner.finish()
    except BackendError as error:
        # Another backend must not refine in its place: the step in flight is dropped, and the CPU writes what there is.
        partial, failure = True, error
        twin = Twin(luts, "cpu")
        strokes = planner.finish(twin)

    light = twin.render(strokes, size)
    painting_cmy = colour.linear_to_srgb8(light)
    painting = draw_over(painting_cmy, pen)
    paper_target = draw_over(target, pen)
    measured = Metrics(
        strokes=len(strokes),
        colour=figures(painting_cmy, target, lpips),
        paper=figures(painting, paper_target, lpips),
        out_of_gamut=round(mapped.out_of_gamut, 4),
        gamut_delta_e=round(mapped.delta_e, 2),
        spray_hours=round(float(pace.seconds(strokes).sum()) / 3600, 2),
        reachable_psnr=_psnr(painting_cmy, colour.linear_to_srgb8(mapped.linear)),
    )
    seconds = time.monotonic() - started
    if partial and not failure:
        if _better_before(folder, measured):
            log.warning("%s: interrupted; the painting that was there is better, and stays", folder.job.job)
            raise KeyboardInterrupt
        log.warning("%s: interrupted; keeping the best so far", folder.job.job)

    ids = [f"s{number:04d}" for number in range(1, len(strokes) + 1)]
    stroke_file = stroke.to_yaml(strokes, ids, stroke.StrokeMetadata(luts_sha256=luts.sha256, seed=settings.seed))
    files.write_text(folder.path("strokes.yaml"), stroke_file)
    pictures.write_png(folder.path("painting_cmy.png"), painting_cmy)
    pictures.write_png(folder.path("painting.png"), painting)
    pictures.write_png(folder.path("heatmap.png"), heatmap(strokes, twin, size))
    folder = folder.update(
        state="partial" if partial else "painted",
        passes=(
            Pass(name="cmy", strokes_path="strokes.yaml"),
            Pass(name="pen", vectors_path=folder.job.inputs.pen_layer_path),
        ),
        limits=folder.job.limits.model_copy(update={"max_strokes": settings.strokes}),
        artifacts=folder.job.artifacts.model_copy(
            update={
                "painting_cmy_out": "painting_cmy.png",
                "painting_out": "painting.png",
                "heatmap_out": "heatmap.png",
            }
        ),
        metrics=measured,
        provenance={
            **folder.job.provenance,
            "paint": _provenance(settings, options, twin, seconds),
        },
    )
    saved = folder.save()  # before what may fail: nothing that was paid for is lost
    if options.frames:
        write_frames(strokes, twin, size, options.frames / folder.job.job, options.frames_every)
    if options.gcode:
        saved = write_job(folder, profile).save()
    if failure:
        raise BackendError(f"{failure}; the strokes until then are in {saved}, marked partial") from failure
    return Painted(saved, measured, partial, seconds)


def _better_before(folder: JobFolder, measured: Metrics) -> bool:
    """Whether the job has a finished painting that is nearer to its target."""
    before = folder.job.metrics
    whole = folder.job.state == "painted" and folder.path("strokes.yaml").exists()
    return bool(whole and before and (before.colour.psnr or 0.0) > (measured.colour.psnr or 0.0))


def load_physics(settings: PaintSettings, config_path: Path) -> Luts:
    """Load the look-up tables that the settings' physics file names; its path is relative to the settings' file."""
    return configured_luts(config.beside(config_path, settings.physics))


def load_backend(settings: PaintSettings, config_path: Path) -> Backend:
    """Return the backend that the settings' physics file asks for."""
    return documents.load(
        configured_physics(config.beside(config_path, settings.physics)), PhysicsConfig
    ).rasterizer.backend


def figures(picture: NDArray[np.uint8], target: NDArray[np.uint8], lpips: metrics.Lpips | None) -> Figures:
    """Measure a picture against its target, both (H, W, 3) sRGB."""
    return Figures(
        psnr=_psnr(picture, target),
        ssim=round(metrics.ssim(picture, target), 4),
        lpips=round(lpips.distance(picture, target), 4) if lpips else None,
        lpips_net=lpips.net if lpips else None,
    )


def _psnr(picture: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    return round(min(metrics.psnr(picture, target), 100.0), 3)  # pictures that are equal get 100 dB


def heatmap(strokes: NDArray[np.float64], twin: Twin, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an (H, W, 3) sRGB picture of how much paint lies where: optical density summed over strokes.

    Black transparent ink makes the twin multiply the strokes' transmittances, and −log of their product is the sum.
    """
    black = replace(twin.luts, colour=np.zeros_like(twin.luts.colour), layering="multiply")
    density = -np.log(np.maximum(Twin(black, twin.device).render(strokes, size)[..., 0], 1e-7))
    level = np.clip(density / max(float(np.quantile(density, 0.999)), 1e-6), 0, 1)
    coloured = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(coloured[:, :, ::-1], np.uint8)


def write_frames(strokes: NDArray[np.float64], twin: Twin, size: tuple[int, int], folder: Path, every: int) -> None:
    """Write the painting as it grows on the paper, a PNG every so many strokes: a time-lapse."""
    canvas = np.ones((size[1], size[0], 3), np.float32)
    pictures.write_png(folder / "0000.png", colour.linear_to_srgb8(canvas))
    for first in range(0, len(strokes), every):
        canvas = twin.render(strokes[first : first + every], size, canvas)
        number = min(first + every, len(strokes))
        pictures.write_png(folder / f"{number:04d}.png", colour.linear_to_srgb8(canvas))


def _profile(folder: JobFolder, settings: PaintSettings, options: Options) -> Profile:
    """Return the machine's profile: as asked for, else the settings', of which the default gives way to the job's own.

    Raises:
        InputError: it cannot be used, or G-code is asked for and its macros are missing.
    """
    if options.machine:
        return options.machine
    path = config.beside(options.config_path, settings.machine)
    profile = Profile.of(folder) if path == config.shipped(DEFAULT_MACHINE) else Profile.load(path)
    if options.gcode:
        profile.texts()  # it is told now, not at the end
    return profile


def _clock(settings: PaintSettings, options: Options, started: float) -> Clock:
    if options.seconds is None:
        return WorkClock(getattr(settings.work, settings.effort))
    return WallClock(max(options.seconds - (time.monotonic() - started) - _FINISH_SECONDS, 0.1))


@functools.cache
def _lpips(net: str, weights: str | None, device: str) -> metrics.Lpips | None:
    """Return the metric, or None, said once, if its weights cannot be had; both are remembered for the stream."""
    try:
        return metrics.Lpips(net, Path(weights) if weights else None, device)
    except metrics.MissingWeights as error:
        log.warning("LPIPS is left out: %s", error)
        return None


def _provenance(settings: PaintSettings, options: Options, twin: Twin, seconds: float) -> Provenance:
    import torch

    return Provenance(
        airbrush=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        device=str(twin.device),
        backend=twin.backend,
        seed=settings.seed,
        luts_sha256=twin.luts.sha256,
        layering=twin.luts.layering,
        config_sha256=files.sha256_file(options.config_path),
        seconds=round(seconds, 2),
        options={
            "strokes": settings.strokes,
            "effort": settings.effort if options.seconds is None else None,
            "time": options.seconds,
            "policy_sha256": files.sha256_file(options.policy) if options.policy else None,
            "strategist": options.strategist,
            "technician": options.technician,
        },
    )
