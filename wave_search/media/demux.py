"""Containers through PyAV: opening them safely, choosing streams, scanning packets, decoding frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.source import CONVERT
from wave_search.media.timeline import AudioScan, Clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wave_search.media.source import Source

_BUFFER_BYTES = 1 << 20
MAX_GAP_S = 60.0
"""A longer gap between two time stamps is a broken clock, not a pause, and is ignored."""
_ROUNDING_S = 1e-5
"""Tolerance in times from the beginning of a file, which containers declare in microseconds."""


_ADTS_BYTES = 7
_ADTS_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)


@dataclass(frozen=True, slots=True)
class VideoPackets:
    """Summary of the packets of a video stream."""

    frames: int
    start_s: float
    """Of the first frame, from the beginning of the file."""
    length_s: float
    """From the first frame to the end of the last, or 0.0 if there are no usable time stamps."""
    pts: NDArray[np.int64] | None
    """(frames,) ascending, in the time base of the stream; None unless every packet has a distinct time stamp."""
    keys: NDArray[np.int64]
    """(key frames, 2): pts, and the time stamp to seek to. Empty if `pts` is None."""
    open_gop: bool
    """Whether frames shown before a key frame depend on it, so that frames cannot be counted from there."""


def open_container(source: Source) -> Any:
    """Open a container as exactly one format, without access to other files or the network.

    Raises:
        BrokenMediaError: it is not of this format, or its header is damaged.
    """
    import av

    try:
        return av.open(
            source.reader(),
            format=source.demuxer,
            buffer_size=_BUFFER_BYTES,
            metadata_errors="ignore",
            # A whitelist without any real protocol, so that nothing that a file refers to is opened.
            options={"protocol_whitelist": "none", "format_whitelist": source.demuxer},
        )
    except (av.FFmpegError, ValueError) as error:
        raise BrokenMediaError(
            source.path, f"cannot be opened as {source.demuxer} ({reason(error)})", CONVERT
        ) from error


def reason(error: Exception) -> str:
    """Return the short reason of a library's error, without the file names in it."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0][:120]


def choose_video(container: Any) -> Any | None:
    """Return the video stream that FFmpeg, and therefore decord, considers the best, ignoring attached pictures."""
    from av.stream import Disposition

    streams = [
        stream for stream in _decodable(container.streams.video) if not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return best if best in streams else next(iter(streams), None)


def audio_tracks(container: Any) -> list[Any]:
    """Return the audio streams in the order of the file."""
    return _decodable(container.streams.audio)


def is_default(stream: Any) -> bool:
    """Return whether a container says that players should play a stream."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def seeks_bytes(container: Any) -> bool:
    """Return whether a container can be read from any of its packets on, given its position in the file."""
    from av.format import Flags

    scanned = _has(container, Flags.generic_index) or _has(container, Flags.ts_discont)
    return scanned and not _has(container, Flags.no_byte_seek)


def counts_times(container: Any) -> bool:
    """Return whether a format has neither time stamps nor an index: FFmpeg counts its packets from the beginning."""
    from av.format import Flags

    return _has(container, Flags.generic_index) and not _has(container, Flags.ts_discont)


def stamp_and_duration_s(packet: Any, *, adts: bool) -> tuple[float | None, float]:
    """Return the time stamp of a packet, None if it continues the one before it, and its duration, both in seconds.

    Args:
        packet: of an audio stream.
        adts: whether it is of a raw AAC file. FFmpeg counts such packets at the sample rate of the first one, which is
            wrong after a change of the rate, so the header of each is read instead.
    """
    if adts and packet.size >= _ADTS_BYTES:
        header = bytes(memoryview(packet)[:_ADTS_BYTES])
        rate = header[2] >> 2 & 15
        if header[0] == 0xFF and header[1] & 0xF6 == 0xF0 and rate < len(_ADTS_RATES_HZ):
            return None, 1024 * ((header[6] & 3) + 1) / _ADTS_RATES_HZ[rate]
    stamp_s = None if packet.pts is None else float(packet.pts * packet.time_base)
    return stamp_s, float((packet.duration or 0) * packet.time_base)


def is_adts(container: Any) -> bool:
    """Return whether a container is a raw AAC file."""
    return bool(container.format.name == "aac")


def declared_s(container: Any) -> float:
    """Return the duration, in seconds, that a container declares, or 0.0 if FFmpeg takes it from the time stamps."""
    import av
    from av.format import Flags

    return 0.0 if _has(container, Flags.ts_discont) else (container.duration or 0) / av.time_base


def _has(container: Any, flag: Any) -> bool:
    return bool(container.format.flags & flag.value)


def _decodable(streams: Iterable[Any]) -> list[Any]:
    return [stream for stream in streams if stream.codec_context is not None]


def packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Read the non-empty packets of some streams, up to the end or the first damage."""
    import av

    if not streams:
        return  # FFmpeg would read all streams
    try:
        for packet in container.demux(streams):
            if packet.size and not packet.is_discard:
                yield packet
    except (av.FFmpegError, IndexError):  # the latter where a stream begins in the middle of the file
        return


def decode(container: Any, stream: Any) -> Iterator[Any]:
    """Decode the frames of one stream, skipping damaged packets."""
    import av

    # One thread bounds the memory and makes the concealment of damage deterministic.
    stream.codec_context.thread_count = 1
    for packet in packets(container, [stream]):
        try:
            yield from stream.decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            continue
    try:
        yield from stream.decode(None)
    except av.FFmpegError:
        return


def origin_s(container: Any) -> float:
    """Return the time stamp, in seconds, at which a file begins: the start that players and ffprobe show.

    It is that of the stream that begins first, so sound before the picture belongs to the file.
    """
    import av

    return (container.start_time or 0) / av.time_base


def first_frame(container: Any, stream: Any) -> Any | None:
    """Decode the first frame of a stream, which alone determines rate, channels and size."""
    return next(decode(container, stream), None)


def scan_packets(
    container: Any, video: Any | None, audios: Sequence[Any]
) -> tuple[VideoPackets | None, list[AudioScan]]:
    """Read all packets of some streams, without decoding them.

    Headers may declare any number of frames; only packets are counted.

    Args:
        container: newly opened.
        video: the video stream, if it is needed.
        audios: the audio streams that are needed.

    Returns:
        None for video that is None or has no packets, and a summary for each audio stream.
    """
    origin = origin_s(container)
    clock = Clock(origin, declared_s(container))
    adts = is_adts(container)
    scans = {audio.index: AudioScan(clock, audio) for audio in audios}
    rows: list[tuple[int | None, int | None, bool]] = []
    for packet in packets(container, [*([] if video is None else [video]), *audios]):
        if packet.stream is not video:
            scans[packet.stream_index].add(*stamp_and_duration_s(packet, adts=adts), packet.pos)
            continue
        rows.append((packet.pts, packet.dts, packet.is_keyframe))
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is not None:
            clock.place(video.index, float(stamp * packet.time_base), float((packet.duration or 0) * packet.time_base))
    return (
        _video_packets(rows, float(video.time_base), origin) if video is not None and rows else None,
        list(scans.values()),
    )


def _video_packets(
    rows: list[tuple[int | None, int | None, bool]], time_base_s: float, origin_s: float
) -> VideoPackets:
    times = [pts for pts, _, _ in rows if pts is not None]
    order = np.unique(np.array(times, dtype=np.int64))
    start_s = float(order[0]) * time_base_s - origin_s if len(order) else 0.0
    if abs(start_s) < _ROUNDING_S:
        start_s = 0.0
    length_s = _length_s(np.diff(order) * time_base_s) * len(rows) / len(order) if len(order) else 0.0
    if len(order) < len(rows):
        return VideoPackets(len(rows), start_s, length_s, None, np.zeros((0, 2), np.int64), open_gop=True)
    keys = [(pts, pts if dts is None else min(pts, dts)) for pts, dts, key in rows if key and pts is not None]
    key_pts = np.array([pts for pts, _ in keys] or [0], dtype=np.int64)
    return VideoPackets(
        frames=len(rows),
        start_s=start_s,
        length_s=length_s,
        pts=order,
        keys=np.array(keys, dtype=np.int64).reshape(-1, 2),
        open_gop=_leading(rows) or bool(np.any(np.diff(key_pts) < 0)),
    )


def _length_s(steps_s: NDArray[np.float64]) -> float:
    """Return the length of a stream from the times between its frames, assuming the average length for the last one."""
    if not len(steps_s):
        return 0.0
    sane_s = np.where(steps_s > MAX_GAP_S, np.median(steps_s), steps_s)
    return float(sane_s.sum() + sane_s.mean())


def _leading(rows: list[tuple[int | None, int | None, bool]]) -> bool:
    """Return whether any frame is stored after a key frame but shown before it."""
    newest_key: int | None = None
    for pts, _, is_key in rows:
        if is_key:
            newest_key = pts
        elif newest_key is not None and pts is not None and pts < newest_key:
            return True
    return False
