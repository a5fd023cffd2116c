from __future__ import annotations

from pathlib import Path

import pytest

from wave_search.errors import UsageError
from wave_search.query import AV, Audio, Image, Video, parse_media
from wave_search.query.terms import parse_seconds
from wave_search.types import MediaRef, Modality


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("text", "seconds"), [("12.5", 12.5), (".5", 0.5), ("7.", 7.0), ("1:30", 90.0), ("1:02:03.5", 3723.5), ("0", 0.0)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1e3", "nan", ".", "1:"])
def test_no_times(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("suffix", "start_s", "stop_s"),
    [("", None, None), ("@12.5-20", 12.5, 20), ("@1:30-", 90, None), ("@-20", None, 20), ("@0-1:00", 0, 60)],
)
def test_ranges(clip: Path, suffix: str, start_s: float | None, stop_s: float | None) -> None:
    assert parse_media(f"{clip}{suffix}", Modality.VIDEO) == MediaRef(clip, Modality.VIDEO, start_s, stop_s)


@pytest.mark.parametrize(("suffix", "at_s"), [("@3", 3), ("@1:02.5", 62.5), ("", None)])
def test_a_time_of_an_image_is_a_still(clip: Path, suffix: str, at_s: float | None) -> None:
    assert parse_media(f"{clip}{suffix}", Modality.IMAGE) == MediaRef(clip, Modality.IMAGE, at_s)
    assert parse_media(f"{clip}{suffix}", Modality.IMAGE) == Image(clip, at_s)


def test_an_image_has_no_range(clip: Path) -> None:
    with pytest.raises(UsageError, match="A still of a video is written FILE@SECONDS"):
        parse_media(f"{clip}@1-2", Modality.IMAGE)


def test_a_file_with_such_a_name_is_meant_before_a_range(clip: Path) -> None:
    real = clip.with_name("clip.mp4@1-2")
    real.touch()
    assert parse_media(real, Modality.AUDIO) == MediaRef(real, Modality.AUDIO)
    assert parse_media(f"{real}@3-4", Modality.AUDIO) == MediaRef(real, Modality.AUDIO, 3, 4)


def test_names_with_an_at_sign_or_a_newline(tmp_path: Path) -> None:
    for name in ("me@home.wav", "new\nline.wav", "-dash.wav", "concat:a|b.wav", "latin-\udce9.wav"):
        path = tmp_path / name
        path.touch()
        assert parse_media(str(path), Modality.AUDIO) == MediaRef(path, Modality.AUDIO)
        assert parse_media(f"{path}@1-2", Modality.AUDIO) == MediaRef(path, Modality.AUDIO, 1, 2)


@pytest.mark.parametrize("suffix", ["x", "@5-5", "@6-5", "@-", "@x-5", "@-0", "@5"])
def test_what_is_no_file_or_range_is_refused(clip: Path, suffix: str) -> None:
    with pytest.raises(UsageError):
        parse_media(f"{clip}{suffix}", Modality.VIDEO)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        parse_media(tmp_path, Modality.VIDEO)


def test_helpers_name_the_modality(clip: Path) -> None:
    assert Audio(clip, 1, 2) == MediaRef(clip, Modality.AUDIO, 1, 2)
    assert Video(str(clip), start_s=3, stop_s=8) == MediaRef(clip, Modality.VIDEO, 3, 8)
    assert AV(clip, stop_s=8) == MediaRef(clip, Modality.AV, None, 8)
    assert Image(clip) == MediaRef(clip, Modality.IMAGE)


@pytest.mark.parametrize("span", [(-1, 2), (2, 2), (3, 1), (float("nan"), 2)])
def test_helpers_check_the_range(clip: Path, span: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="not a range"):
        Audio(clip, *span)


def test_a_reference_for_another_modality_is_refused(clip: Path) -> None:
    with pytest.raises(UsageError, match="the reference is to its video"):
        parse_media(Video(clip), Modality.AUDIO)
