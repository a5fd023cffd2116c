"""Recordings whose clock was set, such as transport streams that were joined with `cat`, as parts with one clock each.

FFmpeg seeks to time stamps, which then mean several moments. A recording is read as a whole only if a few of its
packets, evenly spaced, do not follow each other in time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wave_search.media.demux import (
    audio_tracks,
    choose_video,
    is_broadcast,
    is_timed,
    open_container,
    origin_s,
    packets,
    scan_packets,
)
from wave_search.media.joined import bytes_at
from wave_search.media.signatures import first_ts_packet
from wave_search.media.timeline import MAX_JOINT_PAUSE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.media.source import Source

_SMALL_BYTES = 1 << 25
"""Up to here, a recording is always read."""
_SAMPLES = 64
_HEAD_BYTES = 1 << 12
_TIMED_PACKET_BYTES, _TIME_CODE_BYTES = 192, 4
_TABLE_PACKETS = 16
"""Programme tables are at most so many packets before the content that they describe, where a recording begins."""


def clocked_parts(source: Source, start_s: float, stop_s: float) -> list[tuple[Source, float]]:
    """Return the parts of a recording that are played in a range, with when the time stamps of each begin.

    Times are those of the index. Of a recording whose clock was never set, it is that one.
    """
    container = open_container(source)
    if not (is_broadcast(container) and is_timed(container) and _may_restart(source, container)):
        return [(source, 0.0)]
    container = open_container(source)  # at its beginning
    _, _, resets = scan_packets(container, choose_video(container), audio_tracks(container))
    resets.sort(key=lambda reset: reset.position)
    parts: list[tuple[Source, float]] = []
    for reset, following in itertools.pairwise([None, *resets, None]):
        begin_s = 0.0 if reset is None else reset.time_s
        if begin_s >= stop_s and parts:
            break
        if following is not None and following.time_s <= start_s:
            continue
        first = source.offset_bytes + (0 if reset is None else _entry(source, reset.position))
        stop = source.stop_bytes if following is None else source.offset_bytes + _entry(source, following.position)
        part = replace(source, offset_bytes=first, stop_bytes=stop)
        if reset is not None:
            begin_s = origin_s(open_container(part)) + reset.offset_s
        parts.append((part, begin_s))
    return parts


def _may_restart(source: Source, container: Any) -> bool:
    size = source.reader().seek(0, os.SEEK_END)
    if size <= _SMALL_BYTES:
        return True
    stream = choose_video(container) or next(iter(audio_tracks(container)), None)
    if stream is None:
        return False
    times_s = list(_sampled_s(container, stream, size))
    steps_s = sorted(then_s - time_s for time_s, then_s in itertools.pairwise(times_s))
    usual_s = steps_s[len(steps_s) // 2] if steps_s else 0.0
    return bool(steps_s) and (steps_s[0] < 0 or steps_s[-1] > 2 * usual_s + MAX_JOINT_PAUSE_S)


def _sampled_s(container: Any, stream: Any, size: int) -> Iterator[float]:
    """Yield the times of decoding of packets that are evenly spaced in the file."""
    import av

    for number in range(_SAMPLES):
        with contextlib.suppress(av.FFmpegError):
            container.seek(number * size // _SAMPLES, unsupported_byte_offset=True)
            packet = next((packet for packet in packets(container, [stream]) if packet.dts is not None), None)
            if packet is not None:
                yield float(packet.dts * stream.time_base)


def _entry(source: Source, position: int) -> int:
    """Return where to begin to read the content at a position: at the programme tables before it, if there are any."""
    reader = source.reader()
    found = first_ts_packet(reader.read(_HEAD_BYTES), _HEAD_BYTES)
    if found is not None:
        _, packet_bytes = found
        for at in range(position - packet_bytes, position - _TABLE_PACKETS * packet_bytes, -packet_bytes):
            header = bytes_at(reader, max(at, 0) + (_TIME_CODE_BYTES if packet_bytes == _TIMED_PACKET_BYTES else 0), 3)
            if header[:1] == b"G" and int.from_bytes(header[1:]) & 0x1FFF == 0:
                return at
    return position
