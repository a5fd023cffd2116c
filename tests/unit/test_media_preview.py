"""Previews of single files: upright thumbnails, formats, and clips that are still upright."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.media_samples import ENCODINGS, chord, moving_picture, rotate_mp4, write_av, write_frames
from wave_search.errors import BrokenMediaError, ChangedMediaError, UnsupportedMediaError
from wave_search.files import mtime_ns
from wave_search.media import restarts
from wave_search.media.clip import WriteClip
from wave_search.media.excerpt import EncodeSound
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


@pytest.mark.parametrize(("suffix", "fps"), [(".mkv", 8), (".ogv", 8), (".ts", 4)])
def test_previews_of_a_joined_film_are_of_the_right_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, fps: int
) -> None:
    monkeypatch.setattr(restarts, "_SMALL_BYTES", 0)  # look at some packets first, as in a large file
    long_s = 8 / fps
    white, tone = np.full((8, 64, 48, 3), 250, np.uint8), chord(long_s, 48_000)
    first = write_av(tmp_path / f"a{suffix}", PICTURE[:8] // 4, fps, 0 * tone, 48_000)
    then = write_av(tmp_path / f"b{suffix}", white, fps, tone[: len(tone) * 2 // 3], 32_000)
    first.write_bytes(first.read_bytes() + then.read_bytes())
    film = indexed(first)
    assert [thumbnail(film, share * long_s).size for share in (0.5, 1.5)] == [(64, 48), (48, 64)]
    list(WriteClip(film, tmp_path / "clip.mp4", 0.5 * long_s, 1.5 * long_s).previews())
    (sound,) = EncodeSound(film, 0.5 * long_s, 1.5 * long_s).previews()
    (tmp_path / "sound.mp3").write_bytes(sound)
    made = ((indexed(tmp_path / name), 0.0) for name in ("clip.mp4", "sound.mp3"))
    for file, start_s in ((film, 0.5 * long_s), *made):
        (peaks,) = MeasurePeaks(file, 4, start_s, start_s + long_s).previews()
        assert [peaks.values[at] > 25 for at in (0, 2, 3)] == [False, True, True]
    clip = indexed(tmp_path / "clip.mp4")
    assert [np.asarray(thumbnail(clip, share * long_s)).mean() > 200 for share in (0.25, 0.75)] == [False, True]


def test_sound_of_a_changing_rate_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(
        b"".join(
            write_av(
                tmp_path / "part.ts", PICTURE[:8], 8, chord(1.0, hz), hz, times_s=times_s, sound_start_s=times_s[0]
            ).read_bytes()
            for hz, times_s in ((48_000, np.arange(8) / 8), (32_000, 1 + np.arange(8) / 8))
        )
    )
    list(WriteClip(indexed(path, "audio"), tmp_path / "clip.mp4", 0.0, 2.0).previews())
    for file in (indexed(path, "audio"), indexed(tmp_path / "clip.mp4", "audio")):
        (peaks,) = MeasurePeaks(file, 4, 0.0, 2.0).previews()
        assert min(peaks.values) > 25


def test_a_file_is_of_the_kind_and_the_version_that_was_indexed(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mp4", PICTURE, ENCODINGS["h264.mp4"])
    with pytest.raises(UnsupportedMediaError, match="it is not the image that the index says"):
        thumbnail(indexed(path, "image"))
    with pytest.raises(UnsupportedMediaError, match="it has no sound"):
        list(MeasurePeaks(indexed(path), 4, 0.0, 1.0).previews())
    before = indexed(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ChangedMediaError, match="its size or time differs"):
        thumbnail(before)
    (tmp_path / "list.m3u8").write_bytes(path.read_bytes())
    with pytest.raises(BrokenMediaError, match="not in any known media format"):
        thumbnail(indexed(tmp_path / "list.m3u8"))
