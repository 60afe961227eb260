"""Job folders: `<out>/<job>/` with a manifest that names every file relative to itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from airbrush_cli import documents
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.job import Job

MANIFEST_SUFFIX = "_manifest.yaml"


@dataclass(frozen=True)
class JobFolder:
    """A manifest and the folder that it lies in."""

    folder: Path
    job: Job

    @classmethod
    def open(cls, manifest: Path) -> JobFolder:
        """Load a manifest, or the one in a job folder.

        Raises:
            InputError: not there, not a manifest, or the files that it was prepared with are gone.
        """
        if not manifest.exists():
            raise InputError(f"{manifest}: no such file or folder")
        if manifest.is_dir():
            found = sorted(manifest.glob(f"*{MANIFEST_SUFFIX}"))
            if len(found) != 1:
                raise InputError(f"{manifest}: a folder with {len(found) or 'no'} manifests; name one manifest")
            manifest = found[0]
        if manifest.suffix.lower() not in (".yaml", ".yml"):
            raise InputError(f"{manifest}: not a job manifest; run `airbrush preprocess` on pictures first")
        job = documents.load(manifest, Job)
        opened = cls(manifest.parent, job)
        for path in (job.inputs.target_image_path, job.inputs.pen_layer_path):
            if not opened.path(path).is_file():
                raise InputError(f"{manifest}: {path} is gone from the job folder; run `airbrush preprocess` again")
        return opened

    @property
    def manifest(self) -> Path:
        """Path of the manifest."""
        return self.folder / f"{self.job.job}{MANIFEST_SUFFIX}"

    def path(self, relative: str) -> Path:
        """Path of a file of the job."""
        return self.folder / relative

    def update(self, **fields: object) -> JobFolder:
        """Return the folder with fields of its manifest replaced; nothing is written."""
        return replace(self, job=self.job.model_copy(update=fields))

    def save(self) -> Path:
        """Write the manifest and return its path."""
        documents.save(self.job, self.manifest)
        return self.manifest


def job_name(image: Path) -> str:
    """Return the job's name for a picture: its stem, with what shells and G-code senders stumble over replaced."""
    return re.sub(r"[^\w.+-]+", "_", image.stem).strip("._") or "picture"
