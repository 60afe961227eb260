"""Look-up tables of the twin: ink colour, opacity and spot width, measured or made from a formula."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbrush_cli import config, documents, files
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.luts import Layering, LutMetadata, LutsDocument, PhysicsConfig

# FWHM of a Gaussian = 2 sqrt(2 ln 2) sigma.
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
MAX_TENSOR_BYTES = 256_000_000

# Of the synthetic set (docs/twin.md).
FWHM_NEAR_MM, FWHM_FAR_MM, Z_FAR_MM = 0.9, 13.0, 30.0
OPACITY_MAX, SPEED_SLOW = 0.95, 1.0
SPEED_SCALE, HEIGHT_SCALE = 20.0, 15.0
DYE_STRENGTH = 0.98
_KERNEL_SIZE, _KERNEL_PITCH_SIGMA = 9, 0.75


@dataclass(frozen=True, eq=False)
class Luts:
    """A set of look-up tables; arrays are read-only.

    Attributes:
        colour: (Nc, Nm, Ny, 3) float32, linear RGB in [0, 1] of an ink film, equidistant amounts 0..1.
        opacity: (Nz, Nv) float32 in [0, 1], in the middle of the spot.
        sigma_mm: (Nz, Nv) float32 > 0, standard deviation of the spot's Gaussian profile.
        z_mm: (Nz,) float64, increasing; v_mm_s: (Nv,) float64, increasing.
        layering: how a film covers what lies under it.
        metadata: where the tables come from.
        sha256: of the numbers and the layering, whatever the files are called.
    """

    colour: NDArray[np.float32]
    opacity: NDArray[np.float32]
    sigma_mm: NDArray[np.float32]
    z_mm: NDArray[np.float64]
    v_mm_s: NDArray[np.float64]
    layering: Layering
    metadata: LutMetadata
    sha256: str = ""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.layering.encode())
        for name in ("colour", "opacity", "sigma_mm", "z_mm", "v_mm_s"):
            kind = np.float64 if name in ("z_mm", "v_mm_s") else np.float32
            array = np.array(getattr(self, name), dtype=kind, order="C")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
            digest.update(array.tobytes())
        object.__setattr__(self, "sha256", digest.hexdigest())


def synthetic_opacity(z_mm: NDArray, v_mm_s: NDArray) -> NDArray[np.float64]:
    """Opacity of the synthetic set: a film whose density thins out with speed and with the spot's area.

    1 − exp(−D), D = D0 / ((1 + v/20) (1 + (z/15)²)), D0 such that it is 0.95 at v = 1 mm/s, z = 0
    (Beer-Lambert; about 3.9 % at v = 300 mm/s, z = 30 mm).
    """
    density = -math.log(1.0 - OPACITY_MAX) * (1.0 + SPEED_SLOW / SPEED_SCALE)
    return -np.expm1(-density / ((1.0 + v_mm_s / SPEED_SCALE) * (1.0 + (z_mm / HEIGHT_SCALE) ** 2)))


def synthetic_sigma_mm(z_mm: NDArray) -> NDArray[np.float64]:
    """Spot width of the synthetic set: FWHM 0.9 mm at z = 0, growing linearly to 13 mm at z = 30 mm."""
    return (FWHM_NEAR_MM + (FWHM_FAR_MM - FWHM_NEAR_MM) * z_mm / Z_FAR_MM) / FWHM_PER_SIGMA


def synthetic_luts(layering: Layering = "alpha_over") -> Luts:
    """Return the set that is shipped as the default, made from formulas and not from measurements.

    Width and opacity as `synthetic_sigma_mm` and `synthetic_opacity` say; colour as block dyes: cyan takes away up to
    98 % of red, magenta of green, yellow of blue, each in proportion to its amount.
    """
    # 21 cells, so that the sixteenths of a stroke from z = 0 to 30 mm lie inside cells, where derivatives exist.
    z = np.linspace(0.0, Z_FAR_MM, 22)
    # Denser where opacity bends most; bilinear interpolation stays within 1 % of the formula.
    v = np.round(np.geomspace(11.0, 310.0, 24) - 10.0, 3)
    amounts = np.linspace(0.0, 1.0, 9)
    inks = np.stack(np.meshgrid(amounts, amounts, amounts, indexing="ij"), axis=-1)
    return Luts(
        colour=(1.0 - DYE_STRENGTH * inks).astype(np.float32),
        opacity=synthetic_opacity(z[:, None], v[None, :]).astype(np.float32),
        sigma_mm=np.repeat(synthetic_sigma_mm(z)[:, None], len(v), axis=1).astype(np.float32),
        z_mm=z,
        v_mm_s=v,
        layering=layering,
        metadata=LutMetadata(
            synthetic=True,
            description="Made by airbrush_cli.twin.luts.synthetic_luts from formulas; no machine was measured.",
        ),
    )


def gaussian_kernels(sigma_mm: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Sample Gaussian spots.

    Args:
        sigma_mm: (Nz, Nv) widths.

    Returns:
        (Nz, Nv, K, K) float32 kernels of sum 1, and their pitches (Nz, Nv) in mm.
    """
    pitch = np.round(np.asarray(sigma_mm, np.float64) * _KERNEL_PITCH_SIGMA, 6)
    offsets = np.arange(_KERNEL_SIZE) - _KERNEL_SIZE // 2
    radius2 = (offsets[:, None] ** 2 + offsets[None, :] ** 2) * (pitch**2)[..., None, None]
    kernels = np.exp(-radius2 / (2.0 * np.asarray(sigma_mm, np.float64)[..., None, None] ** 2))
    kernels /= kernels.sum(axis=(-2, -1), keepdims=True)
    return kernels.astype(np.float32), pitch


def kernel_sigmas(kernels: NDArray, pixel_mm: NDArray) -> NDArray[np.float64]:
    """Return the width of each spot kernel as the standard deviation of a Gaussian, in mm.

    The slope of log k against r², weighted by k², which is exact for a Gaussian however far the kernel reaches (its
    second moment would not be).

    Args:
        kernels: (Nz, Nv, K, K), not negative.
        pixel_mm: (Nz, Nv) pitch of the samples.

    Raises:
        ValueError: a kernel is no spot (it does not fall off from its centre).
    """
    size = kernels.shape[-1]
    offsets = np.arange(size) - (size - 1) / 2
    radius2 = np.broadcast_to(offsets[:, None] ** 2 + offsets[None, :] ** 2, kernels.shape)
    values = np.asarray(kernels, np.float64)
    weight = values**2
    weight = weight / weight.sum(axis=(-2, -1), keepdims=True)
    logs = np.log(np.maximum(values, 1e-300))
    mean_radius2 = (weight * radius2).sum(axis=(-2, -1), keepdims=True)
    mean_log = (weight * logs).sum(axis=(-2, -1), keepdims=True)
    spread = (weight * (radius2 - mean_radius2) ** 2).sum(axis=(-2, -1))
    slope = (weight * (radius2 - mean_radius2) * (logs - mean_log)).sum(axis=(-2, -1))
    if not (np.all(spread > 0) and np.all(slope < 0)):
        raise ValueError("a kernel does not fall off from its centre")
    return np.sqrt(-spread / (2.0 * slope)) * pixel_mm


def save_luts(luts: Luts, folder: Path) -> Path:
    """Write a set of tables as color_lut.pt, alpha_lut.pt, psf_lut.pt (FP32 tensors) and metadata.yaml.

    Returns:
        The path of metadata.yaml, which is written last.
    """
    kernels, pitch = gaussian_kernels(luts.sigma_mm)
    nc, nm, ny, _ = luts.colour.shape
    axes = {"z": luts.z_mm.tolist(), "v": luts.v_mm_s.tolist()}
    document: LutsDocument = LutsDocument.build(
        layering=luts.layering,
        color_lut={"grid": {"c": nc, "m": nm, "y": ny}},
        alpha_lut={"axes": axes},
        psf_lut={"axes": axes, "pixel_mm": pitch.tolist()},
        metadata=luts.metadata.model_dump(),
    )
    _save_tensor(luts.colour, folder / document.color_lut.values_path)
    _save_tensor(luts.opacity, folder / document.alpha_lut.values_path)
    _save_tensor(kernels, folder / document.psf_lut.values_path)
    path = folder / "metadata.yaml"
    documents.save(document, path)
    return path


def load_luts(path: Path) -> Luts:
    """Load a set of tables.

    Args:
        path: its metadata.yaml (`luts.v1`); the tensors' names in it are relative to its folder.

    Raises:
        InputError: a file is missing, is no FP32 tensor of the shape that the metadata gives, holds values that are
            not finite or out of range, or the kernels are no spots.
    """
    document = documents.load(path, LutsDocument)
    rows, columns = len(document.alpha_lut.axes.z), len(document.alpha_lut.axes.v)
    grid = document.color_lut.grid
    colour_path, alpha_path, psf_path = (
        path.parent / part.values_path for part in (document.color_lut, document.alpha_lut, document.psf_lut)
    )
    for name, digest in (document.metadata.sha256 or {}).items():
        if files.sha256_file(path.parent / name) != digest:
            raise InputError(f"{path.parent / name}: is not the file that metadata.yaml was written for (SHA-256)")
    colour = _load_tensor(colour_path, (grid.c, grid.m, grid.y, 3))
    opacity = _load_tensor(alpha_path, (rows, columns))
    kernels = _load_tensor(psf_path, (rows, columns, None, None))
    size = kernels.shape[-1]
    if kernels.shape[-2] != size or size % 2 == 0 or size < 3:
        raise InputError(
            f"{psf_path}: kernels must be square with an odd side of at least 3 (found {kernels.shape[-2:]})"
        )
    if np.abs(kernels.sum(axis=(-2, -1)) - 1.0).max() > 1e-3:
        raise InputError(f"{psf_path}: every kernel must have the sum 1")
    try:
        sigma_mm = kernel_sigmas(kernels, np.array(document.psf_lut.pixel_mm))
    except ValueError as error:
        raise InputError(f"{psf_path}: {error}") from error
    return Luts(
        colour=colour,
        opacity=opacity,
        sigma_mm=sigma_mm.astype(np.float32),
        z_mm=np.array(document.alpha_lut.axes.z),
        v_mm_s=np.array(document.alpha_lut.axes.v),
        layering=document.layering,
        metadata=document.metadata,
    )


def shipped_luts() -> Luts:
    """Return the default set, which configs/sim/physics_v1.yaml names."""
    return _named_by(config.shipped("sim/physics_v1"))


def configured_physics(physics_file: Path | None = None) -> Path:
    """Return the physics config that counts.

    Args:
        physics_file: the config; the shipped one, like None, stands for the user's own if there is one
            (`airbrush calibrate use`).
    """
    shipped = config.shipped("sim/physics_v1")
    if physics_file is None or physics_file.resolve() == shipped.resolve():
        return config.default("sim/physics_v1")
    return physics_file


def configured_luts(physics_file: Path | None = None) -> Luts:
    """Return the set that a physics config names; see `configured_physics`."""
    return _named_by(configured_physics(physics_file))


def _named_by(physics_file: Path) -> Luts:
    return load_luts(luts_path(documents.load(physics_file, PhysicsConfig), physics_file))


def luts_path(physics: PhysicsConfig, physics_file: Path) -> Path:
    """Return the metadata.yaml that a physics config names, relative to the config's own folder."""
    return physics_file.parent / physics.luts_config


def _save_tensor(array: NDArray[np.float32], path: Path) -> None:
    import torch

    stream = io.BytesIO()
    torch.save(torch.from_numpy(np.array(array)), stream)
    files.write_bytes(path, stream.getvalue())


def _load_tensor(path: Path, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    import torch

    data = files.read_bytes(path, MAX_TENSOR_BYTES)
    try:
        loaded: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, pickle's and zip's own among them
        raise InputError(f"{path}: not a tensor file that torch.save wrote") from error
    if not isinstance(loaded, torch.Tensor) or loaded.dtype != torch.float32:
        found = f"{loaded.dtype}" if isinstance(loaded, torch.Tensor) else type(loaded).__name__
        raise InputError(f"{path}: must hold one float32 tensor (found {found})")
    if loaded.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, loaded.shape, strict=True)):
        wanted = "x".join("K" if n is None else str(n) for n in shape)
        found = "x".join(map(str, loaded.shape))
        raise InputError(f"{path}: must have the shape {wanted} that metadata.yaml gives (found {found})")
    array = loaded.numpy()
    if not (np.all(np.isfinite(array)) and array.min() >= 0.0 and array.max() <= 1.0):
        raise InputError(f"{path}: values must be finite and in [0, 1]")
    return array
