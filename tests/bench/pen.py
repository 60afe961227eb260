"""The pen layer: how near centre lines come to the lines drawn, what is redrawn of ink drawings, time, travel.

    python -m tests.bench.pen

Characters and ink drawings need the measuring data beside the checkout; without it they are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from airbrush_cli.imaging.fit import fit_page
from airbrush_cli.imaging.layers import pen_mask
from airbrush_cli.imaging.load import load_image
from airbrush_cli.pen import trace_mask
from airbrush_cli.pen.curves import flatten
from airbrush_cli.pen.raster import framed_depth
from airbrush_cli.pen.skeleton import thin
from airbrush_cli.pen.travel import optimise_travel, travel_length
from airbrush_cli.schemas.pen_vectors import PenVectors
from airbrush_cli.schemas.preprocess import PenSettings
from airbrush_cli.units import A4_MM, RENDER_PX, mm_to_px
from tests.pen_drawings import dense, length_of, nearest_neighbour, rasterise, svg_strokes

LINEART = Path(__file__).resolve().parents[3] / "shared" / "data" / "lineart"
KANJI_BOX = 109  # units of a KanjiVG file
ROUNDS = 7

# Of the length by steps of 1 and √2, what a line in no particular direction has (Kulpa 1977: 0.948 and 1.343 a step).
_KULPA = 0.948

Mask = NDArray[np.uint8]


def bench_characters() -> None:
    """Print how near the traced paths of KanjiVG characters come to the strokes drawn."""
    files = sorted((LINEART / "kanjivg").glob("*.svg"))
    if not files:
        print("\nCharacters: the measuring data is not here.")
        return
    print(f"\nKanjiVG, on pages of {RENDER_PX[0]}x{RENDER_PX[1]}, paths as in pen.yaml\n")
    print("| characters a page | line px | off the truth px | found within 2 px | paths per lone stroke |")
    print("| --- | --- | --- | --- | --- |")
    shuffled = np.random.default_rng(0).permutation(len(files))
    for columns, pages in ((1, 12), (2, 6), (4, 3)):
        for width in (3, 5, 7):
            rows = [
                _character_page([files[k] for k in shuffled[first::pages]], columns, width) for first in range(pages)
            ]
            off, recall, paths, strokes = np.array(rows).T
            print(
                f"| {columns * max(1, int(RENDER_PX[1] * columns / RENDER_PX[0]))} | {width} | {off.mean():.3f} "
                f"| {recall.mean():.2%} | {paths.sum() / strokes.sum():.3f} of {strokes.sum():.0f} |"
            )


def _character_page(files: list[Path], columns: int, width: float) -> tuple[float, float, int, int]:
    cell = RENDER_PX[0] / columns
    strokes = []
    for k, file in enumerate(files[: columns * int(RENDER_PX[1] // cell)]):
        corner = np.array([k % columns, k // columns]) * cell
        strokes += [stroke * cell / KANJI_BOX + corner for stroke in svg_strokes(file)]
    mask = rasterise(strokes, width, RENDER_PX)
    paths = paths_px(trace_mask(mask, PenSettings()))
    truth, traced = (np.concatenate([dense(line) for line in lines]) for lines in (strokes, paths))
    off, _ = cKDTree(truth).query(traced)
    missed, _ = cKDTree(traced).query(truth)
    # Strokes that touch nothing are components of the ink with one stroke in them.
    _, labels = cv2.connectedComponents(mask, connectivity=8)
    drawn = np.array([_component(labels, stroke) for stroke in strokes])
    alone = np.flatnonzero(np.bincount(drawn[drawn > 0], minlength=labels.max() + 1) == 1)
    found = np.array([_component(labels, path) for path in paths])
    return float(off.mean()), float((missed < 2).mean()), int(np.isin(found, alone).sum()), len(alone)


def _component(labels: NDArray[np.int32], line: NDArray[np.float64]) -> int:
    x, y = dense(line, 1.0).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < labels.shape[1]) & (y < labels.shape[0])
    met = labels[y[inside], x[inside]]
    return int(np.bincount(met[met > 0], minlength=1).argmax())


def bench_drawings() -> None:
    """Print what is redrawn of ink drawings, and how long that takes."""
    files = sorted((LINEART / "ink").glob("*.png"))
    if not files:
        print("\nDrawings: the measuring data is not here.")
        return
    print("\nInk drawings, redrawn at the local line width and at each path's own, against the mask\n")
    print(
        "| drawing | IoU local | IoU own | length to skeleton's | without its stairs | paths | ms (median) | CPU ms "
        "| outlines' length |\n" + "| --- " * 9 + "|"
    )
    settings = PenSettings(fill="none")
    for file in files:
        mask = pen_mask(fit_page(load_image(file), RENDER_PX), settings).astype(np.uint8)
        layer = trace_mask(mask, settings)
        best, median = timed(lambda mask=mask: trace_mask(mask, settings))
        busy, _ = timed(lambda mask=mask: trace_mask(mask, settings), time.process_time)
        length = sum(map(length_of, paths_px(layer)))
        outlines = trace_mask(mask, PenSettings(trace="potrace", fill="none"))
        print(
            f"| {file.stem} | {overlap(redrawn(layer, mask, local=True), mask):.3f} "
            f"| {overlap(redrawn(layer, mask, local=False), mask):.3f} | {length / skeleton_length(mask) - 1:+.1%} "
            f"| {length / (_KULPA * skeleton_length(mask)) - 1:+.1%} "
            f"| {len(layer.paths)} | {best * 1e3:.0f} ({median * 1e3:.0f}) | {busy * 1e3:.0f} "
            f"| x{sum(map(length_of, paths_px(outlines))) / length:.2f} |"
        )


def bench_travel() -> None:
    """Print how much shorter the lifted pen's way is than the greedy one, over random segments."""
    print("\nTravel between random segments, five sets of each kind\n")
    print("| segments | nearest neighbour | optimised | saved (least … most) | CPU s (median) |")
    print("| --- | --- | --- | --- | --- |")
    for count in (2000, 10_000):
        for reach, name in ((1.0, "between any two points"), (0.03, "short")):
            lengths = []
            for seed in range(5):
                points = np.random.default_rng(seed).uniform(0, 1, (count, 2, 2)) * A4_MM
                starts = points[:, 0]
                ends = starts + reach * (points[:, 1] - starts)
                orders = nearest_neighbour(starts, ends), optimise_travel(starts, ends)
                lengths.append([travel_length(starts, ends, *order) for order in orders])
            greedy, found = np.array(lengths).T / 1000
            saved = 1 - found / greedy
            best, median = timed(lambda starts=starts, ends=ends: optimise_travel(starts, ends), time.process_time)
            print(
                f"| {count}, {name} | {greedy.mean():.2f} m | {found.mean():.2f} m "
                f"| {saved.mean():.1%} ({saved.min():.1%} … {saved.max():.1%}) | {best:.2f} ({median:.2f}) |"
            )


def paths_px(layer: PenVectors) -> list[NDArray[np.float64]]:
    return [mm_to_px(flatten(path), A4_MM, RENDER_PX) for path in layer.paths]


def overlap(a: NDArray, b: NDArray) -> float:
    return float((a & (b > 0)).sum() / (a | (b > 0)).sum())


def redrawn(layer: PenVectors, mask: Mask, local: bool) -> NDArray[np.bool_]:
    """Draw the paths with discs as wide as the ink there, or as `width_mm` says; True where a pixel is half covered."""
    samples, shift = 4, 4
    canvas = np.zeros((mask.shape[0] * samples, mask.shape[1] * samples), np.uint8)
    depth = cv2.distanceTransform(cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)[1:-1, 1:-1]
    px = mask.shape[1] / layer.page_mm.x
    for path, line in zip(layer.paths, paths_px(layer), strict=True):
        points = dense(line, 0.5)
        x, y = np.clip(points.astype(int), 0, np.array(RENDER_PX) - 1).T
        own = (path.width_mm or layer.pen_width_mm) * px / 2
        radius = np.maximum(depth[y, x] - 0.25, 0.5) if local else np.full(len(x), own)
        centres = np.round((points * samples - 0.5) * 2**shift).astype(int)
        for centre, size in zip(centres, np.round(radius * samples * 2**shift).astype(int), strict=True):
            cv2.circle(canvas, (int(centre[0]), int(centre[1])), int(size), 255, -1, cv2.LINE_8, shift)
    small = cv2.resize(canvas, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 127)


def skeleton_length(mask: Mask) -> float:
    """Return the length of a mask's skeleton, px: so many steps aside, and √2 for each diagonal one.

    Such steps make a line in no particular direction 8 (√2 - 1) / π = 1.055 times as long as it is (Freeman 1970).
    """
    framed, depth, _ = framed_depth(mask)
    line = thin(framed, depth) > 0
    down = line[1:, 1:] & line[:-1, :-1] & ~line[1:, :-1] & ~line[:-1, 1:]
    up = line[1:, :-1] & line[:-1, 1:] & ~line[1:, 1:] & ~line[:-1, :-1]
    straight = (line[:, 1:] & line[:, :-1]).sum() + (line[1:] & line[:-1]).sum()
    return float(straight + np.sqrt(2) * (down.sum() + up.sum()))


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> tuple[float, float]:
    work()
    spent = []
    for _ in range(ROUNDS):
        start = clock()
        work()
        spent.append(clock() - start)
    return min(spent), float(np.median(spent))


if __name__ == "__main__":
    bench_characters()
    bench_drawings()
    bench_travel()
