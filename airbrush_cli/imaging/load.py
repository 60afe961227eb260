"""Any picture file → an upright sRGB raster on white."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from airbrush_cli.errors import InputError

MAX_MEGAPIXELS = 200
# Enough for any page that fit_page makes; larger pictures are reduced while they are read.
ENOUGH_PX = 4096

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
_SRGB = ImageCms.createProfile("sRGB")


def load_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, WebP or TIFF file.

    The orientation of EXIF is applied, transparency laid over white, an embedded colour profile converted to sRGB, and
    depth brought to 8 bits. Pictures with a side far above `ENOUGH_PX` come back reduced, to spare memory.

    Args:
        path: the file.
        max_megapixels: a larger picture is refused, before any of it is decoded.

    Returns:
        (H, W, 3) sRGB.

    Raises:
        InputError: no such file, no picture, damaged, or too large; one line.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a picture file in it")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's size warning: the size is checked here, in its place
            with Image.open(path, formats=_FORMATS) as image:
                _check_size(path, image, max_megapixels)
                return _decode(image)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture that can be read (PNG, JPEG, WebP or TIFF)") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: more pixels than the limit of {max_megapixels:g} megapixels") from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine") from error
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
        raise InputError(f"{path}: damaged or cut short: {_one_line(error)}") from error
    except (SyntaxError, ValueError, struct.error, EOFError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_size(path: Path, image: Image.Image, max_megapixels: float) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise InputError(f"{path}: has no pixels ({width}x{height})")
    if width * height > max_megapixels * 1e6:
        raise InputError(
            f"{path}: {width}x{height} is more than the limit of {max_megapixels:g} megapixels; reduce it first"
        )


def _decode(image: Image.Image) -> NDArray[np.uint8]:
    profile = image.info.get("icc_profile")
    if image.format == "JPEG":
        image.draft(None, (ENOUGH_PX // 2, ENOUGH_PX // 2))  # never below that size
    image.load()
    factor = min(image.size) // (ENOUGH_PX // 2)
    upright = ImageOps.exif_transpose(image)
    if factor > 1 and upright.mode in ("L", "RGB", "RGBA", "CMYK", "LA", "I;16", "F"):
        upright = upright.reduce(factor)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _deep_grey(upright)
    alpha = None
    if upright.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        alpha = upright.getchannel("A")
        upright = upright.convert("RGB")
    upright = _to_srgb(upright, profile)
    if alpha is not None:
        upright = Image.composite(upright, Image.new("RGB", upright.size, "white"), alpha)
    return np.array(upright, np.uint8)


def _deep_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Bring one channel of 16 or 32 bits, or of floats in 0..1, to 8 bits."""
    values = np.asarray(image).astype(np.float32)
    float_full = 1.0 if np.nanmax(values, initial=0.0) <= 1.0 else 255.0
    full = float_full if image.mode == "F" else 65535.0
    grey = np.clip(np.nan_to_num(values) * (255.0 / full) + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode in ("1", "P", "PA"):
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
            if converted is not None:
                return converted
        except ImageCms.PyCMSError:
            pass  # a broken profile, or one of another colour space: the numbers alone are the best there is
    return image if image.mode == "RGB" else image.convert("RGB")
