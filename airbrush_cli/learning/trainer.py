"""Training a strategist: stages, validation, checkpoints, and what is done when something goes wrong."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from airbrush_cli.errors import JobError
from airbrush_cli.learning import checkpoints, strategist, validation, warm_start
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.plans import Demonstration
from airbrush_cli.learning.ppo import Learner
from airbrush_cli.learning.run import Run
from airbrush_cli.learning.targets import STAGES, Target, up_to
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.metrics import Lpips
from airbrush_cli.painter.painting import heatmap
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.run import EventKind
from airbrush_cli.schemas.training import Stage, Train
from airbrush_cli.twin.luts import Luts
from airbrush_cli.twin.model import Twin

log = logging.getLogger(__name__)

# The learning rate of a part of the warm start falls in a line to this share of itself.
_LAST_RATE = 0.05


@dataclass(frozen=True, eq=False)
class Material:
    """What is trained with."""

    settings: Train
    environment: Environment
    luts: Luts
    lpips: Lpips
    targets: list[Target]
    validation: list[Target]
    demonstrations: Callable[[], list[Demonstration]]  # called when there is cloning to be done


@dataclass(frozen=True)
class Place:
    """How far training is; plain numbers, kept in checkpoints."""

    part: str = ""  # clone, twin or ppo; empty before the first
    part_steps: int = 0  # strokes of this part
    step: int = 0  # strokes of all
    epoch: int = 0
    best: float = math.inf  # val_lpips
    waited: int = 0  # epochs since then
    restarts: int = 0
    rate: float = 1.0  # factor of all learning rates


@dataclass(frozen=True)
class Trouble:
    """Why an update is not to be built upon."""

    kind: EventKind
    message: str


class Trainer:
    """One run. `train` goes on until the steps are done, and can be asked to stop after an epoch.

    Args:
        material: what is trained with.
        run: where it is written.
    """

    def __init__(self, material: Material, run: Run) -> None:
        self._material, self._run = material, run
        settings, environment = material.settings, material.environment
        self.stop = False
        self.place = Place()
        tile = settings.lpips.tile
        self._env = AirbrushVecEnv(
            Canvases(
                settings.canvases, environment, material.luts, material.lpips, tile, settings.dataloader.pin_memory
            ),
            material.targets,
        )
        self._env.seed(settings.seed)
        self._learner = Learner(self._env, settings)  # seeds torch and numpy too
        self._network = self._learner.policy.network
        self._judged = Canvases(len(material.validation), environment, material.luts, material.lpips, tile)
        self._lesson: warm_start.Lesson | None = None
        self._demonstrations: list[Demonstration] = []

    def train(self, observe: Callable[[Place, dict[str, float]], None] | None = None) -> bool:
        """Train from where it is, to the end or until `stop` is set; return whether it is at the end.

        Args:
            observe: called after every epoch with the place and the row of figures.

        Raises:
            JobError: it went wrong more often than the settings allow.
        """
        if not self.place.part:
            self._enter(self._parts()[0][0])
            self._save(best=False, figures={})
        while not self.stop:
            if self.place.step >= self._material.settings.total_steps:
                return True
            if self.place.part_steps >= dict(self._parts())[self.place.part]:
                names = [name for name, _ in self._parts()]
                self._enter(names[names.index(self.place.part) + 1])
            row = self._epoch()
            if observe and row:
                observe(self.place, row)
            patience = self._material.settings.guard.patience
            if patience and self.place.waited >= patience:
                self._run.event("early_stop", self.place.step, f"val_lpips is no better after {patience} epochs")
                return True
        return False

    def resume(self) -> None:
        """Go on from the last checkpoint of the run.

        Raises:
            InputError: there is none that can be used.
        """
        record, policy, optimizer, state = checkpoints.load_newest(self._run.checkpoints)
        self._restore(policy, optimizer, state)
        self._run.rewind(record.step)
        self._run.event("resume", record.step, f"from {record.file}")

    def _parts(self) -> list[tuple[str, int]]:
        """The parts of training and how many strokes each has."""
        warm, total = self._material.settings.warm_start, self._material.settings.total_steps
        before = [("clone", warm.clone.steps), ("twin", warm.twin.steps)] if warm.enabled else []
        return [*[(name, steps) for name, steps in before if steps], ("ppo", total)]

    def _progress(self) -> float:
        """Return the share of this part's steps that is done."""
        return min(1.0, self.place.part_steps / dict(self._parts())[self.place.part])

    def _enter(self, part: str) -> None:
        """Begin a part of training, with white canvases."""
        self.place = replace(self.place, part=part, part_steps=0)
        log.info("%s begins", part)
        self._take_up(part)
        self._learner.begin()
        if part != "ppo":
            horizon = self._material.settings.warm_start.twin.horizon if part == "twin" else 1
            warm_start.stagger(self._env, horizon)

    def _take_up(self, part: str) -> None:
        warm = self._material.settings.warm_start
        self._lesson = None
        self._demonstrations = []
        self._env.targets = self._at_stage()
        if part == "clone":
            self._demonstrations = self._material.demonstrations()
            self._lesson = warm_start.Cloning(self._network, self._env, self._demonstrations, warm.clone)
            self._env.targets = [demonstration.target for demonstration in self._demonstrations]
        elif part == "twin":
            self._lesson = warm_start.Descent(self._network, self._env, warm.twin)
        self._set_rates()

    def _epoch(self) -> dict[str, float]:
        """Paint and learn for one epoch; return its row, or nothing if it had to be taken back."""
        settings = self._material.settings
        started = time.perf_counter()
        if self.place.part != "clone":
            self._env.targets = self._at_stage()
        self._set_rates()
        rounds, progress = settings.agent.rollout_steps, self._progress()
        row = self._lesson.run(rounds, progress) if self._lesson else self._learner.run()
        strokes = settings.agent.rollout_steps * settings.canvases * self._material.environment.strokes_per_step
        spent = time.perf_counter() - started
        trouble = self._trouble(row)
        if trouble:
            self._set_back(trouble)
            return {}
        self.place = replace(
            self.place,
            step=self.place.step + strokes,
            part_steps=self.place.part_steps + strokes,
            epoch=self.place.epoch + 1,
        )
        last = self.place.step >= settings.total_steps
        row = {"epoch": self.place.epoch, **row, **self._validate(last), "steps_per_second": strokes / spent}
        if self._env.canvases.device.type == "cuda":
            row["gpu_memory_peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
        best = row.get("val_lpips", math.inf) < self.place.best
        if best:
            self.place = replace(self.place, best=row["val_lpips"], waited=0)
        elif "val_lpips" in row:
            self.place = replace(self.place, waited=self.place.waited + 1)
        # The row first: what a checkpoint holds is in the curve, and rows after it are cut off when it is gone on from.
        self._run.log(self.place.step, **row)
        if best or last or self.stop or self.place.epoch % settings.logging.checkpoint_interval == 0:
            self._save(best, row)
        return row

    def _validate(self, last: bool) -> dict[str, float]:
        settings = self._material.settings
        pictured = self.place.epoch % settings.logging.save_interval == 0
        if not pictured and not last and self.place.epoch % settings.validation.every:
            return {}
        cap = self._material.environment.stroke_cap
        count = settings.validation.strokes or cap
        painted = validation.paint(self._network, self._judged, self._material.validation, count)
        if pictured:
            self._show(painted)
        return {
            "val_lpips": float(painted.lpips.mean()),
            "val_psnr": float(painted.psnr.mean()),
            "stroke_utilization": count / cap,
        }

    def _show(self, painted: validation.Painted) -> None:
        """Keep the picture that was painted best."""
        index = int(painted.gained.argmax())
        target, strokes = self._material.validation[index], painted.strokes[index]
        size = self._material.environment.resolutions.render_px.wh
        self._run.epoch(
            self.place.epoch,
            target=target.srgb,
            canvas=self._judged.picture(index),
            strokes=strokes,
            heatmap=heatmap(strokes, Twin(self._material.luts, "cpu"), size),
            picture=target.name,
            lpips=float(painted.lpips[index]),
            psnr=float(painted.psnr[index]),
            reward=float(painted.gained[index]),
        )

    def _at_stage(self) -> list[Target]:
        curriculum = self._material.settings.curriculum
        stage: Stage = curriculum.stage
        if curriculum.advance_epochs:
            reached = self.place.epoch // curriculum.advance_epochs
            stage = STAGES[min(reached, STAGES.index(curriculum.stage))]
        return up_to(self._material.targets, stage)

    def _trouble(self, row: dict[str, float]) -> Trouble | None:
        """Say what is wrong with an update, if anything is."""
        guard = self._material.settings.guard
        wrong = [name for name, value in row.items() if not math.isfinite(value) and name != "explained_variance"]
        if wrong:
            return Trouble("nan", f"{', '.join(wrong)} not finite")
        if not all(bool(torch.isfinite(weights).all()) for weights in self._learner.policy.parameters()):
            return Trouble("nan", "weights are not finite")
        if row.get("approx_kl", 0.0) > guard.max_kl:
            return Trouble("kl", f"the policy moved by KL {row['approx_kl']:.3g} in one update, over {guard.max_kl:g}")
        entropy = row.get("entropy", math.inf) / self._learner.policy.log_std.numel()
        if entropy < guard.min_entropy:
            return Trouble("entropy_collapse", f"entropy {entropy:.3g} a number is under {guard.min_entropy:g}")
        return None

    def _set_back(self, trouble: Trouble) -> None:
        """Go back to the last good checkpoint and try with a smaller step and other randomness."""
        guard = self._material.settings.guard
        restarts, rate = self.place.restarts + 1, self.place.rate * guard.learning_rate_factor
        self._run.event(trouble.kind, self.place.step, trouble.message)
        if restarts > guard.restarts:
            raise JobError(f"{trouble.message}; given up after {guard.restarts} restarts")
        record, policy, optimizer, state = checkpoints.load_newest(self._run.checkpoints)
        self._restore(policy, optimizer, state)
        self.place = replace(self.place, restarts=restarts, rate=rate)
        self._set_rates()
        self._run.rewind(record.step)
        fresh = np.random.SeedSequence([self._material.settings.seed, restarts]).generate_state(1)[0]
        torch.manual_seed(int(fresh))
        np.random.seed(int(fresh))  # noqa: NPY002 - SB3 draws from it
        self._save(best=False, figures={})  # so that a resumed run knows of the restart
        self._run.event("restart", record.step, f"from {record.file}, learning rate times {rate:g}")

    def _set_rates(self) -> None:
        settings = self._material.settings
        self._learner.set_learning_rate(settings.agent.learning_rate * self.place.rate)
        if self._lesson:
            part = settings.warm_start.clone if self.place.part == "clone" else settings.warm_start.twin
            rate = part.learning_rate * (1.0 - (1.0 - _LAST_RATE) * self._progress()) * self.place.rate
            for group in self._lesson.optimizer.param_groups:
                group["lr"] = rate

    def _save(self, best: bool, figures: dict[str, float]) -> None:
        settings, place = self._material.settings, self.place
        canvases = self._env.canvases
        state = {
            "place": {name: getattr(place, name) for name in Place.__dataclass_fields__},
            "learner": self._learner.state(),
            "canvases": canvases.state(),
            "targets": [canvases.target(i).sha256 for i in range(len(canvases))],
            "generators": [checkpoints.generator_to_text(generator) for generator in self._env.generators],
            "env_returns": torch.from_numpy(self._env.returns.copy()),
            "lesson": self._lesson.optimizer.state_dict() if self._lesson else {},
        }
        checkpoints.save(
            self._run.checkpoints, self._learner.model, state, best,
            step=place.step, epoch=place.epoch, stage=place.part, seed=settings.seed,
            figures={name: value for name, value in figures.items() if math.isfinite(value)},
        )  # fmt: skip
        for name in ("last.pt", "best.pt") if best else ("last.pt",):
            path = self._run.checkpoints / name
            strategist.save_policy(path, self._network, settings.agent, self._material.environment)

    def _restore(self, policy: dict[str, Any], optimizer: dict[str, Any], state: dict[str, Any]) -> None:
        self.place = Place(**state["place"])
        self._take_up(self.place.part)
        known = {target.sha256: target for target in self._material.targets}
        known |= {demonstration.target.sha256: demonstration.target for demonstration in self._demonstrations}
        self._env.canvases.restore(state["canvases"], [known[name] for name in state["targets"]])
        self._env.generators = [checkpoints.generator_from_text(text) for text in state["generators"]]
        self._env.returns = state["env_returns"].numpy().copy()
        self._learner.policy.load_state_dict(policy)
        self._learner.policy.optimizer.load_state_dict(optimizer)
        if self._lesson:
            self._lesson.optimizer.load_state_dict(state["lesson"])
        self._learner.restore(state["learner"])
        self._set_rates()
        checkpoints.restore_generators(state["random"])
