"""Colour against published data, against the colour-science package, and there and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from airbrush_cli import colour

# Sharma, Wu, Dalal (2005), table 1: L a b, L a b, difference.
_SHARMA_TABLE = """
 50.0000   2.6772 -79.7751  50.0000   0.0000 -82.7485   2.0425
 50.0000   3.1571 -77.2803  50.0000   0.0000 -82.7485   2.8615
 50.0000   2.8361 -74.0200  50.0000   0.0000 -82.7485   3.4412
 50.0000  -1.3802 -84.2814  50.0000   0.0000 -82.7485   1.0000
 50.0000  -1.1848 -84.8006  50.0000   0.0000 -82.7485   1.0000
 50.0000  -0.9009 -85.5211  50.0000   0.0000 -82.7485   1.0000
 50.0000   0.0000   0.0000  50.0000  -1.0000   2.0000   2.3669
 50.0000  -1.0000   2.0000  50.0000   0.0000   0.0000   2.3669
 50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0009   7.1792
 50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0010   7.1792
 50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0011   7.2195
 50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0012   7.2195
 50.0000  -0.0010   2.4900  50.0000   0.0009  -2.4900   4.8045
 50.0000  -0.0010   2.4900  50.0000   0.0010  -2.4900   4.8045
 50.0000  -0.0010   2.4900  50.0000   0.0011  -2.4900   4.7461
 50.0000   2.5000   0.0000  50.0000   0.0000  -2.5000   4.3065
 50.0000   2.5000   0.0000  73.0000  25.0000 -18.0000  27.1492
 50.0000   2.5000   0.0000  61.0000  -5.0000  29.0000  22.8977
 50.0000   2.5000   0.0000  56.0000 -27.0000  -3.0000  31.9030
 50.0000   2.5000   0.0000  58.0000  24.0000  15.0000  19.4535
 50.0000   2.5000   0.0000  50.0000   3.1736   0.5854   1.0000
 50.0000   2.5000   0.0000  50.0000   3.2972   0.0000   1.0000
 50.0000   2.5000   0.0000  50.0000   1.8634   0.5757   1.0000
 50.0000   2.5000   0.0000  50.0000   3.2592   0.3350   1.0000
 60.2574 -34.0099  36.2677  60.4626 -34.1751  39.4387   1.2644
 63.0109 -31.0961  -5.8663  62.8187 -29.7946  -4.0864   1.2630
 61.2901   3.7196  -5.3901  61.4292   2.2480  -4.9620   1.8731
 35.0831 -44.1164   3.7933  35.0232 -40.0716   1.5901   1.8645
 22.7233  20.0904 -46.6940  23.0331  14.9730 -42.5619   2.0373
 36.4612  47.8580  18.3852  36.2715  50.5065  21.2231   1.4146
 90.8027  -2.0831   1.4410  91.1528  -1.6435   0.0447   1.4441
 90.9257  -0.5406  -0.9208  88.6381  -0.8985  -0.7239   1.5381
  6.7747  -0.2908  -2.4247   5.8714  -0.0985  -2.2286   0.6377
  2.0776   0.0795  -1.1350   0.9033  -0.0636  -0.5514   0.9082
"""
SHARMA = np.loadtxt(_SHARMA_TABLE.strip().splitlines())

# B. Ottosson's table of XYZ → OKLab, to three decimals.
OKLAB = [
    ((0.950, 1.000, 1.089), (1.000, 0.000, 0.000)),
    ((1.000, 0.000, 0.000), (0.450, 1.236, -0.019)),
    ((0.000, 1.000, 0.000), (0.922, -0.671, 0.263)),
    ((0.000, 0.000, 1.000), (0.153, -1.415, -0.449)),
]

PAIRS = [
    (colour.srgb_to_linear, colour.linear_to_srgb),
    (colour.linear_rgb_to_xyz, colour.xyz_to_linear_rgb),
    (colour.linear_rgb_to_lab, colour.lab_to_linear_rgb),
    (colour.linear_rgb_to_oklab, colour.oklab_to_linear_rgb),
]
FUNCTIONS = [*(there for there, _ in PAIRS), *(back for _, back in PAIRS), colour.luminance]


def pictures(dtype: type) -> st.SearchStrategy:
    width = np.finfo(dtype).bits
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4).map(lambda shape: (*shape, 3))
    return hnp.arrays(dtype, shapes, elements=st.floats(0, 1, width=width))


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """Linear RGB: a grid of the cube with its corners and its darkest part, then random values."""
    grid = np.array([0, 1e-4, 0.0031308, 0.01, 0.2, 0.5, 0.9, 1])
    cube = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    return np.concatenate([cube, np.random.default_rng(1).random((2000, 3))])


@pytest.mark.parametrize(("there", "back"), PAIRS)
@given(values=pictures(np.float64))
def test_there_and_back_is_the_identity(there, back, values):
    np.testing.assert_allclose(back(there(values)), values, atol=1e-9)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_and_shape_are_kept(function, dtype, light):
    values = light.astype(dtype).reshape(-1, 2, 3)
    result = function(values)
    assert result.dtype == dtype
    assert result.shape == (values.shape if function is not colour.luminance else values.shape[:-1])
    np.testing.assert_allclose(result, function(values.astype(np.float64)), rtol=2e-6, atol=1e-4 * np.ptp(result) / 50)


@given(values=hnp.arrays(np.uint8, st.integers(1, 300)))
def test_eight_bits_survive_linear_light(values):
    np.testing.assert_array_equal(colour.linear_to_srgb8(colour.srgb8_to_linear(values)), values)


@given(values=hnp.arrays(np.float32, 50, elements=st.floats(-0.5, 1.5, width=32)))
def test_eight_bit_encoding_rounds_and_clips(values):
    exact = 255 * colour.linear_to_srgb(np.clip(values.astype(np.float64), 0, 1))
    assert np.abs(colour.linear_to_srgb8(values) - exact).max() < 0.53


def test_eight_bit_decoding_is_the_curve():
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(colour.srgb8_to_linear(codes), colour.srgb_to_linear(codes / 255), atol=3e-8)
    assert colour.srgb8_to_linear(codes).dtype == np.float32


def test_white_grey_and_black():
    grey = np.linspace(0, 1, 11)[:, None] * np.ones(3)
    lab = colour.linear_rgb_to_lab(grey)
    np.testing.assert_allclose(lab[[0, -1]], [[0, 0, 0], [100, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(colour.linear_rgb_to_oklab(grey)[:, 1:], 0, atol=1e-7)
    np.testing.assert_allclose(colour.luminance(grey), grey[:, 0])


def test_oklab_of_its_author():
    xyz, oklab = (np.array(column) for column in zip(*OKLAB, strict=True))
    np.testing.assert_allclose(colour.linear_rgb_to_oklab(colour.xyz_to_linear_rgb(xyz)), oklab, atol=1.5e-3)


def test_delta_e2000_of_its_published_pairs():
    one, two, difference = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    np.testing.assert_array_equal(colour.delta_e2000(one, two).round(4), difference)
    np.testing.assert_array_equal(colour.delta_e2000(two, one).round(4), difference)


@given(lab=hnp.arrays(np.float64, (2, 5, 3), elements=st.floats(-100, 100)))
def test_delta_e2000_is_a_difference(lab):
    one, two = lab + np.array([100, 0, 0])
    assert (colour.delta_e2000(one, one) == 0).all()
    assert (colour.delta_e2000(one, two) >= 0).all()
    np.testing.assert_allclose(colour.delta_e2000(one, two), colour.delta_e2000(two, one), atol=1e-9)
    assert colour.delta_e2000(one[:, None], two[None]).shape == (5, 5)


def test_agreement_with_colour_science(light):
    science = pytest.importorskip("colour", reason="colour-science is not installed")
    space = science.RGB_COLOURSPACES["sRGB"].copy()
    space.use_derived_transformation_matrices(True)
    xyz = science.RGB_to_XYZ(light, space, apply_cctf_decoding=False)
    lab = science.XYZ_to_Lab(xyz, space.whitepoint)
    srgb = science.cctf_encoding(light, "sRGB")
    for ours, theirs in [
        (colour.linear_to_srgb(light), srgb),
        (colour.srgb_to_linear(srgb), science.cctf_decoding(srgb, "sRGB")),
        (colour.linear_rgb_to_xyz(light), xyz),
        (colour.luminance(light), xyz[:, 1]),
        (colour.linear_rgb_to_lab(light), lab),
        (colour.lab_to_linear_rgb(lab), light),
        (colour.delta_e2000(lab[1:], lab[:-1]), science.delta_E(lab[1:], lab[:-1], method="CIE 2000")),
    ]:
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    # Ottosson derived his matrices from a D65 of four digits.
    np.testing.assert_allclose(colour.linear_rgb_to_oklab(light), science.XYZ_to_Oklab(xyz), atol=5e-4)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_tensors_give_what_arrays_give_and_carry_gradients(function, light):
    torch = pytest.importorskip("torch")
    values = light[::40].astype(np.float32)
    tensor = torch.tensor(values, requires_grad=True)
    result = function(tensor)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.detach().numpy(), function(values), rtol=1e-5, atol=1e-4)
    (gradient,) = torch.autograd.grad(result.sum(), tensor)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_are_the_slopes(function):
    torch = pytest.importorskip("torch")
    values = torch.tensor(np.random.default_rng(2).uniform(0.05, 1, (4, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(function, values)
