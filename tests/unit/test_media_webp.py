"""Animated WebP as a video: frames by the time at which they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media_decoding import decode
from wave_search.errors import BrokenMediaError
from wave_search.media import DecoderPool
from wave_search.models.wave.clips import SAMPLING

GREYS = (0, 60, 120, 180, 240)


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, SAMPLING) as running:
        yield running


def write_webp(path: Path, durations_ms: int | list[int], mode: str = "RGB") -> Path:
    colours = [(grey, grey, grey, 255 if mode == "RGB" or grey else 0)[: len(mode)] for grey in GREYS]
    first, *others = (Image.new(mode, (56, 56), colour) for colour in colours)
    first.save(path, save_all=True, append_images=others, duration=durations_ms, lossless=True)
    return path


@pytest.mark.parametrize(
    ("durations_ms", "duration_s", "shown"),
    [
        (500, 2.5, [0, 60, 120, 180, 240]),
        ([500, 500, 1500, 500, 500], 3.5, [0, 60, 120, 120, 120, 180, 240]),
        (0, 0.5, [0]),  # as browsers show it: 0.1 s a frame
    ],
)
def test_frames_are_chosen_by_their_time(
    decoders: DecoderPool, tmp_path: Path, durations_ms: int | list[int], duration_s: float, shown: list[int]
) -> None:
    info, segments = decode(decoders, write_webp(tmp_path / "a.webp", durations_ms), "none")
    assert (info.kind, info.duration_s) == ("video", pytest.approx(duration_s))
    (segment,) = segments
    assert segment.clip.frames is not None
    assert segment.clip.frames.pixels[:, 28, 28, 0].tolist() == shown


def test_ranges_are_those_of_the_file(decoders: DecoderPool, tmp_path: Path) -> None:
    _, segments = decode(decoders, write_webp(tmp_path / "a.webp", 500), "1")
    found = [segment.clip.frames.pixels[:, 28, 28, 0].tolist() for segment in segments if segment.clip.frames]
    assert found == [[0, 60], [120, 180, 240]]  # half a second joins the range before it


def test_transparency_is_white(decoders: DecoderPool, tmp_path: Path) -> None:
    _, segments = decode(decoders, write_webp(tmp_path / "a.webp", 500, "RGBA"), "none")
    assert segments[0].clip.frames is not None
    assert segments[0].clip.frames.pixels[:2, 28, 28, 0].tolist() == [255, 60]


def test_a_still_is_an_image(decoders: DecoderPool, tmp_path: Path) -> None:
    Image.new("RGB", (56, 56), "red").save(tmp_path / "a.webp")
    info = decoders.identify(tmp_path / "a.webp")
    assert (info.kind, info.width, info.height) == ("image", 56, 56)


def test_an_animation_that_is_cut_off_is_damaged(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_webp(tmp_path / "a.webp", 500)
    noise = [Image.fromarray(np.random.default_rng(n).integers(0, 255, (56, 56, 3), np.uint8)) for n in range(4)]
    noise[0].save(path, save_all=True, append_images=noise[1:], duration=500, lossless=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenMediaError, match="damaged"):
        decoders.identify(path)
