"""Frames through PyAV."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.demux import choose_video, decode, open_container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.media.demux import Picture, Source


class AvReader:
    """Access to the frames of a video in rising order.

    A frame that cannot be decoded is replaced by the last one before it. The first access may seek; after that the
    stream is decoded once, whatever is asked for.
    """

    def __init__(self, source: Source, picture: Picture) -> None:
        self._source = source
        self._picture = picture
        self._frames: Iterator[tuple[int, Any]] | None = None
        self._shown: Any | None = None
        self._next: tuple[int, Any] | None = None

    def get(self, index: int) -> NDArray[np.uint8]:
        """Decode one frame.

        Args:
            index: in order of presentation, from 0; not below the index asked for before.

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
            raise BrokenMediaError(self._source.path, "no picture can be decoded", "Replace it by an intact copy.")
        return upright_rgb(self._shown)

    def _begin(self, index: int) -> None:
        key = self._last_key(index)
        if key is not None:
            self._decode_from(*key)
        if self._next is None or self._next[0] > index:
            # There is no key frame to go to, or the container's index of them is wrong.
            self._decode_from(0, None)

    def _last_key(self, index: int) -> tuple[int, int] | None:
        """Find the last key frame not after a frame: its index, and the time stamp to seek to."""
        pts, keys = self._picture.pts, self._picture.keys
        usable = keys[keys[:, 0] <= pts[index]] if pts is not None else keys[:0]
        if pts is None or len(usable) < 2:
            return None
        key_pts, seek_pts = usable[np.argmax(usable[:, 0])]
        return int(np.searchsorted(pts, key_pts)), int(seek_pts)

    def _decode_from(self, first: int, seek_pts: int | None) -> None:
        """Begin to decode; frames before `first` are left out."""
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
        pts = self._picture.pts
        if pts is None or frame.pts is None:
            return counted
        index = int(np.searchsorted(pts, frame.pts))
        return index if index < len(pts) and pts[index] == frame.pts else counted


def upright_rgb(frame: Any) -> NDArray[np.uint8]:
    """Convert a frame to (height, width, 3) RGB and turn it as its metadata say."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns(frame)))


def quarter_turns(frame: Any) -> int:
    """Counter-clockwise quarter turns that make a frame upright: 0 to 3."""
    return int(round(frame.rotation / 90) % 4)
