"""hpo.v1: a study of hyperparameters and its trials, as they lie beside the study."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from airbrush_cli.schemas.base import Document, Model

TrialState = Literal["waiting", "running", "complete", "pruned", "failed", "retried"]


class TrialRecord(Model):
    """One trial."""

    number: Annotated[int, Field(ge=0)]
    state: TrialState
    value: float | None = None  # of the objective
    params: dict[str, float] = Field(default_factory=dict)
    last_step: int | None = None  # of its intermediate values
    last_value: float | None = None
    seconds: float | None = None
    worker: str | None = None  # host and process
    retry_of: int | None = None  # the trial whose worker was killed
    run: str | None = None  # its run folder, relative to the study's
    reason: str | None = None  # why it failed


class Trials(Document):
    """trials.yaml: what the study's storage holds, for people and for `airbrush monitor`."""

    SCHEMA: ClassVar[str] = "hpo.v1"

    study: str
    objective: str
    direction: Literal["maximize", "minimize"]
    storage: str  # without its password
    n_trials: int
    started: AwareDatetime
    updated: AwareDatetime
    deadline: AwareDatetime
    trials: list[TrialRecord]

    def ranked(self) -> list[TrialRecord]:
        """The trials, best first: finished ones by their value, then running ones by their last, then the rest."""
        sign = -1.0 if self.direction == "maximize" else 1.0

        def key(trial: TrialRecord) -> tuple[int, float, int]:
            if trial.state == "complete" and trial.value is not None:
                return (0, sign * trial.value, trial.number)
            if trial.last_value is not None:
                return (1 if trial.state == "running" else 2, sign * trial.last_value, trial.number)
            return (1 if trial.state == "running" else 3, 0.0, trial.number)

        return sorted(self.trials, key=key)
