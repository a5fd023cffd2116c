"""The audio tracks of a file: which there are, and of what parts."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.media.audio import check_rate, open_sndfile
from wave_search.media.demux import (
    audio_tracks,
    counts_times,
    first_frame,
    is_default,
    open_container,
    scan_packets,
)
from wave_search.media.info import AudioStream
from wave_search.media.joined import part_starts
from wave_search.media.mixing import Mixed
from wave_search.media.packet_sound import PacketSound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wave_search.media.info import Part
    from wave_search.media.source import Source
    from wave_search.media.timeline import AudioScan

_LONGER_S = 0.1
"""By so much more sound than the header declares, a FLAC file was joined or written on."""
_SILENCE = 1e-4
"""Largest sample (-80 dB of full scale) of a silent track."""
_SILENCE_S = 3600
"""A track is silent if nothing is heard up to here."""
_MAX_STRETCH = 0.01
_CODED_HEAD_BYTES = 1 << 17
_CODED_STARTS = tuple(map(bytes.fromhex, ("72f81f4e", "7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8")))
"""What packets begin with: a burst of IEC 61937, DTS in words of 16 and 14 bits in both byte orders."""


def probe_sndfile(source: Source) -> tuple[AudioStream, float] | None:
    """Probe with libsndfile.

    Returns:
        The track and its length in seconds; None if FFmpeg should read the file, because libsndfile cannot read it to
        the end that it declares, or because there is more.
    """
    sound = open_sndfile(source)
    samples = None if sound is None else sound.declared()
    if sound is None or samples is None:
        return None
    length_s = samples / sound.sample_rate_hz
    if _is_coded(source):
        return None
    if source.demuxer == "flac" and (len(part_starts(source)) > 1 or _goes_on(source, length_s)):
        return None
    return sound.stream, length_s


def _is_coded(source: Source) -> bool:
    """Return whether the samples of a WAV file are packets of another codec, as of DTS on CDs, to judge by FFmpeg."""
    if source.demuxer != "wav":
        return False
    head = source.reader().read(_CODED_HEAD_BYTES)
    if not any(start in head for start in _CODED_STARTS):
        return False
    tracks = audio_tracks(open_container(source))
    return bool(tracks) and not tracks[0].codec_context.codec.name.startswith("pcm_")


def _goes_on(source: Source, length_s: float) -> bool:
    """Return whether there is more sound than the header declares, to judge by the packets near that end."""
    import av

    container = open_container(source)
    with contextlib.suppress(av.FFmpegError):
        container.seek(round(length_s * av.time_base))
    _, scans, _ = scan_packets(container, None, audio_tracks(container)[:1])
    return any(scan.stop_s() > length_s + _LONGER_S for scan in scans)


def tracks_of(source: Source, container: Any, scans: Sequence[AudioScan], part: Part) -> tuple[AudioStream, ...]:
    """Return the audio tracks of a container that can be decoded.

    Args:
        source: the part of the file that the container is.
        container: opened from it.
        scans: summaries of the packets of all its audio streams.
        part: of the file, from `part.start_s` on.
    """
    tracks = []
    for number, scan in enumerate(scans):
        if scan.start_s is None or (stop_s := scan.stop_s()) <= 0:
            continue
        opened = open_container(source)
        stream = audio_tracks(opened)[number]
        frame = first_frame(opened, stream)
        if frame is None:
            continue
        check_rate(source.path, frame.sample_rate)
        counted = counts_times(container) or scan.usual_s > 0
        stretch = _stretch(scan, frame) if counted else 1.0
        heard = replace(
            part,
            stop_s=part.start_s + stop_s * stretch,
            late_s=scan.start_s,
            marks=tuple(replace(mark, time_s=mark.time_s * stretch) for mark in scan.marks())
            if scan.joined or counted
            else (),
            stretch=stretch,
        )
        tracks.append(
            AudioStream(
                stream.codec_context.codec.canonical_name,
                frame.sample_rate,
                frame.layout.nb_channels,
                number,
                stream.language or "",
                is_default(stream),
                (heard,),
            )
        )
    return tuple(tracks)


def joined_tracks(parts: Iterable[tuple[AudioStream, ...]]) -> tuple[AudioStream, ...]:
    """Return the audio tracks of a file that consists of parts; those of the same number are one."""
    tracks: dict[int, AudioStream] = {}
    for track in itertools.chain.from_iterable(parts):
        first = tracks.get(track.track)
        tracks[track.track] = track if first is None else _joined(first, track)
    return tuple(tracks.values())


def preferred(source: Source, tracks: Sequence[AudioStream]) -> AudioStream | None:
    """Return the track that a player plays, unless it is silent and another one is not; None if there is no track."""
    ordered = sorted(tracks, key=lambda track: not track.default)
    if len(ordered) < 2:
        return next(iter(ordered), None)
    return next((track for track in ordered if not _is_silent(source, track)), ordered[0])


def _stretch(scan: AudioScan, frame: Any) -> float:
    """Return the true duration of a packet of a raw format over the one that its coarse time base can express."""
    exact = frame.samples / frame.sample_rate / scan.packet_s if scan.packet_s > 0 else 1.0
    return exact if abs(exact - 1.0) < _MAX_STRETCH else 1.0


def _joined(first: AudioStream, then: AudioStream) -> AudioStream:
    return replace(
        first,
        sample_rate_hz=max(first.sample_rate_hz, then.sample_rate_hz),
        channels=max(first.channels, then.channels),
        parts=first.parts + then.parts,
    )


def _is_silent(source: Source, track: AudioStream) -> bool:
    heard = 0
    for block in Mixed(PacketSound(source, track)).blocks(0):
        if np.abs(block).max(initial=0.0) > _SILENCE:
            return False
        heard += len(block)
        if heard > _SILENCE_S * track.sample_rate_hz:
            break
    return True
