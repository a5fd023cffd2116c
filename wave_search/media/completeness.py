"""Detection of files whose end is missing, such as those of a copy or a download that stopped.

Many formats begin with an index or a length. A file is incomplete if bytes, or for FLAC samples, that its header
declares lie beyond its end. Formats that are written as a stream (Ogg, MPEG-TS, ADTS) declare nothing, and are
incomplete if they end within a page, a packet or a frame. A mark of the end, which Ogg has, is missing as well in
recordings that are intact, so that its absence proves nothing. That of a GIF or PNG, the index of a NUT file, and
the directory of a WTV file, are only missing where the end is.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError
from wave_search.media.demux import declared_stop_s, open_container
from wave_search.media.joined import boxes, segment_stops
from wave_search.media.resync import FRAMED, ends_within_frame, mpeg_frame_s
from wave_search.media.signatures import first_ts_packet
from wave_search.media.sniff import leading_bytes
from wave_search.media.timeline import MAX_DURATION_S
from wave_search.media.wtv import lacks_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wave_search.media.source import IndependentReader, Source

_TOLERANCE_S = 0.1
"""Less than this may be padding, or the last frame."""
_PLACEHOLDER_BYTES = 0x7FFF_0000
"""Programs that write to a pipe declare a length that no file has: 2^31 or 2^32, less the header."""
_MAX_CHUNKS = 10_000
"""Ordinary files have fewer; chunks without content could be millions."""
_HEAD_BYTES = _TAIL_BYTES = 1 << 16
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_NUT_INDEX, _NUT_SYNCPOINT = bytes.fromhex("4e58dd672f23e64e"), bytes.fromhex("4e4be4adeeca4569")
_MPEG_END = 0xB9
_TS_PACKET_BYTES = 188


def declared_s(source: Source, size_bytes: int, found_s: float) -> float | None:
    """Return the duration that the header of a file declares, in seconds, if the file ends before it does.

    Args:
        source: the file.
        size_bytes: of the file.
        found_s: duration of what is in it.

    Returns:
        Infinity if the end is missing, but the format does not tell how much; None if nothing is known to be missing.
    """
    if source.stop_bytes is not None:
        size_bytes = source.stop_bytes
    try:
        whole_s = _whole_s(source, size_bytes, found_s)
        if whole_s is None and _ends_within(source, size_bytes - source.offset_bytes):
            return math.inf
    except (struct.error, ValueError, IndexError, BrokenMediaError):  # the header itself is cut or damaged
        return None
    if whole_s is None or whole_s - found_s > _TOLERANCE_S:
        return whole_s
    find_end = _CONTAINERS.get(source.demuxer)
    end = 0 if find_end is None else find_end(source.reader())
    # One track may be there to the end and another one not, as in the last fragment of an MP4.
    lost = end > 0 and found_s * (end - size_bytes + source.offset_bytes) / end > _TOLERANCE_S
    return math.inf if lost else None


def _whole_s(source: Source, size_bytes: int, found_s: float) -> float | None:
    file = source.reader()
    size_bytes -= source.offset_bytes
    if source.demuxer in ("flac", "mp3"):
        return _flac_s(file) if source.demuxer == "flac" else _mp3_s(source, size_bytes)
    if find_data := _SOUNDS.get(source.demuxer):
        begin, declared = find_data(file)
        there = size_bytes - begin
        return found_s * declared / there if 0 < there < declared else None
    if source.demuxer in _TIMED:
        timed_s = declared_stop_s(open_container(source))
        return timed_s if timed_s <= MAX_DURATION_S else None  # the longest one stands for an unknown one
    find_end = _CONTAINERS.get(source.demuxer)
    if find_end is None or find_end(file) <= size_bytes:
        return None
    return _container_s(source, file)


def _container_s(source: Source, file: IndependentReader) -> float:
    # FFmpeg estimates the durations of an AVI or ASF from what is there.
    if source.demuxer == "avi":
        frame_us, frames = _read(file, 32, "<I12xI")
        return float(frame_us * frames / 1e6)
    if source.demuxer == "asf":
        play, preroll_ms = _read(file, _asf_properties(file) + 64, "<Q8xQ")
        return float(play / 1e7 - preroll_ms / 1e3)
    return declared_stop_s(open_container(source))


def _ends_within(source: Source, size_bytes: int) -> bool:
    """Return whether a stream ends within a frame, a page or a packet, or a file before the mark of its end."""
    file = source.reader()
    file.seek(max(0, size_bytes - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    if source.demuxer in FRAMED:
        return ends_within_frame(tail, source.demuxer)
    if source.demuxer == "nut":
        return _lacks_index(file, tail)
    if source.demuxer == "wtv":
        return lacks_directory(file)
    test = _ENDS.get(source.demuxer)
    return test is not None and test(tail)


def _ends_within_page(tail: bytes) -> bool:
    at = tail.rfind(b"OggS\0")
    header = tail[at : at + 27]
    lengths = tail[at + 27 :][: header[26]] if at >= 0 and len(header) == 27 else b""
    return at >= 0 and at + 27 + len(lengths) + sum(lengths) > len(tail)


def _ends_within_packet(tail: bytes) -> bool:
    found = first_ts_packet(tail, len(tail))
    if found is None:
        return False
    at, size = found
    last = len(tail) - (len(tail) - at) % size
    # In front of a packet may be a time code, and of other bytes behind the packets, none need be missing.
    return 0 < len(tail) - last < _TS_PACKET_BYTES and tail[last] == tail[at] and tail[last - size] == tail[at]


def _lacks_index(file: IndependentReader, tail: bytes) -> bool:
    """Return whether the index at the end of a NUT file is missing, which those of a single cluster have none of."""
    (length,) = struct.unpack(">Q", tail[-12:-4])
    is_there = length <= len(tail) and tail[-length:].startswith(_NUT_INDEX)
    file.seek(0)
    # In a short file, each of them is counted twice.
    return not is_there and (file.read(_HEAD_BYTES) + tail).count(_NUT_SYNCPOINT) > 2


def _ends_within_pack(tail: bytes) -> bool:
    """Return whether the last pack of an MPEG programme stream contains a packet that is longer than what is left."""
    at = tail.rfind(b"\0\0\1\xba")
    if at < 0:
        return False
    # After 12 bytes in MPEG-1; in MPEG-2 after 14, and as many as the last three bits of these say.
    at += 12 if tail[at + 4] >> 6 == 0 else 14 + (tail[at + 13] & 7)
    while tail[at : at + 3] == b"\0\0\1" and tail[at + 3] != _MPEG_END:
        at += 6 + struct.unpack_from(">H", tail, at + 4)[0]
    return at > len(tail)


def _read(file: IndependentReader, position: int, form: str) -> tuple[Any, ...]:
    """Read and unpack a few bytes; raises struct.error behind the end."""
    file.seek(position)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def chunks(file: IndependentReader, position: int, form: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, beginning and size of the contents of chunks like those of RIFF, up to their end."""
    for _ in range(_MAX_CHUNKS):
        try:
            name, size = _read(file, position, form)
        except struct.error:
            return
        if not any(name):  # files may be filled up with zeros
            return
        position += struct.calcsize(form)
        yield name, position, size
        position += size + size % 2


def _known(size: int) -> int:
    return 0 if size >= _PLACEHOLDER_BYTES else size


def _wav_data(file: IndependentReader) -> tuple[int, int]:
    """Return the position and the declared size of the samples; 0 if it is unknown."""
    long: int | None = None
    for name, begin, size in chunks(file, 12, "<4sI"):
        if name == b"ds64":  # of RF64 and BW64, whose data chunk declares 2^32 - 1
            (long,) = _read(file, begin + 8, "<Q")
        if name == b"data":
            return begin, _known(size) if long is None else long
    return 0, 0


def _aiff_data(file: IndependentReader) -> tuple[int, int]:
    return next(((begin, _known(size)) for name, begin, size in chunks(file, 12, ">4sI") if name == b"SSND"), (0, 0))


def _au_data(file: IndependentReader) -> tuple[int, int]:
    begin, size = _read(file, 4, ">II")
    return begin, _known(size)


def _caf_data(file: IndependentReader) -> tuple[int, int]:
    for name, begin, size in chunks(file, 8, ">4sq"):
        if name == b"data" or size < 0:  # -1: up to the end
            return begin, size
    return 0, 0


def _voc_data(file: IndependentReader) -> tuple[int, int]:
    """Return where the first block of samples begins, and the declared size of all."""
    (first,) = _read(file, 20, "<H")
    position = first
    for _ in range(_MAX_CHUNKS):
        try:
            kind, low, high = _read(file, position, "<BHB")
        except struct.error:
            break
        if kind == 0:  # the end
            break
        position += 4 + (high << 16 | low)
    return first, position - first


def _w64_data(file: IndependentReader) -> tuple[int, int]:
    position = 40
    while True:
        name, size = _read(file, position, "<16sQ")
        if name == _W64_DATA:
            return position + 24, size - 24
        position += max(24, size + -size % 8)


def _riff_end(file: IndependentReader) -> int:
    """Return where the last RIFF chunk of an AVI ends; long files have several."""
    ends = [begin + size for name, begin, size in chunks(file, 0, "<4sI") if name == b"RIFF" and _known(size)]
    return ends[-1] if ends else 0


def _mov_end(file: IndependentReader) -> int:
    """Return where the last box with media data ends."""
    return max((stop for name, _, stop in boxes(file) if name == b"mdat"), default=0)


def _matroska_end(file: IndependentReader) -> int:
    """Return where the last segment ends; 0 for a live stream, which does not tell."""
    return max(segment_stops(file), default=0)


def _asf_end(file: IndependentReader) -> int:
    size, flags = _read(file, _asf_properties(file) + 40, "<Q40xI")
    return 0 if flags & 1 else size  # 1: a broadcast


def _asf_properties(file: IndependentReader) -> int:
    file.seek(0)
    return file.read(_HEAD_BYTES).index(_ASF_FILE_PROPERTIES)


def _flv_end(file: IndependentReader) -> int:
    file.seek(0)
    at = file.read(_HEAD_BYTES).find(b"\0\x08filesize\0")
    return int(_read(file, at + 11, ">d")[0]) if at >= 0 else 0


def _flac_s(file: IndependentReader) -> float | None:
    """Return the duration in STREAMINFO, which is 0 samples if it was unknown when that was written."""
    name, packed = _read(file, 0, ">4s14xQ")
    samples, rate_hz = packed & ((1 << 36) - 1), packed >> 44
    return samples / rate_hz if name == b"fLaC" and samples and rate_hz else None


def _mp3_s(source: Source, size_bytes: int) -> float | None:
    """Return the duration in a Xing or VBRI header, if the number of bytes in it is more than there is."""
    begin = max(0, leading_bytes(source.file) - source.offset_bytes)  # a single tag is not hidden from the libraries
    file = source.reader()
    file.seek(begin)
    head = file.read(256)
    frame_s = mpeg_frame_s(head)
    if frame_s is None:
        return None
    at = max(head.find(b"Xing", 4), head.find(b"Info", 4))
    if at >= 0:
        flags, frames, size = struct.unpack_from(">III", head, at + 4)
        known = flags & 3 == 3
    else:
        at = head.find(b"VBRI", 4)
        size, frames = struct.unpack_from(">II", head, at + 10)
        known = at >= 0
    if not known or begin + _known(size) <= size_bytes:
        return None
    return float(frames * frame_s)


_SOUNDS: dict[str, Callable[[IndependentReader], tuple[int, int]]] = {
    "wav": _wav_data, "aiff": _aiff_data, "au": _au_data, "caf": _caf_data, "voc": _voc_data,
    "w64": _w64_data,
}  # fmt: skip
"""Formats of one track whose size is proportional to its duration: position and declared size of the samples."""
_CONTAINERS: dict[str, Callable[[IndependentReader], int]] = {
    "avi": _riff_end, "mov": _mov_end, "matroska": _matroska_end, "asf": _asf_end, "flv": _flv_end,
}  # fmt: skip
"""Containers: position at which the file should end, at least; 0 if it is unknown."""
_ENDS: dict[str, Callable[[bytes], bool]] = {
    "apng": lambda tail: b"IEND" not in tail,
    "gif": lambda tail: not tail.rstrip(b"\0").endswith(b";"),
    "mpeg": _ends_within_pack,
    "mpegts": _ends_within_packet,
    "ogg": _ends_within_page,
}
"""Formats that declare nothing: whether the last bytes of a file are not those of a whole one."""
_TIMED = frozenset({"apm", "ast", "gxf", "ivf", "mxf", "rm", "tta", "wv"})
"""Formats whose header counts samples or frames. FFmpeg takes the duration from there."""
