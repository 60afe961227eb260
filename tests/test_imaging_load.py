"""Reading pictures: every kind comes out as upright sRGB on white, every broken one as one clear line."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from airbrush_cli.errors import InputError
from airbrush_cli.imaging.load import load_image

RED, GREEN, BLUE, GREY = (200, 30, 40), (20, 180, 60), (30, 40, 190), (128, 128, 128)


def quadrants(size: int = 32) -> np.ndarray:
    """A picture whose corners tell its orientation: red, green over blue, grey."""
    picture = np.empty((size, size, 3), np.uint8)
    half = size // 2
    picture[:half, :half], picture[:half, half:] = RED, GREEN
    picture[half:, :half], picture[half:, half:] = BLUE, GREY
    return picture


def corners(picture: np.ndarray) -> list[tuple[int, ...]]:
    rows, columns = picture.shape[0] // 4, picture.shape[1] // 4
    return [tuple(map(int, picture[i, j])) for i in (rows, 3 * rows) for j in (columns, 3 * columns)]


def near(found: list[tuple[int, ...]], expected: list[tuple[int, ...]], tolerance: int) -> bool:
    return bool(np.abs(np.array(found) - np.array(expected)).max() <= tolerance)


@pytest.mark.parametrize(("name", "options", "tolerance"), [
    ("a.png", {}, 0),
    ("a.tif", {"compression": "tiff_lzw"}, 0),
    ("a.webp", {"lossless": True}, 0),
    ("a.jpg", {"quality": 95, "subsampling": 0}, 6),
])  # fmt: skip
def test_formats(tmp_path: Path, name: str, options: dict, tolerance: int) -> None:
    Image.fromarray(quadrants()).save(tmp_path / name, **options)
    assert near(corners(load_image(tmp_path / name)), [RED, GREEN, BLUE, GREY], tolerance)


def test_palette_and_grey_and_bits(tmp_path: Path) -> None:
    image = Image.fromarray(quadrants())
    image.quantize(8).save(tmp_path / "p.png")
    assert near(corners(load_image(tmp_path / "p.png")), [RED, GREEN, BLUE, GREY], 3)
    image.convert("L").save(tmp_path / "l.png")
    grey = load_image(tmp_path / "l.png")
    assert grey.shape == (32, 32, 3)
    assert (grey[..., 0] == grey[..., 2]).all()
    image.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(load_image(tmp_path / "1.png"))) <= {0, 255}


def test_alpha_lies_over_white(tmp_path: Path) -> None:
    rgba = np.dstack([quadrants(), np.full((32, 32), 255, np.uint8)])
    rgba[:16, :16, 3] = 0
    rgba[:16, 16:, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    half = tuple(round(value * 128 / 255 + 255 * 127 / 255) for value in GREEN)
    assert near(corners(load_image(tmp_path / "a.png")), [(255, 255, 255), half, BLUE, GREY], 1)
    palette = Image.fromarray(quadrants()).quantize(4)
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((2, 2)))
    assert corners(load_image(tmp_path / "p.png"))[0] == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.transpose(a, (1, 0, 2)),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2),
        8: lambda a: np.rot90(a, 3),
    }[orientation](quadrants())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    options = {"jpg": {"quality": 95}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif, **options)
    assert near(corners(load_image(path)), [RED, GREEN, BLUE, GREY], 12)


def test_sixteen_bits_and_floats(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    expected = np.round(ramp[0] / 257).astype(int)
    cv2.imwrite(str(tmp_path / "g.png"), ramp)
    cv2.imwrite(str(tmp_path / "g.tif"), ramp)
    colour = np.dstack([ramp, ramp[:, ::-1], ramp])
    cv2.imwrite(str(tmp_path / "c.png"), colour)
    cv2.imwrite(str(tmp_path / "c.tif"), colour)
    cv2.imwrite(str(tmp_path / "f.tif"), (ramp / 65535).astype(np.float32))
    cv2.imwrite(str(tmp_path / "fc.tif"), (colour / 65535).astype(np.float32))
    for name in ("g.png", "g.tif", "c.png", "c.tif", "f.tif", "fc.tif"):
        found = load_image(tmp_path / name)
        assert found.shape == (4, 256, 3), name
        assert np.abs(found[0, :, 0].astype(int) - expected).max() <= 1, name
        if "c" in name:
            assert np.abs(found[0, ::-1, 1].astype(int) - expected).max() <= 1, name


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.fromarray(quadrants()).convert("CMYK").save(tmp_path / "c.jpg", quality=98, subsampling=0)
    assert near(corners(load_image(tmp_path / "c.jpg")), [RED, GREEN, BLUE, GREY], 12)


def test_embedded_profile_becomes_srgb(tmp_path: Path) -> None:
    # An sRGB profile whose red and blue primaries have changed places: the channels must come out swapped.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    table = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = table[b"rXYZ"], table[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    Image.fromarray(quadrants()).save(tmp_path / "i.png", icc_profile=bytes(profile))
    swapped = [colour[::-1] for colour in (RED, GREEN, BLUE, GREY)]
    assert near(corners(load_image(tmp_path / "i.png")), swapped, 3)
    Image.fromarray(quadrants()).save(tmp_path / "b.png", icc_profile=b"no profile at all")
    assert corners(load_image(tmp_path / "b.png"))[0] == RED


def test_large_jpeg_is_reduced_while_read(tmp_path: Path) -> None:
    Image.fromarray(quadrants(4200)).save(tmp_path / "big.jpg", quality=95)
    found = load_image(tmp_path / "big.jpg")
    assert 2048 <= found.shape[0] <= 4200
    assert near(corners(found), [RED, GREEN, BLUE, GREY], 6)


def bad_files(folder: Path) -> dict[str, Path]:
    good = folder / "good.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(good)
    Image.fromarray(noise).save(folder / "good.jpg")
    Image.fromarray(noise).save(folder / "good.webp")
    Image.fromarray(noise).save(folder / "good.tif")

    def header(width: int, height: int) -> bytes:
        chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))

    files = {
        "missing": folder / "nothing.png",
        "folder": folder,
        "empty": folder / "empty.png",
        "text": folder / "text.png",
        "huge": folder / "huge.png",
        "flat": folder / "flat.png",
        "gif": folder / "a.gif",
        "bmp": folder / "a.bmp",
        "tiff": folder / "junk.tif",
    }
    files["empty"].write_bytes(b"")
    files["text"].write_text("this is no picture\n")
    files["huge"].write_bytes(header(60000, 60000) + b"\0" * 64)
    files["flat"].write_bytes(header(0, 5) + b"\0" * 64)
    Image.fromarray(noise).save(files["gif"])
    Image.fromarray(noise).save(files["bmp"])
    files["tiff"].write_bytes(b"II*\0\x08\0\0\0" + b"\xff" * 40)
    for suffix in ("png", "jpg", "webp", "tif"):
        data = (folder / f"good.{suffix}").read_bytes()
        for share in (0.1, 0.5, 0.97):
            files[f"{suffix} {share}"] = folder / f"cut{share}.{suffix}"
            files[f"{suffix} {share}"].write_bytes(data[: int(len(data) * share)])
    return files


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    for kind, path in bad_files(tmp_path).items():
        with pytest.raises(InputError) as caught:
            load_image(path)
        message = str(caught.value)
        assert str(path) in message, kind
        assert "\n" not in message, kind
        assert ("; convert it to PNG" in message) is (kind in ("gif", "bmp", "text")), message
    with pytest.raises(InputError, match="60000x60000 is over the limit of 200 megapixels"):
        load_image(tmp_path / "huge.png")


def test_any_damage_is_an_input_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for suffix in ("png", "jpg", "webp", "tif"):
        Image.fromarray(quadrants()).save(tmp_path / f"a.{suffix}")
        data = np.frombuffer((tmp_path / f"a.{suffix}").read_bytes(), np.uint8)
        for _ in range(40):
            broken = data.copy()
            broken[generator.integers(0, len(data), 4)] = generator.integers(0, 255, 4)
            (tmp_path / f"b.{suffix}").write_bytes(broken.tobytes())
            try:
                found = load_image(tmp_path / f"b.{suffix}")
            except InputError as error:
                assert "\n" not in str(error)
            else:
                assert found.dtype == np.uint8
                assert found.shape[2] == 3
