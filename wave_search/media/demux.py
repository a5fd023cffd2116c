"""Containers through PyAV: opening them safely, choosing streams, and what their packets say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.files import IndependentReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_BUFFER_BYTES = 1 << 20
MAX_GAP_S = 60.0
"""A longer gap between two time stamps is not a pause but a broken clock, and does not count."""
_PADDING_S = 0.2
"""Encoders of sound fill up their last frame; the container then declares a little less than its packets hold."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the packets of a video stream say."""

    frames: int
    start_s: float
    length_s: float
    """From the first frame to the end of the last, or 0.0 if there are no usable time stamps."""
    pts: NDArray[np.int64] | None
    """(frames,) rising, in units of the stream; None if not every packet has one of its own."""
    keys: NDArray[np.int64]
    """(key frames, 2): pts, and the time stamp that seeking to it needs. Empty if `pts` is None."""
    open_gop: bool
    """Some frames before a key frame need it, so that decoding cannot start there by counting frames."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the packets of an audio stream say."""

    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class Source:
    """An open file that is read as one format and no other."""

    path: Path
    """For messages only: libraries never see it."""
    file: BinaryIO
    demuxer: str
    """FFmpeg's name of the format."""


def open_container(source: Source) -> Any:
    """Open a container as one format and no other, cut off from all other files and from the network.

    Raises:
        BrokenMediaError: it is not of this format, or its header is damaged.
    """
    import av

    try:
        return av.open(
            IndependentReader(source.file),
            format=source.demuxer,
            buffer_size=_BUFFER_BYTES,
            metadata_errors="ignore",
            # A whitelist with no real protocol on it: whatever a file refers to, nothing is opened.
            options={"protocol_whitelist": "none", "format_whitelist": source.demuxer},
        )
    except (av.FFmpegError, ValueError) as error:
        raise BrokenMediaError(
            source.path, f"cannot be opened as {source.demuxer} ({reason(error)})", "Replace it by an intact copy."
        ) from error


def reason(error: Exception) -> str:
    """Give the short reason of a library's error, without the file names that it may hold."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0][:120]


def choose_video(container: Any) -> Any | None:
    """Choose the video stream that FFmpeg, and so decord, considers the best; attached pictures do not count."""
    from av.stream import Disposition

    streams = [
        stream for stream in _decodable(container.streams.video) if not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return best if best in streams else next(iter(streams), None)


def choose_audio(container: Any) -> Any | None:
    """Choose the audio stream that is marked as the default one, or else the first."""
    from av.stream import Disposition

    streams = _decodable(container.streams.audio)
    return next((stream for stream in streams if stream.disposition & Disposition.default), next(iter(streams), None))


def _decodable(streams: Iterable[Any]) -> list[Any]:
    return [stream for stream in streams if stream.codec_context is not None]


def packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Read the packets with content of some streams, up to the end or to where the file is damaged."""
    import av

    if not streams:
        return  # FFmpeg would take this for all of them
    try:
        for packet in container.demux(streams):
            if packet.size and not packet.is_discard:
                yield packet
    except (av.FFmpegError, IndexError):  # the latter where a stream begins that was not there at first
        return


def decode(container: Any, stream: Any) -> Iterator[Any]:
    """Decode the frames of one stream, passing over packets that are damaged."""
    import av

    # One thread bounds the memory and makes the concealment of damage repeatable.
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
    """Decode the first frame of a stream: only then are rate, channels and size certain."""
    return next(decode(container, stream), None)


def scan(container: Any, video: Any | None, audio: Any | None) -> tuple[Picture | None, Sound | None]:
    """Read through a container and take down what its packets say; nothing is decoded.

    Headers may declare any number of frames. What counts is what is there.

    Returns:
        None for a stream that is None or has no packets.
    """
    picture: list[tuple[int | None, int | None, bool]] = []
    start_s: float | None = None
    stop_s = 0.0
    for packet in packets(container, [stream for stream in (video, audio) if stream is not None]):
        if packet.stream is video:
            picture.append((packet.pts, packet.dts, packet.is_keyframe))
            continue
        begin_s = stop_s if packet.pts is None else float(packet.pts * packet.time_base)
        if start_s is None:
            start_s = stop_s = begin_s
        elif abs(begin_s - stop_s) > MAX_GAP_S:
            begin_s = stop_s
        stop_s = max(stop_s, begin_s + float((packet.duration or 0) * packet.time_base))
    sound = None if start_s is None else _sound(audio, start_s, stop_s)
    return (_picture(picture, float(video.time_base)) if video is not None and picture else None), sound


def _sound(audio: Any, start_s: float, stop_s: float) -> Sound:
    declared_s = float(audio.duration * audio.time_base) if audio.duration else 0.0
    padding_s = stop_s - start_s - declared_s
    return Sound(start_s, stop_s - padding_s if 0 <= padding_s < _PADDING_S else stop_s)


def _picture(rows: list[tuple[int | None, int | None, bool]], time_base_s: float) -> Picture:
    times = [pts for pts, _, _ in rows if pts is not None]
    order = np.unique(np.array(times, dtype=np.int64))
    start_s = float(order[0]) * time_base_s if len(order) else 0.0
    length_s = _length_s(np.diff(order) * time_base_s) * len(rows) / len(order) if len(order) else 0.0
    if len(order) < len(rows):
        return Picture(len(rows), start_s, length_s, None, np.zeros((0, 2), np.int64), open_gop=True)
    keys = [(pts, pts if dts is None else min(pts, dts)) for pts, dts, key in rows if key and pts is not None]
    key_pts = np.array([pts for pts, _ in keys] or [0], dtype=np.int64)
    return Picture(
        frames=len(rows),
        start_s=start_s,
        length_s=length_s,
        pts=order,
        keys=np.array(keys, dtype=np.int64).reshape(-1, 2),
        open_gop=_leading(rows) or bool(np.any(np.diff(key_pts) < 0)),
    )


def _length_s(steps_s: NDArray[np.float64]) -> float:
    """Length of a stream from the times between its frames; the last frame lasts as long as the average one."""
    if not len(steps_s):
        return 0.0
    sane_s = np.where(steps_s > MAX_GAP_S, np.median(steps_s), steps_s)
    return float(sane_s.sum() + sane_s.mean())


def _leading(rows: list[tuple[int | None, int | None, bool]]) -> bool:
    """Tell whether a frame is stored after a key frame but shown before it."""
    newest_key: int | None = None
    for pts, _, is_key in rows:
        if is_key:
            newest_key = pts
        elif newest_key is not None and pts is not None and pts < newest_key:
            return True
    return False
