"""Format detection, from the name and the first bytes of a file.

FFmpeg guesses formats from content and would follow playlists and scripts to other files and hosts. The format is
therefore determined here, from signatures of ordinary containers only, and passed to every library.
"""

from __future__ import annotations

import codecs
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from wave_search.descriptors import read_at
from wave_search.errors import MediaError
from wave_search.media.raw_streams import RAW_SUFFIXES, cut_stream, named_stream
from wave_search.media.refusals import HEADERLESS
from wave_search.media.resync import FRAMED, SEARCH_BYTES, find_stream, is_stream_of
from wave_search.media.signatures import Signature, signature_of
from wave_search.media.source import open_regular

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 4096
"""Number of bytes that are inspected first."""

TEXT_SUFFIXES = frozenset({".txt", ".md", ".srt", ".vtt", ".sbv", ".lrc", ".ass", ".ssa"})
PLAYLIST_SUFFIXES = frozenset(
    {".m3u", ".m3u8", ".pls", ".xspf", ".mpd", ".ffconcat", ".asx", ".sdp", ".smil", ".wpl", ".ram", ".wax", ".wvx"}
)
# fmt: off
_RAW_SUFFIXES = {
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".gpr", ".iiq", ".kdc", ".mef", ".mrw", ".nef",
    ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
}
_IMAGE_SUFFIXES = {
    ".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".j2c",
    ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".jxl", ".mpo", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".psd", ".qoi", ".tif", ".tiff", ".webp",
}
_SOUND_SUFFIXES = {
    ".3ga", ".8svx", ".aa", ".aa3", ".aac", ".aax", ".ac3", ".adts", ".adx", ".aif", ".aifc", ".aiff", ".amb", ".amr",
    ".ape", ".ast", ".au", ".awb", ".bwf", ".c2", ".caf", ".dff", ".dsf", ".dss", ".dts", ".dtshd", ".eac3", ".ec3",
    ".f4a", ".f4b", ".flac", ".gsm", ".ircam", ".isma", ".latm", ".loas", ".m1a", ".m2a", ".m4a", ".m4b", ".m4p",
    ".m4r", ".mka", ".mlp", ".mmf", ".mp+", ".mp1", ".mp2", ".mp3", ".mpa", ".mpc", ".mpga", ".mpp", ".nist", ".oga",
    ".oma", ".opus", ".pvf", ".qcp", ".qoa", ".ra", ".rf64", ".shn", ".snd", ".sox", ".sph", ".spx", ".tak", ".thd",
    ".truehd", ".tta", ".voc", ".vqf", ".w64", ".wav", ".wave", ".weba", ".wma", ".wv", ".wve", ".xwma",
}
_VIDEO_SUFFIXES = {
    ".264", ".265", ".266", ".3g2", ".3gp", ".3gp2", ".3gpp", ".amv", ".asf", ".av1", ".avi", ".cmfa",
    ".cmfv", ".cpk", ".dif", ".divx", ".dv", ".dvr-ms", ".evo", ".f4p", ".f4v", ".flv", ".gxf", ".h264",
    ".h265", ".h266", ".hevc", ".ismv", ".ivf", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4s", ".m4v", ".mjpeg",
    ".mjpg", ".mk3d", ".mkv", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nsv", ".nut",
    ".obu", ".ogg", ".ogm", ".ogv", ".ogx", ".qt", ".rm", ".rmvb", ".roq", ".smjpeg", ".tp", ".trp", ".ts",
    ".vc1", ".vob", ".vro", ".vvc", ".webm", ".wmv", ".wtv", ".xvid", ".y4m",
}
# fmt: on
MEDIA_SUFFIXES = frozenset(
    _IMAGE_SUFFIXES | _RAW_SUFFIXES | _SOUND_SUFFIXES | _VIDEO_SUFFIXES | HEADERLESS.keys() | RAW_SUFFIXES
)
MOTION_JPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
"""Suffixes of films that are JPEG images in a row. By its first bytes, such a film is its first image."""
_PLAYLIST_STARTS = (
    b"#EXTM3U",
    b"ffconcat ",
    b"[playlist]",
    b"[Reference]",
    b"<asx",
    b"<ASX",
    b"<MPD",
    b"<smil",
    b"<SmoothStreamingMedia",
    b"<playlist",
    b"v=0\r\n",
    b"v=0\n",
    b"RTSPtext",
    b"rtsp://",
)
TAG_STARTS = (b"ID3", b"APETAGEX")
_HTTP_HEADER_BYTES = 1 << 16
"""Longest header of a response that is skipped."""


@dataclass(frozen=True, slots=True)
class Found:
    """Media in a file."""

    signature: Signature
    offset_bytes: int
    """Number of bytes before the media: tags, headers of a transfer, zeros."""


def looks_like_media(path: Path) -> bool:
    """Return whether a file should be probed; others are counted, but not reported one by one.

    A known suffix is enough: probing detects other content. Without one, a regular file must begin with a distinctive
    signature. At most `HEAD_BYTES` are read.

    Args:
        path: need not exist; a folder is never media.
    """
    known = path.suffix.lower() in MEDIA_SUFFIXES | TEXT_SUFFIXES | PLAYLIST_SUFFIXES
    try:
        if known:
            return not stat.S_ISDIR(path.stat().st_mode)
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except (MediaError, OSError):
        return known
    signature = signature_of(head)
    return head.startswith(b"ID3") or (signature is not None and signature.distinctive)


def find_media(file: BinaryIO, suffix: str = "") -> Found | None:
    """Find the beginning of the media in a file, and their format.

    Tags, headers of HTTP and zeros in front are skipped. Otherwise at most `SEARCH_BYTES` are searched, and only for
    streams of frames or packets, which recordings cut anywhere.

    Args:
        file: the open file.
        suffix: of its name, which tells some raw streams from other bytes.

    Returns:
        None if it is of no known format.
    """
    start = leading_bytes(file)
    head = _read_at(file, start, HEAD_BYTES)
    signature = signature_of(head)
    # MP3 with one tag is what the libraries expect; for all others, the tag is hidden from them.
    hidden = 0 if signature and signature.format == "mp3" and _is_one_tag(file, start) else start
    if signature is not None and signature.distinctive:
        return Found(signature, hidden)
    if is_playlist(head) or (signature is None and is_text(head)):
        return None
    named = named_stream(suffix.lower(), head)
    if named is not None:
        return Found(named, start)
    data = _read_at(file, start, SEARCH_BYTES)
    if signature is None:
        return _behind_zeros(data, start) or _resynchronised(data, start, suffix.lower())
    certain = signature.format not in FRAMED or is_stream_of(data, signature.format)
    # Noise may begin like a frame.
    return Found(signature, hidden) if certain else _resynchronised(data, start, "") or Found(signature, hidden)


def leading_bytes(file: BinaryIO) -> int:
    """Return the number of bytes of tags and of headers of HTTP at the beginning of a file; 0 if that is all of it."""
    size = os.fstat(file.fileno()).st_size
    start = 0
    while (length := _tag_bytes(_read_at(file, start, _HTTP_HEADER_BYTES))) > 0:
        start += length
        if start >= size:
            return 0
    return start


def is_playlist(head: bytes) -> bool:
    """Return whether the first bytes are those of a playlist or a script that names other files."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"<?xml"):
        return any(start in text for start in _PLAYLIST_STARTS if start.startswith(b"<"))
    return text.startswith(_PLAYLIST_STARTS)


def is_text(head: bytes) -> bool:
    """Return whether the first bytes are text: UTF-8 without control characters, or UTF-16 with a byte order mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)


def _tag_bytes(head: bytes) -> int:
    """Return the length of the tag or the header that `head` begins with, or 0."""
    if head.startswith(b"ID3") and len(head) >= 10 and not any(byte & 0x80 for byte in head[6:10]):
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head.startswith(b"APETAGEX") and len(head) >= 32:
        return 32 + int.from_bytes(head[12:16], "little")
    if head.startswith(b"TAG") and signature_of(head[128:]) is not None:
        return 128
    if head.startswith((b"HTTP/", b"ICY ")):
        end = head.find(b"\r\n\r\n")
        return end + 4 if end >= 0 else 0
    return 0


def _is_one_tag(file: BinaryIO, start: int) -> bool:
    head = _read_at(file, 0, 10)
    return head.startswith(b"ID3") and _tag_bytes(head) == start


def _behind_zeros(data: bytes, start: int) -> Found | None:
    zeros = len(data) - len(data.lstrip(b"\x00"))
    # Some signatures begin with zeros.
    for position in range(max(zeros - 4, 0), zeros + 1):
        signature = signature_of(data[position : position + HEAD_BYTES])
        if signature is not None and signature.distinctive:
            return Found(signature, start + position)
    return None


def _resynchronised(data: bytes, start: int, suffix: str) -> Found | None:
    found = cut_stream(suffix, data) or find_stream(data)
    return found and Found(found[1], start + found[0])


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    return read_at(file.fileno(), size, offset)
