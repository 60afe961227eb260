"""PSNR and SSIM against their definitions and against scikit-image's figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from airbrush_cli.metrics import psnr, ssim

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(11, 20), st.integers(11, 20), st.just(3)))


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:61, 0:83]
    a = np.stack([127 + 120 * np.sin(x / 7 + y / 11), 127 + 100 * np.cos(x * y / 300), (3 * x) % 256], -1)
    b = np.stack([127 + 110 * np.sin(x / 7 + y / 12), 130 + 95 * np.cos(x * y / 310), (3 * x + 9) % 256], -1)
    return a.astype(np.uint8), b.astype(np.uint8)


def test_figures_are_those_of_scikit_image(pair):
    # scikit-image 0.26: structural_similarity(..., gaussian_weights=True, use_sample_covariance=False, channel_axis=-1)
    assert ssim(*pair) == pytest.approx(0.93912532878529, abs=1e-12)
    assert psnr(*pair) == pytest.approx(24.127950042946704, abs=1e-12)


def test_eight_bits_and_unit_range_agree(pair):
    for dtype in (np.float32, np.float64):
        a, b = ((picture / 255).astype(dtype) for picture in pair)
        assert ssim(a, b) == pytest.approx(ssim(*pair), abs=1e-6)
        assert psnr(a, b) == pytest.approx(psnr(*pair), abs=1e-4)


@given(a=PICTURES, change=st.integers(1, 255))
def test_equal_pictures_and_the_order_of_pictures(a, change):
    b = a ^ np.uint8(change)
    assert psnr(a, a) == float("inf")
    assert ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert psnr(a, b) == psnr(b, a) < float("inf")
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)
    assert -1 <= ssim(a, b) < 1


def test_one_code_everywhere_is_48_decibels():
    a = np.full((20, 20, 3), 100, np.uint8)
    assert psnr(a, a + np.uint8(1)) == pytest.approx(20 * np.log10(255))


def test_grey_pictures_have_one_channel(pair):
    grey = [picture[..., 0] for picture in pair]
    assert ssim(*grey) == pytest.approx(ssim(*(np.repeat(g[..., None], 3, -1) for g in grey)))


def test_pictures_that_cannot_be_compared(pair):
    a, b = pair
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match="differ"):
            measure(a, b[:-1])
        with pytest.raises(ValueError, match="differ"):
            measure(a, b / 255)
    with pytest.raises(ValueError, match="11x11"):
        ssim(a[:10], b[:10])
