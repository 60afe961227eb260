"""PNG files of the project: 8-bit sRGB, whole or absent."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from airbrush_cli import files


def write_png(path: Path, srgb: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) sRGB or (H, W) grey picture."""
    pixels = srgb if srgb.ndim == 2 else srgb[:, :, ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    assert done, "OpenCV encodes every 8-bit picture as PNG"
    files.write_bytes(path, data.tobytes())
