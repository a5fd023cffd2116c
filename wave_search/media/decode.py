"""Decoding of the segments of a file: selection of ranges and streams."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import BrokenMediaError, UsageError
from wave_search.media import subtitles, text
from wave_search.media.audio import open_sndfile
from wave_search.media.image import read_image
from wave_search.media.info import DecodedSegment
from wave_search.media.mixing import Mixed
from wave_search.media.packet_sound import PacketSound
from wave_search.media.resampling import Resampled
from wave_search.media.segmentation import cut_scenes
from wave_search.media.source import CONVERT
from wave_search.media.track_choice import selected
from wave_search.media.video import FrameSource
from wave_search.types import Clip, Modality, Span, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.media.info import AudioStream, DecodeRequest
    from wave_search.media.resampling import ChannelSource
    from wave_search.media.source import Source

_WITH_VIDEO = frozenset({Modality.VIDEO, Modality.AV})
_WITH_AUDIO = frozenset({Modality.AUDIO, Modality.AV})


def decode_segments(source: Source, request: DecodeRequest) -> Iterator[DecodedSegment]:
    """Decode a file segment by segment, in order. See `DecoderPool.segments`.

    A segment with none of the requested modalities has an empty clip.
    """
    if request.info.kind == "text":
        yield from _texts(source, request)
    elif request.info.kind == "image":
        yield DecodedSegment(None, Clip(image=read_image(source, request.sampling)), 0.0)
    elif request.modalities == {Modality.IMAGE}:
        yield DecodedSegment(None, Clip(image=_still(source, request)), 0.0)
    else:
        yield from _clips(source, request)


def _still(source: Source, request: DecodeRequest) -> NDArray[np.uint8]:
    if request.info.video is None:
        raise UsageError(f"{source.path}: the file has no picture", "Choose a video.")
    return FrameSource(source, request.info.video, request.sampling).still(_within(source, request).start_s)


def _texts(source: Source, request: DecodeRequest) -> Iterator[DecodedSegment]:
    content = text.read_text(source.path, source.file)
    if request.info.duration_s is None:
        for packed in text.pack_paragraphs(content):
            yield DecodedSegment(None, Clip(text=packed), 0.0)
        return
    span = _within(source, request)
    cues = (
        cue
        for cue in subtitles.parse_cues(content, request.info.container)
        if cue.start_s < span.stop_s and span.start_s < cue.stop_s
    )
    length_s = math.inf if request.segmentation.mode == "none" else request.segmentation.length_s
    for cue in subtitles.group_cues(cues, length_s):
        yield DecodedSegment(Span(cue.start_s, cue.stop_s), Clip(text=cue.text), 0.0)


def _clips(source: Source, request: DecodeRequest) -> Iterator[DecodedSegment]:
    streams = _Streams(source, request)
    empty = True
    for window in streams.cut(_within(source, request)):
        clip = streams.read(window)
        if request.modalities.isdisjoint(clip.modalities):
            yield DecodedSegment(window, Clip(), 0.0)  # shows that decoding makes progress
        else:
            empty = False
            yield DecodedSegment(window, clip, window.duration_s)
    if empty and not request.modalities.isdisjoint(request.info.modalities):
        raise BrokenMediaError(source.path, "none of its audio or video can be decoded", CONVERT)


def _within(source: Source, request: DecodeRequest) -> Span:
    """Return the requested range, clipped to the end of the file."""
    span, duration_s = request.span, request.info.duration_s or 0.0
    if span is None:
        return Span(0.0, duration_s)
    if span.start_s >= duration_s:
        raise UsageError(
            f"{source.path}: the range begins at {span.start_s:g} s, but the file ends at {duration_s:g} s",
            "Choose a range within the file.",
        )
    return Span(span.start_s, min(span.stop_s, duration_s))


class _Streams:
    """The audio and video streams of a file, as far as the requested modalities need them."""

    def __init__(self, source: Source, request: DecodeRequest) -> None:
        self._source, self._request, self._video = source, request, request.info.video
        self._frames = None if request.modalities.isdisjoint(_WITH_VIDEO) else self._frame_source()
        self._tracks: list[Resampled] = []
        if not request.modalities.isdisjoint(_WITH_AUDIO):
            rate_hz = request.sampling.sample_rate_hz
            self._tracks = [
                Resampled(Mixed(self._sound(track)), rate_hz) for track in selected(request.info, request.audio_track)
            ]

    def cut(self, span: Span) -> list[Span]:
        """Cut a range into segments. The cuts do not depend on the requested modalities."""
        frames = self._frame_source() if self._request.segmentation.mode == "scene" else None
        return self._request.segmentation.windows(span) if frames is None else cut_scenes(span, frames.cuts(span))

    def read(self, window: Span) -> Clip:
        """Decode a range; frames are missing before the picture begins, the waveform where the audio has ended."""
        frames = self._frames.read(window) if self._frames else None
        samples = _sum([track.read(window.start_s, window.stop_s) for track in self._tracks])
        waveform = Waveform(samples, self._request.sampling.sample_rate_hz) if len(samples) else None
        return Clip(frames=frames, waveform=waveform)

    def _frame_source(self) -> FrameSource | None:
        return None if self._video is None else FrameSource(self._source, self._video, self._request.sampling)

    def _sound(self, track: AudioStream) -> ChannelSource:
        sndfile = None if track.parts else open_sndfile(self._source)
        return PacketSound(self._source, track) if sndfile is None else sndfile


def _sum(tracks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mix tracks as a player does that plays them together: their sum, clipped."""
    if len(tracks) == 1:
        return tracks[0]
    mixed = np.zeros(max(map(len, tracks), default=0), dtype=np.float32)
    for track in tracks:
        mixed[: len(track)] += track
    return np.clip(mixed, -1.0, 1.0)
