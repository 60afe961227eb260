"""Look-up tables: the shipped set, files and their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from airbrush_cli import config
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.luts import PhysicsConfig
from airbrush_cli.twin.luts import (
    FWHM_PER_SIGMA,
    Luts,
    gaussian_kernels,
    kernel_sigmas,
    load_luts,
    luts_path,
    save_luts,
    shipped_luts,
    synthetic_luts,
    synthetic_opacity,
    synthetic_sigma_mm,
)
from tests import twin_reference as reference


def test_shipped_set_is_the_synthetic_one() -> None:
    shipped, made = shipped_luts(), synthetic_luts()
    for name in ("colour", "opacity", "sigma_mm", "z_mm", "v_mm_s"):
        np.testing.assert_allclose(getattr(shipped, name), getattr(made, name), rtol=1e-6)
    assert shipped.layering == "alpha_over"
    assert shipped.metadata.synthetic
    assert len(shipped.sha256) == 64


def test_synthetic_set_is_as_agreed() -> None:
    luts = shipped_luts()
    width = luts.sigma_mm[[0, -1], 0] * FWHM_PER_SIGMA
    np.testing.assert_allclose(width, [0.9, 13.0], rtol=1e-6)
    assert luts.opacity[0, 0] == pytest.approx(0.95, abs=1e-6)
    assert 0.02 < luts.opacity[-1, -1] < 0.06
    assert (np.diff(luts.opacity, axis=0) < 0).all()
    assert (np.diff(luts.opacity, axis=1) < 0).all()
    np.testing.assert_allclose(reference.ink_colour(luts, np.array([1.0, 0.0, 0.5])), [0.02, 1.0, 0.51], atol=1e-6)


@given(st.floats(0, 30), st.floats(1, 300))
def test_tables_are_fine_enough(z: float, v: float) -> None:
    luts = synthetic_luts()
    found = reference.bilinear(luts.opacity, luts.z_mm, luts.v_mm_s, z, v)
    assert found == pytest.approx(float(synthetic_opacity(np.array(z), np.array(v))), rel=0.01)
    sigma = reference.bilinear(luts.sigma_mm, luts.z_mm, luts.v_mm_s, z, v)
    assert sigma == pytest.approx(float(synthetic_sigma_mm(np.array(z))), rel=1e-5)


@given(st.floats(0.05, 20))
def test_kernels_keep_their_width(sigma: float) -> None:
    kernels, pitch = gaussian_kernels(np.array([[sigma]]))
    assert kernels.sum() == pytest.approx(1.0, abs=1e-5)
    assert float(kernel_sigmas(kernels, pitch)[0, 0]) == pytest.approx(sigma, rel=1e-4)


def test_saved_tables_load_as_they_were(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    luts = Luts(
        colour=generator.random((3, 4, 5, 3)).astype(np.float32),
        opacity=generator.random((4, 6)).astype(np.float32),
        sigma_mm=generator.uniform(0.3, 6, (4, 6)).astype(np.float32),
        z_mm=np.array([0.0, 1.0, 5.0, 30.0]),
        v_mm_s=np.array([1.0, 2.0, 5.0, 20.0, 100.0, 300.0]),
        layering="multiply",
        metadata=synthetic_luts().metadata,
    )
    loaded = load_luts(save_luts(luts, tmp_path / "mine"))
    np.testing.assert_array_equal(loaded.colour, luts.colour)
    np.testing.assert_array_equal(loaded.opacity, luts.opacity)
    np.testing.assert_allclose(loaded.sigma_mm, luts.sigma_mm, rtol=1e-5)
    assert loaded.layering == "multiply"
    with pytest.raises(ValueError, match="read-only"):
        loaded.opacity[0, 0] = 0.5


def test_physics_names_tables_beside_it(tmp_path: Path) -> None:
    physics = config.load("sim/physics_v1", PhysicsConfig)
    assert luts_path(physics, config.shipped("sim/physics_v1")).is_file()
    assert luts_path(physics, tmp_path / "physics.yaml") == tmp_path / "luts/metadata.yaml"


def broken(folder: Path, name: str, value: Any) -> Path:
    path = save_luts(synthetic_luts(), folder)
    if value is None:
        (folder / name).unlink()
    elif isinstance(value, bytes):
        (folder / name).write_bytes(value)
    else:
        torch.save(value, folder / name)
    return path


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("alpha_lut.pt", None, "alpha_lut.pt: cannot read"),
        ("alpha_lut.pt", b"nonsense", "alpha_lut.pt: not a tensor file"),
        ("alpha_lut.pt", torch.zeros(22, 24, dtype=torch.float64), "float32"),
        ("alpha_lut.pt", {"a": torch.zeros(2)}, r"float32.*dict"),
        ("alpha_lut.pt", Path("x"), "not a tensor file"),
        ("alpha_lut.pt", torch.zeros(20, 24), "22x24"),
        ("alpha_lut.pt", torch.full((22, 24), float("nan")), "finite"),
        ("alpha_lut.pt", torch.full((22, 24), 1.5), r"\[0, 1\]"),
        ("color_lut.pt", torch.zeros(9, 9, 3), "9x9x9x3"),
        ("color_lut.pt", torch.full((9, 9, 9, 3), -0.5), r"\[0, 1\]"),
        ("psf_lut.pt", torch.full((22, 24, 4, 4), 1 / 16), "odd side"),
        ("psf_lut.pt", torch.full((22, 24, 5, 5), 0.5), "sum 1"),
        ("psf_lut.pt", torch.full((22, 24, 5, 5), 1 / 25), "fall off"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, name: str, value: Any, message: str) -> None:
    path = broken(tmp_path, name, value)
    with pytest.raises(InputError, match=message) as caught:
        load_luts(path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layering: alpha_over", "layering: screen", "alpha_over"),
        ("schema: luts.v1", "schema: luts.v2", "luts.v1"),
        ("z: [0.0, 1.4", "z: [2.0, 1.4", "must increase"),
        ("synthetic: true", "synthetic: maybe", "synthetic"),
        ("grid: {c: 9", "grid: {c: 1", "at least 2"),
        ("layering: alpha_over", "layering: alpha_over\ngamma: 2", "gamma"),
    ],
)
def test_broken_metadata_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = save_luts(synthetic_luts(), tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        load_luts(path)
    assert "metadata.yaml:" in str(caught.value)
