"""Decoding of the frames of a video by their numbers through PyAV, also in files that were joined from several."""

from __future__ import annotations

import bisect
import contextlib
import math
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError
from wave_search.media.demux import choose_video, decode, open_container, origin_s
from wave_search.media.joined import part_source
from wave_search.media.picture import to_rgb
from wave_search.media.source import REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.media.info import VideoStream
    from wave_search.media.source import Source

_VARIABLE_RATE = 1000.0
"""Numbers per second of a variable rate: see `FrameSource`."""
_NEAR_S = 1.0
"""The first frame wanted is reached by decoding if it is not further than this."""
_FAR_S = 20.0
"""A frame further ahead than this is reached by a seek. Key frames are usually nearer."""
BACK_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0)
"""Seconds before the wanted frame to seek to, in turn until a frame before it is found. Containers seek by the time of
decoding, which is a little earlier than that of presentation; transport streams seek to any packet, and the next key
frame may be too late. To look for a key frame costs less than to decode from one that is far away."""
ROUNDING = 1e-3
"""Tolerance when counting frames, because times are rounded to fractions of a millisecond."""


def numbers_per_second(stream: VideoStream) -> float:
    """Return the rate at which frames are numbered: see `FrameSource`."""
    return _VARIABLE_RATE if stream.timing == "variable" else stream.fps


class AvReader:
    """Decodes frames of a video in ascending order through PyAV.

    A frame that cannot be decoded is replaced by the preceding one. Far ahead, frames are skipped by a seek to the key
    frame before the wanted one.
    """

    def __init__(self, source: Source, stream: VideoStream) -> None:
        self._source = source
        self._stream = stream
        self._rate = numbers_per_second(stream)
        self._seekable = stream.timing != "counted"
        self._container: Any = None
        self._frames: Iterator[tuple[int, Any]] = iter(())
        self._next: tuple[int, Any] | None = None
        self._shown: Any | None = None
        self._pixels: NDArray[np.uint8] | None = None

    def get(self, number: int) -> NDArray[np.uint8]:
        """Decode the frame that is shown at a number: see `FrameSource`.

        Args:
            number: not below that of the previous call.

        Returns:
            (height, width, 3) RGB, upright. The first frame for numbers before it.

        Raises:
            BrokenMediaError: no frame can be decoded.
        """
        started, ended = self._container is not None, self._shown is not None and self._next is None
        if not started:
            self._container = open_container(self._source)
        if self._seekable and not ended and number - self._position() > (_FAR_S if started else _NEAR_S) * self._rate:
            self._seek_before(number)
        elif not started:
            self._read_from(None)
        while self._next is not None and (self._shown is None or self._next[0] <= number):
            self._shown, self._pixels = self._next[1], None
            self._next = next(self._frames, None)
        if self._shown is None:
            raise BrokenMediaError(self._source.path, "no frame of its video can be decoded", REPLACE)
        if self._pixels is None:
            self._pixels = to_rgb(self._shown)
        return self._pixels

    def following(self, number: int) -> int | None:
        """Return the number of the next frame; None after the last one."""
        return None if self._next is None else max(self._next[0], number + 1)

    def _position(self) -> int:
        return self._next[0] if self._next else 0

    def _seek_before(self, number: int) -> None:
        """Skip to a frame not after a number. If none is found, begin again."""
        position = self._position()
        for back_s in BACK_S:
            target_s = number / self._rate - back_s
            if target_s <= 0:
                break
            self._read_from(target_s)
            if self._next is not None and self._next[0] <= number:
                # Where key frames are too rare to gain anything by a seek, it leads back.
                self._seekable = self._next[0] > position
                return
        self._seekable = False
        self._container = open_container(self._source)
        self._read_from(None)

    def _read_from(self, target_s: float | None) -> None:
        """Decode from the last key frame before a time from the first frame, or from the beginning."""
        import av

        stream: Any = choose_video(self._container)
        if target_s is not None:
            at_s = origin_s(self._container) + self._stream.start_s + target_s
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(int(at_s / stream.time_base), stream=stream)
        self._shown = self._pixels = None
        self._frames = self._numbered(stream, from_key=target_s is not None)
        self._next = next(self._frames, None)

    def _numbered(self, stream: Any, *, from_key: bool) -> Iterator[tuple[int, Any]]:
        number = -1
        begin_s = origin_s(self._container) + self._stream.start_s
        for frame in decode(self._container, stream, from_key=from_key):
            timed = self._stream.timing != "counted" and frame.pts is not None
            number = round((float(frame.pts * stream.time_base) - begin_s) * self._rate) if timed else number + 1
            yield number, frame


class JoinedReader:
    """Decodes frames of a video that consists of parts in ascending order. See `AvReader`."""

    def __init__(self, source: Source, stream: VideoStream) -> None:
        self._source, self._parts = source, stream.parts
        self._start_s, self._rate = stream.start_s, numbers_per_second(stream)
        self._begins_s = [part.part.start_s + part.stream.start_s for part in stream.parts]
        self._index, self._number, self._part_rate = -1, 0, 0.0
        self._reader: AvReader

    def get(self, number: int) -> NDArray[np.uint8]:
        """Decode the frame that is shown at a number. See `AvReader`."""
        time_s = self._start_s + number / self._rate
        index = max(bisect.bisect_right(self._begins_s, time_s + ROUNDING / self._rate) - 1, 0)
        if index != self._index:
            part = self._parts[index]
            self._index, self._part_rate = index, numbers_per_second(part.stream)
            self._reader = AvReader(part_source(self._source, part.part), part.stream)
        self._number = max(math.floor((time_s - self._begins_s[index]) * self._part_rate + ROUNDING), 0)
        return self._reader.get(self._number)

    def following(self, number: int) -> int | None:
        """Return the number of the next frame; None after the last one."""
        begin_s, following = self._begins_s[self._index], self._reader.following(self._number)
        if following is not None:
            begin_s += following / self._part_rate
        elif self._index + 1 < len(self._parts):
            begin_s = self._begins_s[self._index + 1]
        else:
            return None
        return max(math.ceil((begin_s - self._start_s) * self._rate - ROUNDING), number + 1)
