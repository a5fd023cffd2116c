"""Frames through decord."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wave_search.media.files import descriptor_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.demux import Picture
    from wave_search.media.info import VideoStream

_FORMATS = frozenset({"mov", "matroska", "avi", "flv", "asf"})
"""decord guesses the format by content. In these the signature alone settles it, so no file can pass for a playlist."""


class DecordFailed(Exception):  # noqa: N818 - never leaves this package
    """decord cannot read this video, or not correctly."""


def suits_decord(demuxer: str, picture: Picture) -> bool:
    """Tell whether decord can be trusted with a video.

    decord seeks to a key frame and counts frames from there, which goes wrong where frames before a key frame need it
    (open groups of pictures, the default of x265), and in transport streams.
    """
    return demuxer in _FORMATS and picture.pts is not None and not picture.open_gop


class DecordReader:
    """Random access to the frames of a video, cheap in rising order. decord turns rotated video upright itself."""

    def __init__(self, file: BinaryIO, stream: VideoStream) -> None:
        # decord opens its own libvpx and libx264 to all libraries loaded after it, so those of PyAV have to come first.
        import av  # noqa: F401
        import decord

        # The default level writes to the terminal.
        decord.logging.set_level(decord.logging.QUIET)
        self._shape = (stream.height, stream.width, 3)
        try:
            # VP9 works with one thread only, and one bounds the memory.
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
            DecordFailed: it cannot be decoded, or has not the size of the stream.
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
