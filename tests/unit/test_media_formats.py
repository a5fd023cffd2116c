"""What counts as media before it is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wave_search.media import looks_like_media
from wave_search.media.sniff import is_playlist, is_text, sniff


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav"),
        (b"RIFF\x24\x00\x00\x00AVI LIST", "avi"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "WEBP"),
        (b"\x00\x00\x00\x20ftypisom", "mov"),
        (b"\x00\x00\x00\x20ftypavif", "AVIF"),
        (b"\x00\x00\x00\x20ftypheic", "HEIF"),
        (b"\x1aE\xdf\xa3\x01\x00", "matroska"),
        (b"\xff\xfb\x90\x64\x00", "mp3"),
        (b"\xff\xf1\x50\x80\x00", "aac"),
        (b"\x00\x00\x00\x01\x67\x64\x00", "h264"),
        (b"\x00\x00\x01\x40\x01\x0c", "hevc"),
        (b"G" + bytes(187) + b"G" + bytes(187) + b"G" + bytes(187) + b"G", "mpegts"),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00", "BMP"),
    ],
)
def test_signatures(head: bytes, expected: str) -> None:
    signature = sniff(head)
    assert signature is not None
    assert signature.format == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00" * 4096,
        b"#EXTM3U\nhttp://host/",
        b"ffconcat version 1.0",
        b"BMW is a car",
        b"\xff\xfe#\x00E\x00X\x00",
    ],
)
def test_these_are_no_media(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    "head", [b"#EXTM3U\n", b"\xef\xbb\xbf#EXTM3U\n", b"\n ffconcat version 1.0", b"v=0\r\no=- 0 0"]
)
def test_playlists(head: bytes) -> None:
    assert is_playlist(head)


def test_text_is_told_from_bytes() -> None:
    assert is_text("Größe 日本".encode())
    assert is_text("cut in a charact\u00e9".encode()[:-1])
    assert is_text("\ufeffx".encode("utf-16-le"))
    assert not is_text(b"caf\xe9 noir")
    assert not is_text(b"nul\x00")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("song.WAV", b"whatever", True),
        ("notes.txt", b"", True),
        ("list.m3u8", b"#EXTM3U", True),
        ("no_suffix", b"RIFF\x24\x00\x00\x00WAVEfmt ", True),
        ("photo.bak", b"\x89PNG\r\n\x1a\n", True),
        ("script.py", b"import os", False),
        ("data.bin", b"\xff\xfb\x90\x64\x00", False),  # too few bits to go by without a name
        ("empty", b"", False),
    ],
)
def test_candidates(tmp_path: Path, name: str, content: bytes, expected: bool) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert looks_like_media(path) is expected


def test_folders_and_pipes_are_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.wav")
    assert not looks_like_media(folder)
    assert not looks_like_media(tmp_path / "pipe")
    # The name promises sound, so that the user is told why there is none.
    assert looks_like_media(tmp_path / "pipe.wav")
    assert not looks_like_media(tmp_path / "missing")
