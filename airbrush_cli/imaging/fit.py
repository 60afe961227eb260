"""Putting a picture on the page. Every change of size of picture data goes through `resize`."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airbrush_cli.colour import linear_to_srgb, srgb_to_linear
from airbrush_cli.schemas.preprocess import Fit, Rotate

_TO_LIGHT = srgb_to_linear(np.arange(256, dtype=np.float32) / 255).reshape(1, 256)


def fit_page(
    rgb: NDArray[np.uint8], size_px: tuple[int, int], fit: Fit = "contain", rotate: Rotate = "auto"
) -> NDArray[np.uint8]:
    """Bring a picture to the size of the page.

    Args:
        rgb: (H, W, 3) sRGB.
        size_px: (width, height) of the page's raster.
        fit: `contain` shows all of it with white margins, `cover` fills the page and cuts the rest off evenly on both
            sides, `stretch` fills the page with all of it, distorted.
        rotate: `auto` turns a picture a quarter counterclockwise when it lies and the page stands (or the other way
            round); `never` leaves it.

    Returns:
        (height, width, 3) sRGB.
    """
    width, height = size_px
    lies = rgb.shape[1] > rgb.shape[0]
    stands = rgb.shape[1] < rgb.shape[0]
    if rotate == "auto" and ((lies and width < height) or (stands and width > height)):
        rgb = np.rot90(rgb)
    rows, columns = rgb.shape[:2]
    if fit == "stretch":
        return resize(rgb, size_px)
    if fit == "cover":
        scale = max(width / columns, height / rows)
        keep_w, keep_h = width / scale, height / scale
        left, top = round((columns - keep_w) / 2), round((rows - keep_h) / 2)
        cut = rgb[top : top + max(1, round(keep_h)), left : left + max(1, round(keep_w))]
        return resize(cut, size_px)
    scale = min(width / columns, height / rows)
    inner = min(width, max(1, round(columns * scale))), min(height, max(1, round(rows * scale)))
    page = np.full((height, width, 3), 255, np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    page[top : top + inner[1], left : left + inner[0]] = resize(rgb, inner)
    return page


def resize(rgb: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample an (H, W, 3) sRGB picture to (width, height).

    Shrinking happens in linear light, because that is what the eye averages when details grow too small to see: on
    coded values, fine bright detail would darken. Large factors are averaged over areas down to twice the size, the
    rest is Lanczos. Enlarging stays on coded values, whose overshoots beside an edge look alike on both of its sides.
    """
    width, height = size_px
    rows, columns = rgb.shape[:2]
    if (columns, rows) == size_px:
        return np.ascontiguousarray(rgb)
    if columns <= width and rows <= height:
        return np.asarray(Image.fromarray(rgb).resize(size_px, Image.Resampling.LANCZOS))
    light = cv2.LUT(np.ascontiguousarray(rgb), _TO_LIGHT)
    middle = (min(columns, max(2 * width, 1)), min(rows, max(2 * height, 1)))
    if middle != (columns, rows):
        light = cv2.resize(light, middle, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
    channels = [Image.fromarray(np.ascontiguousarray(light[..., k])) for k in range(3)]
    small = np.stack([np.asarray(channel.resize(size_px, Image.Resampling.LANCZOS)) for channel in channels], axis=-1)
    return np.round(linear_to_srgb(np.clip(small, 0, 1)) * 255).astype(np.uint8)
