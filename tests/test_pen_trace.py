"""From mask to pen layer: centre lines against the lines drawn, and any mask gives a layer that a plotter can draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial import cKDTree

from airbrush_cli import documents
from airbrush_cli.imaging.fit import fit_page
from airbrush_cli.imaging.layers import pen_mask
from airbrush_cli.imaging.load import load_image
from airbrush_cli.pen import trace_mask
from airbrush_cli.pen.centerline import centre_lines
from airbrush_cli.pen.curves import flatten
from airbrush_cli.pen.draw import coverage
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.schemas.preprocess import PenSettings
from airbrush_cli.units import RENDER_PX
from tests.bench.pen import overlap, paths_px, redrawn, skeleton_length
from tests.pen_drawings import arc, dense, length_of, rasterise, scrawl, svg_strokes

SIZE = (300, 400)
PAGE_MM = (69.4, 92.5)  # a pixel is as large as on A4 at 908x1280


def settings_of(**changes: object) -> PenSettings:
    return PenSettings.model_validate(changes)


def check_is_drawable(layer: PenVectors, page_mm: tuple[float, float]) -> None:
    seen = set()
    for path in layer.paths:
        points = np.array(path.vertices)
        assert np.isfinite(points).all()
        assert (points >= 0).all()
        assert (points <= page_mm).all()
        assert length_of(flatten(path)) >= layer.pen_width_mm
        assert not path.closed or path.vertices[0] == path.vertices[-1]
        seen.add(min(tuple(path.vertices), tuple(reversed(path.vertices))))
    assert len(seen) == len(layer.paths)
    assert documents.validate(layer.to_data(), PenVectors, "made here") == layer


def pattern(name: str) -> np.ndarray:
    y, x = np.mgrid[0:120, 0:90]
    angle, radius = np.arctan2(y - 60, x - 45), np.hypot(x - 45, y - 60)
    return {
        "empty": np.zeros((120, 90), bool),
        "full": np.ones((120, 90), bool),
        "one pixel": (x == 40) & (y == 50),
        "corner pixel": (x == 0) & (y == 0),
        "checkerboard": (x + y) % 2 == 0,
        "one-pixel grid": (x % 8 == 3) | (y % 8 == 3),
        "stripes": y % 2 == 0,
        "spiral": ((radius - angle * 1.6) % 10 < 3) & (radius < 44),
        "noise": np.random.default_rng(0).random((120, 90)) < 0.5,
        "sparse noise": np.random.default_rng(0).random((120, 90)) < 0.03,
        "frame": (x < 4) | (y < 4) | (x > 85) | (y > 115),
    }[name]


PATTERNS = [
    "empty", "full", "one pixel", "corner pixel", "checkerboard", "one-pixel grid", "stripes", "spiral", "noise",
    "sparse noise", "frame",
]  # fmt: skip


@pytest.mark.parametrize("trace", ["centerline", "potrace", "vtracer"])
@pytest.mark.parametrize("name", PATTERNS)
def test_any_pattern_is_drawable(name: str, trace: str) -> None:
    page = (20.8, 27.7)
    layer = trace_mask(pattern(name), settings_of(trace=trace), page)
    check_is_drawable(layer, page)
    if trace == "centerline" and "noise" not in name and name != "checkerboard":
        assert (len(layer.paths) == 0) == (name in ("empty", "one pixel", "corner pixel"))


@given(
    mask=arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    fill=st.sampled_from(["hatch", "outline", "none"]),
    curves=st.sampled_from(["bezier", "polyline"]),
    pen=st.sampled_from([0.1, 0.5, 2.0]),
    thick=st.sampled_from([0.6, 2.5]),
)
@settings(max_examples=60, deadline=None)
def test_any_mask_is_drawable(mask: np.ndarray, fill: str, curves: str, pen: float, thick: float) -> None:
    page = (mask.shape[1] * 0.25, mask.shape[0] * 0.25)
    options = settings_of(fill=fill, curves=curves, pen_width_mm=pen, max_line_mm=thick)
    check_is_drawable(trace_mask(mask, options, page), page)


@given(
    seed=st.integers(0, 10_000),
    blobs=st.lists(st.tuples(st.integers(0, 89), st.integers(0, 119), st.integers(1, 30)), max_size=6),
)
@settings(max_examples=25, deadline=None)
def test_scrawls_and_blobs_are_drawable(seed: int, blobs: list[tuple[int, int, int]]) -> None:
    generator = np.random.default_rng(seed)
    mask = rasterise(scrawl(generator, (90, 120), 5), generator.uniform(1, 8), (90, 120), 2)
    y, x = np.mgrid[0:120, 0:90]
    for column, row, radius in blobs:
        mask[np.hypot(x - column, y - row) < radius] = 1
    check_is_drawable(trace_mask(mask, settings_of(), PAGE_MM), PAGE_MM)


def accuracy(mask: np.ndarray, strokes: list[np.ndarray]) -> tuple[float, float, int]:
    """Mean distance of what is traced to the truth, px; share of the truth within 2 px of it; number of lines."""
    lines = centre_lines(mask)
    truth = np.concatenate([dense(stroke) for stroke in strokes])
    traced = np.concatenate([dense(line.xy) for line in lines])
    away, _ = cKDTree(truth).query(traced)
    missed, _ = cKDTree(traced).query(truth)
    return float(away.mean()), float((missed < 2).mean()), len(lines)


@pytest.mark.parametrize("width", [2.5, 3, 5, 7])
def test_separate_strokes_are_found_one_by_one(width: float) -> None:
    strokes = [
        np.array([[20.0, 20.0], [130.3, 48.7]]),
        np.array([[20.0, 60.0], [80.5, 160.2], [130.0, 70.0]]),  # with a sharp corner
        arc(80, 220, 40),
        arc(220, 90, 60, 0.4, 4.4),
        np.stack([np.linspace(30, 270, 100), 320 + 30 * np.sin(np.linspace(0, 9, 100))], axis=1),
        np.array([[200.0, 200.0], [200.0, 280.0]]),
        np.array([[240.0, 200.0], [240.0, 270.0], [280.0, 270.0]]),
    ]
    mean, recall, count = accuracy(rasterise(strokes, width, SIZE), strokes)
    assert count == len(strokes)
    assert mean < 0.15
    assert recall > 0.995


@pytest.mark.parametrize("angle", [25, 40, 60, 90])
@pytest.mark.parametrize("width", [3, 6])
def test_crossing_strokes_stay_straight_and_two(angle: float, width: float) -> None:
    turn = np.radians(angle) / 2
    along = np.linspace(-130, 130, 50)
    strokes = [
        np.stack([150.3 + along * np.cos(way), 200.4 + along * np.sin(way)], axis=1) for way in (turn + 1.2, 1.2 - turn)
    ]
    mean, recall, count = accuracy(rasterise(strokes, width, SIZE), strokes)
    assert count == 2
    assert mean < 0.15
    assert recall > 0.995


def test_a_branch_ends_at_the_line_it_meets() -> None:
    strokes = [np.array([[150.0, 30.0], [150.0, 370.0]]), np.array([[150.0, 200.0], [270.0, 240.0]])]
    mean, recall, count = accuracy(rasterise(strokes, 6, SIZE), strokes)
    assert count == 2
    assert mean < 0.15
    assert recall > 0.99


@pytest.mark.parametrize("turn", [20, 35, 60])
def test_zigzags_are_followed_into_their_corners(turn: float) -> None:
    step = 90 * np.tan(np.radians(turn) / 2)
    zigzag = np.array([[100.3 + 90 * (k % 2), 60.7 + 2 * step * k] for k in range(4)])
    _, recall, _ = accuracy(rasterise([zigzag], 4, SIZE), [zigzag])
    assert recall > 0.99


@pytest.mark.parametrize("width", [2, 3, 5])
def test_free_ends_are_where_the_pen_stopped(width: float) -> None:
    beyond = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        angle, middle = generator.uniform(0, np.pi), 60 + generator.uniform(0, 1, 2)
        along = np.array([np.cos(angle), np.sin(angle)])
        (line,) = centre_lines(rasterise([np.array([middle - 40 * along, middle + 40 * along])], width, (120, 120)))
        reached = (line.xy[[0, -1]] - middle) @ along
        beyond += [reached.max() - 40, -reached.min() - 40]
    assert abs(np.mean(beyond)) < 0.15
    assert np.abs(beyond).max() < 0.8


@pytest.mark.parametrize("seed", range(4))
def test_sketches_are_followed(seed: int) -> None:
    generator = np.random.default_rng(seed)
    strokes = scrawl(generator, SIZE, 8)
    mean, recall, _ = accuracy(rasterise(strokes, generator.uniform(3, 7), SIZE), strokes)
    assert mean < 0.3
    assert recall > 0.96


@pytest.mark.parametrize("width", [3, 5, 7])
def test_kanji(shared, width: int) -> None:
    files = sorted((shared / "data/lineart/kanjivg").glob("*.svg"))[::29]
    strokes = []
    for k, file in enumerate(files[:6]):
        corner = np.array([150 * (k % 2), 133 * (k // 2)])
        strokes += [stroke * 1.2 + corner for stroke in svg_strokes(file)]
    mean, recall, _ = accuracy(rasterise(strokes, width, SIZE), strokes)
    assert mean < 0.35
    assert recall > 0.95


@pytest.mark.parametrize("name", ["elephant", "puppy"])
def test_ink_drawings_are_redrawn(shared, name: str) -> None:
    options = settings_of(fill="none")
    picture = load_image(shared / f"data/lineart/ink/{name}.png")
    mask = pen_mask(fit_page(picture, RENDER_PX), options).astype(np.uint8)
    layer = trace_mask(mask, options)
    assert overlap(redrawn(layer, mask, local=True), mask) >= 0.91
    assert sum(map(length_of, paths_px(layer))) == pytest.approx(skeleton_length(mask), rel=0.05)


def test_width_and_length_are_measured() -> None:
    strokes = [arc(150, 200, 90, 0, 5), np.array([[30.0, 30.0], [270.0, 60.0]])]
    mask = rasterise(strokes, 5, SIZE)
    layer = trace_mask(mask, settings_of(), PAGE_MM)
    px = SIZE[0] / PAGE_MM[0]
    true_width = mask.sum() / sum(length_of(stroke) for stroke in strokes)
    for path in layer.paths:
        assert path.width_mm is not None
        assert path.width_mm * px == pytest.approx(true_width, abs=0.4)
    total = sum(length_of(flatten(path)) for path in layer.paths) * px
    assert total == pytest.approx(sum(length_of(stroke) for stroke in strokes), rel=0.01)


def test_areas_are_filled_and_lines_are_not() -> None:
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    disc = np.hypot(x - 150, y - 150) < 60
    mask = disc | (rasterise([np.array([[205.0, 160.0], [290.0, 300.0]])], 5, SIZE) > 0)
    inked = {}
    for fill in ("hatch", "outline", "none"):
        layer = trace_mask(mask, settings_of(fill=fill), PAGE_MM)
        check_is_drawable(layer, PAGE_MM)
        inked[fill] = coverage(layer, SIZE)
    assert inked["hatch"][disc].mean() > 0.98
    assert 0.02 < inked["outline"][disc].mean() < 0.2
    assert inked["none"][disc].mean() < 0.01
    beyond = np.hypot(x - 150, y - 150) > 62
    for cover in inked.values():
        assert cover[beyond & mask].sum() > 100  # the line
        assert cover[~mask].mean() < 0.001


def test_a_dot_is_a_dash_and_a_speck_is_nothing() -> None:
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    dot = trace_mask(np.hypot(x - 100, y - 100) < 4, settings_of(), PAGE_MM)
    assert len(dot.paths) == 1
    assert length_of(flatten(dot.paths[0])) == pytest.approx(0.5, abs=0.1)
    middle = np.mean(dot.paths[0].vertices, axis=0)
    assert np.abs(middle - np.array([100.5, 100.5]) * 69.4 / 300).max() < 0.2
    assert trace_mask((abs(x - 50) < 1) & (abs(y - 50) < 1), settings_of(), PAGE_MM).paths == []


def test_ends_that_touch_are_joined_and_rings_close() -> None:
    gap = [arc(150, 200, 80, 0.02, 3.11), arc(150, 200, 80, 3.17, 6.26)]
    layer = trace_mask(rasterise(gap, 2.5, SIZE), settings_of(join_mm=1.5), PAGE_MM)
    assert len(layer.paths) == 1
    assert layer.paths[0].closed
    assert len(trace_mask(rasterise(gap, 2.5, SIZE), settings_of(join_mm=0.0), PAGE_MM).paths) == 2


def test_outline_tracers_go_round_the_ink() -> None:
    stroke = np.array([[40.0, 60.0], [260.0, 330.0]])
    mask = rasterise([stroke], 8, SIZE)
    around = 2 * length_of(stroke) + np.pi * 8
    for trace in ("potrace", "vtracer"):
        layer = trace_mask(mask, settings_of(trace=trace), PAGE_MM)
        assert len(layer.paths) == 1
        assert layer.paths[0].closed
        assert length_of(flatten(layer.paths[0])) * SIZE[0] / PAGE_MM[0] == pytest.approx(around, rel=0.03)
