"""Previews of single files: upright thumbnails, formats, and clips that are still upright."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.media_samples import ENCODINGS, moving_picture, rotate_mp4, write_frames
from wave_search.errors import BrokenMediaError, ChangedMediaError, UnsupportedMediaError
from wave_search.files import mtime_ns
from wave_search.media.clip import WriteClip
from wave_search.media.preview import ExamineStreams, MakeThumbnail, MeasurePeaks, StreamDetails
from wave_search.media.source import IndexedFile

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.types import FileKind

PICTURE = moving_picture(24, 48, 64)


def indexed(path: Path, kind: FileKind = "video") -> IndexedFile:
    status = path.stat()
    return IndexedFile(path.resolve(), kind, status.st_size, mtime_ns(status))


def thumbnail(file: IndexedFile, at_s: float = 0.5, width: int = 320) -> Any:
    (made,) = MakeThumbnail(file, at_s, width).previews()
    return Image.open(io.BytesIO(made))


def streams(file: IndexedFile) -> StreamDetails:
    (found,) = ExamineStreams(file).previews()
    return found


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.mp4"])
def test_what_is_turned_is_upright_in_pictures_and_clips(tmp_path: Path, name: str) -> None:
    """H.264 is copied with its rotation, MPEG-4 encoded upright."""
    write_frames(tmp_path / name, PICTURE, ENCODINGS[name])
    turned = indexed(rotate_mp4(tmp_path / name, tmp_path / f"turned-{name}", 90))
    assert (streams(turned).width, streams(turned).height, thumbnail(turned).size) == (48, 64, (48, 64))
    list(WriteClip(turned, tmp_path / "clip.mp4", 0.2, 0.6).previews())
    clip = indexed(tmp_path / "clip.mp4")
    assert (streams(clip).video_codec, streams(clip).width, streams(clip).height) == ("h264", 48, 64)
    expected = np.asarray(thumbnail(turned, 0.4).convert("RGB")).astype(float)
    shown = np.asarray(thumbnail(clip, 0.2).convert("RGB")).astype(float)
    assert np.abs(shown - expected).mean() < 8


def test_a_picture_is_made_smaller_and_never_larger(tmp_path: Path) -> None:
    film = indexed(write_frames(tmp_path / "a.mp4", PICTURE, ENCODINGS["h264.mp4"]))
    assert thumbnail(film, width=32).size == (32, 24)
    assert thumbnail(film, width=2560).size == (64, 48)
    assert thumbnail(film, at_s=1e6).size == (64, 48)  # the last frame stays


def test_an_animated_webp_has_a_picture_at_each_time(tmp_path: Path) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    frames = [Image.new("RGB", (64, 48), colour) for colour in colours]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=500, lossless=True)
    film = indexed(tmp_path / "a.webp")
    assert (streams(film).format, streams(film).width) == ("WEBP", 64)
    for number, colour in enumerate(colours):
        assert np.abs(np.asarray(thumbnail(film, 0.5 * number + 0.25).convert("RGB"))[24, 32] - colour).max() < 30


def test_a_file_is_of_the_kind_and_the_version_that_was_indexed(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", PICTURE, ENCODINGS["h264.mp4"])
    with pytest.raises(UnsupportedMediaError, match="it is not the image that the index says"):
        thumbnail(indexed(path, "image"))
    with pytest.raises(UnsupportedMediaError, match="it has no audio track"):
        list(MeasurePeaks(indexed(path), 4, 0.0, 1.0).previews())
    before = indexed(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ChangedMediaError, match="its size or time differs"):
        thumbnail(before)
    (tmp_path / "list.m3u8").write_bytes(path.read_bytes())
    with pytest.raises(BrokenMediaError, match="not in any known media format"):
        thumbnail(indexed(tmp_path / "list.m3u8"))
