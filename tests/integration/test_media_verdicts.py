"""Files that cannot be used, and names that mean nothing."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media_decoding import decode, write_wav
from tests.media_samples import moving_picture, wav_bytes, write_frames
from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from wave_search.media import DecoderPool
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2, SAMPLING) as running:
        yield running


def png_bomb() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 9999)
        + b"IDAT"
    )


@pytest.mark.parametrize(
    ("name", "content", "error", "cause"),
    [
        ("empty.mp4", b"", BrokenMediaError, "an empty file"),
        ("text.mp4", b"just some text\n" * 50, UnsupportedMediaError, "text, but not named as text"),
        ("random.mkv", b"\x01" + np.random.default_rng(1).bytes(16_384), BrokenMediaError, "any known media format"),
        ("half.mkv", b"\x1aE\xdf\xa3" + np.random.default_rng(1).bytes(9000), BrokenMediaError, "opened as matroska"),
        ("half.mp4", b"\0\0\0\x14ftypisom" + bytes(8) + b"\0\1\0\0mdat" + bytes(99), BrokenMediaError, "the index"),
        ("png.wav", b"\x89PNG\r\n\x1a\n" + bytes(200), BrokenMediaError, "a damaged or unusual PNG image"),
        ("bomb.png", png_bomb(), UnsupportedMediaError, "an image of 60000 x 60000 pixels"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", UnsupportedMediaError, "a playlist"),
        ("concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", UnsupportedMediaError, "a playlist"),
        ("none.wav", wav_bytes(np.zeros((0, 1), np.int16)), BrokenMediaError, "no audio or video track"),
        ("channels.wav", wav_bytes(np.zeros((1000, 1), np.int16), channels=0), BrokenMediaError, "no audio or video"),
        ("rate.wav", wav_bytes(np.zeros((1000, 1), np.int16), 3), BrokenMediaError, "sample rate of 3 Hz"),
        ("nan.wav", wav_bytes(np.full((1000, 1), np.nan, np.float32)), BrokenMediaError, "none of its samples"),
        ("book.mp4", b"%PDF-1.7\n\xe2\xe3", UnsupportedMediaError, "a PDF document"),
        ("notes.mp3", b"MThd\x00\x00\x00\x06", UnsupportedMediaError, "a MIDI file"),
        ("error.mp3", b"HTTP/1.1 404 Not Found\r\n\r\n<html>", UnsupportedMediaError, "text, but not named as text"),
        ("tag.mp3", b"ID3\x03\x00\x00\x00\x00\x00\x20" + bytes(32), BrokenMediaError, "a tag and nothing else"),
        ("part.m4s", b"\x00\x00\x00\x18stypmsdh" + bytes(200), UnsupportedMediaError, "initialization segment"),
        ("latin.txt", "\xe5r".encode("latin-1"), UnsupportedMediaError, "perhaps in cp1252"),
        ("binary.txt", bytes(range(256)), UnsupportedMediaError, "not text in UTF-8"),
        ("blank.md", b"\n\n", BrokenMediaError, "contains no text"),
        ("nothing.srt", b"no cues here", BrokenMediaError, "no subtitles"),
        ("nothing.ass", b"no cues here", BrokenMediaError, "no subtitles"),
    ],
)  # fmt: skip
def test_verdicts(
    decoders: DecoderPool, tmp_path: Path, *, name: str, content: bytes, error: type[MediaError], cause: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=cause) as raised:
        decode(decoders, path)
    assert raised.value.path == path
    assert raised.value.remedy
    assert "\n" not in raised.value.cause


def test_what_is_not_a_file_is_not_opened(decoders: DecoderPool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for name, target in (("zero.wav", "/dev/zero"), ("dangling.mp4", "/nonexistent"), ("self.mp4", "self.mp4")):
        (tmp_path / name).symlink_to(target)
    causes = {}
    for name in ("pipe.wav", "zero.wav", "dangling.mp4", "self.mp4", "missing.mp4", "."):
        with pytest.raises(MediaError) as raised:
            decoders.identify(tmp_path / name)
        causes[name] = raised.value.cause
    assert causes == {
        "pipe.wav": "a pipe, not a regular file",
        "zero.wav": "a device, not a regular file",
        "dangling.mp4": "a link to a file that does not exist",
        "self.mp4": "a link that leads back to itself",
        "missing.mp4": "there is no such file",
        ".": "a folder, not a regular file",
    }


@pytest.mark.parametrize("head", [b"", b"\x00\x00\x00\x20ftypisom", b"\x1aE\xdf\xa3"])
def test_a_huge_file_of_nothing_fails_before_it_is_digested(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "sparse.mp4"
    path.write_bytes(head)
    os.truncate(path, 8 << 30)
    with DecoderPool(1, SAMPLING, item_timeout_s=20) as decoders, pytest.raises(BrokenMediaError):
        decoders.identify(path)


@pytest.mark.parametrize(
    "name",
    ["-y.wav", "--help.wav", "concat:a|b.wav", "file:http___x.wav", "new\nline.wav", "%00.wav", "$(touch x).wav",
     os.fsdecode(b"latin1-\xe9\xff.wav"), "x" * 251 + ".wav", "no_suffix"],
)  # fmt: skip
def test_names_are_only_names(
    decoders: DecoderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    info, (segment,) = decode(decoders, write_wav(Path.cwd() / name))
    assert (info.container, segment.media_s) == ("wav", 1.0)


def test_video_may_have_any_name(decoders: DecoderPool, tmp_path: Path) -> None:
    plain = write_frames(tmp_path / "plain.mp4", moving_picture(10))
    odd = plain.rename(tmp_path / os.fsdecode(b"concat:-\xff|\n.mp4"))
    info, (segment,) = decode(decoders, odd)
    assert (info.kind, segment.clip.modalities) == ("video", (Modality.VIDEO,))


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.mp3", "list.ts"])
@pytest.mark.parametrize("prefix", [b"", b"\n", b"ID3\x03\x00\x00\x00\x00\x00\x00", b"\xef\xbb\xbf"])
def test_no_request_goes_out(decoders: DecoderPool, tmp_path: Path, name: str, prefix: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        path = tmp_path / name
        path.write_bytes(prefix + f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n".encode())
        with pytest.raises(MediaError):
            decoders.identify(path)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "text",
    [
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na=control:{url}\n",
        '<MPD type="static"><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        '<?xml version="1.0"?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        "[Reference]\nRef1={url}\n",
        '<ASX version="3"><Entry><Ref href="{url}"/></Entry></ASX>',
        "ICY 200 OK\r\n\r\n#EXTM3U\n{url}\n",
        "ffconcat version 1.0\nfile {url}\n",
        "import vapoursynth\nclip = open('{url}')\n",
    ],
)
@pytest.mark.parametrize("name", ["a.mp3", "a.rm", "a.ts", "a.mpd"])
def test_no_script_is_followed(decoders: DecoderPool, tmp_path: Path, text: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        (tmp_path / name).write_text(text.replace("{url}", f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"))
        with pytest.raises(UnsupportedMediaError, match=r"a playlist|text, but not named as text"):
            decoders.identify(tmp_path / name)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_reference_to_another_file_is_not_followed(decoders: DecoderPool, tmp_path: Path) -> None:
    """A QuickTime reference movie names the file that holds its data."""
    import av

    path = write_frames(tmp_path / "movie.mov", moving_picture(10))
    data = bytearray(path.read_bytes())
    url = data.index(b"url \x00\x00\x00\x01")
    data[url + 7] = 0  # no longer "in this file"
    path.write_bytes(data)
    with av.open(str(path)) as plain:
        assert plain.streams.video[0].frames == 10
    info = decoders.identify(path)
    assert info.video is not None
