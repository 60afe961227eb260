"""Any picture file → an upright sRGB raster on white."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from airbrush_cli.errors import InputError

MAX_MEGAPIXELS = 200
# No page raster needs more: a picture whose shorter side is over twice this long is reduced while it is read.
_ENOUGH_PX = 2048

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
_DAMAGE = (SyntaxError, ValueError, struct.error, EOFError, IndexError, KeyError, TypeError, OverflowError)


def load_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, WebP or TIFF file.

    The orientation of EXIF is applied, transparency laid over white, an embedded colour profile converted to sRGB, and
    depth brought to 8 bits. Of several frames or pages the first is read.

    Args:
        path: the file.
        max_megapixels: a larger picture is refused before any of it is decoded.

    Returns:
        (H, W, 3) sRGB.

    Raises:
        InputError: no such file, no picture, damaged, or too large; one line.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a picture file in it")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes)")
        with _size_unchecked(), _open(path, max_megapixels) as image:
            _check_size(path, image.size, max_megapixels)
            return _decode(image)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture that can be read; convert it to PNG, JPEG, WebP or TIFF") from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine") from error
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
        raise InputError(f"{path}: damaged or cut short: {_one_line(error)}") from error
    except (*_DAMAGE, cv2.error) as error:
        raise InputError(f"{path}: damaged: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _size_unchecked() -> Iterator[None]:
    """Turn off Pillow's own limit and warnings: the size is checked here, with words that name it."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(path: Path, size: tuple[int, int], max_megapixels: float) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"{path}: has no pixels ({width}x{height})")
    if width * height > max_megapixels * 1e6:
        raise InputError(
            f"{path}: {width}x{height} is over the limit of {max_megapixels:g} megapixels; reduce it first"
        )


def _open(path: Path, max_megapixels: float) -> Image.Image:
    try:
        return Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError:
        with path.open("rb") as stream:
            head = stream.read(24)
            if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) == 24:
                _check_size(path, struct.unpack(">II", head[16:]), max_megapixels)  # says more than that it is damaged
            if head[:4] not in (b"II*\0", b"MM\0*"):
                raise
            # Pillow knows no TIFF with 16 bits or floats in several channels; OpenCV does.
            directory = TiffImagePlugin.ImageFileDirectory_v2(head[:8])
            stream.seek(directory.next)
            directory.load(stream)
        _check_size(path, (int(directory[256]), int(directory[257])), max_megapixels)
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise
        return _from_deep(pixels)


def _from_deep(pixels: NDArray) -> Image.Image:
    """Return an 8-bit image of (H, W), (H, W, 3) BGR or (H, W, 4) BGRA numbers of any kind."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return Image.fromarray(np.ascontiguousarray(_to_bytes(pixels)))


def _to_bytes(values: NDArray) -> NDArray[np.uint8]:
    """Bring whole numbers of 8, 16 or 32 bits, or floats from 0 to 1 (or to 255), to bytes."""
    if values.dtype == np.uint8:
        return values
    top = np.nanmax(values, initial=0)
    limits = (1.0, 255.0) if values.dtype.kind == "f" else (65535.0, 2.0**32 - 1)
    full = limits[0] if top <= limits[0] else limits[1]
    return np.clip(np.nan_to_num(values.astype(np.float32)) * (255.0 / full) + 0.5, 0, 255).astype(np.uint8)


def _decode(image: Image.Image) -> NDArray[np.uint8]:
    profile = image.info.get("icc_profile")
    if image.format == "JPEG":
        image.draft(None, (_ENOUGH_PX, _ENOUGH_PX))  # decodes at 1/2, 1/4 or 1/8, never below this size
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        return np.array(ImageOps.exif_transpose(_from_deep(np.asarray(image))).convert("RGB"))
    orientation = image.getexif().get(0x0112, 1)
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    factor = min(image.size) // _ENOUGH_PX
    if factor > 1 and image.mode != "1":
        image = image.reduce(factor)
    alpha = None
    if image.mode in ("LA", "La", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    image = _to_srgb(image, profile)
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    image.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(image), np.uint8)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        except OSError:
            return image.convert("RGB")
    else:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted or image.convert("RGB")
    except ImageCms.PyCMSError:
        return image.convert("RGB")  # a broken profile, or another space's: the numbers alone are the best there is
