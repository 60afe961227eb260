"""Painting with a trained strategist: its file, the strokes that it proposes, and who paints in `airbrush paint`."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from airbrush_cli import app, colour, config, documents
from airbrush_cli.errors import InputError
from airbrush_cli.job import JobFolder
from airbrush_cli.learning.canvases import Canvases
from airbrush_cli.learning.network import StrategistNetwork
from airbrush_cli.learning.strategist import PolicyStrategist, Trained, load_policy, save_policy
from airbrush_cli.learning.validation import paint
from airbrush_cli.metrics import Lpips
from airbrush_cli.painter.choice import BlindStrategist, Sketch, make_strategist
from airbrush_cli.painter.strategist import ErrorStrategist
from airbrush_cli.schemas.paint import PaintSettings
from airbrush_cli.schemas.stroke import HIGH, LOW, StrokesDocument
from airbrush_cli.schemas.training import Agent, Compute
from airbrush_cli.twin.model import Twin
from tests.learning_setting import LUTS, environment, picture, random_backbones, targets

AGENT = Agent(backbone="small")
SPACING = float(np.sqrt(210 * 297 / 12))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    settings = environment("observation={strokes_left: true}")
    path = tmp_path_factory.mktemp("policy") / "policy.pt"
    save_policy(path, StrategistNetwork(settings, AGENT, Compute(precision="fp32")), AGENT, settings)
    return path


def test_the_file_brings_the_network_back(policy: Path) -> None:
    one, two = load_policy(policy), load_policy(policy)
    assert one.environment.observation.strokes_left
    seen = torch.rand(2, 10, 48, 34)
    assert torch.equal(one.network(seen)[0], two.network(seen)[0])


def test_a_file_that_could_run_something_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    path = tmp_path / "policy.pt"
    torch.save({"format": "airbrush.strategist.v1", "weights": Trap()}, path)
    with pytest.raises(InputError, match=r"policy\.pt"):
        load_policy(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError):
        load_policy(path)
    assert not (tmp_path / "sprung").exists()
    torch.save({"format": "another"}, path)
    with pytest.raises(InputError, match="another"):
        load_policy(path)
    with pytest.raises(InputError):
        load_policy(tmp_path / "nothing.pt")


def test_the_strategist_paints_what_the_network_paints_in_training(policy: Path, tmp_path: Path) -> None:
    trained, target = load_policy(policy), targets(1)[0]
    canvases = Canvases(1, trained.environment, LUTS, Lpips("alex", random_backbones(tmp_path)))
    wanted = paint(trained.network, canvases, [target], 12).strokes[0]
    linear = colour.srgb8_to_linear(target.srgb)
    white = np.ones_like(linear)
    generator = np.random.default_rng(0)
    found = PolicyStrategist(trained, LUTS).propose(linear, white, 12, SPACING, generator)
    assert np.allclose(found, wanted, atol=2e-2)
    # In two rounds, with the canvas between them, it goes on where it was.
    first = PolicyStrategist(trained, LUTS).propose(linear, white, 5, float(np.sqrt(210 * 297 / 5)), generator)
    canvas = Twin(LUTS, "cpu").render(first, (34, 48))
    second = PolicyStrategist(trained, LUTS).propose(linear, canvas, 7, SPACING, generator)
    assert np.allclose(np.vstack([first, second]), wanted, atol=5e-2)


def test_any_size_and_several_strokes_at_a_time(policy: Path) -> None:
    loaded = load_policy(policy)
    settings = loaded.environment.model_copy(update={"strokes_per_step": 3})
    network = StrategistNetwork(settings, AGENT, Compute(precision="fp32"))
    big = np.full((200, 141, 3), 0.4, np.float32)
    found = PolicyStrategist(Trained(network, settings), LUTS).propose(
        big, np.ones_like(big), 7, 20.0, np.random.default_rng(0)
    )
    assert found.shape == (7, 15)
    assert (found >= LOW).all() and (found <= HIGH).all()


def test_beyond_its_count_the_built_in_strategist_goes_on() -> None:
    """Its own strokes first, as many as it was trained for; then what the built-in one sees on the canvas with them."""
    settings = environment("strokes_per_step=2", "observation={strokes_left: true}")  # 12 strokes
    torch.manual_seed(0)
    network = StrategistNetwork(settings, AGENT, Compute(precision="fp32"))
    strategist = PolicyStrategist(Trained(network, settings), LUTS)
    linear, white = colour.srgb8_to_linear(picture(1)), np.ones((48, 34, 3), np.float32)
    own = strategist.propose(linear, white, 12, float(np.sqrt(210 * 297 / 12)), np.random.default_rng(0))
    spacing = float(np.sqrt(210 * 297 / 24))
    more = strategist.propose(linear, white, 24, spacing, np.random.default_rng(0))
    canvas = Twin(LUTS, "cpu").render(own, (34, 48))
    rest = ErrorStrategist(LUTS).propose(linear, canvas, 12, spacing, np.random.default_rng(0))
    assert len(own) == 12 and len(rest)
    assert np.allclose(more[:12], own) and np.allclose(more[12:], rest, atol=1e-3)
    assert (white == 1.0).all()
    after = strategist.propose(linear, canvas, 12, spacing, np.random.default_rng(0))
    assert np.allclose(after, rest, atol=1e-3)


def test_who_paints(policy: Path) -> None:
    assert isinstance(make_strategist(LUTS), ErrorStrategist)
    assert isinstance(make_strategist(LUTS, policy), PolicyStrategist)
    assert isinstance(make_strategist(LUTS, policy, looks=False), BlindStrategist)


def test_a_sketch_keeps_to_its_count_and_beats_white_paper() -> None:
    settings = config.load("paint", PaintSettings, None, ["strokes=60"])
    linear = colour.srgb8_to_linear(picture(1, (114, 160)))
    twin = Twin(LUTS, "cpu")
    strokes = Sketch(linear, twin, ErrorStrategist(LUTS), settings).run()
    assert 0 < len(strokes) <= 60
    white = np.ones_like(linear)
    painted = twin.render(strokes, (114, 160))
    assert np.square(painted - linear).mean() < np.square(white - linear).mean()
    blind = Sketch(linear, twin, BlindStrategist(LUTS), settings).run()
    assert len(blind) == 60 and np.isfinite(blind).all()


def test_paint_takes_a_policy(policy: Path, tmp_path: Path, examples: Path) -> None:
    source = sorted(examples.glob("*.png"))[0]
    assert app.run(["preprocess", str(source), "--out", str(tmp_path), "-q"]) == 0
    job = next(tmp_path.glob("*/*_manifest.yaml"))
    assert (
        app.run(["paint", str(job), "--policy", str(policy), "--no-technician", "--strokes", "12", "--no-gcode"]) == 0
    )
    assert len(documents.load(job.parent / "strokes.yaml", StrokesDocument).strokes) == 12
    options = JobFolder.open(job).job.provenance["paint"].options
    assert options["technician"] is False and options["policy_sha256"]
    assert app.run(["paint", str(job), "--policy", str(tmp_path / "none.pt"), "-q"]) != 0
