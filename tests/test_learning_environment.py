"""The environments: what Gymnasium and SB3 ask for, three rasters, and one batch that equals many canvases."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from airbrush_cli import colour
from airbrush_cli.learning import actions, sheet
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.environment import ID, AirbrushPainter
from airbrush_cli.learning.targets import STAGES, Target, bucket, difficulty, up_to
from airbrush_cli.learning.vec_env import AirbrushVecEnv
from airbrush_cli.metrics import Lpips
from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.schemas.training import Tile
from airbrush_cli.twin import render
from tests.learning_setting import LUTS, environment, random_backbones, targets


@pytest.fixture(scope="module")
def lpips(tmp_path_factory: pytest.TempPathFactory) -> Lpips:
    return Lpips("alex", random_backbones(tmp_path_factory.mktemp("backbones")))


def test_actions_are_strokes_scaled_by_their_bounds() -> None:
    assert np.array_equal(actions.to_strokes(-np.ones(15))[0], LOW)
    assert np.array_equal(actions.to_strokes(np.ones(15))[0], HIGH)
    assert np.array_equal(actions.to_strokes(np.full(15, 7.0))[0], HIGH)
    given = np.random.default_rng(0).uniform(-1, 1, (5, 30))
    strokes = actions.to_strokes(given)
    assert strokes.shape == (5, 2, 15)
    assert np.allclose(actions.from_strokes(strokes).reshape(5, 30), given)
    assert np.allclose(actions.to_stroke_tensor(torch.from_numpy(given)).numpy(), strokes)


def test_gymnasium_and_sb3_accept_the_environment(lpips: Lpips) -> None:
    from gymnasium.utils.env_checker import check_env as check_by_gymnasium
    from stable_baselines3.common.env_checker import check_env as check_by_sb3

    made = gymnasium.make(ID, settings=environment(), targets=targets(3), luts=LUTS, lpips=lpips)
    check_by_gymnasium(made.unwrapped)
    check_by_sb3(made.unwrapped, warn=False)


def test_three_rasters_are_independent(lpips: Lpips) -> None:
    settings = environment(
        "resolutions={render_px: {w: 40, h: 60}, obs_px: {w: 16, h: 24}, reward_px: {w: 34, h: 50}}",
        "observation={coordinates: true, strokes_left: true}",
        "strokes_per_step=2",
    )
    big = np.full((60, 40, 3), 90, np.uint8)
    painter = AirbrushPainter(settings, [Target("a", big, "", 0.0)], LUTS, lpips)
    seen, info = painter.reset(seed=1)
    assert seen.shape == (12, 24, 16) and seen.dtype == np.float32
    assert painter.render().shape == (60, 40, 3)
    assert info["strokes"] == 0
    grey = colour.linear_to_srgb(colour.srgb8_to_linear(big))[0, 0, 0]
    for channels, value in ((seen[:3], grey), (seen[3:6], 1), (seen[6:9], 1 - grey)):
        assert np.allclose(channels, value, atol=1e-3)
    assert seen[9, 0, 0] == pytest.approx(0.5 / 16) and seen[10, -1, 0] == pytest.approx(23.5 / 24)
    assert (seen[11] == 1).all()
    seen, _, ended, _, info = painter.step(np.zeros(30, np.float32))
    assert info["strokes"] == 2 and not ended
    assert np.allclose(seen[11], 1 - 2 / 12)


def test_observations_are_area_means_of_the_render_raster(lpips: Lpips) -> None:
    settings = environment("resolutions={render_px: {w: 36, h: 48}, obs_px: {w: 12, h: 12}, reward_px: {w: 36, h: 48}}")
    page = np.random.default_rng(0).integers(0, 256, (48, 36, 3), dtype=np.uint8)
    canvases = Canvases(1, settings, LUTS, lpips)
    canvases.begin([0], [Target("a", page, "", 0.0)])
    canvases.lay(actions.to_strokes(np.full((1, 15), 0.1)))
    wanted = page / 255
    there = colour.linear_to_srgb(canvases.light[0].numpy().astype(np.float64))
    state = np.concatenate([wanted, there, abs(wanted - there)], axis=2)
    means = state.reshape(12, 4, 12, 3, 9).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.allclose(canvases.observe()[0].numpy(), means, atol=2e-4)


def test_rewards_add_up_and_the_episode_ends_at_the_cap(lpips: Lpips) -> None:
    painter = AirbrushPainter(environment(), targets(3), LUTS, lpips)
    _, info = painter.reset(seed=5)
    first, total, generator = info["lpips"], 0.0, np.random.default_rng(0)
    for step in range(12):
        _, reward, ended, cut, info = painter.step(generator.uniform(-1, 1, 15).astype(np.float32))
        total += reward
        assert ended == (step == 11) and not cut
    assert total == pytest.approx(first - info["lpips"], abs=1e-9)


def test_a_seed_decides_the_targets(lpips: Lpips) -> None:
    painter = AirbrushPainter(environment(), targets(20), LUTS, lpips)
    names = []
    for _ in range(2):
        names.append([painter.reset(seed=3)[1]["target"], *[painter.reset()[1]["target"] for _ in range(4)]])
    assert names[0] == names[1]
    assert painter.reset(options={"target": 7})[1]["target"] == "p7"


@pytest.mark.parametrize("strokes", [1, 3])
def test_one_batch_gives_what_single_environments_give(lpips: Lpips, strokes: int) -> None:
    settings, pool, count = environment(f"strokes_per_step={strokes}"), targets(6), 5
    batch = AirbrushVecEnv(Canvases(count, settings, LUTS, lpips), pool)
    batch.seed(11)
    singles = [AirbrushPainter(settings, pool, LUTS, lpips) for _ in range(count)]
    seen = batch.reset()
    assert np.allclose(seen, np.stack([single.reset(seed=11 + i)[0] for i, single in enumerate(singles)]), atol=1e-6)
    generator = np.random.default_rng(0)
    for _ in range(15):  # over an episode's end
        given = generator.uniform(-1.1, 1.1, (count, 15 * strokes)).astype(np.float32)
        seen, rewards, done, infos = batch.step(given)
        for i, single in enumerate(singles):
            alone, reward, ended, _, _ = single.step(given[i])
            assert rewards[i] == pytest.approx(reward, abs=2e-5)
            assert done[i] == ended
            if ended:
                assert np.allclose(infos[i]["terminal_observation"], alone, atol=1e-5)
                alone = single.reset()[0]
            assert np.allclose(seen[i], alone, atol=1e-5)


def test_a_batch_can_be_left_and_gone_on_with(lpips: Lpips) -> None:
    settings, pool = environment(), targets(4)
    canvases = Canvases(2, settings, LUTS, lpips)
    canvases.begin([0, 1], pool[:2])
    generator = np.random.default_rng(0)
    canvases.paint(actions.to_strokes(generator.uniform(-1, 1, (2, 15))))
    other = Canvases(2, settings, LUTS, lpips)
    other.restore(canvases.state(), pool[:2])
    assert torch.equal(other.observe(), canvases.observe())
    more = actions.to_strokes(generator.uniform(-1, 1, (2, 15)))
    assert np.array_equal(other.paint(more), canvases.paint(more))


def test_tiles_measure_nearly_the_same(lpips: Lpips) -> None:
    big, small = "{w: 96, h: 128}", "{w: 32, h: 48}"
    settings = environment(f"resolutions={{render_px: {big}, obs_px: {small}, reward_px: {big}}}")
    page = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    whole, tiled = Canvases(1, settings, LUTS, lpips), Canvases(1, settings, LUTS, lpips, Tile(size=64, overlap=32))
    for canvases in (whole, tiled):
        canvases.begin([0], [Target("a", page, "", 0.0)])
    assert tiled.distance[0] == pytest.approx(whole.distance[0], rel=0.2)


def test_a_sheet_paints_what_canvases_alone_show_and_carries_gradients() -> None:
    generator = np.random.default_rng(0)
    strokes = actions.to_strokes(generator.uniform(-1, 1, (4, 30)))
    strokes[0, 0, 1:8:2] = 0.5  # over the upper edge
    strokes[1, 0, 1:8:2] = 296.5
    light = torch.from_numpy(generator.random((4, 48, 34, 3)).astype(np.float32))
    alone = light.numpy().copy()
    render.paint_batch_in_place(strokes, LUTS, alone)
    given = torch.tensor(strokes, requires_grad=True)
    painted = sheet.render(given, light, LUTS, (210.0, 297.0))
    assert np.allclose(painted.detach().numpy(), alone, atol=2e-4)
    weights = torch.from_numpy(generator.standard_normal(painted.shape).astype(np.float32))
    (painted * weights).sum().backward()
    assert given.grad is not None
    one = torch.tensor(strokes[2:3], requires_grad=True)
    (sheet.render(one, light[2:3], LUTS, (210.0, 297.0)) * weights[2:3]).sum().backward()
    assert one.grad is not None
    assert torch.allclose(given.grad[2], one.grad[0], rtol=1e-2, atol=1e-3)


def test_difficulty_orders_pictures() -> None:
    rows, columns = np.mgrid[0:96, 0:64]
    flat = np.full((96, 64, 3), 120, np.uint8)
    ramp = np.repeat((rows * 2)[..., None], 3, axis=2).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    values = [difficulty(page) for page in (flat, ramp, noise)]
    assert values == sorted(values) and values[0] == 0
    some = targets(9)
    assert [bucket(some).count(stage) for stage in STAGES] == [3, 3, 3]
    assert [len(up_to(some, stage)) for stage in STAGES] == [3, 6, 9]
    assert bucket(some)[0] == "easy" and bucket(some)[8] == "hard"
    assert len(columns)


def test_white_paper_wants_no_paint(lpips: Lpips) -> None:
    """Whatever is painted on a white target costs: flooding is never rewarded."""
    white = Target("white", np.full((48, 34, 3), 255, np.uint8), "", 0.0)
    painter = AirbrushPainter(environment(), [white], LUTS, lpips)
    painter.reset(seed=0)
    generator = np.random.default_rng(0)
    assert sum(painter.step(generator.uniform(-1, 1, 15).astype(np.float32))[1] for _ in range(6)) < 0
