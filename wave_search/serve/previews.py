"""Thumbnails, peaks, clips and files that browsers play: made by decoder processes when asked for, and kept on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import BrokenMediaError, DecodeLimitError, MediaError, UnsupportedMediaError, UsageError
from wave_search.files import digest
from wave_search.media import DecoderPool, default_workers
from wave_search.media.clip import PLAYED_AUDIO, PLAYED_PIXELS, WriteClip, is_played
from wave_search.media.excerpt import DrawFrames, EncodeSound
from wave_search.media.preview import (
    ANIMATED,
    ExamineStreams,
    MakeThumbnail,
    MeasurePeaks,
    Peaks,
    ReadCues,
    StreamDetails,
)
from wave_search.media.source import IndexedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from pathlib import Path

    from wave_search.media.preview import PreviewTask
    from wave_search.media.subtitles import Cue
    from wave_search.query import FileDetails, SegmentDetails
    from wave_search.serve.disk_cache import DiskCache
    from wave_search.serve.options import Limits
    from wave_search.serve.schemas import Playable
    from wave_search.types import Sampling

_VERSION = 1
"""Of the previews; an increase makes all of them anew."""
WIDTHS = (160, 320, 640, 1280, 2560)
"""Widths of thumbnails in pixels. A few, so that not every size is kept."""
PEAKS = 2_000
"""Parts into which the peaks of a range are measured; fewer are computed from them."""
QUICK_S = 60.0
"""Longer ranges are made by a process of their own, so that they do not keep pictures waiting."""
_PROXY_SIDE, _CLIP_SIDE = 854, 1280
_KEPT_DETAILS = 4_096
_KEPT_CUES = 16
_MAX_SUBTITLED_BYTES = 1 << 30
_MAX_CACHE_SHARE = 0.5
"""Of the cache, for one file."""
WEBP, MP4, JPEG, MP3 = "image/webp", "video/mp4", "image/jpeg", "audio/mpeg"
_IMAGE_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
_CONTAINERS: dict[str, tuple[str, frozenset[str], frozenset[str]]] = {
    "mov": (MP4, frozenset({"h264", "av1", "vp9"}), PLAYED_AUDIO),
    "matroska": ("video/webm", frozenset({"vp8", "vp9", "av1"}), frozenset({"opus", "vorbis"})),
    "mp3": ("audio/mpeg", frozenset(), frozenset({"mp3"})),
    "flac": ("audio/flac", frozenset(), frozenset({"flac"})),
    "ogg": ("audio/ogg", frozenset(), frozenset({"opus", "vorbis", "flac"})),
    "aac": ("audio/aac", frozenset(), frozenset({"aac"})),
    "wav": ("audio/wav", frozenset(), frozenset({"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le"})),
}
"""Format -> its media type, and the codecs of video and audio that all browsers play in it."""


@dataclass(frozen=True, slots=True)
class Media:
    """An open file to send."""

    file: BufferedReader
    media_type: str
    tag: str
    """Identifies its content."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A preview that is made if it is not kept."""

    key: str
    """Of the cache."""
    media_type: str
    task: Callable[[Path], PreviewTask]
    """Returns what makes it, for a path to which it may be written."""
    is_long: bool = False
    """Whether it takes long to make, so that others should not wait for it."""


class Previews:
    """Previews of the files of one index. Safe to use from several threads.

    Args:
        cache: keeps what was made.
        sampling: of the model of the index.
        index: folder of the index. Previews of different indexes are kept apart: an index that comes from someone else
            cannot replace those of another one.
        limits: what one request may cost.
    """

    def __init__(self, cache: DiskCache, sampling: Sampling, index: Path, limits: Limits) -> None:
        self._cache, self._limits, self._index = cache, limits, index
        self._quick = DecoderPool(default_workers(), sampling)
        self._slow = DecoderPool(1, sampling, item_timeout_s=120.0)
        self._details: OrderedDict[str, StreamDetails] = OrderedDict()
        self._cues: OrderedDict[str, tuple[Cue, ...]] = OrderedDict()
        self._failed: dict[str, MediaError] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the decoder processes, including busy ones."""
        self._quick.close()
        self._slow.close()

    @property
    def decoder_processes(self) -> int:
        """Number of decoder processes there are."""
        return self._quick.running + self._slow.running

    @property
    def size_bytes(self) -> int:
        """Size of the cache."""
        return self._cache.size_bytes

    def streams(self, file: FileDetails) -> StreamDetails:
        """Return what browsers need to know of a file. Raises MediaError."""
        indexed = _indexed(file)
        key = self._key(file, "streams")
        with self._lock:
            if (known := self._details.get(key)) is not None:
                self._details.move_to_end(key)
        if known is not None:
            indexed.open().close()  # raises if it has changed
            return known
        with self._blaming(key):
            found = self._quick.preview(ExamineStreams(indexed))
        assert isinstance(found, StreamDetails)  # noqa: S101 - what the task yields
        with self._lock:
            self._details[key] = found
            if len(self._details) > _KEPT_DETAILS:
                self._details.popitem(last=False)
        return found

    def playable(self, file: FileDetails) -> tuple[Playable, StreamDetails | None]:
        """Return how a file can be played, and its streams if it can be read."""
        if file.kind == "text":
            return "none", None
        try:
            streams = self.streams(file)
        except MediaError:
            return "none", None
        if media_type(file, streams) is not None:
            return "direct", streams
        if streams.format == ANIMATED and file.kind == "video":
            return "image", streams
        return ("proxy" if file.kind == "image" or self._is_convertible(file, streams) else "clip"), streams

    def _is_convertible(self, file: FileDetails, streams: StreamDetails) -> bool:
        """Return whether a file may be converted as a whole: a copied picture takes space, an encoded one time."""
        if streams.video_codec is None or is_played(streams.video_codec, streams.pixel_format):
            return file.size_bytes <= _MAX_CACHE_SHARE * self._cache.max_bytes
        return (file.duration_s or 0.0) <= self._limits.proxy_s

    def thumbnail(self, file: FileDetails, segment: SegmentDetails, width: int) -> Wanted:
        """Return a picture of a segment: of an image, or of the middle of a range of a video.

        Raises:
            UnsupportedMediaError: it has none.
        """
        if file.kind not in ("image", "video"):
            raise UnsupportedMediaError(file.path, "it has no picture", "Ask for its peaks.")
        at_s = ((segment.start_s or 0.0) + (segment.stop_s or 0.0)) / 2
        side = next((side for side in WIDTHS if side >= width), WIDTHS[-1])
        return self._picture(file, at_s, side)

    def _picture(self, file: FileDetails, at_s: float, side: int) -> Wanted:
        task = MakeThumbnail(_indexed(file), at_s, side)
        return Wanted(self._key(file, "picture", at_s, side), WEBP, lambda _: task)

    def peaks(self, file: FileDetails, start_s: float, stop_s: float) -> Wanted:
        """Return the loudness of a range: `PEAKS` bytes, 255 for full scale. `fewer_peaks` reads them."""
        task = MeasurePeaks(_indexed(file), PEAKS, start_s, stop_s)
        key = self._key(file, "peaks", start_s, stop_s)
        return Wanted(key, "application/octet-stream", lambda _: task, is_long=stop_s - start_s > QUICK_S)

    def frames(self, file: FileDetails, times_s: tuple[float, ...], side: int, max_bytes: int) -> Wanted:
        """Return an image, or frames of a video at some times, as one JPEG picture.

        Raises:
            UnsupportedMediaError: it has none.
        """
        if file.kind not in ("image", "video"):
            raise UnsupportedMediaError(file.path, "it has no picture", "Ask for its sound or its text.")
        task = DrawFrames(_indexed(file), times_s, side, max_bytes)
        return Wanted(self._key(file, "frames", times_s, side, max_bytes), JPEG, lambda _: task)

    def sound(self, file: FileDetails, start_s: float, stop_s: float) -> Wanted:
        """Return the sound of a range as MP3.

        Raises:
            UnsupportedMediaError: it has none.
        """
        if file.kind not in ("audio", "video"):
            raise UnsupportedMediaError(file.path, "it has no sound", "Ask for its picture or its text.")
        task = EncodeSound(_indexed(file), start_s, stop_s)
        return Wanted(self._key(file, "sound", start_s, stop_s), MP3, lambda _: task)

    def original(self, file: FileDetails) -> BufferedReader:
        """Open a file that is still the one that was indexed. Raises MediaError."""
        return _indexed(file).open()

    def media(self, file: FileDetails) -> Media | Wanted:
        """Return the file if browsers play it, otherwise a conversion of it.

        Raises:
            MediaError: it cannot be played.
            UsageError: it is too long to be converted.
        """
        if file.kind == "text":
            raise UnsupportedMediaError(file.path, "a text has nothing to play", "Its text is in the results.")
        streams = self.streams(file)
        direct = media_type(file, streams)
        if direct is not None:
            return Media(_indexed(file).open(), direct, self._key(file, "file"))
        if file.kind == "image":
            return self._picture(file, 0.0, WIDTHS[-1])
        if streams.format == ANIMATED:
            return Media(_indexed(file).open(), WEBP, self._key(file, "file"))
        if not self._is_convertible(file, streams):
            raise UsageError("browsers cannot play the file, and it is too long to be converted", "Ask for a clip.")
        return self._written(file, 0.0, None, _PROXY_SIDE)

    def clip(self, file: FileDetails, start_s: float, stop_s: float) -> Wanted:
        """Return a range as MP4, copied where possible.

        Raises:
            UnsupportedMediaError: the file has no duration.
            UsageError: the range is empty, too long, or outside of the file.
        """
        if file.kind not in ("audio", "video") or file.duration_s is None:
            raise UnsupportedMediaError(file.path, "it has no duration to cut a clip from", "Ask for its media.")
        stop_s = min(stop_s, file.duration_s)
        if not 0 <= start_s < stop_s:
            raise UsageError(
                f"{start_s:g} to {stop_s:g} s is not a range of the file", f"It ends at {file.duration_s:g} s."
            )
        if stop_s - start_s > self._limits.clip_s:
            raise UsageError(f"a clip has at most {self._limits.clip_s:g} s", "Ask for a shorter range.")
        return self._written(file, start_s, stop_s, _CLIP_SIDE)

    def _written(self, file: FileDetails, start_s: float, stop_s: float | None, side: int) -> Wanted:
        indexed = _indexed(file)
        is_long = stop_s is None or stop_s - start_s > QUICK_S
        key = self._key(file, "clip", start_s, stop_s, side)
        return Wanted(key, MP4, lambda path: WriteClip(indexed, path, start_s, stop_s, side), is_long)

    def kept(self, wanted: Wanted) -> Media | None:
        """Return a preview that has been made, None if it has not. Raises CacheError."""
        file = self._cache.get(wanted.key)
        return None if file is None else Media(file, wanted.media_type, wanted.key)

    def made(self, wanted: Wanted) -> Media:
        """Return a preview, made now unless it is kept.

        Raises:
            MediaError: it cannot be made of this file.
            CacheError: it cannot be written.
        """
        pool = self._slow if wanted.is_long else self._quick

        def make(path: Path) -> None:
            made = pool.preview(wanted.task(path))
            if isinstance(made, Peaks | bytes):  # a clip has been written
                path.write_bytes(made.values if isinstance(made, Peaks) else made)

        with self._blaming(wanted.key):
            return Media(self._cache.open(wanted.key, make), wanted.media_type, wanted.key)

    @contextmanager
    def _blaming(self, key: str) -> Iterator[None]:
        """Do not try again what has failed because of the file."""
        with self._lock:
            failed = self._failed.get(key)
        if failed is not None:
            raise type(failed)(failed.path, failed.cause, failed.remedy)
        try:
            yield
        except (BrokenMediaError, DecodeLimitError, UnsupportedMediaError) as error:
            with self._lock:
                self._failed[key] = error.with_traceback(None)
                if len(self._failed) > _KEPT_DETAILS:
                    del self._failed[next(iter(self._failed))]
            raise

    def has_subtitles(self, file: FileDetails) -> bool:
        """Return whether a film has a track of subtitles that can be read while its view is opened. Raises MediaError.

        Most formats have to be read as a whole for that; MP4 has tables that lead to it.
        """
        streams = self.streams(file)
        return streams.has_subtitles and (streams.format == "mov" or file.size_bytes <= _MAX_SUBTITLED_BYTES)

    def cues(self, file: FileDetails) -> tuple[Cue, ...]:
        """Return the subtitles of a file of subtitles, or of the track inside a film. Raises MediaError."""
        key = self._key(file, "cues")
        with self._lock:
            if (known := self._cues.get(key)) is not None:
                return known
        cues = self._quick.preview(ReadCues(_indexed(file)))
        assert isinstance(cues, tuple)  # noqa: S101 - what the task yields
        with self._lock:
            self._cues[key] = cues
            if len(self._cues) > _KEPT_CUES:
                self._cues.popitem(last=False)
        return cues

    def _key(self, file: FileDetails, *what: object) -> str:
        parts = (_VERSION, self._index, file.digest, file.kind, file.size_bytes, file.mtime_ns, *what)
        return digest("\0".join(map(str, parts)).encode("utf-8", "surrogateescape"))


def media_type(file: FileDetails, streams: StreamDetails) -> str | None:
    """Return the media type of a file that all browsers play, None for other files."""
    if streams.hidden_start:
        return None
    if file.kind == "image":
        return _IMAGE_TYPES.get(streams.format)
    if streams.format not in _CONTAINERS:
        return None
    type_, videos, audios = _CONTAINERS[streams.format]
    plays_video = streams.video_codec is None or (
        streams.video_codec in videos and streams.pixel_format in PLAYED_PIXELS
    )
    plays_audio = streams.audio_codec is None or streams.audio_codec in audios
    if not plays_video or not plays_audio:
        return None
    return type_.replace("video/", "audio/") if file.kind == "audio" else type_


def fewer_peaks(media: Media, count: int) -> list[float]:
    """Read and close kept peaks, and return the loudness of `count` parts of the range, from 0 to 1."""
    with media.file as file:
        values = np.frombuffer(file.read(PEAKS), np.uint8)
    ends = np.linspace(0, len(values), min(count, len(values)) + 1).astype(np.intp)
    loudest = np.maximum.reduceat(values, ends[:-1]) if len(values) else values
    return [round(value / 255, 3) for value in loudest.tolist()]


def _indexed(file: FileDetails) -> IndexedFile:
    return IndexedFile(file.path, file.kind, file.size_bytes, file.mtime_ns)
