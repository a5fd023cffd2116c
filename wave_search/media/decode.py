"""A file as segments: what is decoded, in which ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, UsageError
from wave_search.media import text
from wave_search.media.audio import AvSource, open_sndfile
from wave_search.media.demux import choose_audio, choose_video, open_container, scan
from wave_search.media.image import read_image
from wave_search.media.info import DecodedSegment
from wave_search.media.probe import zero_s
from wave_search.media.resampling import Resampled
from wave_search.media.scenes import find_cuts
from wave_search.media.segmentation import cut_scenes
from wave_search.media.video import FrameSource
from wave_search.types import Clip, Modality, Span, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.media.demux import Picture, Sound, Source
    from wave_search.media.info import AudioStream, Wanted
    from wave_search.media.resampling import MonoSource

_SEEN = frozenset({Modality.VIDEO, Modality.AV})
_HEARD = frozenset({Modality.AUDIO, Modality.AV})


def decode_segments(source: Source, wanted: Wanted) -> Iterator[DecodedSegment]:
    """Decode a file segment by segment, in order. See `DecoderPool.segments`."""
    if wanted.info.kind == Modality.TEXT:
        yield from _texts(source, wanted)
    elif wanted.info.kind == Modality.IMAGE:
        yield DecodedSegment(None, Clip(image=read_image(source, wanted.sampling)), 0.0)
    else:
        yield from _clips(source, wanted)


def _texts(source: Source, wanted: Wanted) -> Iterator[DecodedSegment]:
    content = text.read_text(source.path, source.file)
    if wanted.info.duration_s is None:
        for packed in text.pack_paragraphs(content):
            yield DecodedSegment(None, Clip(text=packed), 0.0)
        return
    span = _within(source, wanted)
    cues = [
        cue for cue in text.parse_cues(content) if cue.span.start_s < span.stop_s and span.start_s < cue.span.stop_s
    ]
    length_s = math.inf if wanted.segmenting.mode == "none" else wanted.segmenting.length_s
    for cue in text.group_cues(cues, length_s):
        yield DecodedSegment(cue.span, Clip(text=cue.text), 0.0)


def _clips(source: Source, wanted: Wanted) -> Iterator[DecodedSegment]:
    streams = _Streams(source, wanted)
    empty = True
    for window in streams.cut(_within(source, wanted)):
        clip = streams.read(window)
        if not wanted.modalities.isdisjoint(clip.modalities):
            empty = False
            yield DecodedSegment(window, clip, window.duration_s)
    if empty and not wanted.modalities.isdisjoint(wanted.info.modalities):
        raise BrokenMediaError(source.path, "nothing in it can be decoded", "Replace it by an intact copy.")


def _within(source: Source, wanted: Wanted) -> Span:
    """The wanted range, cut off at the end of the file."""
    span, duration_s = wanted.span, wanted.info.duration_s or 0.0
    if span is None:
        return Span(0.0, duration_s)
    if span.start_s >= duration_s:
        raise UsageError(
            f"{source.path}: the range begins at {span.start_s:g} s, but the file ends at {duration_s:g} s",
            "Choose a range within the file.",
        )
    return Span(span.start_s, min(span.stop_s, duration_s))


class _Streams:
    """The sound and the picture of a file, as far as the wanted modalities need them."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        self._source, self._wanted, self._video = source, wanted, wanted.info.video
        self._picture, sound = (None, None) if self._video is None else self._scan()
        self._frames = None if wanted.modalities.isdisjoint(_SEEN) else self._frame_source()
        self._sound: Resampled | None = None
        if wanted.info.audio is not None and not wanted.modalities.isdisjoint(_HEARD):
            self._sound = Resampled(self._mono_source(wanted.info.audio, sound), wanted.sampling.sample_rate_hz)

    def cut(self, span: Span) -> list[Span]:
        """Cut a range into segments. What is cut where does not depend on the wanted modalities."""
        frames = self._frame_source() if self._wanted.segmenting.mode == "scene" else None
        if frames is None or self._video is None:
            return self._wanted.segmenting.windows(span)
        return cut_scenes(span, find_cuts(frames, self._video, span))

    def read(self, window: Span) -> Clip:
        """Decode a range; either part is missing where its stream has ended."""
        frames = self._frames.read(window) if self._frames else None
        if self._sound is None:
            return Clip(frames=frames)
        samples = self._sound.read(window.start_s, window.stop_s)
        waveform = Waveform(samples, self._wanted.sampling.sample_rate_hz) if len(samples) else None
        return Clip(frames=frames, waveform=waveform)

    def _scan(self) -> tuple[Picture | None, Sound | None]:
        container = open_container(self._source)
        picture, sound = scan(container, choose_video(container), choose_audio(container))
        if picture is None or self._video is None or picture.frames != self._video.frames:
            raise BrokenMediaError(self._source.path, "changed since it was looked at", "Try again.")
        return picture, sound

    def _frame_source(self) -> FrameSource | None:
        if self._picture is None or self._video is None:
            return None
        return FrameSource(self._source, self._picture, self._video, self._wanted.sampling)

    def _mono_source(self, audio: AudioStream, sound: Sound | None) -> MonoSource:
        sndfile = open_sndfile(self._source) if self._video is None else None
        if sndfile is not None:
            return sndfile
        if sound is None:
            container = open_container(self._source)
            _, sound = scan(container, None, choose_audio(container))
        return AvSource(self._source, audio, zero_s(sound, self._picture) if sound else 0.0)
