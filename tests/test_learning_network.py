"""The strategist's network: it finds what it should look at, whatever the head; precision stays inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from airbrush_cli.learning import actions, backbones
from airbrush_cli.learning.heads import HeatmapHead, _Within, soft_argmax
from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.schemas.training import Agent, Compute
from tests.learning_setting import environment

PLAIN = environment()
FULL = environment("strokes_per_step=3", "observation={coordinates: true, strokes_left: true}")
FP32 = Compute(precision="fp32")


def dots(count: int, generator: torch.Generator, size: tuple[int, int] = (24, 20)) -> tuple[torch.Tensor, torch.Tensor]:
    """Black observations with a bright dot each, and where its centre lies, (x, y) in [-1, 1]."""
    height, width = size
    place = torch.rand(count, 2, generator=generator) * 0.8 + 0.1
    rows = ((torch.arange(height) + 0.5) / height)[None, :, None]
    columns = ((torch.arange(width) + 0.5) / width)[None, None, :]
    distance = ((columns - place[:, 0, None, None]) * width) ** 2 + ((rows - place[:, 1, None, None]) * height) ** 2
    observation = torch.zeros(count, 9, height, width)
    observation[:, :3] = torch.exp(-distance / 4.0)[:, None]
    return observation, 2.0 * place - 1.0


@pytest.mark.parametrize("head", ["heatmap_soft_argmax", "coordconv"])
def test_control_points_go_to_a_bright_dot(head: str) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    network = StrategistNetwork(PLAIN, Agent(backbone="small", spatial_head=head), FP32)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    unseen, wanted = dots(64, torch.Generator().manual_seed(2))

    def error() -> float:
        with torch.no_grad():
            points = network(unseen)[0][:, :8].reshape(-1, 4, 2)
        return float((points - wanted[:, None]).norm(dim=-1).mean())

    before = error()
    for _ in range(150):
        observation, place = dots(16, generator)
        points = network(observation)[0][:, :8].reshape(-1, 4, 2)
        loss = (points - place[:, None]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before > 0.5
    assert error() < 0.15


def test_soft_argmax_means_pixel_centres() -> None:
    """A single hot pixel is its own centre; heat spread evenly is the middle; heat sharpens as it gets colder."""
    logits = torch.full((1, 2, 5, 4), -1e9)
    logits[0, 0, 3, 1] = 0.0
    logits[0, 1] = 0.0
    points, heat = soft_argmax(logits, 1.0)
    assert points[0, 0].tolist() == pytest.approx([1.5 / 4, 3.5 / 5])
    assert points[0, 1].tolist() == pytest.approx([0.5, 0.5])
    assert heat.sum(dim=(2, 3)).tolist() == [pytest.approx([1.0, 1.0])]
    rough = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert soft_argmax(rough, 0.3)[1].max() > soft_argmax(rough, 3.0)[1].max()


@pytest.mark.parametrize("name", ["resnet34", "resnet18", "small"])
def test_backbones_return_a_map(name: str) -> None:
    backbone = backbones.build(name, 9)
    features = backbone(torch.rand(2, 9, 96, 64))
    assert features.ndim == 4 and features.shape[1] == backbone.channels
    assert min(features.shape[2:]) >= 2


@pytest.mark.parametrize("head", ["heatmap_soft_argmax", "coordconv"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_answers_are_fp32_and_within_bounds(head: str, precision: str) -> None:
    network = StrategistNetwork(FULL, Agent(backbone="small", spatial_head=head), Compute(precision=precision))  # type: ignore[arg-type]
    actions, values = network(torch.rand(2, 12, 40, 28))
    assert actions.shape == (2, 45) and values.shape == (2, 1)
    assert actions.dtype == values.dtype == torch.float32
    assert actions.abs().max() <= 1


def test_an_answer_does_not_depend_on_the_rest_of_the_batch() -> None:
    torch.manual_seed(0)
    network = StrategistNetwork(PLAIN, Agent(backbone="small"), FP32)
    pictures = torch.rand(3, 9, 40, 28)
    together = network(pictures)[0]
    for i in range(3):
        assert torch.allclose(network(pictures[i : i + 1])[0][0], together[i], atol=1e-5)


def test_recomputing_saves_memory_and_changes_nothing() -> None:
    observation = torch.rand(2, 9, 40, 28)
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        compute = Compute(precision="fp32", grad_checkpointing=recompute)
        network = StrategistNetwork(PLAIN, Agent(backbone="small"), compute)
        network(observation)[0].square().sum().backward()
        gradients.append(next(network.backbone.parameters()).grad)
    assert gradients[0] is not None and gradients[1] is not None
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_strokes_begin_apart_slow_and_in_the_wanted_colour_first_long_then_short() -> None:
    torch.manual_seed(0)
    surroundings = environment("strokes_per_step=10", "stroke_cap=200", "observation={strokes_left: true}")
    head = HeatmapHead(8, surroundings, temperature=0.25)
    observation = torch.zeros(2, 10, 48, 34)
    observation[:, :3] = torch.tensor([0.95, 0.73, 0.1])[:, None, None]  # 0.89, 0.5 and 0.01 of white's light
    observation[0, -1] = 1.0  # the first strokes and the last ones
    proposed = head(torch.zeros(2, 8, 24, 17), observation).reshape(2, 10, 15)
    points = proposed[..., :8].reshape(2, 10, 4, 2)
    long, short = (points[..., 3, :] - points[..., 0, :]).norm(dim=-1).mean(dim=-1).tolist()
    assert long > 2 * short
    middles = points[1].mean(dim=1)
    apart = torch.cdist(middles, middles) + 9 * torch.eye(10)
    assert apart.min() > 0.3 and middles.abs().amax() > 0.6
    assert (proposed[..., 10:12] < -0.7).all()
    ink = proposed[..., 12:]
    assert (ink[..., 0] < -0.5).all() and (ink[..., 1].abs() < 0.5).all() and (ink[..., 2] > 0.5).all()


def test_what_has_gone_too_far_finds_back() -> None:
    """Outside [-1, 1] an answer is clipped, and only gradients that lead back inside reach it."""
    x = torch.tensor([-2.0, -2.0, 0.5, 2.0, 2.0], requires_grad=True)
    pull = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    clipped = _Within.apply(x)  # type: ignore[no-untyped-call]
    (clipped * pull).sum().backward()
    assert clipped.tolist() == [-1.0, -1.0, 0.5, 1.0, 1.0]
    assert x.grad is not None and x.grad.tolist() == [0.0, -1.0, 1.0, 1.0, 0.0]


def test_last_strokes_are_kept_lower() -> None:
    surroundings = environment("strokes_per_step=2", "observation={strokes_left: true}")
    agent = Agent(backbone="small", highest_mm=20.0, last_highest_mm=5.0)
    network = StrategistNetwork(surroundings, agent, FP32)
    observation = torch.rand(2, 10, 40, 28)
    observation[0, -1], observation[1, -1] = 1.0, 0.0
    with torch.no_grad():
        for part in network.head.rest:  # type: ignore[union-attr]
            part[-1].bias.fill_(9.0)
        first, last = actions.to_strokes(network(observation)[0].numpy())
    assert np.allclose(first[:, 8:10], 20.0, atol=1e-3) and np.allclose(last[:, 8:10], 5.0, atol=1e-3)


def test_ink_sees_the_colour_under_the_heat() -> None:
    """With the heat on one pixel, nothing but that pixel and the mean of the features decides the ink."""
    torch.manual_seed(0)
    head = HeatmapHead(8, PLAIN, temperature=1.0)
    features = torch.zeros(1, 8, 6, 4)
    with torch.no_grad():
        head.heat.weight.zero_()
        head.heat.weight[:, 0] = 1.0
    features[0, 0, 2, 1] = 100.0
    observation = torch.rand(1, 9, 6, 4, generator=torch.Generator().manual_seed(0))
    elsewhere, there = observation.clone(), observation.clone()
    elsewhere[0, :3, 5, 3] += 0.5
    there[0, :3, 2, 1] += 0.5
    plain = head(features, observation)
    assert np.allclose(head(features, elsewhere).detach(), plain.detach(), atol=1e-6)
    assert not np.allclose(head(features, there).detach()[:, 12:], plain.detach()[:, 12:], atol=1e-4)
