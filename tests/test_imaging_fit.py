"""Pictures on the page: size, margins, turning, and resampling that keeps the light."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbrush_cli.imaging.fit import fit_page, resize
from airbrush_cli.units import RENDER_PX

PAGE = (90, 128)


@given(
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    fit=st.sampled_from(["contain", "cover", "stretch"]),
    rotate=st.sampled_from(["auto", "never"]),
)
@settings(max_examples=60, deadline=None)
def test_the_page_has_its_size_and_a_plain_picture_stays_plain(rows: int, columns: int, fit: str, rotate: str) -> None:
    page = fit_page(np.full((rows, columns, 3), (10, 120, 240), np.uint8), PAGE, fit, rotate)
    assert page.shape == (128, 90, 3)
    colours = {tuple(map(int, colour)) for colour in np.unique(page.reshape(-1, 3), axis=0)}
    margins = {(255, 255, 255)} if fit == "contain" else set()
    assert colours <= {(10, 120, 240)} | margins
    assert (10, 120, 240) in colours


def test_one_pixel() -> None:
    page = fit_page(np.full((1, 1, 3), 77, np.uint8), RENDER_PX)
    assert page.shape == (1280, 908, 3)
    assert (page[186 : 186 + 908] == 77).all()
    assert (page[:186] == 255).all()


def test_a_lying_picture_turns_so_that_the_paper_is_used() -> None:
    lying = np.full((100, 150, 3), 50, np.uint8)
    lying[:, :75] = 200  # left half bright: at the bottom after a turn counterclockwise
    assert (fit_page(lying, PAGE, "contain", "auto") < 255).mean() > 0.85
    assert (fit_page(lying, PAGE, "contain", "never") < 255).mean() < 0.5
    turned = fit_page(lying, PAGE, "cover", "auto")
    assert turned[-10].mean() > turned[10].mean()
    standing = fit_page(np.rot90(lying), PAGE, "cover", "auto")
    assert np.array_equal(turned, standing)


def test_cover_cuts_both_sides_alike() -> None:
    wide = np.zeros((128, 270, 3), np.uint8)
    wide[:, 90:180] = 255
    assert (fit_page(wide, PAGE, "cover", "never") == 255).all()


def test_shrinking_averages_light() -> None:
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = resize(board, (64, 64))
    assert np.abs(small.astype(int) - 188).max() <= 2  # half the light is 188 in sRGB


@pytest.mark.parametrize("size", [(30, 40), (200, 90), (90, 200), (400, 300)])
def test_resizing_keeps_position(size: tuple[int, int]) -> None:
    """A soft blob's middle stays where it is, in parts of the picture's size."""
    y, x = np.mgrid[0:120, 0:100]
    blob = np.exp(-(((x + 0.5 - 62) / 12) ** 2 + ((y + 0.5 - 41) / 12) ** 2))
    picture = np.round(255 * blob)[..., None].repeat(3, axis=2).astype(np.uint8)
    found = resize(picture, size)[..., 0].astype(float)
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    assert abs(((columns + 0.5) * found).sum() / found.sum() / size[0] - 0.62) < 0.005
    assert abs(((rows + 0.5) * found).sum() / found.sum() / size[1] - 41 / 120) < 0.005
