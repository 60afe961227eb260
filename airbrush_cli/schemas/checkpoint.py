"""checkpoint.v1: what a checkpoint's file is, and how it is recognised."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from airbrush_cli.schemas.base import Document


class Checkpoint(Document):
    """checkpoints/last.yaml or best.yaml. It is written after the file that it names, and makes it valid."""

    SCHEMA: ClassVar[str] = "checkpoint.v1"

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    step: Annotated[int, Field(ge=0)]
    epoch: Annotated[int, Field(ge=0)]
    stage: str
    seed: int
    rng_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of the generators' states within
    figures: dict[str, float] = Field(default_factory=dict)
