"""What counts as media before it is decoded, and where in a file it begins."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wave_search.media import looks_like_media
from wave_search.media.signatures import Signature, signature_of
from wave_search.media.sniff import Found, find_media, is_playlist, is_text


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
        ((b"G" + bytes(187)) * 5, "mpegts"),
        (bytes(100) + (b"G" + bytes(187)) * 5, "mpegts"),
        (bytes(4) + (b"G" + bytes(191)) * 5, "mpegts"),
        (bytes(203) + (b"G" + bytes(203)) * 5, "mpegts"),
        (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", "mxf"),
        (b"\x1f\x07\x00\xbf", "dv"),
        (b".RMF\x00\x00\x00\x12", "rm"),
        (b".ra\xfd\x00\x04", "rm"),
        (b"BBCD\x00", "dirac"),
        (b"MMMD\x00\x00\x80\x54", "mmf"),
        (b"KVAG\x00", "kvag"),
        (b"\x00\x20\x01\x00" + bytes(16) + b"vs12", "apm"),
        (b"ASF\x00\x02\x00\x01\x00", "argo_asf"),
        (b"RIFF\x24\x00\x00\x00XWMA", "xwma"),
        (b"\x7f\xfe\x80\x01\xfc", "dts"),
        (b"DTSHDHDR", "dtshd"),
        (b"\x0b\x77\xa0\xeb\x1e\x40", "ac3"),
        (b"\x0b\x77\x01\x3f\x34\x86", "eac3"),
        (b"\x00\x00\x00\x00\xf8\x72\x6f\xba", "truehd"),
        (b"FORM\x00\x00\x10\x00AIFC", "aiff"),
        (b"FORM\x00\x00\x10\x008SVX", "iff"),
        (b"FRM8" + bytes(8) + b"DSD ", "iff"),
        (b"DSD \x1c\x00\x00\x00", "dsf"),
        (b"TTA1\x01\x00", "tta"),
        (b"MAC \x96\x0f", "ape"),
        (b"MPCK", "mpc8"),
        (b"tBaK", "tak"),
        (b"#!AMR-WB\n", "amr"),
        (b"Creative Voice File\x1a", "voc"),
        (b"DKIF\x00\x00", "ivf"),
        (b"YUV4MPEG2 W64", "yuv4mpegpipe"),
        (b"nut/multimedia container\x00", "nut"),
        (b"RIFF\x24\x00\x00\x00QLCMfmt ", "qcp"),
        (b"\x00\x00\x00\x18ftypcrx ", "RAW"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "RAW"),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"II+\x00\x08\x00", "TIFF"),
        (b"\xff\x0a\xfa", "JXL"),
        (b"P6\n64 48\n255\n", "PPM"),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00", "BMP"),
    ],
)
def test_signatures(head: bytes, expected: str) -> None:
    signature = signature_of(head)
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
    assert signature_of(head) is None


@pytest.mark.parametrize(
    "head",
    [
        b"#EXTM3U\n",
        b"\xef\xbb\xbf#EXTM3U\n",
        b"\n ffconcat version 1.0",
        b"v=0\r\no=- 0 0",
        b"<?xml version='1.0'?>\n<MPD>",
    ],
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


MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)
ADTS_FRAME = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)
AC3_FRAME = b"\x0b\x77\x00\x00\x14\x40" + bytes(762)
EAC3_FRAME = b"\x0b\x77\x00\x1f\x34\x86" + bytes(58)
TS_PACKET = b"G" + bytes(187)
PACK = b"\x00\x00\x01\xba\x44" + bytes(8) + b"\xf8\x00\x00\x01\xe0"


def id3(size: int, footer: bool = False) -> bytes:
    """A tag of ID3 with `size` bytes of content."""
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\x04\x00" + (b"\x10" if footer else b"\x00") + digits + bytes(size)
    return tag + (b"3DI\x04\x00\x10" + digits if footer else b"")


APE_TAG = b"APETAGEX" + (2000).to_bytes(4, "little") + (5000).to_bytes(4, "little") + bytes(16) + bytes(5000)
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"
JUNK = bytes(range(1, 251)) * 9


@pytest.mark.parametrize("content", [4 * MP3_FRAME, 4 * ADTS_FRAME, 4 * AC3_FRAME, 4 * EAC3_FRAME, 5 * TS_PACKET, PACK])
@pytest.mark.parametrize(
    "before",
    [id3(10) + id3(70_000), id3(300, footer=True) + bytes(9), APE_TAG, id3(9) + APE_TAG, HTTP, b"ICY 200 OK\r\n\r\n",
     bytes(2), bytes(300_000), JUNK, id3(300_000) + JUNK],
    ids=["two tags", "footer and padding", "APE", "ID3 and APE", "HTTP", "ICY", "2 zeros", "zeros", "junk", "all"],
)  # fmt: skip
def test_what_stands_before_media_is_skipped(tmp_path: Path, before: bytes, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(before + content)
    with path.open("rb") as file:
        found = find_media(file)
    assert found is not None
    # Transport streams may begin anywhere: FFmpeg finds their packets.
    slack = 2 * 204 if found.signature.format == "mpegts" else 0
    assert len(before) - slack <= found.offset_bytes <= len(before)
    alone = tmp_path / "alone"
    alone.write_bytes(content)
    with alone.open("rb") as file:
        assert find_media(file) == replace(found, offset_bytes=0)


def test_one_tag_before_mp3_is_left_to_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(id3(90_000) + 4 * MP3_FRAME)
    with path.open("rb") as file:
        assert find_media(file) == Found(Signature("stream", "mp3", distinctive=False), 0)


@pytest.mark.parametrize(
    "content",
    [
        np.random.default_rng(0).bytes(1 << 20),
        b"\xff" * 100_000,
        id3(500),
        id3(500) + b"#EXTM3U\nhttp://host/",
        HTTP + b"<html>not found</html>",
        JUNK + 2 * MP3_FRAME + JUNK,
    ],
    ids=["noise", "ones", "only a tag", "playlist", "page", "two frames"],
)
def test_no_media_is_found_in_other_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert find_media(file) is None


@pytest.mark.parametrize(
    ("suffix", "head", "demuxer"),
    [
        (".sbc", b"\x9c\x31\x3c".ljust(128, b"\1") + b"\x9c\x31\x3c", "sbc"),  # joint stereo
        (".sbc", b"\x9c\x31\x3c".ljust(130, b"\1") + b"\x9c\x31\x3c", None),
        (".msbc", b"\xad\0\0".ljust(57, b"\1") + b"\xad\0\0", "sbc"),
        (".H261", b"\0\1\0\x16", "h261"),
        (".h261", b"\0\0\x80\2", None),
        (".h263", b"\0\0\x80\2", "h263"),
        (".g722", b"\xfa\xda\0", "g722"),
        (".g722", b"text", None),
        (".wav", b"\xfa\xda\0", None),
    ],
)
def test_raw_streams_by_suffix_and_first_bytes(tmp_path: Path, suffix: str, head: bytes, demuxer: str | None) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(head)
    with path.open("rb") as file:
        found = find_media(file, path.suffix)
    assert (found and found.signature.format) == demuxer


@pytest.mark.parametrize(
    ("suffix", "start", "demuxer"),
    [
        (".h264", b"\0\0\1\x67\x64\0\x1f", "h264"),
        (".hevc", b"\0\0\1\x40\1\x0c", "hevc"),
        (".m2v", b"\0\0\1\xb3\x14\0\xf0\x23", "mpegvideo"),
        (".m4v", b"\0\0\1\x20\0\x86", "m4v"),
        (".thd", b"\xf1\x20\x4f\x6e\xf8\x72\x6f\xba", "truehd"),
    ],
)
def test_a_stream_that_was_cut_is_found_behind_the_rest(
    tmp_path: Path, suffix: str, start: bytes, demuxer: str
) -> None:
    path, noise = tmp_path / "file", np.random.default_rng(0).bytes(60_000)
    path.write_bytes(noise + start + noise)
    with path.open("rb") as file:
        assert find_media(file, suffix) == Found(Signature("stream", demuxer, distinctive=False), len(noise))
