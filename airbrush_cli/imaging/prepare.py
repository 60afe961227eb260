"""One picture made a job: its colour target, its pen layer and the manifest."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airbrush_cli import __version__, documents, files, pictures
from airbrush_cli.errors import InputError
from airbrush_cli.imaging.fit import fit_page
from airbrush_cli.imaging.layers import separate_layers
from airbrush_cli.imaging.load import load_image
from airbrush_cli.job import MANIFEST_SUFFIX, JobFolder, job_name
from airbrush_cli.pen import trace_mask
from airbrush_cli.pen.draw import draw_over
from airbrush_cli.pen.svg import to_svg
from airbrush_cli.schemas.job import Inputs, Job, Provenance, Resolutions
from airbrush_cli.schemas.preprocess import PreprocessConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A picture of a stream, and the name of its job."""

    path: Path
    job: str

    def __str__(self) -> str:
        return str(self.path)


def named(paths: Iterable[Path]) -> Iterator[Picture]:
    """Give each picture of a stream a job name of its own: `a/cat.png` and `b/cat.png` become `cat` and `cat-2`."""
    taken: set[str] = set()
    for path in paths:
        name = first = job_name(path)
        number = 1
        while name in taken:
            number += 1
            name = f"{first}-{number}"
        taken.add(name)
        yield Picture(path, name)


def prepare(picture: Picture, settings: PreprocessConfig, out: Path, pen_only: bool = False) -> Path:
    """Write a job folder for a picture.

    Args:
        picture: the picture.
        settings: preprocess.yaml with overrides.
        out: the folder that job folders are made in.
        pen_only: leave out the colour: the target is white, and only the pen draws.

    Returns:
        the manifest's path.

    Raises:
        InputError: the picture cannot be read.
        JobError: the folder cannot be written.
    """
    image, name = picture.path, picture.job
    rgb = load_image(image, settings.max_megapixels)
    page = fit_page(rgb, settings.render_px.wh, settings.fit, settings.rotate)
    page_mm = (settings.page_mm.x, settings.page_mm.y)
    layers = separate_layers(page, settings.pen, page_mm)
    vectors = trace_mask(layers.mask, settings.pen, page_mm)
    target = np.full_like(page, 255) if pen_only else layers.target

    folder = out / name
    digest = files.sha256_file(image)
    _warn_of_another(folder / f"{name}{MANIFEST_SUFFIX}", digest)
    pictures.write_png(folder / "target.png", target)
    documents.save(vectors, folder / "pen.yaml")
    files.write_text(folder / "pen.svg", to_svg(vectors))
    pictures.write_png(folder / "pen.png", draw_over(np.full_like(page, 255), vectors))
    job = Job.build(
        job=name,
        inputs=Inputs(
            source_image=files.readable(Path(image.name)),
            source_sha256=digest,
            target_image_path="target.png",
            pen_layer_path="pen.yaml",
        ),
        resolutions=Resolutions(render_px=settings.render_px),
        provenance={
            "preprocess": Provenance(
                airbrush=__version__,
                options={
                    "fit": settings.fit,
                    "rotate": settings.rotate,
                    "pen_mode": settings.pen.mode,
                    "trace": settings.pen.trace,
                    "fill": settings.pen.fill,
                    "pen_only": pen_only,
                },
            )
        },
    )
    log.info("%s: %d pen paths", name, len(vectors.paths))
    if pen_only and not vectors.paths:
        log.warning("%s: nothing to draw was found; --pen-mode adaptive looks for fainter lines", name)
    return JobFolder(folder, job).save()


def _warn_of_another(manifest: Path, digest: str) -> None:
    """Say so where another picture of the same name was prepared before: its job is gone now."""
    if not manifest.is_file():
        return
    with contextlib.suppress(InputError):
        before = documents.load(manifest, Job)
        if before.inputs.source_sha256 != digest:
            log.warning("%s: takes the place of the %s job of another picture", manifest, before.state)
