"""Formats that are recognised by their first bytes, and the name that Pillow or FFmpeg has for each.

Containers that name other files are not among them: playlists, manifests and scripts are never opened as media.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Signature:
    """A format that is recognised by its first bytes."""

    kind: Literal["image", "stream"]
    """"image" or "stream" (audio, video or both)."""
    format: str
    """Name of the format: Pillow's for images (or "RAW", for photographs), FFmpeg's demuxer for streams."""
    distinctive: bool = True
    """False if the signature is so short that the suffix of the file must agree."""


def signature_of(head: bytes) -> Signature | None:
    """Detect the format of a file.

    Args:
        head: the first bytes of the file, at least 4,096 unless it is shorter.

    Returns:
        None if no known signature matches.
    """
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    for at, start, signature in _STARTS:
        if head.startswith(start, at):
            return signature
    return _riff(head) or _transport_stream(head) or _elementary(head) or _weak(head)


def _image(format_: str) -> Signature:
    return Signature("image", format_)


def _stream(demuxer: str) -> Signature:
    return Signature("stream", demuxer)


def _weak_stream(demuxer: str) -> Signature:
    return Signature("stream", demuxer, distinctive=False)


_STARTS = [
    # Pictures
    (0, b"\x89PNG\r\n\x1a\n", _image("PNG")),
    (0, b"\xff\xd8\xff", _image("JPEG")),
    (0, b"GIF87a", _image("GIF")),
    (0, b"GIF89a", _image("GIF")),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", _image("JPEG2000")),
    (0, b"\xff\x4f\xff\x51\x00", _image("JPEG2000")),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", _image("JXL")),
    (0, b"8BPS\x00\x01", _image("PSD")),
    (0, b"qoif\x00\x00", _image("QOI")),
    # Photographs as the sensor sees them. Those in plain TIFF are found when it is opened.
    (8, b"CR\x02\x00", _image("RAW")),  # Canon
    (6, b"HEAPCCDR", _image("RAW")),
    (0, b"IIRO", _image("RAW")),  # Olympus
    (0, b"IIRS", _image("RAW")),
    (0, b"MMOR", _image("RAW")),
    (0, b"IIU\x00", _image("RAW")),  # Panasonic, Leica
    (0, b"FUJIFILMCCD-RAW", _image("RAW")),
    (0, b"FOVb", _image("RAW")),  # Sigma
    (0, b"\x00MRM", _image("RAW")),  # Minolta
    (0, b"II*\x00", _image("TIFF")),
    (0, b"MM\x00*", _image("TIFF")),
    (0, b"II+\x00", _image("TIFF")),
    (0, b"MM\x00+", _image("TIFF")),
    # Containers
    (0, b"OggS", _stream("ogg")),
    (0, b"\x1aE\xdf\xa3", _stream("matroska")),
    (0, b"FLV\x01", _stream("flv")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _stream("asf")),
    (0, b"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d", _stream("wtv")),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", _stream("mxf")),
    (0, b"\x00\x00\x00\x00\x01\xbc", _stream("gxf")),
    (0, b"nut/multimedia container\x00", _stream("nut")),
    (0, b".RMF\x00\x00", _stream("rm")),
    (0, b".ra\xfd\x00", _stream("rm")),
    (0, b"NSVf", _stream("nsv")),
    (0, b"NSVs", _stream("nsv")),
    (0, b"DKIF\x00\x00", _stream("ivf")),
    (0, b"\x84\x10\xff\xff\xff\xff", _stream("roq")),
    (0, b"\x00\nSMJPEG", _stream("smjpeg")),
    (0, b"FILM\x00", _weak_stream("film_cpk")),
    (0, b"BBCD\x00", _stream("dirac")),
    (0, b"SMK2", _stream("smk")),
    (0, b"SMK4", _stream("smk")),
    (0, b"NuppelVideo\x00", _stream("nuv")),
    (0, b"MythTVVideo\x00", _stream("nuv")),
    (0, b"THP\x00", _stream("thp")),
    (0, b"\x00\x00\x02\x80\x01", _weak_stream("dnxhd")),
    (0, b"YUV4MPEG2 ", _stream("yuv4mpegpipe")),
    (0, b"\x1f\x07\x00\x3f", _stream("dv")),
    (0, b"\x1f\x07\x00\xbf", _stream("dv")),
    # Sound
    (0, b"fLaC", _stream("flac")),
    (0, b"riff\x2e\x91\xcf\x11", _stream("w64")),
    (0, b".snd\x00\x00", _stream("au")),
    (0, b"caff\x00\x01", _stream("caf")),
    (0, b"#!AMR", _stream("amr")),
    (0, b"#!iLBC", _stream("ilbc")),
    (0, b"wvpk", _stream("wv")),
    (0, b"MAC ", _stream("ape")),
    (0, b"TTA1", _stream("tta")),
    (0, b"MP+", _weak_stream("mpc")),
    (0, b"MPCK", _stream("mpc8")),
    (0, b"tBaK", _stream("tak")),
    (0, b"ajkg", _stream("shn")),
    (0, b"qoaf", _stream("qoa")),
    (0, b"DSD \x1c\x00\x00\x00", _stream("dsf")),
    (0, b"Creative Voice File\x1a", _stream("voc")),
    (0, b".SoX", _stream("sox")),
    (0, b"XoS.", _stream("sox")),
    (0, b"NIST_1A\n", _stream("nistsphere")),
    (0, b"PVF1\n", _stream("pvf")),
    (0, b"ALawSoundFile**", _stream("wve")),
    (0, b"MMMD\x00", _stream("mmf")),
    (20, b"vs12", _stream("apm")),
    (0, b"ASF\x00\x02\x00", _stream("argo_asf")),
    (0, b"KVAG", _stream("kvag")),
    (0, b"VAGp", _stream("vag")),
    (0, b"RSTM\xfe\xff", _stream("brstm")),
    (0, b"TWIN97012000", _stream("vqf")),
    (0, b"\xc0\xde\xc2", _weak_stream("codec2")),
    (0, b"STRM\x00", _weak_stream("ast")),
    (4, b"\x03\x12\x04\x01", _weak_stream("adx")),  # one channel
    (4, b"\x03\x12\x04\x02", _weak_stream("adx")),
    (0, b"\x64\xa3\x01\x00", _weak_stream("ircam")),
    (0, b"\x64\xa3\x02\x00", _weak_stream("ircam")),
    (0, b"\x64\xa3\x03\x00", _weak_stream("ircam")),
    (0, b"\x64\xa3\x04\x00", _weak_stream("ircam")),
    (0, b"\x02dss", _stream("dss")),
    (0, b"\x03dss", _stream("dss")),
    (0, b"ea3\x03", _stream("oma")),
    (0, b"EA3\x01", _stream("oma")),
    (0, b"DTSHDHDR", _stream("dtshd")),
    (0, b"\x7f\xfe\x80\x01", _stream("dts")),
    (0, b"\xfe\x7f\x01\x80", _stream("dts")),
    (0, b"\x1f\xff\xe8\x00", _stream("dts")),
    (0, b"\xff\x1f\x00\xe8", _stream("dts")),
    (0, b"\x72\xf8\x1f\x4e", _weak_stream("spdif")),
    (4, b"\xf8\x72\x6f\xba", _stream("truehd")),
    (4, b"\xf8\x72\x6f\xbb", _stream("mlp")),
    # Elementary streams
    (0, b"\x00\x00\x01\xba", _stream("mpeg")),
    (0, b"\x00\x00\x01\xb3", _stream("mpegvideo")),
    (0, b"\x00\x00\x01\xb0", _stream("m4v")),
    (0, b"\x00\x00\x01\xb5", _weak_stream("m4v")),
    (0, b"\x00\x00\x01\x00\x00\x00\x01\x20", _stream("m4v")),
    (0, b"\x00\x00\x01\x0f", _weak_stream("vc1")),
    (0, b"\x12\x00\x0a", _weak_stream("obu")),
]
"""(position, bytes there, format)."""
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"miaf"})
_FORMS = {
    (b"RIFF", b"WAVE"): _stream("wav"),
    (b"RF64", b"WAVE"): _stream("wav"),
    (b"BW64", b"WAVE"): _stream("wav"),
    (b"RIFX", b"WAVE"): _stream("wav"),
    (b"RIFF", b"AVI "): _stream("avi"),
    (b"RIFF", b"AMV "): _stream("avi"),
    (b"RIFF", b"CDXA"): _stream("mpeg"),
    (b"RIFF", b"QLCM"): _stream("qcp"),
    (b"RIFF", b"XWMA"): _stream("xwma"),
    (b"RIFF", b"4XMV"): _stream("4xm"),
    (b"RIFF", b"WEBP"): _image("WEBP"),
    (b"FORM", b"AIFF"): _stream("aiff"),
    (b"FORM", b"AIFC"): _stream("aiff"),
    (b"FORM", b"8SVX"): _stream("iff"),
    (b"FORM", b"16SV"): _stream("iff"),
}
_TS_PACKETS = (188, 192, 204)
"""Bytes of a packet of a transport stream: plain, with a time code in front, with error correction behind."""
_TS_MARKS = 5


def _iso_media(head: bytes) -> Signature:
    brand = head[8:12]
    if brand in (b"avif", b"avis"):
        return _image("AVIF")
    if brand in _HEIF_BRANDS:
        return _image("AVIF" if b"avif" in head[:64] else "HEIF")
    if brand == b"crx ":
        return _image("RAW")
    if brand == b"jxl ":
        return _image("JXL")
    return _stream("mov")


def _riff(head: bytes) -> Signature | None:
    if head[:4] == b"FRM8" and head[12:16] == b"DSD ":
        return _stream("iff")
    return _FORMS.get((head[:4], head[8:12]))


def _transport_stream(head: bytes) -> Signature | None:
    # Captures begin anywhere in a packet; FFmpeg finds the first whole one, and the size of packets.
    return _stream("mpegts") if first_ts_packet(head, 2 * max(_TS_PACKETS)) is not None else None


def first_ts_packet(data: bytes, limit: int) -> tuple[int, int] | None:
    """Return the position of the first whole packet of a transport stream, and the distance to the next one.

    Args:
        data: part of a file.
        limit: the packet begins before this position.

    Returns:
        None if there is no such packet.
    """
    at = data.find(b"G", 0, limit)
    while at >= 0:
        for size in _TS_PACKETS:
            if data[at : at + _TS_MARKS * size : size] == b"G" * _TS_MARKS:
                return at, size
        at = data.find(b"G", at + 1, limit)
    return None


def _elementary(head: bytes) -> Signature | None:
    code, found, unit = head[:8].partition(b"\x00\x00\x01")
    if not found or code.strip(b"\x00") or len(unit) < 2:
        return None
    if unit[0] & 0x9F in (0x07, 0x09, 0x06):
        return _weak_stream("h264")
    if unit[0] in (0x40, 0x42, 0x46, 0x4E) and unit[1] == 0x01:
        return _weak_stream("hevc")
    if unit[0] == 0x00 and unit[1] in (0x71, 0x79, 0xA1):
        return _weak_stream("vvc")
    return None


def _weak(head: bytes) -> Signature | None:
    """Detect formats with short signatures."""
    if head[4:8] in (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return _weak_stream("mov")
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:15] in (b"\x0c", b"\x28", b"\x38", b"\x6c", b"\x7c"):
        return Signature("image", "BMP", distinctive=False)
    # GIMP writes a comment there.
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n" and head[3:4] in b"0123456789#":
        return Signature("image", "PPM", distinctive=False)
    if head.startswith(b"\xff\x0a") and len(head) > 2:
        return Signature("image", "JXL", distinctive=False)
    if len(head) >= 33 * 8 and all(byte & 0xF0 == 0xD0 for byte in head[: 33 * 60 : 33]):
        return _weak_stream("gsm")
    return _audio_frame(head)


def _audio_frame(head: bytes) -> Signature | None:
    """Detect the header of a frame of a stream of audio frames without a container."""
    if len(head) < 4:
        return None
    if head.startswith(b"\x0b\x77") and len(head) > 5:
        return _weak_stream("ac3" if head[5] >> 3 <= 10 else "eac3")
    if head[0] == 0x56 and head[1] & 0xE0 == 0xE0:
        return _weak_stream("loas")
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer, bitrate, rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if layer == 0 and head[1] & 0xF0 == 0xF0:
        return _weak_stream("aac")
    # Layer I begins like UTF-16 text, and is only found as a chain of frames.
    plausible = layer in (1, 2) and head[1] >> 3 & 3 != 1 and 0 < bitrate < 15 and rate != 3
    return _weak_stream("mp3") if plausible else None
