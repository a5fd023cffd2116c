"""Containers through PyAV: opening them safely, choosing streams, scanning packets, decoding frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
_MAX_JUMP_S = 60.0
"""In a format of broadcasts, where recordings are joined, a longer jump of all streams at once is one of the clock."""
_MAX_STEP_BACK_S = 1.0
"""Decoding times never decrease; a larger step back is that of a clock that was restarted."""
_ROUNDING_S = 1e-5
"""Tolerance in times from the beginning of a file, which containers declare in microseconds."""
_PADDING_S = 0.2
"""Tolerance in durations: audio encoders pad their last frame, so that a container declares slightly less than its
packets hold."""


@dataclass(frozen=True, slots=True)
class VideoPackets:
    """Summary of the packets of a video stream."""

    frames: int
    start_s: float
    """Of the first frame, from the beginning of the file."""
    times_s: NDArray[np.float64] | None
    """(frames,) ascending times of presentation; None if time stamps are missing, or the clock jumps."""
    last_s: float
    """Declared duration of the last frame, or 0.0."""
    in_order: bool
    """Whether frames can be counted from any key frame: none is left out, or stored after a key frame but shown
    before it."""


@dataclass(frozen=True, slots=True)
class AudioPackets:
    """Summary of the packets of an audio stream."""

    start_s: float
    """In seconds from the beginning of the file, like `stop_s`; below 0 if its first samples are not to be played."""
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
            if packet.size:
                yield packet
    except (av.FFmpegError, IndexError):  # the latter where a stream begins in the middle of the file
        return


def decode(container: Any, stream: Any, *, from_key: bool = False) -> Iterator[Any]:
    """Decode the frames of one stream from the current position, skipping damaged packets.

    `from_key`: begin with the next key frame, because a seek need not lead to one. Frames that an edit list cuts off
    are decoded, because others may depend on them, but not returned.
    """
    import av

    if not stream.codec_context.is_open:
        # One thread bounds the memory and makes the concealment of damage deterministic.
        stream.codec_context.thread_count = 1
    for packet in packets(container, [stream]):
        if (packet.is_discard and stream.type == "audio") or (from_key and not packet.is_keyframe):
            continue
        from_key = False
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

    return float((container.start_time or 0) / av.time_base)


def declared_stop_s(container: Any) -> float:
    """Return the end that a container declares, in seconds from the beginning of the file; 0.0 if unknown."""
    import av

    return float(max(container.duration or 0, 0) / av.time_base)


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
    origin = origin_s(container)
    pictures = _PictureScan(container)
    start_s: float | None = None
    stop_s = 0.0
    for packet in packets(container, [stream for stream in (video, audio) if stream is not None]):
        pictures.add(packet, shown=packet.stream is video)
        if packet.stream is video or packet.is_discard:
            continue
        begin_s = stop_s if packet.pts is None else float(packet.pts * packet.time_base) - origin
        if start_s is None:
            start_s = stop_s = begin_s
        elif abs(begin_s - stop_s) > MAX_GAP_S:
            begin_s = stop_s
        stop_s = max(stop_s, begin_s + float((packet.duration or 0) * packet.time_base))
    return (
        pictures.summary(origin),
        None if start_s is None else _audio_packets(audio, start_s, stop_s),
    )


def _audio_packets(audio: Any, start_s: float, stop_s: float) -> AudioPackets:
    declared_s = float(audio.duration * audio.time_base) if audio.duration else 0.0
    padding_s = stop_s - start_s - declared_s
    return AudioPackets(start_s, stop_s - padding_s if 0 <= padding_s < _PADDING_S else stop_s)


class _Picture(NamedTuple):
    pts: int | None
    dts: int | None
    duration: int
    is_key: bool


class _PictureScan:
    """Collects the packets of a video stream, in the order in which they are stored."""

    def __init__(self, container: Any) -> None:
        from av.format import Flags

        self._may_jump = bool(container.format.flags & Flags.ts_discont.value)
        self._time_base_s = 0.0
        self._pictures: list[_Picture] = []
        self._cut = False
        self._newest_s: float | None = None
        self._jumped = False

    def add(self, packet: Any, *, shown: bool) -> None:
        """Add a packet; one that is not of the video stream only shows that time passes."""
        if self._may_jump and packet.dts is not None:
            now_s = float(packet.dts * packet.time_base)
            self._jumped |= self._newest_s is not None and abs(now_s - self._newest_s) > _MAX_JUMP_S
            self._newest_s = now_s
        if shown and packet.is_discard:
            self._cut = True
        elif shown:
            self._time_base_s = float(packet.time_base)
            self._pictures.append(_Picture(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe))

    def summary(self, origin_s: float) -> VideoPackets | None:
        """Return the summary, with times from `origin_s`; None without packets."""
        pictures = self._pictures
        if not pictures:
            return None
        times = [picture.pts for picture in pictures if picture.pts is not None]
        stored = np.array([picture.dts for picture in pictures if picture.dts is not None], dtype=np.int64)
        restarts = bool(np.any(np.diff(stored) * self._time_base_s < -_MAX_STEP_BACK_S))
        if len(times) < len(pictures) or self._jumped or restarts:
            start_s = (times[0] * self._time_base_s - origin_s) if times else 0.0
            return VideoPackets(len(pictures), start_s, None, 0.0, in_order=False)
        times_s = np.sort(np.array(times, dtype=np.float64)) * self._time_base_s - origin_s
        if abs(times_s[0]) < _ROUNDING_S:
            times_s -= times_s[0]
        last = max(pictures, key=lambda picture: picture.pts or 0)
        in_order = not self._cut and not _leading(pictures)
        return VideoPackets(len(pictures), float(times_s[0]), times_s, last.duration * self._time_base_s, in_order)


def _leading(pictures: list[_Picture]) -> bool:
    """Return whether any frame is stored after a key frame but shown before it."""
    newest_key: int | None = None
    for picture in pictures:
        if newest_key is not None and picture.pts is not None and picture.pts < newest_key:
            return True
        if picture.is_key:
            newest_key = picture.pts
    return False
