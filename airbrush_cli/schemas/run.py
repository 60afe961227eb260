"""run.v1: the record of a training run, and the rows and events that it appends while it goes on."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import AwareDatetime, Field

from airbrush_cli.schemas.base import Document, Model

State = Literal["running", "done", "failed", "interrupted"]
Finished = Literal["done", "failed", "interrupted"]

EventKind = Literal[
    "nan",
    "kl",
    "entropy_collapse",
    "restart",
    "resume",
    "early_stop",
    "fallback",
    "checkpoint",
    "error",
    "note",
]
"""What can happen to a run. `nan`, `kl`, `entropy_collapse` and `error` are troubles, the others are not."""

TROUBLES: frozenset[str] = frozenset({"nan", "kl", "entropy_collapse", "error"})


class Meaning(NamedTuple):
    """What a metric's column is called, and which way is better."""

    title: str
    better: Literal["higher", "lower", ""] = ""


METRICS: dict[str, Meaning] = {
    # learning
    "reward_mean": Meaning("reward", "higher"),
    "reward_std": Meaning("reward spread"),
    "lpips": Meaning("LPIPS", "lower"),
    "lpips_delta": Meaning("LPIPS change", "higher"),
    "val_lpips": Meaning("validation LPIPS", "lower"),
    "val_psnr": Meaning("validation PSNR, dB", "higher"),
    "loss": Meaning("loss", "lower"),
    "policy_loss": Meaning("policy loss"),
    "value_loss": Meaning("value loss", "lower"),
    "warm_start_loss": Meaning("warm start loss", "lower"),
    "entropy": Meaning("entropy"),
    "approx_kl": Meaning("KL"),
    "clip_fraction": Meaning("clipped share"),
    "explained_variance": Meaning("explained variance", "higher"),
    "learning_rate": Meaning("learning rate"),
    # painting
    "stroke_utilization": Meaning("strokes used"),
    "technician_steps": Meaning("technician's steps"),
    "technician_convergence": Meaning("technician's convergence"),
    "renderer_fallbacks": Meaning("renderer fallbacks", "lower"),
    # of one painting
    "psnr": Meaning("PSNR, dB", "higher"),
    "reward": Meaning("reward", "higher"),
    # machine
    "steps_per_second": Meaning("steps/s", "higher"),
    "gpu_memory_peak_mb": Meaning("GPU memory peak, MB"),
    # where in the run
    "step": Meaning("step"),
    "epoch": Meaning("epoch"),
    "time": Meaning("time"),
}
"""Names of a row's figures. A trainer may log others; these are the ones that watchers know what to do with."""


class Process(Model):
    """The process that writes the run. Machine, number and time of birth together name one process for good."""

    host: str  # for people: hosts of one name are common where nodes are rented
    machine: str  # digest of the kernel's boot and of the space that process numbers belong to
    pid: Annotated[int, Field(ge=1)]
    started: float  # seconds since 1970


class Progress(Model):
    """How far the run is."""

    step: Annotated[int, Field(ge=0)] = 0
    total_steps: Annotated[int, Field(ge=1)] | None = None
    updated: AwareDatetime


class Tracking(Model):
    """Where else the run is logged."""

    uri: str
    experiment: str
    run_id: str


class RunRecord(Document):
    """run.yaml."""

    SCHEMA: ClassVar[str] = "run.v1"

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]+$", max_length=200)]
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    state: State
    command: list[str] = Field(default_factory=list)
    created: AwareDatetime
    process: Process
    progress: Progress
    versions: dict[str, str] = Field(default_factory=dict)
    seeds: dict[str, int | str] = Field(default_factory=dict)
    determinism: dict[str, bool | int | str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)  # SHA-256 by what was hashed: config/train, luts, data ...
    parameters: dict[str, int | float | bool | str] = Field(default_factory=dict)  # what searches and reports compare
    tracking: Tracking | None = None
    figures: dict[str, float] = Field(default_factory=dict)  # how good it was in the end


class Event(Model):
    """One line of events.yaml."""

    time: AwareDatetime
    step: Annotated[int, Field(ge=0)]
    kind: EventKind
    message: str

    @property
    def is_trouble(self) -> bool:
        """Whether people should look."""
        return self.kind in TROUBLES


class EpochState(Document):
    """state.yaml of a monitor epoch: what its pictures show."""

    SCHEMA: ClassVar[str] = "epoch.v1"

    epoch: Annotated[int, Field(ge=0)]
    step: Annotated[int, Field(ge=0)]
    strokes: Annotated[int, Field(ge=0)]
    time: AwareDatetime
    figures: dict[str, float] = Field(default_factory=dict)  # lpips, psnr, reward ... of the canvas
    picture: str | None = None  # which target it is, for people
