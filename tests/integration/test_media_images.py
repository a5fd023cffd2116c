"""Pictures with their right brightness, colours and size, whatever their samples, orientation or container."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.media_decoding import decode
from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media import DecoderPool
from wave_search.media import image as image_module
from wave_search.media.image import image_size, read_image
from wave_search.media.source import Source
from wave_search.media.tiff import eight_bit
from wave_search.models.wave.clips import SAMPLING

HEIGHT, WIDTH = 56, 84
"""Not resized by the sampling."""
Y, X = np.mgrid[:HEIGHT, :WIDTH]
GREY = 0.6 * X / (WIDTH - 1) + 0.4 * Y / (HEIGHT - 1)
"""(height, width) in [0, 1]."""
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, SAMPLING) as running:
        yield running


def pixels_of(decoders: DecoderPool, path: Path) -> NDArray[np.uint8]:
    info, (segment,) = decode(decoders, path)
    pixels = segment.clip.image
    assert pixels is not None
    assert (info.kind, info.height, info.width) == ("image", *pixels.shape[:2])
    return pixels


def check(pixels: NDArray[np.uint8], expected: NDArray[np.float64], tolerance: float = 1.01) -> None:
    """`expected`: (height, width) or (height, width, 3) in [0, 1]."""
    colours = expected if expected.ndim == 3 else np.stack([expected] * 3, axis=-1)
    np.testing.assert_allclose(pixels.astype(float), 255 * colours, atol=tolerance)


def integers(values: NDArray[np.float64], bits: int, kind: str) -> NDArray[Any]:
    return np.rint(values * (2**bits - 1)).astype(kind)


@pytest.mark.parametrize(
    ("samples", "expected", "options"),
    [
        (GREY.astype("f4"), GREY, {}),
        (GREY.astype("f8"), GREY, {}),
        (GREY.astype("f2"), GREY, {}),
        ((GREY * 5000 - 700).astype("f4"), GREY, {}),
        (np.where(X == 0, np.nan, GREY).astype("f4"), np.where(X == 0, GREY[:, 1:].min(), GREY), {}),
        (RGB.astype("f4"), RGB, {"photometric": "rgb"}),
        ((RGB * 7).astype("f4"), RGB, {"photometric": "rgb"}),
        (integers(GREY, 10, "u2"), GREY, {}),
        (integers(GREY, 12, "u2"), GREY, {}),
        (integers(GREY, 14, "u2"), GREY, {}),
        (integers(GREY, 16, "u2"), GREY, {}),
        (integers(GREY, 16, ">u2"), GREY, {"byteorder": ">"}),
        ((GREY * 65535 - 32768).astype("i2"), GREY, {}),
        (integers(GREY, 12, "i2"), GREY, {}),
        (integers(GREY, 15, "i2"), GREY, {}),
        (integers(GREY, 8, "i4"), GREY, {}),
        (integers(GREY, 12, "u4"), GREY, {}),
        (integers(GREY, 32, "u4"), GREY, {}),
        ((GREY * 2**31 - 2**30).astype("i4"), GREY, {}),
        (integers(RGB, 12, "u2"), RGB, {"photometric": "rgb"}),
        (integers(RGB, 16, "u2"), RGB, {"photometric": "rgb"}),
        (integers(RGB, 16, ">u2"), RGB, {"photometric": "rgb", "byteorder": ">"}),
        (integers(RGB, 12, "u2"), RGB, {"photometric": "rgb", "tile": (32, 32)}),
        (integers(np.moveaxis(RGB, -1, 0), 12, "u2"), RGB, {"photometric": "rgb", "planarconfig": "separate"}),
        (integers(RGB, 32, "u4"), RGB, {"photometric": "rgb"}),
        (integers(RGB, 12, "u2"), RGB, {"photometric": "rgb", "compression": "zlib", "predictor": True}),
        (integers(GREY, 12, "u2"), GREY, {"bigtiff": True}),
        (integers(1 - GREY, 12, "u2"), GREY, {"photometric": "miniswhite"}),
        (integers(np.stack([GREY, 1 - GREY]), 12, "u2"), GREY, {"photometric": "minisblack"}),
        (integers(RGB, 8, "u1"), RGB, {"photometric": "rgb"}),
    ],
)  # fmt: skip
def test_tiff_is_scaled_by_what_it_holds(
    decoders: DecoderPool, tmp_path: Path, samples: NDArray[Any], expected: NDArray[np.float64], options: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "picture.tif", samples, **{"photometric": "minisblack", **options})
    check(pixels_of(decoders, tmp_path / "picture.tif"), expected)


def test_transparency_of_16_bits_is_blended_onto_white(decoders: DecoderPool, tmp_path: Path) -> None:
    half = np.full((HEIGHT, WIDTH, 1), 0.5)
    samples = integers(np.concatenate([RGB, half], axis=-1), 16, "u2")
    tifffile.imwrite(tmp_path / "picture.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    check(pixels_of(decoders, tmp_path / "picture.tif"), RGB / 2 + 0.5, 2.0)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("compression", ["lzw", "packbits"])
def test_compressions_that_only_pillow_reads(
    decoders: DecoderPool, tmp_path: Path, bits: int, compression: str
) -> None:
    """Pillow writes no RGB of 16 bits, but FFmpeg does."""
    import av

    path = tmp_path / "picture.tif"
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("tiff", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb48le"
        stream.options = {"compression_algo": compression}
        frame = av.VideoFrame.from_ndarray(integers(RGB, bits, "u2"), format="rgb48le")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    check(pixels_of(decoders, path), RGB)


def test_damaged_deep_tiff(decoders: DecoderPool, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "picture.tif", RGB.astype("f4"), photometric="rgb")
    data = (tmp_path / "picture.tif").read_bytes()
    (tmp_path / "picture.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenMediaError, match="32 bits a sample"):
        decode(decoders, tmp_path / "picture.tif")


def test_floats_without_a_range() -> None:
    assert eight_bit(np.full((2, 2), 5.0)).max() == 0
    assert eight_bit(np.full((2, 2), np.nan)).max() == 0
    assert eight_bit(np.array([[0.0, 0.5, 1.0]])).tolist() == [[0, 128, 255]]
    assert eight_bit(np.array([[0.25, 0.5]])).tolist() == [[64, 128]]


@pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp", "jxl"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_are_upright(decoders: DecoderPool, tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"picture.{suffix}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(integers(RGB, 8, "u1"))
    if suffix == "tif":
        stored.save(path, tiffinfo={ORIENTATION: orientation})
    elif suffix == "jxl":
        import pillow_jxl  # noqa: F401

        stored.save(path, exif=exif.tobytes(), lossless=True)
    else:
        stored.save(path, exif=exif, quality=100, lossless=True)
    upright = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(RGB),
    }
    check(pixels_of(decoders, path), upright[orientation], 6.0 if suffix == "jpg" else 1.01)


def test_turned_tiff_of_12_bits(decoders: DecoderPool, tmp_path: Path) -> None:
    stored = Image.fromarray(integers(GREY, 12, "u2"))
    stored.save(tmp_path / "picture.tif", tiffinfo={ORIENTATION: 6})
    check(pixels_of(decoders, tmp_path / "picture.tif"), np.rot90(GREY, -1))


def png(samples: NDArray[Any]) -> bytes:
    """A PNG with 16 bits a sample, which Pillow writes only in grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if samples.ndim == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("expected", [GREY, RGB, GREY / 30], ids=["grey", "RGB", "dark"])
def test_png_of_16_bits_holds_the_full_range(
    decoders: DecoderPool, tmp_path: Path, expected: NDArray[np.float64]
) -> None:
    (tmp_path / "picture.png").write_bytes(png(integers(expected, 16, "u2")))
    check(pixels_of(decoders, tmp_path / "picture.png"), expected)


@pytest.mark.parametrize("suffix", ["jp2", "qoi", "ppm"])
def test_further_formats(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    Image.fromarray(integers(RGB, 8, "u1")).save(tmp_path / f"picture.{suffix}")
    check(pixels_of(decoders, tmp_path / f"picture.{suffix}"), RGB)


def test_ppm_with_a_comment(decoders: DecoderPool, tmp_path: Path) -> None:
    pixels = integers(RGB, 8, "u1")
    (tmp_path / "gimp.ppm").write_bytes(b"P6\n# by a program\n%d %d\n255\n" % (WIDTH, HEIGHT) + pixels.tobytes())
    check(pixels_of(decoders, tmp_path / "gimp.ppm"), RGB)


def test_jpeg_in_cmyk(decoders: DecoderPool, tmp_path: Path) -> None:
    Image.fromarray(integers(RGB, 8, "u1")).convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    check(pixels_of(decoders, tmp_path / "print.jpg"), RGB, 3.0)


def test_heif_and_jpeg_xl(decoders: DecoderPool, tmp_path: Path) -> None:
    import pillow_heif
    import pillow_jxl  # noqa: F401

    pillow_heif.register_heif_opener()
    picture = Image.fromarray(integers(RGB, 8, "u1"))
    picture.save(tmp_path / "picture.heic", quality=-1, chroma=444)
    picture.save(tmp_path / "picture.jxl", lossless=True)
    check(pixels_of(decoders, tmp_path / "picture.heic"), RGB, 6.0)
    check(pixels_of(decoders, tmp_path / "picture.jxl"), RGB)


@pytest.mark.parametrize(("name", "module"), [("HEIF", "pillow_heif"), ("JXL", "pillow_jxl")])
def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "photo"
    path.write_bytes(b"x")
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError, match=r"install 'wave-search\[photos\]'"):
        image_size(Source(path, file, name))


def jpeg(size: tuple[int, int], orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    picture = Image.fromarray(integers(RGB, 8, "u1")).resize(size)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=98, exif=exif)
    return data.getvalue()


def write_raw(path: Path, previews: list[bytes], *, orientation: int = 1, dng: bool = True) -> None:
    """A photograph as cameras write it: a thumbnail, then the values of the sensor, then JPEG images."""
    noise = np.random.default_rng(0).integers(0, 4095, (HEIGHT, WIDTH)).astype("u2")
    tags: list[Any] = [(ORIENTATION, "H", 1, orientation, True)]
    if dng:
        tags.append((50706, "B", 4, (1, 4, 0, 0), True))
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((8, 12, 3), "u1"), photometric="rgb", subfiletype=1, subifds=1, extratags=tags)
        tiff.write(noise, photometric="cfa", extratags=[(33421, "H", 2, (2, 2)), (33422, "B", 4, (0, 1, 1, 2))])
    with path.open("ab") as file:
        file.write(b"".join(bytes(64) + preview for preview in previews))


@pytest.mark.parametrize(
    ("name", "previews", "options", "expected"),
    [
        ("photo.dng", [jpeg((21, 14)), jpeg((WIDTH, HEIGHT))], {}, RGB),
        ("photo.nef", [jpeg((WIDTH, HEIGHT)), jpeg((21, 14))], {"dng": False}, RGB),
        ("turned.arw", [jpeg((WIDTH, HEIGHT))], {"orientation": 6, "dng": False}, np.rot90(RGB, -1)),
        ("own.dng", [jpeg((WIDTH, HEIGHT), 3)], {"orientation": 6}, RGB[::-1, ::-1]),
    ],
)
def test_the_full_size_preview_of_a_raw_photograph(
    decoders: DecoderPool,
    tmp_path: Path,
    *,
    name: str,
    previews: list[bytes],
    options: dict[str, Any],
    expected: NDArray[np.float64],
) -> None:
    write_raw(tmp_path / name, previews, **options)
    check(pixels_of(decoders, tmp_path / name), expected, 8.0)


@pytest.mark.parametrize(
    "head", [b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\x00\x00\x00", b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom"]
)
def test_previews_in_other_containers(decoders: DecoderPool, tmp_path: Path, head: bytes) -> None:
    (tmp_path / "photo").write_bytes(head + bytes(500) + jpeg((60, 40)) + bytes(99) + jpeg((1008, 672)) + bytes(5000))
    assert pixels_of(decoders, tmp_path / "photo").shape == (672, 1008, 3)


def test_a_turned_canon_raw(decoders: DecoderPool, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    data = b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(40) + b"CMT1" + exif.tobytes()[6:] + bytes(99)
    (tmp_path / "photo.cr3").write_bytes(data + jpeg((1008, 672)))
    assert pixels_of(decoders, tmp_path / "photo.cr3").shape == (1008, 672, 3)


@pytest.mark.parametrize("previews", [[], [jpeg((21, 14))]])
def test_a_raw_photograph_without_a_preview(decoders: DecoderPool, tmp_path: Path, previews: list[bytes]) -> None:
    write_raw(tmp_path / "photo.dng", previews)
    with pytest.raises(UnsupportedMediaError, match="a raw photograph without a full-size preview"):
        decoders.identify(tmp_path / "photo.dng")


def test_images_that_do_not_fit_into_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (4000, 4000)).save(path)
    monkeypatch.setattr(image_module, "data_limit_bytes", lambda: 100 << 20)
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError, match=r"about 0\.2 GiB .* may use 0\.1 GiB"):
        image_size(Source(path, file, "PNG"))


def test_very_large_jpegs_are_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg((1680, 1120)))
    monkeypatch.setattr(image_module, "_DRAFT_PIXELS", 1_000_000)
    with path.open("rb") as file:
        source = Source(path, file, "JPEG")
        assert image_size(source) == (1680, 1120)
        pixels = read_image(source, SAMPLING)
    assert pixels.shape == (560, 840, 3)
    check(pixels[5::10, 5::10], RGB, 8.0)
