"""Containers through PyAV: opening them safely, choosing streams, scanning packets, decoding frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.source import CONVERT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from wave_search.media.source import Source

_BUFFER_BYTES = 1 << 20
MAX_GAP_S = 60.0
"""A longer gap between two time stamps is a broken clock, not a pause, and is ignored."""
_PADDING_S = 0.2
"""Tolerance in durations: audio encoders pad their last frame, so that a container declares slightly less than its
packets hold."""


@dataclass(frozen=True, slots=True)
class VideoPackets:
    """Summary of the packets of a video stream."""

    frames: int
    start_s: float
    length_s: float
    """From the first frame to the end of the last, or 0.0 if there are no usable time stamps."""
    pts: NDArray[np.int64] | None
    """(frames,) ascending, in the time base of the stream; None unless every packet has a distinct time stamp."""
    keys: NDArray[np.int64]
    """(key frames, 2): pts, and the time stamp to seek to. Empty if `pts` is None."""
    open_gop: bool
    """Whether frames shown before a key frame depend on it, so that frames cannot be counted from there."""


@dataclass(frozen=True, slots=True)
class AudioPackets:
    """Summary of the packets of an audio stream."""

    start_s: float
    stop_s: float


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


def choose_audio(container: Any) -> Any | None:
    """Return the default audio stream, or else the first one."""
    from av.stream import Disposition

    streams = _decodable(container.streams.audio)
    return next((stream for stream in streams if stream.disposition & Disposition.default), next(iter(streams), None))


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


def first_frame(container: Any, stream: Any) -> Any | None:
    """Decode the first frame of a stream, which alone determines rate, channels and size."""
    return next(decode(container, stream), None)


def scan_packets(
    container: Any, video: Any | None, audio: Any | None
) -> tuple[VideoPackets | None, AudioPackets | None]:
    """Read all packets of two streams, without decoding them.

    Headers may declare any number of frames; only packets are counted.

    Returns:
        None for a stream that is None or has no packets.
    """
    rows: list[tuple[int | None, int | None, bool]] = []
    start_s: float | None = None
    stop_s = 0.0
    for packet in packets(container, [stream for stream in (video, audio) if stream is not None]):
        if packet.stream is video:
            rows.append((packet.pts, packet.dts, packet.is_keyframe))
            continue
        begin_s = stop_s if packet.pts is None else float(packet.pts * packet.time_base)
        if start_s is None:
            start_s = stop_s = begin_s
        elif abs(begin_s - stop_s) > MAX_GAP_S:
            begin_s = stop_s
        stop_s = max(stop_s, begin_s + float((packet.duration or 0) * packet.time_base))
    return (
        _video_packets(rows, float(video.time_base)) if video is not None and rows else None,
        None if start_s is None else _audio_packets(audio, start_s, stop_s),
    )


def origin_s(audio: AudioPackets, video: VideoPackets | None) -> float:
    """Return the time stamp at which a file begins: that of its first video frame or, without video, of its audio."""
    return audio.start_s if video is None else video.start_s


def _audio_packets(audio: Any, start_s: float, stop_s: float) -> AudioPackets:
    declared_s = float(audio.duration * audio.time_base) if audio.duration else 0.0
    padding_s = stop_s - start_s - declared_s
    return AudioPackets(start_s, stop_s - padding_s if 0 <= padding_s < _PADDING_S else stop_s)


def _video_packets(rows: list[tuple[int | None, int | None, bool]], time_base_s: float) -> VideoPackets:
    times = [pts for pts, _, _ in rows if pts is not None]
    order = np.unique(np.array(times, dtype=np.int64))
    start_s = float(order[0]) * time_base_s if len(order) else 0.0
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
