"""Intact files that are not indexed are told apart from damaged ones."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media_samples import chord, write_sound
from wave_search.errors import UnsupportedMediaError
from wave_search.media.probe import probe
from wave_search.media.refusals import HEADERLESS


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + kind + data


def movie(entry: bytes, scheme: bytes = b"", *, behind: int = 0) -> bytes:
    """An MP4 with one track whose samples are of a kind; `behind` bytes of samples come before its index."""
    protection = box(b"sinf", box(b"frma", b"avc1"), box(b"schm", bytes(4), scheme, bytes(4))) if scheme else b""
    entries = box(b"stsd", bytes(4), struct.pack(">I", 1), box(entry, bytes(70), protection))
    handler = box(b"hdlr", bytes(8), b"sbtl" if entry == b"tx3g" else b"vide", bytes(13))
    track = box(b"trak", box(b"tkhd", bytes(84)), box(b"mdia", handler, box(b"minf", box(b"stbl", entries))))
    return box(b"ftyp", b"isom", bytes(8)) + box(b"mdat", bytes(behind)) + box(b"moov", box(b"mvhd", bytes(100)), track)


def element(name: str, content: bytes) -> bytes:
    """An element of Matroska."""
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8) + content


def matroska() -> bytes:
    encryption = element("5035", element("47e1", b"\x05"))
    encodings = element("6d80", element("6240", element("5031", b"\x00") + encryption))
    tracks = element("1654ae6b", element("ae", element("d7", b"\x01") + encodings))
    return element("1a45dfa3", element("4282", b"webm")) + element("18538067", element("1549a966", b"") + tracks)


def asf() -> bytes:
    protection = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + struct.pack("<Q", 24)
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    return header + struct.pack("<QIBB", 30 + len(protection), 1, 1, 2) + protection


def transport_stream(control: int) -> bytes:
    return b"".join(b"G\x01\x00" + bytes([control << 6 | 0x10]) + bytes(184) for _ in range(50))


def dvd(scrambled: bool) -> bytes:
    pack = b"\x00\x00\x01\xba\x44" + bytes(8) + b"\xf8"
    return (pack + b"\x00\x00\x01\xe0\x07\xec" + (b"\xb0" if scrambled else b"\x80")).ljust(2048, b"\x01") * 8


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        (movie(b"encv", b"cenc"), "cenc"),
        (movie(b"enca", b"cbcs", behind=100_000), "cbcs"),
        (movie(b"encv", b"piff"), "piff"),
        (movie(b"enca"), "cenc"),
        (movie(b"drms", b"itun"), "FairPlay"),
        (movie(b"drmi"), "FairPlay"),
        (movie(b"aavd", b"adrm"), "Audible"),
        (matroska(), "Matroska"),
        (asf(), "Windows Media DRM"),
        (transport_stream(2), "conditional access"),
        (dvd(scrambled=True), "CSS"),
        (b"\x40\x00\x00\x00G".ljust(6144, b"\x11") + b"\x40\x00\x00\x00G", "AACS"),
        (b"\x00\x01\x00\x00\x57\x90\x75\x36", "Audible"),
    ],
)
def test_encryption_is_named(tmp_path: Path, content: bytes, scheme: str) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError) as raised:
        probe(path, file, len(content))
    assert raised.value.cause == f"encrypted ({scheme})"
    assert "intact" not in raised.value.remedy


@pytest.mark.parametrize("content", [movie(b"avc1"), transport_stream(0), dvd(scrambled=False)])
def test_other_files_are_not_called_encrypted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(Exception, match=r"film\.mp4") as raised:
        probe(path, file, len(content))
    assert "encrypted" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "cause", "remedy"),
    [
        (b"PK\x03\x04", "a ZIP archive or an office document, not media", "Unpack it."),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document, not media", "Save its pages as images."),
        (b"<?xml version='1.0'?>\n<svg>", "a drawing (SVG), not a picture of pixels", "Save it as PNG."),
        (b"\x1f\x8b\x08", "compressed with gzip", "Unpack it."),
        (b"IMPM", "a tracker module, which is not supported", "Render it to sound, for example as FLAC."),
        (b"[playlist]\nFile1=http://host/", "a playlist, not media", "Index the files that it lists."),
        (b"<SmoothStreamingMedia>", "a playlist, not media", "Index the files that it lists."),
        (movie(b"tx3g"), "contains subtitles, but neither audio nor video", "Extract them as .srt."),
    ],
)
def test_other_reasons(tmp_path: Path, content: bytes, cause: str, remedy: str) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError) as raised:
        probe(path, file, len(content))
    assert (raised.value.cause, raised.value.remedy) == (cause, remedy)


@pytest.mark.parametrize(
    ("name", "content", "cause", "remedy"),
    [
        (
            "a.g726",
            b"\xfa\xda",
            "G.726, which does not state its bits per sample",
            "-f g726 -code_size BITS -i ./a.g726 ./a.g726.flac",
        ),
        (
            "b c.dfpwm",
            b"UUUU",
            "DFPWM, which does not state its sample rate",
            "-f dfpwm -ar RATE -i './b c.dfpwm' './b c.dfpwm.flac'",
        ),
    ],
)
def test_raw_streams_are_told_by_their_names(
    tmp_path: Path, name: str, content: bytes, cause: str, remedy: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError) as raised:
        probe(path, file, len(content))
    assert raised.value.cause == f"by its name a raw stream of {cause}"
    assert raised.value.remedy == f"Convert it: ffmpeg {remedy}"


@pytest.mark.parametrize("options", [options for _, _, options, _ in HEADERLESS.values()])
def test_the_demuxers_of_raw_streams_take_what_has_to_be_stated(options: str) -> None:
    values = {"RATE": "12345", "CHANNELS": "stereo", "BITS": "3", "WIDTHxHEIGHT": "32x24", "FPS": "50"}
    names = {"-ar": "sample_rate", "-ac": "ch_layout"}
    demuxer, *words = options.split()
    stated = {
        names.get(name, name[1:]): values.get(value, value) for name, value in zip(words[::2], words[1::2], strict=True)
    }
    with av.open(io.BytesIO(bytes(9600)), format=demuxer, options=stated) as container:
        (stream,) = container.streams
        found = stream.codec_context
        if stream.type == "video":
            assert (found.width, found.height, stream.time_base) == (32, 24, Fraction(1, 50))
        else:
            assert found.sample_rate == (8000 if demuxer == "g726" else 12345)
            assert found.layout.nb_channels == 2 or "ch_layout" not in stated


def test_subtitles_beyond_any_film_are_not_called_missing(tmp_path: Path) -> None:
    path = tmp_path / "far.srt"
    path.write_text("1\n20000:00:00,000 --> 20000:00:01,000\nlate\n")
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError, match="at 1000 hours or later"):
        probe(path, file, path.stat().st_size)


def test_sound_without_times_is_no_damage(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", chord(0.5, 22_050), 22_050, "adpcm_swf")
    with path.open("rb") as file, pytest.raises(UnsupportedMediaError, match="neither times nor durations"):
        probe(path, file, path.stat().st_size)
