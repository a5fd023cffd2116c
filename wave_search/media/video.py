"""Decoding of video frames, sampled and resized: by decord where it is reliable, otherwise by PyAV."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wave_search.descriptors import descriptor_path
from wave_search.errors import BrokenMediaError, UsageError
from wave_search.media.av_frames import ROUNDING, AvReader, JoinedReader, numbers_per_second
from wave_search.media.picture import is_plain
from wave_search.media.sampling import policy_of, resize_to
from wave_search.media.segmentation import MIN_LENGTH_S
from wave_search.media.webp import WebpReader
from wave_search.types import Frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.info import Timing, VideoStream
    from wave_search.media.source import Source
    from wave_search.media.timing import VideoPackets
    from wave_search.types import Sampling, Span

_DECORD_FORMATS = frozenset({"mov", "matroska", "flv"})
"""decord guesses the format from content. For these, the signature is unambiguous, so no file can pass for a
playlist. Not AVI and ASF, which store no time of presentation for each frame: decord seeks to wrong ones there."""
_UNRELIABLE_CODECS = frozenset({"hevc"})
"""decord2 gives up if a decoder takes no packet before its frames are fetched, as that of HEVC does after seeks."""
_SCENE_PIXELS = 256
"""Longer side, in pixels, of the frames for scene detection; more detail only costs time."""
_MIN_SCENE_S = 0.5


class FrameSource:
    """Reads the sampled frames of ranges of a video, in ascending order. Holds one full-size frame at a time.

    Frames are selected by number. At a constant rate, it is their index. Otherwise it is the time in milliseconds from
    the first frame, and selects the frame that is shown then; the policy sees a video of 1,000 frames per second.
    """

    def __init__(self, source: Source, stream: VideoStream, sampling: Sampling) -> None:
        self._source = source
        self._stream = stream
        self._policy = policy_of(sampling)
        self._size = self._policy.frame_size(stream.height, stream.width)
        self._newest: tuple[int, NDArray[np.uint8]] | None = None
        self._resized: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        reader = WebpReader if source.demuxer == "WEBP" else JoinedReader if stream.parts else AvReader
        self._reader: DecordReader | AvReader | JoinedReader | WebpReader = reader(source, stream)
        if stream.by_decord:
            with contextlib.suppress(DecordFailed):
                self._reader = DecordReader(source.file, stream)

    def read(self, span: Span) -> Frames | None:
        """Sample the part of a range that has a picture. The last frame stays until the end of the file.

        Args:
            span: of the file; must not begin before the range of the previous call.

        Returns:
            None if the range ends before the first frame, or no frame can be decoded.
        """
        numbers, duration_s = self._select(
            max(span.start_s - self._stream.start_s, 0.0), span.stop_s - self._stream.start_s
        )
        if not len(numbers):
            return None
        try:
            return Frames(np.stack([self._small(int(number)) for number in numbers]), duration_s)
        except BrokenMediaError:
            return None

    def still(self, at_s: float) -> NDArray[np.uint8]:
        """Decode the frame that is shown at a time: (height, width, 3) RGB, resized as an image is.

        Args:
            at_s: seconds from the beginning of the file. Before the first frame, it is that one; after the last, too.

        Raises:
            BrokenMediaError: it cannot be decoded.
        """
        number = math.floor((at_s - self._stream.start_s) * numbers_per_second(self._stream) + ROUNDING)
        return self._policy.resize_image(self._full_size(max(number, 0)))

    def _select(self, start_s: float, stop_s: float) -> tuple[NDArray[np.int64], float]:
        """Select frames of a range, in seconds from the first frame. See `SamplingPolicy.frame_indices`."""
        rate = numbers_per_second(self._stream)
        # The policy includes the frame at the end of a range, which belongs to the next range.
        count = _count_before(stop_s, rate)
        if self._stream.timing != "variable":
            picture_s = self._stream.frames / rate
            if start_s < picture_s and stop_s - picture_s < MIN_LENGTH_S:
                count = min(count, self._stream.frames)
        numbers, duration_s = self._policy.frame_indices(count, rate, start_s, stop_s)
        if len(numbers) or count <= 0:
            return numbers, duration_s
        # The range is a part of one frame, and the next one is nearer to its beginning.
        start_s, length_s = (count - 1) / rate, stop_s - start_s
        return self._policy.frame_indices(count, rate, start_s, start_s + length_s)

    def cuts(self, span: Span) -> list[float]:
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
        rate, begin_s = numbers_per_second(self._stream), self._stream.start_s
        detector = ContentDetector(min_scene_len=max(1, round(_MIN_SCENE_S * rate)))
        step = max(1, max(self._stream.width, self._stream.height) // _SCENE_PIXELS)
        number: int | None = max(round((span.start_s - begin_s) * rate), 0)
        stop = _count_before(span.stop_s - begin_s, rate)
        cuts: list[Any] = []
        try:
            while number is not None and number < stop:
                small = self._full_size(number)[::step, ::step, ::-1]
                cuts += detector.process_frame(FrameTimecode(number, rate), np.ascontiguousarray(small))
                number = self._reader.following(number)
            cuts += detector.post_process(FrameTimecode(stop, rate))
        except BrokenMediaError:
            return []
        return sorted(begin_s + cut.frame_num / rate for cut in cuts)

    def _full_size(self, number: int) -> NDArray[np.uint8]:
        """Decode one frame at full size: (height, width, 3) RGB, upright."""
        # At a low frame rate, samples repeat frames, and adjacent windows share one. The last frame stays as long as
        # there is sound, which may be hours; decord would decode up to it from its key frame each time.
        if self._stream.timing != "variable":
            number = min(number, self._stream.frames - 1)
        if self._newest is None or self._newest[0] != number:
            self._newest = (number, self._decoded(number))
        return self._newest[1]

    def _decoded(self, number: int) -> NDArray[np.uint8]:
        try:
            return self._reader.get(number)
        except DecordFailed:
            self._reader = AvReader(self._source, self._stream)
        return self._reader.get(number)

    def _small(self, number: int) -> NDArray[np.uint8]:
        pixels = self._full_size(number)
        if self._resized is None or self._resized[0] is not pixels:
            self._resized = (pixels, resize_to(pixels, self._size))
        return self._resized[1]


def _count_before(stop_s: float, rate: float) -> int:
    return math.ceil(stop_s * rate - ROUNDING)


class DecordFailed(Exception):  # noqa: N818 - never leaves this package
    """Raised if decord cannot read a video, or reads it incorrectly."""


def suits_decord(demuxer: str, packets: VideoPackets, timing: Timing, frame: Any, stream: Any) -> bool:
    """Return whether decord decodes a video correctly, to judge by its packets and its first frame.

    decord seeks to a key frame and counts frames from there, which fails where frames before a key frame depend on it
    (open groups of pictures), and in transport streams. Of all that `to_rgb` does, it only turns frames, and only those
    of QuickTime and MP4.
    """
    in_order = timing == "constant" and packets.in_order
    codec = stream.codec_context.codec.canonical_name
    is_read = demuxer in _DECORD_FORMATS and codec not in _UNRELIABLE_CODECS
    return is_read and in_order and is_plain(frame, stream, turned=demuxer == "mov")


class DecordReader:
    """Decodes upright frames of a video of constant rate through decord, in any order; ascending order is cheap."""

    def __init__(self, file: BinaryIO, stream: VideoStream) -> None:
        # decord exposes its own libvpx and libx264 to all libraries loaded after it, so those of PyAV must be loaded
        # first.
        import av  # noqa: F401

        try:
            import decord
        except ModuleNotFoundError as error:  # there may be no wheel for this system
            raise DecordFailed from error
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

    def get(self, number: int) -> NDArray[np.uint8]:
        """Decode one frame.

        Args:
            number: in order of presentation, from 0; past the last frame, it is that one.

        Returns:
            (height, width, 3) RGB.

        Raises:
            DecordFailed: it cannot be decoded, or its size differs from that of the stream.
        """
        import decord

        try:
            frame: NDArray[np.uint8] = self._reader[min(number, len(self._reader) - 1)].asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecordFailed from error
        # decord2 pads the rows of frames of few widths, such as 16, 32 and 96 pixels: (64, 96, 4).
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise DecordFailed
        return frame

    def following(self, number: int) -> int | None:
        """Return the number of the next frame; None after the last one."""
        return number + 1 if number + 1 < len(self._reader) else None
