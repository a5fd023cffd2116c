"""Format detection, from the name and the first bytes of a file.

FFmpeg guesses formats from content and would follow playlists and scripts to other files and hosts. The format is
therefore determined here, from signatures of ordinary containers only, and passed to every library.
"""

from __future__ import annotations

import codecs
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 4096
"""Number of bytes that are inspected."""

TEXT_SUFFIXES = frozenset({".txt", ".md", ".srt", ".vtt", ".sbv", ".lrc", ".ass", ".ssa"})
PLAYLIST_SUFFIXES = frozenset({".m3u", ".m3u8", ".pls", ".xspf", ".mpd", ".ffconcat", ".asx", ".sdp", ".smil", ".wpl"})
# fmt: off
_IMAGE_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif", ".heic",
    ".heif",
}
_STREAM_SUFFIXES = {
    ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a", ".m4b", ".aac",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".amr", ".wma", ".wv", ".mka", ".ac3", ".mp4", ".m4v", ".mov",
    ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mpe", ".vob", ".ts", ".m2ts", ".mts", ".flv", ".f4v", ".wmv",
    ".asf", ".ogv", ".ogm", ".3gp", ".3g2", ".h264", ".264", ".h265", ".265", ".hevc",
}
# fmt: on
MEDIA_SUFFIXES = frozenset(_IMAGE_SUFFIXES | _STREAM_SUFFIXES)
_PLAYLIST_STARTS = (
    b"#EXTM3U",
    b"ffconcat ",
    b"[playlist]",
    b"<asx",
    b"<MPD",
    b"<smil",
    b"v=0\r\n",
    b"v=0\n",
    b"RTSPtext",
)


@dataclass(frozen=True, slots=True)
class Signature:
    """A format that is recognised by its first bytes."""

    kind: Literal["image", "stream"]
    """"image" or "stream" (audio, video or both)."""
    format: str
    """Name of the format: Pillow's for images, FFmpeg's demuxer for streams."""
    distinctive: bool = True
    """False if the signature is so short that the suffix of the file must agree."""


def looks_like_media(path: Path) -> bool:
    """Return whether a file should be probed; others are silently ignored.

    A known suffix is enough: probing detects other content. Without one, a regular file must begin with a distinctive
    signature. At most `HEAD_BYTES` are read.

    Args:
        path: need not exist; a folder is never media.
    """
    known = path.suffix.lower() in MEDIA_SUFFIXES | TEXT_SUFFIXES | PLAYLIST_SUFFIXES
    try:
        mode = path.stat().st_mode
        if known or not stat.S_ISREG(mode):
            return known and not stat.S_ISDIR(mode)
        with path.open("rb") as file:
            signature = sniff(file.read(HEAD_BYTES))
    except OSError:
        return known
    return signature is not None and signature.distinctive


def sniff(head: bytes) -> Signature | None:
    """Detect the format of a file.

    Args:
        head: the first `HEAD_BYTES` of the file, or all of it if it is shorter.

    Returns:
        None if no known signature matches.
    """
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    for start, signature in _STARTS:
        if head.startswith(start):
            return signature
    return _riff(head) or _mpeg(head) or _weak(head)


def is_playlist(head: bytes) -> bool:
    """Return whether the first bytes are those of a playlist or a script that names other files."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(_PLAYLIST_STARTS)


def is_text(head: bytes) -> bool:
    """Return whether the first bytes are text: UTF-8 without control characters, or UTF-16 with a byte order mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)


_STARTS = [
    (b"\x89PNG\r\n\x1a\n", Signature("image", "PNG")),
    (b"\xff\xd8\xff", Signature("image", "JPEG")),
    (b"GIF87a", Signature("image", "GIF")),
    (b"GIF89a", Signature("image", "GIF")),
    (b"II*\x00", Signature("image", "TIFF")),
    (b"MM\x00*", Signature("image", "TIFF")),
    (b"fLaC", Signature("stream", "flac")),
    (b"OggS", Signature("stream", "ogg")),
    (b"\x1aE\xdf\xa3", Signature("stream", "matroska")),
    (b"FLV\x01", Signature("stream", "flv")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Signature("stream", "asf")),
    (b"riff\x2e\x91\xcf\x11", Signature("stream", "w64")),
    (b".snd\x00\x00", Signature("stream", "au")),
    (b"caff\x00\x01", Signature("stream", "caf")),
    (b"#!AMR", Signature("stream", "amr")),
    (b"wvpk", Signature("stream", "wv")),
    (b"\x00\x00\x01\xba", Signature("stream", "mpeg")),
    (b"\x00\x00\x01\xb3", Signature("stream", "mpegvideo")),
    (b"\x00\x00\x01\xb0", Signature("stream", "m4v")),
    (b"ID3\x02", Signature("stream", "mp3")),
    (b"ID3\x03", Signature("stream", "mp3")),
    (b"ID3\x04", Signature("stream", "mp3")),
]


def _iso_media(head: bytes) -> Signature:
    brand = head[8:12]
    if brand in (b"avif", b"avis"):
        return Signature("image", "AVIF")
    if brand in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"):
        return Signature("image", "AVIF" if b"avif" in head[:64] else "HEIF")
    return Signature("stream", "mov")


def _riff(head: bytes) -> Signature | None:
    kinds = {
        (b"RIFF", b"WAVE"): Signature("stream", "wav"),
        (b"RF64", b"WAVE"): Signature("stream", "wav"),
        (b"RIFF", b"AVI "): Signature("stream", "avi"),
        (b"RIFF", b"WEBP"): Signature("image", "WEBP"),
        (b"FORM", b"AIFF"): Signature("stream", "aiff"),
        (b"FORM", b"AIFC"): Signature("stream", "aiff"),
    }
    return kinds.get((head[:4], head[8:12]))


def _mpeg(head: bytes) -> Signature | None:
    if _has_sync(head, 0, 188) or _has_sync(head, 4, 192):
        return Signature("stream", "mpegts")
    code, found, unit = head[:8].partition(b"\x00\x00\x01")
    if not found or code.strip(b"\x00") or len(unit) < 2:
        return None
    if unit[0] & 0x9F in (0x07, 0x09, 0x06):
        return Signature("stream", "h264", distinctive=False)
    if unit[0] in (0x40, 0x42, 0x46) and unit[1] == 0x01:
        return Signature("stream", "hevc", distinctive=False)
    return None


def _has_sync(head: bytes, first: int, step: int) -> bool:
    marks = head[first : first + 4 * step : step]
    return len(marks) == 4 and marks == b"GGGG"


def _weak(head: bytes) -> Signature | None:
    """Detect formats with short signatures."""
    if head[4:8] in (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return Signature("stream", "mov", distinctive=False)
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:15] in (b"\x0c", b"\x28", b"\x38", b"\x6c", b"\x7c"):
        return Signature("image", "BMP", distinctive=False)
    if head.startswith(b"\x0b\x77"):
        return Signature("stream", "ac3", distinctive=False)
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer, bitrate, rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if layer == 0 and head[1] & 0xF0 == 0xF0:
        return Signature("stream", "aac", distinctive=False)
    plausible = layer in (1, 2) and head[1] >> 3 & 3 != 1 and 0 < bitrate < 15 and rate != 3
    return Signature("stream", "mp3", distinctive=False) if plausible else None
