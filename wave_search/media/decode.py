"""Decoding of the segments of a file: selection of ranges and streams."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, UsageError
from wave_search.media import subtitles, text
from wave_search.media.audio import AvSource, open_sndfile
from wave_search.media.demux import choose_audio, choose_video, open_container, origin_s, scan_packets
from wave_search.media.image import read_image
from wave_search.media.info import DecodedSegment
from wave_search.media.resampling import Resampled
from wave_search.media.segmentation import cut_scenes
from wave_search.media.source import REPLACE
from wave_search.media.video import FrameSource, find_cuts
from wave_search.types import Clip, Modality, Span, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.media.demux import AudioPackets, VideoPackets
    from wave_search.media.info import AudioStream, DecodeRequest
    from wave_search.media.resampling import MonoSource
    from wave_search.media.source import Source

_WITH_VIDEO = frozenset({Modality.VIDEO, Modality.AV})
_WITH_AUDIO = frozenset({Modality.AUDIO, Modality.AV})


def decode_segments(source: Source, request: DecodeRequest) -> Iterator[DecodedSegment]:
    """Decode a file segment by segment, in order. See `DecoderPool.segments`."""
    if request.info.kind == "text":
        yield from _texts(source, request)
    elif request.info.kind == "image":
        yield DecodedSegment(None, Clip(image=read_image(source, request.sampling)), 0.0)
    else:
        yield from _clips(source, request)


def _texts(source: Source, request: DecodeRequest) -> Iterator[DecodedSegment]:
    content = text.read_text(source.path, source.file)
    if request.info.duration_s is None:
        for packed in text.pack_paragraphs(content):
            yield DecodedSegment(None, Clip(text=packed), 0.0)
        return
    span = _within(source, request)
    cues = [
        cue
        for cue in subtitles.parse_cues(content, request.info.container)
        if cue.span.start_s < span.stop_s and span.start_s < cue.span.stop_s
    ]
    length_s = math.inf if request.segmentation.mode == "none" else request.segmentation.length_s
    for cue in subtitles.group_cues(cues, length_s):
        yield DecodedSegment(cue.span, Clip(text=cue.text), 0.0)


def _clips(source: Source, request: DecodeRequest) -> Iterator[DecodedSegment]:
    streams = _Streams(source, request)
    empty = True
    for window in streams.cut(_within(source, request)):
        clip = streams.read(window)
        if not request.modalities.isdisjoint(clip.modalities):
            empty = False
            yield DecodedSegment(window, clip, window.duration_s)
    if empty and not request.modalities.isdisjoint(request.info.modalities):
        raise BrokenMediaError(source.path, "none of its audio or video can be decoded", REPLACE)


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
        self._video_packets, audio_packets = (None, None) if self._video is None else self._scan()
        self._frames = None if request.modalities.isdisjoint(_WITH_VIDEO) else self._frame_source()
        self._audio: Resampled | None = None
        if request.info.audio is not None and not request.modalities.isdisjoint(_WITH_AUDIO):
            audio = self._mono_source(request.info.audio, audio_packets)
            self._audio = Resampled(audio, request.sampling.sample_rate_hz)

    def cut(self, span: Span) -> list[Span]:
        """Cut a range into segments. The cuts do not depend on the requested modalities."""
        frames = self._frame_source() if self._request.segmentation.mode == "scene" else None
        if frames is None or self._video is None:
            return self._request.segmentation.windows(span)
        return cut_scenes(span, find_cuts(frames, self._video, span))

    def read(self, window: Span) -> Clip:
        """Decode a range; frames or waveform are missing where their stream has ended."""
        frames = self._frames.read(window) if self._frames else None
        if self._audio is None:
            return Clip(frames=frames)
        samples = self._audio.read(window.start_s, window.stop_s)
        waveform = Waveform(samples, self._request.sampling.sample_rate_hz) if len(samples) else None
        return Clip(frames=frames, waveform=waveform)

    def _scan(self) -> tuple[VideoPackets | None, AudioPackets | None]:
        container = open_container(self._source)
        video_packets, audio_packets = scan_packets(container, choose_video(container), choose_audio(container))
        if video_packets is None or self._video is None or video_packets.frames != self._video.frames:
            raise BrokenMediaError(self._source.path, "changed since it was probed", "Try again.")
        return video_packets, audio_packets

    def _frame_source(self) -> FrameSource | None:
        if self._video_packets is None or self._video is None:
            return None
        return FrameSource(self._source, self._video_packets, self._video, self._request.sampling)

    def _mono_source(self, audio: AudioStream, packets: AudioPackets | None) -> MonoSource:
        sndfile = open_sndfile(self._source) if self._video is None else None
        if sndfile is not None:
            return sndfile
        if packets is None:
            container = open_container(self._source)
            _, packets = scan_packets(container, None, choose_audio(container))
        return AvSource(self._source, audio, origin_s(packets, self._video_packets) if packets else 0.0)
