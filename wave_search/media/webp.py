"""Animated WebP as a video, through Pillow: the libraries that read other videos decode only its first frame."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import BrokenMediaError, MediaError
from wave_search.media.completeness import chunks
from wave_search.media.image import on_white, open_image
from wave_search.media.info import VideoStream
from wave_search.media.source import CONVERT
from wave_search.media.timing import VideoPackets, clock_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.source import Source

_FRAME = b"ANMF"
_DURATION_AT, _DURATION_BYTES = 12, 3
"""Of the milliseconds that a frame is shown, in its chunk: https://developers.google.com/speed/webp/docs/riff_container"""
_SHORTEST_MS, _USUAL_MS = 10, 100
"""Browsers show frames of up to the one for as long as the other, as for GIF."""


def animation(source: Source) -> tuple[VideoStream, float] | None:
    """Return the frames of an animation as a video stream, and its duration in seconds; None if it is a still.

    Raises:
        BrokenMediaError: it is damaged.
        UnsupportedMediaError: it is too large.
    """
    durations_ms = _durations_ms(source)
    if len(durations_ms) < 2:
        return None
    image = open_image(source)
    times_s = np.array([0, *accumulate(durations_ms)]) / 1000
    packets = VideoPackets(len(durations_ms), 0.0, times_s[:-1], durations_ms[-1] / 1000, in_order=False)
    clock = clock_of(packets, 0.0, float(times_s[-1]))
    stream = VideoStream(image.width, image.height, "webp", clock.fps, packets.frames, clock.timing, 0.0, False)
    return stream, float(times_s[-1])


class WebpReader:
    """Decodes frames of an animation in ascending order. A frame that is damaged is replaced by the preceding one.

    Frames are selected by the numbers of `FrameSource`.
    """

    def __init__(self, source: Source, stream: VideoStream) -> None:
        self._path, self._image = source.path, open_image(source)
        times_ms = [0, *accumulate(_durations_ms(source))][:-1]
        self._numbers = times_ms if stream.timing == "variable" else range(stream.frames)
        self._shown: tuple[int, NDArray[np.uint8]] | None = None

    def get(self, number: int) -> NDArray[np.uint8]:
        """Decode the frame that is shown at a number: (height, width, 3) RGB, with transparency blended onto white.

        Raises:
            BrokenMediaError: neither it nor one before it can be decoded.
        """
        index = self._index(number)
        if self._shown is None or self._shown[0] != index:
            try:
                self._image.seek(index)
                self._shown = index, np.asarray(on_white(self._image))
            except (MemoryError, MediaError):
                raise
            except Exception as error:  # on damaged data, Pillow raises errors of any type
                if self._shown is None:
                    raise BrokenMediaError(self._path, f"a damaged WEBP image ({error})", CONVERT) from error
                self._shown = index, self._shown[1]
        return self._shown[1]

    def following(self, number: int) -> int | None:
        """Return the number of the next frame; None after the last one."""
        index = self._index(number) + 1
        return int(self._numbers[index]) if index < len(self._numbers) else None

    def _index(self, number: int) -> int:
        return max(int(np.searchsorted(self._numbers, number, side="right")) - 1, 0)


def _durations_ms(source: Source) -> list[int]:
    """Return how long each frame is shown; nothing for a still."""
    file = source.reader()
    durations = []
    for name, begin, _ in chunks(file, 12, "<4sI"):
        if name == _FRAME:
            file.seek(begin + _DURATION_AT)
            durations.append(int.from_bytes(file.read(_DURATION_BYTES), "little"))
    return [duration if duration > _SHORTEST_MS else _USUAL_MS for duration in durations]
