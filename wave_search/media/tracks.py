"""The audio tracks of a file: which there are, and of what parts."""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.audio import check_rate, open_sndfile
from wave_search.media.demux import (
    audio_tracks,
    counts_times,
    first_frame,
    is_default,
    open_container,
    scan_packets,
)
from wave_search.media.info import AudioStream, Part
from wave_search.media.mixing import Mixed
from wave_search.media.packet_sound import PacketSound, part_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wave_search.media.source import Source
    from wave_search.media.timeline import AudioScan

_LONGER_S = 0.1
"""By so much more sound than the header declares, a FLAC file was joined or written on."""
_SILENCE = 1e-4
"""Largest sample (-80 dB of full scale) of a silent track."""
_SILENCE_S = 3600
"""A track is silent if nothing is heard up to here."""
_PART_STARTS = {"ogg": re.compile(rb"OggS\x00\x02"), "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")}
"""Format -> what each part of a file that was joined from several begins with. In Ogg, every stream of a part does."""
_LONGEST_START = 8
_MAX_STRETCH = 0.01
_OGG_HEADER_BYTES = 27
_SEARCH_BYTES = 1 << 24


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
    if source.demuxer == "flac" and (len(part_starts(source)) > 1 or _goes_on(source, length_s)):
        return None
    return sound.stream, length_s


def _goes_on(source: Source, length_s: float) -> bool:
    """Return whether there is more sound than the header declares, to judge by the packets near that end."""
    import av

    container = open_container(source)
    with contextlib.suppress(av.FFmpegError):
        container.seek(round(length_s * av.time_base))
    _, scans = scan_packets(container, None, audio_tracks(container)[:1])
    return any(scan.stop_s() > length_s + _LONGER_S for scan in scans)


def probe_tracks(source: Source, container: Any, scans: Sequence[AudioScan], *, alone: bool) -> tuple[AudioStream, ...]:
    """Return the audio tracks of a file that can be decoded.

    Args:
        source: the file.
        container: opened from it.
        scans: summaries of the packets of all its audio streams.
        alone: whether there is no video. Then the file may consist of several containers, one after the other.
    """
    starts = part_starts(source) if alone else [0]
    if len(starts) == 1:
        return tuple(_tracks(source, container, scans, Part(0, None, 0.0, 0.0, 0.0)))
    tracks: dict[int, AudioStream] = {}
    start_s = 0.0
    for first, stop in itertools.pairwise([*starts, None]):
        part = Part(first or 0, stop, start_s, start_s, 0.0)
        for track in _tracks_of_part(part_source(source, part), part):
            tracks[track.track] = _joined(tracks[track.track], track) if track.track in tracks else track
            start_s = max(start_s, track.stop_s)
    return tuple(tracks.values())


def part_starts(source: Source) -> list[int]:
    """Return the positions, from the beginning of the media, at which the parts of a joined file begin; at least 0."""
    pattern = _PART_STARTS.get(source.demuxer)
    found = [0] if pattern is None else [0, *_positions(source, pattern)]
    if source.demuxer != "ogg":
        return sorted(set(found))
    starts, stop = [0], -1
    for position in found:
        if position not in (0, stop):
            starts.append(position)
        stop = _page_stop(source, position)
    return starts


def preferred(source: Source, tracks: Sequence[AudioStream]) -> AudioStream | None:
    """Return the track that a player plays, unless it is silent and another one is not; None if there is no track."""
    ordered = sorted(tracks, key=lambda track: not track.default)
    if len(ordered) < 2:
        return next(iter(ordered), None)
    return next((track for track in ordered if not _is_silent(source, track)), ordered[0])


def _tracks_of_part(source: Source, part: Part) -> list[AudioStream]:
    try:
        container = open_container(source)
    except BrokenMediaError:
        return []
    _, scans = scan_packets(container, None, audio_tracks(container))
    return _tracks(source, container, scans, part)


def _tracks(source: Source, container: Any, scans: Sequence[AudioScan], part: Part) -> list[AudioStream]:
    """Return the audio tracks of a container, which is the given part of the file, from `part.start_s` on."""
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
    return tracks


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


def _positions(source: Source, pattern: re.Pattern[bytes]) -> Iterator[int]:
    reader, data, first = source.reader(), b"", 0
    while block := reader.read(_SEARCH_BYTES):
        data += block
        yield from (first + match.start() for match in pattern.finditer(data))
        kept = data[-_LONGEST_START + 1 :]
        first += len(data) - len(kept)
        data = kept


def _page_stop(source: Source, position: int) -> int:
    """Return where an Ogg page ends."""
    reader = source.reader()
    reader.seek(position)
    header = reader.read(_OGG_HEADER_BYTES)
    lengths = reader.read(header[-1]) if len(header) == _OGG_HEADER_BYTES else b""
    return position + _OGG_HEADER_BYTES + len(lengths) + sum(lengths)
