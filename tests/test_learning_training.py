"""Training: it learns, it can be killed and gone on with, the same seed gives the same curve, trouble is undone."""

from __future__ import annotations

import functools
import math
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from airbrush_cli.errors import InputError, JobError
from airbrush_cli.learning import actions, checkpoints, plans, rows, warm_start
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.learning.run import Run, read_record
from airbrush_cli.learning.strategist import load_policy
from airbrush_cli.learning.trainer import Material, Trainer
from airbrush_cli.learning.validation import paint
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.lpips_weights import find
from airbrush_cli.metrics import Lpips
from airbrush_cli.schemas.environment import Environment
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.schemas.training import Compute
from tests.learning_setting import (
    ENVIRONMENT,
    LUTS,
    TRAIN,
    environment,
    random_backbones,
    targets,
    train_settings,
    write_pictures,
)

# What depends on the clock and not on the seed.
_OF_THE_CLOCK = {"time", "steps_per_second"}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_backbones(tmp_path_factory.mktemp("backbones"))


@pytest.fixture(scope="module")
def lpips(backbones: Path) -> Lpips:
    return Lpips("alex", backbones)


def material(lpips: Lpips, *overrides: str, surroundings: Environment | None = None) -> Material:
    settings, training, judges = train_settings(*overrides), targets(6), targets(2, first=100)
    return Material(settings, surroundings or environment(), LUTS, lpips, training, judges, demonstrations)


@functools.cache
def demonstrations() -> list[plans.Demonstration]:
    return plans.make_demonstrations(targets(2), LUTS, environment().stroke_cap, 100, 0)


def curve(folder: Path) -> list[dict[str, float]]:
    found = rows.read_metrics(folder / "metrics.yaml")
    return [{name: value for name, value in row.items() if name not in _OF_THE_CLOCK} for row in found]


def train(out: Path, given: Material, stop_after: int | None = None) -> tuple[Trainer, Path]:
    run = Run.create(out, "ppo")
    trainer = Trainer(given, run)

    def observe(place: Any, row: dict[str, float]) -> None:
        trainer.stop = place.epoch == stop_after

    trainer.train(observe)
    run.finish("interrupted" if trainer.stop else "done")
    return trainer, run.folder


def same(a: list[dict[str, float]], b: list[dict[str, float]]) -> bool:
    """Equal to the last bit, NaN (an explained variance of nothing) equal to NaN."""
    return repr(a) == repr(b)


def test_a_seed_decides_the_curve_and_parts_follow_one_another(tmp_path: Path, lpips: Lpips, whole: Path) -> None:
    trainer, first = train(tmp_path, material(lpips))
    _, other = train(tmp_path, material(lpips, "seed=1"))
    one = curve(first)
    assert same(one, curve(whole))
    assert not same(one, curve(other))
    assert [row["step"] for row in one] == list(range(48, 385, 48))
    assert ["warm_start_loss" in row for row in one] == [True] * 5 + [False] * 3  # 96 cloned, 144 descended
    assert all(math.isfinite(row["val_lpips"]) and math.isfinite(row["val_psnr"]) for row in one)
    assert {"reward_mean", "approx_kl", "entropy", "explained_variance"} <= one[-1].keys()
    assert (first / "monitor" / "latest" / "strokes.yaml").is_file()
    trained = load_policy(first / "checkpoints" / "best.pt")
    assert trained.environment == environment()
    assert sorted(path.name for path in (first / "checkpoints").glob("*.yaml")) == ["best.yaml", "last.yaml"]
    assert len(list((first / "checkpoints").glob("step_*.zip"))) <= 2
    assert trainer.place.step == 384


def test_proposals_for_one_step_imitate_different_strokes() -> None:
    coming = np.random.default_rng(0).uniform(LOW, HIGH, (5, 15))
    proposed = torch.from_numpy(actions.from_strokes(coming)).float()
    backwards = proposed[[3, 1]][:, [6, 7, 4, 5, 2, 3, 0, 1, 9, 8, 11, 10, 12, 13, 14]]
    assert warm_start.distance(backwards, coming) == pytest.approx(0, abs=1e-5)
    assert warm_start.distance(proposed[[3, 3]], coming) > 0.1
    assert warm_start.distance(proposed, coming[:2]) == pytest.approx(0, abs=1e-5)


def test_descent_pulls_the_error_back_through_the_whole_horizon(lpips: Lpips) -> None:
    """What it learns from is what three steps left, and the first of them learn from what the last ones covered."""
    surroundings = environment("strokes_per_step=4", "observation={strokes_left: true}")
    env = AirbrushVecEnv(Canvases(2, surroundings, LUTS, lpips), targets(2))
    env.seed(0)
    env.reset()
    settings = train_settings().warm_start.twin.model_copy(update={"horizon": 3, "noise": 0.0})
    torch.manual_seed(0)
    network = StrategistNetwork(surroundings, train_settings().agent, Compute(precision="fp32"))
    wanted = env.canvases.wanted.clone()
    row = warm_start.Descent(network, env, settings).run(3)
    assert env.canvases.done().all()
    white, left = (
        warm_start._error(light, wanted)[0] for light in (torch.ones_like(env.canvases.light), env.canvases.light)
    )
    assert row["warm_start_loss"] == pytest.approx(float(((left - white) / white).mean()), abs=5e-3)
    env.canvases.strokes[:] = [0, 4]  # one has two steps left: the horizon ends there, and a new picture begins
    warm_start.Descent(network, env, settings).run(3)
    assert env.canvases.strokes.tolist() == [12, 4]


def test_staggered_canvases_stand_whole_horizons_apart(lpips: Lpips) -> None:
    env = AirbrushVecEnv(Canvases(4, environment("strokes_per_step=2"), LUTS, lpips), targets(2))
    env.seed(0)
    env.reset()
    for horizon, wanted in ((1, [0, 2, 6, 8]), (3, [0, 0, 6, 6]), (6, [0, 0, 0, 0])):
        warm_start.stagger(env, horizon)
        assert env.canvases.strokes.tolist() == wanted


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, lpips: Lpips) -> Path:
    """An uninterrupted run."""
    return train(tmp_path_factory.mktemp("whole"), material(lpips))[1]


@pytest.mark.parametrize("stop_after", [1, 3, 6])  # while cloning, descending, in PPO
def test_stopped_and_gone_on_with_is_the_same_curve(tmp_path: Path, lpips: Lpips, whole: Path, stop_after: int) -> None:
    trainer, folder = train(tmp_path, material(lpips), stop_after)
    assert len(curve(folder)) == stop_after
    with Run.open(folder) as run:
        run.log(10_000, reward_mean=7.0)  # a row after the checkpoint, as a killed process leaves
        trainer = Trainer(material(lpips), run)
        trainer.resume()
        assert trainer.train()
    assert same(curve(folder), curve(whole))


@pytest.mark.timeout(900)  # three processes, which a busy machine may take long to start
def test_a_killed_run_goes_on(tmp_path: Path, backbones: Path) -> None:
    """kill -9 in the middle of training: what is on the disk is whole, and the curve goes on as if nothing had been."""
    pictures = write_pictures(tmp_path / "pictures", 5)
    surroundings = {**os.environ, "AIRBRUSH_LPIPS_WEIGHTS": str(backbones)}
    settings = [*[f"env.{text}" for text in ENVIRONMENT], *TRAIN, "total_steps=960"]
    options = [part for text in settings for part in ("--set", text)]
    start = [sys.executable, "-m", "airbrush_cli.app", "train", "ppo"]

    def begin(out: Path) -> subprocess.Popen[str]:
        command = [*start, "--pictures", str(pictures), "--out", str(out), *options]
        return subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    uninterrupted, victim = begin(tmp_path / "whole"), begin(tmp_path / "killed")
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and victim.poll() is None:
        found = list((tmp_path / "killed").glob("runs/*/metrics.yaml"))
        if found and found[0].read_text().count("\n") >= 7:
            break
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    folder = next((tmp_path / "killed" / "runs").iterdir())
    assert read_record(folder).state == "running"
    checkpoints.load(folder / "checkpoints")

    done = subprocess.run([*start, "--resume", str(folder)], env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder)]
    out, err = uninterrupted.communicate()
    assert uninterrupted.returncode == 0, err
    assert same(curve(folder), curve(Path(out.strip())))
    assert read_record(folder).state == "done"


# Several strokes a step, so that an episode is three steps.
_SEVERAL = "strokes_per_step=4"


def gains(strategist: Trainer | None, lpips: Lpips, episodes: int = 20) -> np.ndarray:
    """By how much LPIPS falls in an episode, of the strategist or of random strokes, on pictures never trained on."""
    unseen = targets(episodes, first=500)
    canvases = Canvases(episodes, environment(_SEVERAL), LUTS, lpips)
    if strategist:
        return paint(strategist._network, canvases, unseen, 12).gained
    canvases.begin(range(episodes), unseen)
    strokes = actions.to_strokes(np.random.default_rng(0).uniform(-1, 1, (episodes, 12 * 15)))
    return canvases.paint(strokes)


def test_training_beats_chance_and_a_warm_start_beats_none(tmp_path: Path) -> None:
    if find("alex") is None:
        pytest.skip("no trained AlexNet for LPIPS here (`python -m airbrush_cli.lpips_weights` fetches it)")
    perception = Lpips("alex")
    steps = ["total_steps=3072", "canvases=16", "agent.rollout_steps=6", "agent.batch_size=48", "agent.passes=2"]
    steps += ["agent.softargmax_temp=0.25", "agent.learning_rate=3.0e-5", "agent.log_std_init=-2.0"]
    steps += ["validation.every=1000", "logging.save_interval=1000", "logging.checkpoint_interval=1000"]
    warm = ["warm_start={clone: {steps: 0}, twin: {steps: 2688, learning_rate: 0.002, lpips_weight: 1.0}}"]
    with_it, _ = train(tmp_path, material(perception, *steps, *warm, surroundings=environment(_SEVERAL)))
    cold = [*steps, "warm_start.enabled=false"]
    without, _ = train(tmp_path, material(perception, *cold, surroundings=environment(_SEVERAL)))
    assert with_it.place.step == without.place.step
    chance, learnt, untaught = (gains(who, perception) for who in (None, with_it, without))
    error = math.hypot(learnt.std(ddof=1), chance.std(ddof=1)) / math.sqrt(len(learnt))
    assert learnt.mean() > chance.mean() + 3 * error
    assert learnt.mean() > untaught.mean()


def poison(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, at: int, times: int, **values: float) -> None:
    """Let PPO's updates report something bad, a few times from the `at`-th on."""
    run, calls = trainer._learner.run, []

    def bad() -> dict[str, float]:
        calls.append(1)
        row = run()
        return {**row, **values} if at <= len(calls) < at + times else row

    monkeypatch.setattr(trainer._learner, "run", bad)


@pytest.mark.parametrize(
    ("values", "kind"),
    [({"loss": math.nan}, "nan"), ({"approx_kl": 9.0}, "kl"), ({"entropy": -99.0}, "entropy_collapse")],
)
def test_trouble_is_undone(
    tmp_path: Path, lpips: Lpips, monkeypatch: pytest.MonkeyPatch, values: dict[str, float], kind: str
) -> None:
    run = Run.create(tmp_path, "ppo")
    trainer = Trainer(material(lpips, "warm_start.enabled=false", "total_steps=240"), run)
    poison(trainer, monkeypatch, at=3, times=1, **values)
    assert trainer.train()
    kinds = [event.kind for event in rows.read_events(run.folder / "events.yaml")]
    assert kinds == [kind, "restart"]
    found = curve(run.folder)
    assert [row["step"] for row in found] == [48, 96, 144, 192, 240]
    assert [row["learning_rate"] for row in found] == pytest.approx([3e-4] * 2 + [1.5e-4] * 3)
    assert trainer.place.restarts == 1


def test_weights_that_are_not_finite_are_noticed(tmp_path: Path, lpips: Lpips, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(tmp_path, "ppo")
    trainer = Trainer(material(lpips, "warm_start.enabled=false", "total_steps=144"), run)
    learn, calls = trainer._learner.run, []

    def break_once() -> dict[str, float]:
        row = learn()
        calls.append(1)
        if len(calls) == 2:
            with torch.no_grad():
                trainer._learner.policy.log_std[0] = math.nan
        return row

    monkeypatch.setattr(trainer._learner, "run", break_once)
    assert trainer.train()
    assert [event.kind for event in rows.read_events(run.folder / "events.yaml")] == ["nan", "restart"]
    assert all(bool(torch.isfinite(weights).all()) for weights in trainer._learner.policy.parameters())


def test_trouble_that_stays_ends_the_run(tmp_path: Path, lpips: Lpips, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(tmp_path, "ppo")
    trainer = Trainer(material(lpips, "warm_start.enabled=false", "guard.restarts=2"), run)
    poison(trainer, monkeypatch, at=2, times=99, loss=math.inf)
    with pytest.raises(JobError, match="given up after 2 restarts"):
        trainer.train()
    checkpoints.load(run.checkpoints)


def test_patience_ends_training(tmp_path: Path, lpips: Lpips) -> None:
    frozen = ["warm_start.enabled=false", "agent.learning_rate=1.0e-12", "guard.patience=2", "total_steps=4800"]
    trainer, folder = train(tmp_path, material(lpips, *frozen))
    assert trainer.place.step < 480
    assert [event.kind for event in rows.read_events(folder / "events.yaml")] == ["early_stop"]


def test_a_damaged_checkpoint_is_noticed(tmp_path: Path, lpips: Lpips) -> None:
    _, folder = train(tmp_path, material(lpips, "warm_start.enabled=false", "total_steps=96"))
    path = (folder / "checkpoints" / "last.zip").resolve()
    with zipfile.ZipFile(path) as archive:
        assert {"policy.pth", "policy.optimizer.pth", checkpoints.STATE, "data"} <= set(archive.namelist())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="SHA-256"):
        checkpoints.load(folder / "checkpoints")


def test_sb3_opens_its_own_zip(tmp_path: Path, lpips: Lpips) -> None:
    from stable_baselines3 import PPO

    trainer, folder = train(tmp_path, material(lpips, "warm_start.enabled=false", "total_steps=48"))
    loaded = PPO.load(folder / "checkpoints" / "last.zip")
    seen = trainer._env.canvases.observe().numpy()
    ours, theirs = (model.predict(seen, deterministic=True)[0] for model in (trainer._learner.model, loaded))
    assert np.array_equal(ours, theirs)
