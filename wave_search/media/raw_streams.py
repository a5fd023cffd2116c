"""Raw streams that only the suffix tells from other files: their signatures are short, or they have none.

Those that are not here need parameters that are not in the file either, and are refused (`refusals.HEADERLESS`).
"""

from __future__ import annotations

import re

from wave_search.media.signatures import Signature

_H261 = re.compile(rb"\x00\x01[\x00-\x0f]", re.DOTALL)
"""A picture start code of 20 bits; ITU-T H.261, 4.2.1."""
_H263 = re.compile(rb"\x00\x00[\x80-\x83]")
"""A picture start code of 22 bits; ITU-T H.263, 5.1.1."""
_MSBC = re.compile(rb"\xad\x00\x00.{54}(?:\xad\x00\x00|\Z)", re.DOTALL)
_SBC = re.compile(b"\x9c")
_RSO = re.compile(rb"\x01[\x00\x01]....\x00\x00", re.DOTALL)
_ANY = re.compile(b"")
_STREAMS = {
    ".g722": ("g722", _ANY),
    ".g723_1": ("g723_1", _ANY),
    ".g729": ("g729", _ANY),
    ".h261": ("h261", _H261),
    ".h263": ("h263", _H263),
    ".msbc": ("sbc", _MSBC),
    ".rco": ("g723_1", _ANY),
    ".rso": ("rso", _RSO),
    ".sbc": ("sbc", _SBC),
    ".tco": ("g723_1", _ANY),
}
"""Suffix -> demuxer, and how such a file begins. Those that may begin in any way have one sample rate, and one way to
be read, by their standard."""
_H264 = "h264", re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67][\x42\x4d\x58\x64\x6e\x7a\xf4\x2c]", re.DOTALL)
_HEVC = "hevc", re.compile(rb"\x00\x00\x01\x40\x01")
_MPEG = "mpegvideo", re.compile(rb"\x00\x00\x01\xb3...[\x11-\xe8]", re.DOTALL)
_TRUEHD = "truehd", re.compile(rb"....(?=\xf8\x72\x6f\xba)", re.DOTALL)
_CUT = {
    ".264": _H264, ".h264": _H264, ".265": _HEVC, ".h265": _HEVC, ".hevc": _HEVC,
    ".drc": ("dirac", re.compile(rb"BBCD\x00")),
    ".m1v": _MPEG, ".m2v": _MPEG, ".mpv": _MPEG,
    ".m4v": ("m4v", re.compile(rb"\x00\x00\x01[\xb0\x20]")),
    ".mlp": ("mlp", re.compile(rb"....(?=\xf8\x72\x6f\xbb)", re.DOTALL)),
    ".obu": ("obu", re.compile(rb"\x12\x00\x0a")),
    ".thd": _TRUEHD, ".truehd": _TRUEHD,
}  # fmt: skip
"""Suffix -> demuxer, and what decoding can begin with."""
RAW_SUFFIXES = frozenset(_STREAMS)


def named_stream(suffix: str, head: bytes) -> Signature | None:
    """Return the format of a raw stream.

    Args:
        suffix: of the file, in lower case.
        head: its first bytes, neither text nor of a format with a distinctive signature.

    Returns:
        None if the suffix is not that of a raw stream, or the file does not begin like one.
    """
    named = _STREAMS.get(suffix)
    if named is None or not named[1].match(head) or (named[1] is _SBC and not _SBC.match(head, _sbc_length(head))):
        return None
    return Signature("stream", named[0], distinctive=False)


def cut_stream(suffix: str, data: bytes) -> tuple[int, Signature] | None:
    """Find where a raw stream whose beginning is missing can be decoded from.

    Args:
        suffix: of the file, in lower case.
        data: its first bytes, which are of no known format.

    Returns:
        The position and the format; None if the suffix is not that of such a stream, or there is no such place.
    """
    cut = _CUT.get(suffix)
    match = cut and cut[1].search(data)
    return (match.start(), Signature("stream", cut[0], distinctive=False)) if cut and match else None


def _sbc_length(head: bytes) -> int:
    """Return the length of the first frame in bytes; Advanced Audio Distribution Profile 1.4, 12.9."""
    parameters, bitpool = head[1:3].ljust(2, b"\x00")
    blocks, mode, subbands = 4 * ((parameters >> 4 & 3) + 1), parameters >> 2 & 3, 8 if parameters & 1 else 4
    channels = 2 if mode else 1
    bits = blocks * bitpool * (2 if mode == 1 else 1) + (subbands if mode == 3 else 0)
    return 4 + subbands * channels // 2 + (bits + 7) // 8
