"""Search for the beginning of a stream behind bytes that do not belong to it.

Recordings of broadcasts begin anywhere, downloads keep headers of HTTP, and tools write tags of any size in front of
formats that have none. Single sync words also occur in random data, so a position counts only if frames follow each
other from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.media.signatures import Signature, first_ts_packet

if TYPE_CHECKING:
    from collections.abc import Callable

SEARCH_BYTES = 1 << 20
"""Number of bytes that are searched."""
_FRAMES = 4
"""Number of frames in a row that cannot be chance."""
_MPEG1 = 3
"""In the header of a frame; 2 is MPEG-2 and 0 is MPEG-2.5."""
_MPEG1_KBPS = {
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
"""Layer -> bit rates of MPEG-1; ISO/IEC 11172-3, 2.4.2.3."""
_MPEG2_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Bit rates of both layers at low sampling frequencies; ISO/IEC 13818-3, 2.4.2.3."""
_ADTS_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_HZ = (48_000, 44_100, 32_000)


@dataclass(frozen=True, slots=True)
class _Framing:
    """A stream of frames that each declare their length."""

    demuxer: str
    header: re.Pattern[bytes]
    length: Callable[[bytes], int]
    """Returns the length of a frame from its first 8 bytes, or 0 if they are not a header."""
    constant: int
    """Mask of the bits in the first 8 bytes that are the same in all frames of a stream; 0 if packets may be longer
    than frames."""


def is_stream_of(data: bytes, demuxer: str) -> bool:
    """Return whether frames of a format follow each other from the beginning of `data`."""
    return any(framing.demuxer == demuxer and _has_chain(data, 0, framing) for framing in _FRAMINGS)


def follow(first: memoryview, then: memoryview, demuxer: str) -> bool:
    """Return whether a packet ends where its header says, and the next one begins with a header of the same stream.

    FFmpeg takes bytes between frames for parts of them, and random bytes for headers.

    Args:
        first: a packet.
        then: the next one.
        demuxer: one of `DECLARING`.
    """
    framing = DECLARING[demuxer]
    header, next_header = bytes(first[:8]).ljust(8, b"\0"), bytes(then[:8]).ljust(8, b"\0")
    if not (framing.header.match(header) and framing.header.match(next_header)):
        return False
    if (int.from_bytes(header) ^ int.from_bytes(next_header)) & framing.constant:
        return False
    length = framing.length(header)
    # In E-AC-3, dependent frames are in the same packet.
    return length > 0 and (length == len(first) or framing.header.match(first, length) is not None)


def ends_within_frame(tail: bytes, demuxer: str) -> bool:
    """Return whether the last of the frames in a row is longer than what is left of the file.

    Args:
        tail: the end of the file.
        demuxer: one of `FRAMED`.
    """
    framing = next(framing for framing in _FRAMINGS if framing.demuxer == demuxer)
    starts = (match.start() for match in framing.header.finditer(tail))
    at = next((start for start in starts if _has_chain(tail, start, framing)), len(tail))
    while framing.header.match(tail, at) and (length := framing.length(tail[at : at + 8])):
        at += length
    return at > len(tail)


def mpeg_frame_s(header: bytes) -> float | None:
    """Return the duration in seconds of a frame of MP3, None if it does not begin with a header."""
    rate_hz = _mpeg_rate_hz(header)
    return (1152 if header[1] >> 3 & 3 == _MPEG1 else 576) / rate_hz if header[0] == 0xFF and rate_hz else None


def adts_frame_s(header: bytes) -> float | None:
    """Return the duration in seconds of a frame of raw AAC by its first 7 bytes, None if they are not a header."""
    rate = header[2] >> 2 & 15
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or rate >= len(_ADTS_HZ):
        return None
    return 1024 * ((header[6] & 3) + 1) / _ADTS_HZ[rate]


def find_stream(data: bytes) -> tuple[int, Signature] | None:
    """Find the first position at which a stream begins.

    Args:
        data: at most `SEARCH_BYTES` of the file.

    Returns:
        The position and the format; None if there is no such stream.
    """
    candidates = [_first_frame(data, framing) for framing in _FRAMINGS]
    candidates += [_first_match(data, pattern, demuxer) for pattern, demuxer in _BEGINNINGS]
    packet = first_ts_packet(data, len(data))
    candidates.append(None if packet is None else (packet[0], Signature("stream", "mpegts")))
    return min((found for found in candidates if found), key=lambda found: found[0], default=None)


def _first_frame(data: bytes, framing: _Framing) -> tuple[int, Signature] | None:
    for match in framing.header.finditer(data):
        if _has_chain(data, match.start(), framing):
            return match.start(), Signature("stream", framing.demuxer, distinctive=False)
    return None


def _has_chain(data: bytes, start: int, framing: _Framing) -> bool:
    for number in range(_FRAMES):
        if start == len(data) and number > 1:
            return True  # a very short file
        length = framing.length(data[start : start + 8]) if framing.header.match(data, start) else 0
        if not length:
            return False
        start += length
    return True


def _first_match(data: bytes, pattern: re.Pattern[bytes], demuxer: str) -> tuple[int, Signature] | None:
    match = pattern.search(data)
    return match and (match.start(), Signature("stream", demuxer))


def _mpeg_length(header: bytes) -> int:
    if len(header) < 4:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    index, padding, rate_hz = header[2] >> 4, header[2] >> 1 & 1, _mpeg_rate_hz(header)
    if not 0 < index < 15 or not rate_hz or layer not in _MPEG1_KBPS:
        return 0
    bits_per_s = (_MPEG1_KBPS[layer] if version == _MPEG1 else _MPEG2_KBPS)[index - 1] * 1000
    return (72 if layer == 3 and version != _MPEG1 else 144) * bits_per_s // rate_hz + padding


def _mpeg_rate_hz(header: bytes) -> int:
    """Return the sample rate in a header of MPEG-1, 2 or 2.5; 0 if there is none."""
    halved, rate = {_MPEG1: 0, 2: 1, 0: 2}.get(header[1] >> 3 & 3), header[2] >> 2 & 3
    return 0 if halved is None or rate == 3 else (44_100, 48_000, 32_000)[rate] >> halved


def _adts_length(header: bytes) -> int:
    if len(header) < 6 or header[2] >> 2 & 15 >= len(_ADTS_HZ):
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0


def _ac3_length(header: bytes) -> int:
    if len(header) < 6 or header[5] >> 3 > 10:
        return 0
    rate, size = header[4] >> 6, header[4] & 63
    if rate == 3 or size >= 2 * len(_AC3_KBPS):
        return 0
    # 1,536 samples, in words of two bytes; at 44.1 kHz, every other size has one word more.
    words = _AC3_KBPS[size // 2] * 1000 * 1536 // (16 * _AC3_HZ[rate])
    return 2 * (words + (size % 2 if rate == 1 else 0))


def _eac3_length(header: bytes) -> int:
    if len(header) < 6 or not 10 < header[5] >> 3 <= 16:
        return 0
    return 2 * (((header[2] & 7) << 8 | header[3]) + 1)


def _dts_length(header: bytes) -> int:
    return ((header[5] & 3) << 12 | header[6] << 4 | header[7] >> 4) + 1 if len(header) == 8 else 0


def _loas_length(header: bytes) -> int:
    return 3 + ((header[1] & 0x1F) << 8 | header[2]) if len(header) >= 3 else 0


_FRAMINGS = (
    _Framing(
        "mp3",
        re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x10-\xef]", re.DOTALL),
        _mpeg_length,
        0xFFFE_0C00_0000_0000,
    ),
    _Framing("aac", re.compile(rb"\xff[\xf0\xf1\xf8\xf9]", re.DOTALL), _adts_length, 0xFFFE_FDC0_0000_0000),
    _Framing("ac3", re.compile(rb"\x0b\x77"), _ac3_length, 0xFFFF_0000_C0F8_0000),
    _Framing("eac3", re.compile(rb"\x0b\x77"), _eac3_length, 0xFFFF_0000_C0F8_0000),
    _Framing("dts", re.compile(rb"\x7f\xfe\x80\x01"), _dts_length, 0),
    _Framing("loas", re.compile(rb"\x56[\xe0-\xff]", re.DOTALL), _loas_length, 0xFFE0_0000_0000_0000),
)
FRAMED = frozenset(framing.demuxer for framing in _FRAMINGS)
"""Formats that are recognised by frames in a row."""
RAW = FRAMED - {"mp3"}
"""Those that declare no duration."""
DECLARING = {framing.demuxer: framing for framing in _FRAMINGS if framing.constant}
"""Formats whose packets are as long as their headers declare. In DTS, extensions follow."""
_BEGINNINGS = (
    # A pack header of MPEG-1 or MPEG-2, and the start code after it.
    (re.compile(rb"\x00\x00\x01\xba(?:[\x21-\x2f].{7}|[\x44-\x7f].{8}\xf8)\x00\x00\x01[\xbb-\xff]", re.DOTALL), "mpeg"),
    (re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02"), "mxf"),
    (re.compile(rb"fLaC[\x00\x80]\x00\x00\x22", re.DOTALL), "flac"),
    (re.compile(rb"OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", re.DOTALL), "ogg"),
    (re.compile(rb"RIFF....WAVE(?:fmt |bext|LIST|JUNK|junk)", re.DOTALL), "wav"),
)
