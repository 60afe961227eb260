"""LPIPS: held to the lpips package with random backbones, and to published values where trained ones are at hand."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from airbrush_cli.lpips_weights import BACKBONES
from airbrush_cli.metrics import Lpips, MissingWeights, backbones

NETS = sorted(BACKBONES)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Backbones with random weights."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(0)
    for net, backbone in BACKBONES.items():
        torch.save(backbones.architecture(net).state_dict(), folder / backbone.file)
    return folder


@pytest.fixture(scope="session")
def alex(folder) -> Lpips:
    return Lpips("alex", folder)


@pytest.fixture(scope="session")
def package() -> ModuleType:
    """The lpips package itself.

    It imports torchvision, which at once describes two operators that only a build made for this torch registers. Where
    the two do not fit together, declaring the operators is enough: no one calls them.
    """
    try:
        return importlib.import_module("lpips")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("lpips")


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Two pictures of 61x83 pixels: smooth shapes, and the same blurred and noisy."""
    random = np.random.default_rng(0)
    a = cv2.resize(random.integers(0, 256, (8, 10, 3), dtype=np.uint8), (83, 61), interpolation=cv2.INTER_CUBIC)
    b = cv2.GaussianBlur(a, (0, 0), 2).astype(int) + random.integers(-9, 10, a.shape)
    return a, np.clip(b, 0, 255).astype(np.uint8)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 255


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
@pytest.mark.parametrize("net", NETS)
def test_values_are_those_of_the_package(net, package, pictures, tmp_path):
    torch.manual_seed(1)
    reference = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = {re.sub(r"slice\d+", "features", name): value for name, value in reference.net.state_dict().items()}
    torch.save(state, tmp_path / BACKBONES[net].file)
    x, y = (2 * tensor(picture) - 1 for picture in pictures)
    value = reference(x, y).item()
    assert value > 0.001
    assert Lpips(net, tmp_path).distance(*pictures) == pytest.approx(value, rel=1e-4)


PUBLISHED = {"alex": [0.7219, 0.1376], "vgg": [0.5686, 0.4217], "squeeze": [0.7110, 0.1479]}


@pytest.mark.parametrize("net", NETS)
def test_values_published_with_the_package(net, shared):
    lpips = Lpips(net, shared / "lpips")
    reference, *others = (cv2.imread(str(shared / "lpips" / "example" / f"ex_{n}.png")) for n in ("ref", "p0", "p1"))
    assert [round(lpips.distance(other[..., ::-1], reference[..., ::-1]), 4) for other in others] == PUBLISHED[net]


@pytest.mark.parametrize("net", NETS)
def test_distance_and_loss_are_one(net, folder, pictures):
    lpips = Lpips(net, folder)
    a, b = pictures
    distance = lpips.distance(a, b)
    assert lpips.distance(a, a) == 0
    assert lpips.distance(b, a) == pytest.approx(distance, rel=1e-5)
    assert lpips.distance(a / 255, b / 255) == pytest.approx(distance, rel=1e-5)
    loss = lpips.loss(torch.cat([tensor(a), tensor(b)]), lpips.target(torch.cat([tensor(b), tensor(b)])))
    assert loss.tolist() == pytest.approx([distance, 0], rel=1e-5)


@pytest.mark.parametrize("size", [(48, 34), (96, 68)])
@pytest.mark.parametrize("threads", [1, 2])
def test_many_small_pictures_at_once(alex, size, threads):
    """Other ways to the same distances: matrix products for small maps, parts of the batch on threads of their own."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 60, 3, *size, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        target = alex.target(b)
        pairs = (a.permute(0, 2, 3, 1).numpy(), b.permute(0, 2, 3, 1).numpy())
        alone = [alex.distance(*pair) for pair in zip(*pairs, strict=True)]
        assert np.allclose(alex.distances(a, target), alone, atol=2e-5)
        assert np.allclose(alex.distances(b, target), 0, atol=1e-6)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_loss_has_a_gradient_that_leads_downhill(alex, pictures):
    a, b = map(tensor, pictures)
    target = alex.target(b)
    x = a.clone().requires_grad_()
    alex.loss(x, target).sum().backward()
    step = 1e-3 * x.grad / x.grad.norm()
    slope = (alex.loss(a + step, target) - alex.loss(a - step, target)) / (2 * step.norm())
    assert slope.item() == pytest.approx(x.grad.norm().item(), rel=0.02)
    assert all(not layer.requires_grad for layer in target.layers)


@pytest.mark.parametrize("net", NETS)
def test_the_gradient_is_that_of_torch(net, folder, pictures):
    """The CPU has code of its own for what torch differentiates on a GPU."""
    lpips = Lpips(net, folder)
    a, b = map(tensor, pictures)
    x, target = torch.cat([a, b]).requires_grad_(), lpips.target(torch.cat([b, a.flip(-1)]))
    (found,) = torch.autograd.grad(lpips.loss(x, target) @ torch.tensor([1.0, 2.0]), x)
    written_out = torch.stack([near.mean((-2, -1)) for near in lpips._compare(x, target.layers)]).sum(0)
    (wanted,) = torch.autograd.grad(written_out @ torch.tensor([1.0, 2.0]), x)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max()))


def test_computing_stays_in_single_precision_under_autocast(alex, pictures):
    a, b = map(tensor, pictures)
    with torch.autocast("cpu", torch.bfloat16):
        loss = alex.loss(a, alex.target(b))
    assert loss.dtype == torch.float32
    assert loss.item() == alex.loss(a, alex.target(b)).item()


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_tiles_add_up_to_the_whole(net, folder, pictures):
    lpips = Lpips(net, folder)
    a, b = (cv2.resize(picture, (333, 250), interpolation=cv2.INTER_CUBIC) for picture in pictures)
    whole = lpips.distance(a, b)
    assert lpips.distance(a, b, tile=1000) == pytest.approx(whole, rel=0.01)
    assert lpips.distance(a, b, tile=192, overlap=96) == pytest.approx(whole, rel=0.03)


def test_crops_and_their_smallest_size(alex, pictures):
    a, b = pictures
    assert alex.distance(a[5:37, 9:41], b[5:37, 9:41]) > 0
    with pytest.raises(ValueError, match="32 pixels"):
        alex.distance(a[:31], b[:31])
    with pytest.raises(ValueError, match="one size"):
        alex.distance(a, b[:, :-1])
    with pytest.raises(ValueError, match="one size"):
        alex.loss(tensor(a), alex.target(tensor(b[:, :-1])))


def test_weights_of_another_network_are_named(folder, tmp_path):
    (tmp_path / BACKBONES["alex"].file).write_bytes((folder / BACKBONES["squeeze"].file).read_bytes())
    with pytest.raises(MissingWeights, match=r"alexnet_features_torchvision\.pth: not the weights of alexnet"):
        Lpips("alex", tmp_path)


def test_torchvision_is_not_needed():
    """Its import is slow, and fails next to a torch of another build."""
    source = "import sys; import airbrush_cli.metrics; sys.exit('torchvision' in sys.modules or 'lpips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(11, 4, 2, (47, 38)), (11, 4, 2, (64, 33)), (3, 2, 0, (20, 17)), (2, 2, 1, (9, 8))],
)
def test_a_strided_convolution_has_the_gradient_of_torch(
    kernel: int, stride: int, padding: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 8, kernel, stride, padding).requires_grad_(False)
    picture = torch.rand(2, 3, *size, requires_grad=True)
    wanted, found = layer(picture), backbones._Strided.apply(picture, layer)
    upstream = torch.rand_like(wanted)
    assert torch.equal(found, wanted)
    gradients = [torch.autograd.grad(out, picture, upstream)[0] for out in (wanted, found)]
    torch.testing.assert_close(gradients[1], gradients[0])
