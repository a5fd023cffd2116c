"""Decoding of video frames, sampled and resized: by decord where it is reliable, otherwise by PyAV."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wave_search.errors import BrokenMediaError, UsageError
from wave_search.media.demux import choose_video, decode, open_container
from wave_search.media.sampling import policy_of, resize_to
from wave_search.media.source import REPLACE, descriptor_path
from wave_search.types import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.media.demux import VideoPackets
    from wave_search.media.info import VideoStream
    from wave_search.media.source import Source
    from wave_search.types import Sampling, Span

_DECORD_FORMATS = frozenset({"mov", "matroska", "avi", "flv", "asf"})
"""decord guesses the format from content. For these, the signature is unambiguous, so no file can pass for a
playlist."""
_SCENE_PIXELS = 256
"""Longer side, in pixels, of the frames for scene detection; more detail only costs time."""

_ROUNDING = 1e-3
"""Tolerance when counting frames, because times are rounded to fractions of a millisecond."""


class FrameSource:
    """Reads the sampled frames of ranges of a video, in ascending order. Holds one full-size frame at a time."""

    def __init__(self, source: Source, packets: VideoPackets, stream: VideoStream, sampling: Sampling) -> None:
        self._source = source
        self._packets = packets
        self._stream = stream
        self._policy = policy_of(sampling)
        self._size = self._policy.frame_size(stream.height, stream.width)
        self._newest: tuple[int, NDArray[np.uint8]] | None = None
        self._reader: DecordReader | AvReader | None = None
        if not source.offset_bytes and suits_decord(source.demuxer, packets):
            with contextlib.suppress(DecordFailed):
                self._reader = DecordReader(source.file, stream)

    def read(self, span: Span) -> Frames | None:
        """Sample a range.

        Args:
            span: of the file; must not begin before the range of the previous call.

        Returns:
            None if the video stream has no frames in the range, or none of its frames can be decoded.
        """
        late_s, fps = self._packets.start_s, self._stream.fps
        # The policy includes the frame at the end of a range, which belongs to the next range.
        before_stop = math.ceil((span.stop_s - late_s) * fps - _ROUNDING)
        indices, duration_s = self._policy.frame_indices(
            min(before_stop, self._stream.frames), fps, max(span.start_s - late_s, 0.0), span.stop_s - late_s
        )
        if not len(indices):
            return None
        try:
            return Frames(np.stack([self._resized(int(index)) for index in indices]), duration_s)
        except BrokenMediaError:
            return None

    def full_size(self, index: int) -> NDArray[np.uint8]:
        """Decode one frame at full size: (height, width, 3) RGB, upright.

        Raises:
            BrokenMediaError: no frame can be decoded.
        """
        if isinstance(self._reader, DecordReader):
            try:
                return self._reader.get(index)
            except DecordFailed:
                self._reader = None
        if self._reader is None:
            self._reader = AvReader(self._source, self._packets)
        return self._reader.get(index)

    def _resized(self, index: int) -> NDArray[np.uint8]:
        # At a low frame rate, samples repeat frames, and adjacent windows share one.
        if self._newest is None or self._newest[0] != index:
            self._newest = (index, resize_to(self.full_size(index), self._size))
        return self._newest[1]


def find_cuts(frames: FrameSource, stream: VideoStream, late_s: float, span: Span) -> list[float]:
    """Find the times at which new scenes begin, by PySceneDetect on every frame of the range.

    Returns:
        Seconds from the beginning of the file, ascending.

    Raises:
        UsageError: PySceneDetect is not installed.
    """
    try:
        from scenedetect import ContentDetector, FrameTimecode
    except ImportError as error:
        raise UsageError(
            "cutting at scenes needs PySceneDetect, which is not installed", "Run: pip install 'wave-search[scene]'"
        ) from error
    detector = ContentDetector()
    step = max(1, max(stream.width, stream.height) // _SCENE_PIXELS)
    first = max(round((span.start_s - late_s) * stream.fps), 0)
    stop = min(round((span.stop_s - late_s) * stream.fps), stream.frames)
    cuts: list[Any] = []
    try:
        for number in range(first, stop):
            small = frames.full_size(number)[::step, ::step, ::-1]
            cuts += detector.process_frame(FrameTimecode(number, stream.fps), np.ascontiguousarray(small))
        cuts += detector.post_process(FrameTimecode(stop, stream.fps))
    except BrokenMediaError:
        return []
    return sorted(late_s + cut.frame_num / stream.fps for cut in cuts)


class DecordFailed(Exception):  # noqa: N818 - never leaves this package
    """Raised if decord cannot read a video, or reads it incorrectly."""


def suits_decord(demuxer: str, packets: VideoPackets) -> bool:
    """Return whether decord decodes a video correctly.

    decord seeks to a key frame and counts frames from there, which fails where frames before a key frame depend on it
    (open groups of pictures, the default of x265), and in transport streams.
    """
    return demuxer in _DECORD_FORMATS and packets.pts is not None and not packets.open_gop


class DecordReader:
    """Decodes upright frames of a video through decord, in any order; ascending order is cheap."""

    def __init__(self, file: BinaryIO, stream: VideoStream) -> None:
        # decord exposes its own libvpx and libx264 to all libraries loaded after it, so those of PyAV must be loaded
        # first.
        import av  # noqa: F401
        import decord

        # The default level writes to the terminal.
        decord.logging.set_level(decord.logging.QUIET)
        self._shape = (stream.height, stream.width, 3)
        try:
            # VP9 works with one thread only, and one thread bounds the memory.
            self._reader: Any = decord.VideoReader(descriptor_path(file), num_threads=1)
        except (decord.DECORDError, RuntimeError, AssertionError) as error:
            raise DecordFailed from error
        if len(self._reader) != stream.frames:
            raise DecordFailed

    def get(self, index: int) -> NDArray[np.uint8]:
        """Decode one frame.

        Args:
            index: in order of presentation, from 0.

        Returns:
            (height, width, 3) RGB.

        Raises:
            DecordFailed: it cannot be decoded, or its size differs from that of the stream.
        """
        import decord

        try:
            frame: NDArray[np.uint8] = self._reader[index].asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecordFailed from error
        # decord 0.6.0 pads the rows of frames under 32 pixels: (16, 16, 6).
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise DecordFailed
        return frame


class AvReader:
    """Decodes frames of a video in ascending order through PyAV.

    A frame that cannot be decoded is replaced by the preceding one. The first call may seek; from there the stream is
    decoded once.
    """

    def __init__(self, source: Source, packets: VideoPackets) -> None:
        self._source = source
        self._packets = packets
        self._frames: Iterator[tuple[int, Any]] | None = None
        self._shown: Any | None = None
        self._next: tuple[int, Any] | None = None

    def get(self, index: int) -> NDArray[np.uint8]:
        """Decode one frame.

        Args:
            index: in order of presentation, from 0; not below that of the previous call.

        Returns:
            (height, width, 3) RGB, upright.

        Raises:
            BrokenMediaError: no frame can be decoded.
        """
        if self._frames is None:
            self._begin(index)
        while self._frames is not None and self._next is not None and self._next[0] <= index:
            self._shown = self._next[1]
            self._next = next(self._frames, None)
        if self._shown is None:
            raise BrokenMediaError(self._source.path, "no frame of its video can be decoded", REPLACE)
        return upright_rgb(self._shown)

    def _begin(self, index: int) -> None:
        key = self._last_key(index)
        if key is not None:
            self._decode_from(*key)
        if self._next is None or self._next[0] > index:
            # There is no earlier key frame, or the container's index of key frames is wrong.
            self._decode_from(0, None)

    def _last_key(self, index: int) -> tuple[int, int] | None:
        """Return the last key frame not after a frame: its index, and the time stamp to seek to."""
        pts, keys = self._packets.pts, self._packets.keys
        usable = keys[keys[:, 0] <= pts[index]] if pts is not None else keys[:0]
        if pts is None or len(usable) < 2:
            return None
        key_pts, seek_pts = usable[np.argmax(usable[:, 0])]
        return int(np.searchsorted(pts, key_pts)), int(seek_pts)

    def _decode_from(self, first: int, seek_pts: int | None) -> None:
        """Start decoding; frames before `first` are skipped."""
        import av

        container = open_container(self._source)
        stream = choose_video(container)
        if seek_pts is not None:
            with contextlib.suppress(av.FFmpegError):
                container.seek(seek_pts, stream=stream)
        self._frames = self._numbered(container, stream, first)
        self._next = next(self._frames, None)
        self._shown = self._next and self._next[1]

    def _numbered(self, container: Any, stream: Any, first: int) -> Iterator[tuple[int, Any]]:
        number = first - 1
        for frame in decode(container, stream):
            number = self._index_of(frame, number + 1)
            if number >= first:
                yield number, frame

    def _index_of(self, frame: Any, counted: int) -> int:
        pts = self._packets.pts
        if pts is None or frame.pts is None:
            return counted
        index = int(np.searchsorted(pts, frame.pts))
        return index if index < len(pts) and pts[index] == frame.pts else counted


def upright_rgb(frame: Any) -> NDArray[np.uint8]:
    """Convert a frame to (height, width, 3) RGB, rotated according to its metadata."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns(frame)))


def quarter_turns(frame: Any) -> int:
    """Return the number of counter-clockwise quarter turns that make a frame upright: 0 to 3."""
    return int(round(frame.rotation / 90) % 4)
