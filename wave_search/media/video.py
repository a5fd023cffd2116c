"""Frames of a video, sampled and resized: decord first, PyAV where decord cannot."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.sampling import policy_of, resize_to
from wave_search.media.video_av import AvReader
from wave_search.media.video_decord import DecordFailed, DecordReader, suits_decord
from wave_search.types import Frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.demux import Picture, Source
    from wave_search.media.info import VideoStream
    from wave_search.types import Sampling, Span


class FrameSource:
    """The sampled frames of a video's ranges, in rising order.

    One frame of full size is in memory at a time.
    """

    def __init__(self, source: Source, picture: Picture, stream: VideoStream, sampling: Sampling) -> None:
        self._source = source
        self._picture = picture
        self._stream = stream
        self._policy = policy_of(sampling)
        self._size = self._policy.frame_size(stream.height, stream.width)
        self._newest: tuple[int, NDArray[np.uint8]] | None = None
        self._reader: DecordReader | AvReader | None = None
        if suits_decord(source.demuxer, picture):
            with contextlib.suppress(DecordFailed):
                self._reader = DecordReader(source.file, stream)

    def read(self, span: Span) -> Frames | None:
        """Sample a range.

        Args:
            span: of the file; not before the range asked for before.

        Returns:
            None if the picture has ended before the range, or nothing of it can be decoded.
        """
        indices, duration_s = self._policy.frame_indices(
            self._stream.frames, self._stream.fps, span.start_s, span.stop_s
        )
        if not len(indices):
            return None
        try:
            return Frames(np.stack([self._resized(int(index)) for index in indices]), duration_s)
        except BrokenMediaError:
            return None

    def full_size(self, index: int) -> NDArray[np.uint8]:
        """Decode one frame as it is: (height, width, 3) RGB, upright.

        Raises:
            BrokenMediaError: nothing can be decoded.
        """
        if isinstance(self._reader, DecordReader):
            try:
                return self._reader.get(index)
            except DecordFailed:
                self._reader = None
        if self._reader is None:
            self._reader = AvReader(self._source, self._picture)
        return self._reader.get(index)

    def _resized(self, index: int) -> NDArray[np.uint8]:
        # Slow videos show a frame several times, and windows share the frame between them.
        if self._newest is None or self._newest[0] != index:
            self._newest = (index, resize_to(self.full_size(index), self._size))
        return self._newest[1]
