"""Why intact files are not indexed: encrypted media, and kinds of files that are not media."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from wave_search.descriptors import read_at
from wave_search.errors import UnsupportedMediaError
from wave_search.media.signatures import first_ts_packet
from wave_search.media.source import EXCLUDE
from wave_search.media.wtv import lacks_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from wave_search.media.source import Source

_UNPACK = "Unpack it."
_RENDER = "Render it to sound, for example as FLAC."
_FOREIGN = (
    (0, b"%PDF-", "a PDF document, not media", "Save its text as .txt or its pages as images."),
    (0, b"%!PS", "a PostScript document, not media", "Save its pages as images."),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document, not media", "Save its pages as images."),
    (0, b"{\\rtf", "an RTF document, not media", "Save its text as .txt."),
    (0, b"<svg", "a drawing (SVG), not a picture of pixels", "Save it as PNG."),
    (0, b"PK\x03\x04", "a ZIP archive or an office document, not media", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive, not media", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive, not media", _UNPACK),
    (0, b"\x1f\x8b\x08", "compressed with gzip", _UNPACK),
    (0, b"BZh", "compressed with bzip2", _UNPACK),
    (0, b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (0, b"MThd", "a MIDI file, which holds notes and no sound", _RENDER),
    (8, b"RMID", "a MIDI file, which holds notes and no sound", _RENDER),
    (0, b"Extended Module: ", "a tracker module, which is not supported", _RENDER),
    (0, b"IMPM", "a tracker module, which is not supported", _RENDER),
    (44, b"SCRM", "a tracker module, which is not supported", _RENDER),
    (1080, b"M.K.", "a tracker module, which is not supported", _RENDER),
    (0, b"FWS", "a Flash program, not media", EXCLUDE),
    (0, b"CWS", "a Flash program, not media", EXCLUDE),
    (0, b"\x7fELF", "a program, not media", EXCLUDE),
    (0, b"MZ", "a program, not media", EXCLUDE),
    (0, b"SQLite format 3\x00", "a database, not media", EXCLUDE),
    (0, b"\x00\x05\x16\x07", "the resource fork of a file of macOS, not media", EXCLUDE),
)
"""(position, bytes there, cause, remedy)."""
_RATE, _RATE_OF_SAMPLES = "sample rate", "sample rate and number of channels"
HEADERLESS = {
    ".al": ("A-law samples", _RATE_OF_SAMPLES, "alaw -ar RATE -ac CHANNELS", "flac"),
    ".aptx": ("aptX", _RATE, "aptx -ar RATE", "flac"),
    ".aptxhd": ("aptX HD", _RATE, "aptx_hd -ar RATE", "flac"),
    ".dfpwm": ("DFPWM", _RATE, "dfpwm -ar RATE", "flac"),
    ".f32le": ("floating-point samples", _RATE_OF_SAMPLES, "f32le -ar RATE -ac CHANNELS", "flac"),
    ".g726": ("G.726", "bits per sample", "g726 -code_size BITS", "flac"),
    ".pcm": ("samples", f"format, {_RATE_OF_SAMPLES}", "s16le -ar RATE -ac CHANNELS", "flac"),
    ".s16le": ("16-bit samples", _RATE_OF_SAMPLES, "s16le -ar RATE -ac CHANNELS", "flac"),
    ".s24le": ("24-bit samples", _RATE_OF_SAMPLES, "s24le -ar RATE -ac CHANNELS", "flac"),
    ".ul": ("μ-law samples", _RATE_OF_SAMPLES, "mulaw -ar RATE -ac CHANNELS", "flac"),
    ".yuv": (
        "pictures",
        "size, frame rate and pixel format",
        "rawvideo -video_size WIDTHxHEIGHT -framerate FPS -pixel_format yuv420p",
        "mkv",
    ),
}
"""Suffix -> codec, what has to be known to decode it and is not in the file, options of the command ffmpeg, and a
format to convert to."""
_DECRYPT = "It can only be indexed from a copy without the encryption."
_SCHEMES = {b"encv": "cenc", b"enca": "cenc", b"drmi": "FairPlay", b"drms": "FairPlay", b"p608": "FairPlay"}
"""Sample entry of an encrypted track -> name of the usual scheme."""
_SCHEMES |= {b"aavd": "Audible"}
_SCHEME_NAMES = {b"itun": "FairPlay", b"adrm": "Audible"}
_ENTERED_BOXES = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_ASF_PROTECTIONS = (
    bytes.fromhex("fbb31122 23bdd211 b4b700a0 c955fc6e"),  # Content Encryption Object
    bytes.fromhex("14e68a29 2226174c b935dae0 7ee9289c"),  # Extended Content Encryption Object
    bytes.fromhex("33850543 8169e649 9b74ad12 cb86d58c"),  # Advanced Content Encryption Object
)
_ENTERED_ELEMENTS = frozenset(
    bytes.fromhex(name)
    for name in ("18538067", "1654ae6b", "ae", "6d80", "6240")  # Segment, Tracks, TrackEntry, ContentEncoding(s)
)
_CLUSTER, _CONTENT_ENCRYPTION = bytes.fromhex("1f43b675"), bytes.fromhex("5035")
_SAMPLE_BYTES = 1 << 20
_MAX_BOXES = 10_000
FOREIGN_HEAD_BYTES = 8192
"""Number of bytes that `foreign_kind` looks at."""
_AACS_UNIT_BYTES = 6144
"""Blu-ray discs encrypt units of 32 packets, except for their first 16 bytes."""


def foreign_kind(path: Path, head: bytes) -> UnsupportedMediaError | None:
    """Return the refusal of a well-known kind of file that is not media, by its first `FOREIGN_HEAD_BYTES`.

    Returns:
        None if it is media or unknown.
    """
    for at, start, cause, remedy in _FOREIGN:
        if head.startswith(start, at):
            return UnsupportedMediaError(path, cause, remedy)
    if head.startswith(b"<?xml") and b"<svg" in head:
        return foreign_kind(path, head[head.index(b"<svg") :])
    if head[4:8] in (b"styp", b"sidx", b"moof"):
        return UnsupportedMediaError(
            path,
            "a segment of a stream, which cannot be decoded without its initialization segment",
            "Join them: the initialization segment first, then all segments.",
        )
    if head[4:8] == b"\x57\x90\x75\x36":
        return _encrypted(path, "Audible")
    unit = head[_AACS_UNIT_BYTES + 4 : _AACS_UNIT_BYTES + 5]
    if head[4:5] == b"G" and unit == b"G" and head[0] & 0xC0:
        return _encrypted(path, "AACS")
    return None


def headerless(path: Path) -> UnsupportedMediaError | None:
    """Return the refusal of a raw stream that only its name tells from other bytes; None for other names."""
    named = HEADERLESS.get(path.suffix.lower())
    if named is None:
        return None
    codec, unstated, options, target = named
    cause = f"by its name a raw stream of {codec}, which does not state its {unstated}"
    return UnsupportedMediaError(path, cause, convert_with_ffmpeg(path, target, f"-f {options} "))


def convert_with_ffmpeg(path: Path, target: str, options: str = "") -> str:
    """Return the remedy for a file that FFmpeg plays.

    Args:
        path: of the file.
        target: suffix of the converted file, without a dot.
        options: how FFmpeg has to read the file, followed by a space.
    """
    source, converted = (shlex.quote(name) for name in (f"./{path.name}", f"./{path.name}.{target}"))
    return f"Convert it: ffmpeg {options}-i {source} {converted}"


def refuse_encrypted(source: Source) -> None:
    """Check that the content of a file is not encrypted.

    Raises:
        UnsupportedMediaError: it is.
    """
    test = _TESTS.get(source.demuxer)
    scheme = test(source.file, source.offset_bytes) if test else None
    if scheme is not None:
        raise _encrypted(source.path, scheme)


def is_initialization_segment(source: Source) -> bool:
    """Return whether a file is only the description of the tracks of a stream, whose content is in other files."""
    if source.demuxer != "mov":
        return False
    boxes = _boxes(source.file, source.offset_bytes, os.fstat(source.file.fileno()).st_size)
    kinds = {kind for kind, _, _ in boxes}
    return b"mvex" in kinds and kinds.isdisjoint({b"moof", b"mdat"})


def lacks_index(source: Source) -> bool:
    """Return whether a file ends before the index without which nothing in it can be found, or was never finished."""
    if source.demuxer == "wtv":
        return lacks_directory(source.reader())
    size = os.fstat(source.file.fileno()).st_size
    kinds = (
        {kind for kind, _, _ in _boxes(source.file, source.offset_bytes, size)} if source.demuxer == "mov" else set()
    )
    return b"mdat" in kinds and b"moov" not in kinds


def _encrypted(path: Path, scheme: str) -> UnsupportedMediaError:
    return UnsupportedMediaError(path, f"encrypted ({scheme})", _DECRYPT)


def _iso_scheme(file: BinaryIO, offset: int) -> str | None:
    """Return the encryption scheme of a track of MP4 or QuickTime."""
    for kind, start, stop in _boxes(file, offset, os.fstat(file.fileno()).st_size):
        if kind != b"stsd":
            continue
        entries = read_at(file.fileno(), min(stop - start, _SAMPLE_BYTES), start)
        usual = _SCHEMES.get(entries[12:16])
        if usual is not None:
            at = entries.find(b"schm")
            scheme = entries[at + 8 : at + 12] if at >= 0 else b""
            printable = scheme.isalnum() and scheme.isascii()
            return _SCHEME_NAMES.get(scheme, scheme.decode("ascii") if printable else usual)
    return None


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, beginning and end of the content of the boxes of a file, in order, and of those in its tracks."""
    ranges = [(start, stop)]
    for _ in range(_MAX_BOXES):
        while ranges and ranges[-1][1] - ranges[-1][0] < 8:
            ranges.pop()
        if not ranges:
            return
        at, end = ranges.pop()
        header = read_at(file.fileno(), 16, at)
        size, content = int.from_bytes(header[:4]), at + 8
        if size == 1:
            size, content = int.from_bytes(header[8:16]), at + 16
        box_end = end if size == 0 else min(at + size, end)
        if box_end < content:
            return
        ranges.append((box_end, end))
        yield header[4:8], content, box_end
        if header[4:8] in _ENTERED_BOXES:
            ranges.append((content, box_end))


def _matroska_scheme(file: BinaryIO, offset: int) -> str | None:
    """Return whether a track of Matroska is encrypted."""
    at = offset
    for _ in range(_MAX_BOXES):
        header = read_at(file.fileno(), 12, at)
        name, rest = _vint(header)
        size, content = _vint(rest)
        if not name or not size or name == _CLUSTER:
            return None
        if name == _CONTENT_ENCRYPTION:
            return "Matroska"
        at += len(header) - len(content)
        if name not in _ENTERED_ELEMENTS:
            at += int.from_bytes(size) & ((1 << 7 * len(size)) - 1)
    return None


def _vint(data: bytes) -> tuple[bytes, bytes]:
    """Split data after a number of variable length, which begins with as many zero bits as bytes follow."""
    length = 9 - data[0].bit_length() if data and data[0] else 0
    return data[:length], data[length:]


def _asf_scheme(file: BinaryIO, offset: int) -> str | None:
    size = int.from_bytes(read_at(file.fileno(), 8, offset + 16), "little")
    header = read_at(file.fileno(), min(size, _SAMPLE_BYTES), offset)
    return "Windows Media DRM" if any(guid in header for guid in _ASF_PROTECTIONS) else None


def _transport_scheme(file: BinaryIO, offset: int) -> str | None:
    """Return whether most packets of a transport stream with content are scrambled."""
    data = read_at(file.fileno(), _SAMPLE_BYTES, offset)
    first = first_ts_packet(data, len(data))
    if first is None:
        return None
    packets = [data[at + 1 : at + 4] for at in range(first[0], len(data) - 3, first[1]) if data[at] == ord("G")]
    # Programme tables and padding are never scrambled.
    content = [packet for packet in packets if 0x20 <= ((packet[0] & 0x1F) << 8 | packet[1]) < 0x1FFF]
    scrambled = sum(packet[2] >> 6 != 0 for packet in content)
    return "conditional access" if 2 * scrambled > len(content) else None


def _program_scheme(file: BinaryIO, offset: int) -> str | None:
    """Return whether sectors of a DVD are scrambled, of which some always are not."""
    data = read_at(file.fileno(), _SAMPLE_BYTES, offset)
    sectors = [data[at + 14 : at + 21] for at in range(0, len(data) - 20, 2048) if data[at : at + 4] == b"\0\0\x01\xba"]
    # Packs of MPEG-1 are shorter, and never encrypted.
    sectors = [sector for sector in sectors if sector[:3] == b"\0\0\x01"]
    content = [sector for sector in sectors if sector[3] in (0xBD, *range(0xC0, 0xF0)) and sector[6] & 0xC0 == 0x80]
    scrambled = sum(sector[6] & 0x30 != 0 for sector in content)
    return "CSS" if 10 * scrambled > len(content) else None


_TESTS = {
    "mov": _iso_scheme,
    "matroska": _matroska_scheme,
    "asf": _asf_scheme,
    "mpegts": _transport_scheme,
    "mpeg": _program_scheme,
}
