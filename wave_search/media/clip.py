"""Ranges of indexed files as files that every browser plays: copied where possible, otherwise converted.

MP4 with H.264 and AAC. What browsers can decode is copied into it without a loss: from the key frame before the range,
with an edit list that hides what precedes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media.contents import played_parts
from wave_search.media.demux import choose_video, decode, has_wrong_stamps, open_container, origin_s, packets
from wave_search.media.picture import is_plain, shown_size, to_rgb
from wave_search.media.played import SoundConverter, played_audio, seek_before
from wave_search.media.preview import Progress, source_of
from wave_search.media.source import CONVERT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from wave_search.media.preview import Preview
    from wave_search.media.source import IndexedFile, Source

PLAYED_VIDEO = frozenset({"h264", "vp9", "av1"})
"""Codecs that browsers decode in MP4."""
PLAYED_AUDIO = frozenset({"aac", "mp3", "opus", "flac"})
PLAYED_PIXELS = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats that all of them decode."""
_TICKS_PER_S = 90_000
_X264 = {
    "preset": "veryfast",
    "profile": "high",
    "crf": "25",
    "maxrate": "4M",  # noise would take any
    "bufsize": "8M",
    "rc-lookahead": "10",
    "threads": "1",
}
_AUDIO_BITS_PER_S = 160_000
_AUDIO_RATE_HZ = 48_000
_MAX_JITTER_S = 0.1
_MOST_EARLY = 32
_USUAL_FPS, _MAX_FPS = 25, 60
_STEP_S = 2.0
"""Media between two reports of progress."""


@dataclass(frozen=True, slots=True)
class WriteClip:
    """Write a range of a file as MP4. Yields `Progress`, the last one at the end."""

    file: IndexedFile
    output: Path
    """In a folder of ours; written over if it exists."""
    start_s: float = 0.0
    stop_s: float | None = None
    """None for the end of the file."""
    max_side: int = 1280
    """Largest width and height of converted video, in pixels."""
    reach_s: float = field(default=60.0, init=False)

    def previews(self) -> Iterator[Preview]:
        """See `PreviewTask`."""
        with self.file.open() as file:
            source = source_of(self.file, file)
            try:
                yield from _Muxer(self, source, copies=True).run()
            except _CopyFailed:
                yield from self._converted(source)

    def _converted(self, source: Source) -> Iterator[Preview]:
        try:
            yield from _Muxer(self, source, copies=False).run()
        except _CopyFailed as error:
            raise BrokenMediaError(source.path, "its packets do not follow each other in time", CONVERT) from error


class _CopyFailed(Exception):  # noqa: N818 - never leaves this module
    """Raised if packets of a stream do not fit into MP4."""


class _Muxer:
    """One attempt to write a clip.

    Args:
        task: what to write.
        source: of the file.
        copies: whether to copy streams that browsers decode.
    """

    def __init__(self, task: WriteClip, source: Source, *, copies: bool) -> None:
        self._task, self._source = task, source
        self._stop_s = float("inf") if task.stop_s is None else task.stop_s
        self._parts = played_parts(source, task.start_s, self._stop_s)
        self._copies = copies and len(self._parts) == 1

    def run(self) -> Iterator[Progress]:
        import av

        found = [stretches for stretches in map(self._stretches, (choose_video, played_audio)) if stretches]
        if not found:
            raise UnsupportedMediaError(self._source.path, "it has neither audio nor video to play", CONVERT)
        # A path of ours: it has to be opened a second time to move the index of the file to its beginning.
        with av.open(f"file:{self._task.output}", "w", format="mp4", options={"movflags": "+faststart"}) as output:
            tracks = [self._track(output, stretches) for stretches in found]
            written = False
            for track in tracks:  # before the first packet, so that the header names all streams
                written = track.start() or written
            if not written:
                raise BrokenMediaError(self._source.path, "nothing of the range can be decoded", CONVERT)
            yield from _in_step(tracks)
        yield Progress(min(self._stop_s, tracks[0].at_s))

    def _stretches(self, choose: Callable[[Any], Any | None]) -> list[_Stretch]:
        """Return where the chosen stream is in each part of the range."""
        stretches = []
        for source, begin_s in self._parts:
            # Each stream is read by itself: packets of interleaved files may be far apart.
            container = open_container(source)
            stream = choose(container)
            if stream is not None:
                start_s = self._task.start_s - begin_s
                seek_before(container, stream, start_s)
                stretches.append(_Stretch(container, stream, origin_s(container) + start_s))
        return stretches

    def _track(self, output: Any, stretches: list[_Stretch]) -> _Track:
        length_s = self._stop_s - self._task.start_s
        stream = stretches[0].stream
        if self._copies and _is_copied(stream):
            return _Copied(output, stretches, length_s)
        kind: type[_Encoded] = _EncodedVideo if stream.type == "video" else _EncodedAudio
        track = kind(output, stretches, length_s)
        track.max_side = self._task.max_side
        return track


def is_played(video_codec: str, pixel_format: str | None) -> bool:
    """Return whether all browsers decode such a video in MP4, so that it can be copied."""
    return video_codec in PLAYED_VIDEO and pixel_format in PLAYED_PIXELS


def _is_copied(stream: Any) -> bool:
    context = stream.codec_context
    name = context.codec.canonical_name
    return name in PLAYED_AUDIO if stream.type == "audio" else is_played(name, context.pix_fmt)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stream that is in the clip, of which only that of a joined file may have several."""

    container: Any
    """Before the first packet that is needed."""
    stream: Any
    begin_s: float
    """Time stamp at which the clip begins, or would."""


class _Track:
    """One stream of the output.

    Attributes:
        at_s: how far it has come, from the beginning of the clip.
    """

    def __init__(self, output: Any, stretches: list[_Stretch], length_s: float) -> None:
        self._output, self._stretches, self._length_s = output, stretches, length_s
        self.at_s = 0.0
        self._packets: Iterator[Any] = iter(())
        self._first: Any = None

    def start(self) -> bool:
        """Prepare the first packet, and add the stream to the output; return whether there is any."""
        self._packets = self._all()
        self._first = next(self._packets, None)
        return self._first is not None

    def write(self) -> bool:
        """Write the next packet; return whether there was one."""
        import av

        packet, self._first = (self._first or next(self._packets, None)), None
        if packet is None:
            self.at_s = float("inf")
            return False
        try:
            self._output.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise _CopyFailed from error
        return True

    def _all(self) -> Iterator[Any]:
        raise NotImplementedError


class _Copied(_Track):
    """Packets as they are, from the key frame before the range."""

    def _all(self) -> Iterator[Any]:
        (stretch,) = self._stretches
        tick = stretch.stream.time_base
        offset = round(stretch.begin_s / tick)
        target = self._output.add_stream_from_template(stretch.stream, opaque=True)
        is_video, begun = stretch.stream.type == "video", False
        for packet in _with_times(packets(stretch.container, [stretch.stream])):
            begun = begun or packet.is_keyframe
            if not begun or packet.is_discard:
                continue
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            if float(packet.dts * tick) >= self._length_s:
                return
            ends_s = float((packet.pts + (packet.duration or 0)) * tick)
            if (not is_video and ends_s <= 0) or float(packet.pts * tick) >= self._length_s:
                continue
            packet.stream = target
            self.at_s = max(self.at_s, float(packet.dts * tick))
            yield packet


def _with_times(found: Iterable[Any]) -> Iterator[Any]:
    """Give the first packets a time of decoding: Matroska stores none, and FFmpeg knows it after a few packets only."""
    early: list[Any] = []
    for packet in found:
        if packet.pts is None or len(early) > _MOST_EARLY:
            raise _CopyFailed
        if packet.dts is None:
            early.append(packet)
            continue
        for number, one in enumerate(early):
            one.dts = min(one.pts, packet.dts - (len(early) - number) * max(1, packet.duration or 1))
            yield one
        early = []
        yield packet
    if early:
        raise _CopyFailed


class _Encoded(_Track):
    """Frames that are decoded and encoded again.

    Attributes:
        max_side: largest width and height of video, in pixels.
    """

    max_side = 0

    def _frames(self) -> Iterator[tuple[float, Any, Any]]:
        """Decode the frames of the range, each with its time from the beginning of the clip and its stream."""
        for stretch in self._stretches:
            stream, at_s = stretch.stream, -stretch.begin_s
            counted = stream.type == "audio" and has_wrong_stamps(stretch.container, stream)
            for frame in decode(stretch.container, stream, from_key=stream.type == "video"):
                if frame.pts is not None and not counted:
                    at_s = float(frame.pts * stream.time_base) - stretch.begin_s
                if at_s >= self._length_s:
                    break
                yield at_s, frame, stream
                at_s += _duration_s(frame, stream)


class _EncodedVideo(_Encoded):
    """H.264, upright, in square pixels and without high dynamic range."""

    _target: Any = None
    _newest = -1

    def _all(self) -> Iterator[Any]:
        before = None
        for at_s, frame, stream in self._frames():
            if at_s < 0:
                before = frame, stream
                continue
            if before is not None:  # what is on the screen when the clip begins
                yield from self._encoded(*before, 0.0)
                before = None
            yield from self._encoded(frame, stream, at_s)
        if before is not None:  # the last frame stays there to the end
            yield from self._encoded(*before, 0.0)
        if self._target is not None:
            yield from self._target.encode(None)

    def _encoded(self, frame: Any, stream: Any, at_s: float) -> Iterator[Any]:
        import av

        stamp = round(at_s * _TICKS_PER_S)
        if stamp <= self._newest:
            return
        self._newest, self.at_s = stamp, at_s
        if self._target is None:
            self._target = self._added(frame, stream)
        if not is_plain(frame, stream, turned=False):
            frame = av.VideoFrame.from_ndarray(to_rgb(frame), format="rgb24")
        picture = frame.reformat(width=self._target.width, height=self._target.height, format="yuv420p")
        picture.pts, picture.time_base, picture.pict_type = stamp, Fraction(1, _TICKS_PER_S), 0
        yield from self._target.encode(picture)

    def _added(self, frame: Any, stream: Any) -> Any:
        width, height = shown_size(frame, stream)
        shrink = max(1.0, max(width, height) / self.max_side)
        rate = min(stream.average_rate or Fraction(_USUAL_FPS), Fraction(_MAX_FPS))
        target = self._output.add_stream("libx264", rate=rate, options=_X264)
        # H.264 with colours at half the resolution has even sides.
        target.width, target.height = (max(2, round(side / shrink / 2) * 2) for side in (width, height))
        target.pix_fmt = "yuv420p"
        target.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        return target


class _EncodedAudio(_Encoded):
    """AAC, stereo."""

    def _all(self) -> Iterator[Any]:
        target: Any = None
        converter = SoundConverter("fltp", "stereo", _AUDIO_RATE_HZ)
        next_s = -math.inf
        for at_s, frame, stream in self._frames():
            stops_s = at_s + _duration_s(frame, stream)
            if stops_s <= 0:
                continue
            if target is None:
                target = self._output.add_stream("aac", rate=_AUDIO_RATE_HZ, layout="stereo")
                target.bit_rate = _AUDIO_BITS_PER_S
            if at_s - next_s > _MAX_JITTER_S:  # where recordings were joined, time may also step back
                next_s = at_s
            # Time stamps in milliseconds would make the encoder fill and drop samples.
            frame.pts, frame.time_base = round(next_s * frame.sample_rate), Fraction(1, frame.sample_rate)
            next_s, self.at_s = next_s + frame.samples / frame.sample_rate, max(at_s, 0.0)
            yield from self._encoded(target, converter.convert(frame))
        if target is not None:
            yield from self._encoded(target, converter.convert(None))
            yield from target.encode(None)

    def _encoded(self, target: Any, frames: list[Any]) -> Iterator[Any]:
        for frame in frames:
            # At another rate than that of the first frame, the encoder would misread the time.
            frame.pts = round(frame.pts * frame.time_base * _AUDIO_RATE_HZ)
            frame.time_base = Fraction(1, _AUDIO_RATE_HZ)
            yield from target.encode(frame)


def _duration_s(frame: Any, stream: Any) -> float:
    if stream.type == "audio":
        return float(frame.samples / frame.sample_rate)
    return float(1 / (stream.average_rate or _USUAL_FPS))


def _in_step(tracks: list[_Track]) -> Iterator[Progress]:
    """Write the tracks in the order of time, as players want them."""
    told_s, going = 0.0, list(tracks)
    while going:
        behind = min(going, key=lambda track: track.at_s)
        if not behind.write():
            going.remove(behind)
        elif behind.at_s >= told_s + _STEP_S:
            told_s = behind.at_s
            yield Progress(told_s)
