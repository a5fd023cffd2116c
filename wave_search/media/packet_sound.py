"""Sound through PyAV: the packets of a stream, decoded in chunks on a fixed grid.

Each chunk of 10 s is decoded by a fresh decoder that begins a second before it, whether the chunk is read alone or
within the file. The samples of a range therefore depend only on file and range, also for codecs whose decoders never
forget what they decoded before (noise substitution in AAC, dither in AC-3, prediction in Opus). A chunk that is read
alone is found by seeking; chunks that are read one after the other share their packets, without seeking.

Where a second is not enough, because a decoder may need all that precedes (`is_stateful`), one decoder decodes the
stream from its beginning. Those that filter forget nearly all sounds within seconds (`may_forget`): a range alone is
decoded from half a minute before it if decoders that begin at two places agree there.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.media.demux import (
    audio_tracks,
    is_adts,
    is_stateful,
    may_forget,
    open_container,
    origin_s,
    packets,
    seeks_bytes,
    stamp_and_duration_s,
    usual_s,
)
from wave_search.media.joined import part_source
from wave_search.media.mixing import MAX_RATE_HZ, MIN_RATE_HZ, finite, samples_of, with_channels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from wave_search.media.info import AudioStream, Part
    from wave_search.media.source import Source

    Timed = tuple[float, float, Any]
    """Time of a packet from the beginning of its part, what was added to its time stamp, and the packet."""

_CHUNK_S = 10
_LEAD_S = 1
"""What is decoded before a chunk and dropped: more than any bit reservoir, overlap or convergence of a codec."""
_SETTLE_S = 1
"""How much earlier packets are read. In programme streams, the first one behind a seek may be the end of a frame, with
the time stamp of the next one."""
_EARLY_S = 2
"""How much earlier than at multiples of 10 s chunks begin, so that a block of `resampling`, with its margin and that of
`mixing`, takes two chunks."""
_WARM_S, _TRIAL_S, _ALIKE_S = 30, 12, 4
"""How long before a range a decoder that filters is started, and another one, and for how long they must agree. Of
speech and noises, Speex, GSM, G.723.1 and RealAudio 14.4 forget the beginning within 0.6 s; of steady tones, Speex and
GSM do so within 5 s, the others never."""
_ROUNDING = 2 / 32768
"""Largest difference of samples that agree."""
_FULL_SCALE, _MAX_CLIPPED = 0.999, 1e-3
"""Largest share of samples at full scale in sound that can agree."""
_TAIL_S = 0.05
"""What is decoded after a chunk, for the filter of a changed sample rate."""
_MIN_GAP_S = 0.1
"""A longer gap between two frames is silence; a shorter one is a rounding error of time stamps."""
_MAX_DEPENDENT = 4096
"""Most packets before a range that are kept because the range may depend on them."""
_MADE_ANEW = frozenset({"aac", "ac3", "eac3", "opus", "libopus"})
"""Decoders that flushing does not bring back to their first state. They need only `extradata` of the container, so they
are made anew."""


class PacketSound:
    """The sound of a stream at the highest of its sample rates. A `ChannelSource`.

    Pauses, also those before the first packet, are silence; samples before the beginning of the file are dropped.

    Args:
        source: the file.
        stream: as probed, with at least one part.
    """

    def __init__(self, source: Source, stream: AudioStream) -> None:
        self._source, self._stream = source, stream
        self.sample_rate_hz = stream.sample_rate_hz

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` to the end. See `ChannelSource`."""
        rate_hz, parts = self.sample_rate_hz, self._stream.parts
        begins = [round(part.start_s * rate_hz) for part in parts]
        yield from _silence(begins[0] - first, _CHUNK_S * rate_hz)
        # A part may be longer than its sound, as a picture is.
        for part, begin, stop in zip(parts, begins, [*begins[1:], round(parts[-1].stop_s * rate_hz)], strict=True):
            if stop <= first:
                continue
            reader = _PartReader(self._source, self._stream, part)
            for number in itertools.count(_chunk_of(max(first - begin, 0) / rate_hz)):
                start = begin + round(_chunk_start_s(number) * rate_hz)
                if start >= stop:
                    break
                yield reader.chunk(number)[max(first - start, 0) : stop - start]


def _silence(samples: int, block_samples: int) -> Iterator[NDArray[np.float32]]:
    for begin in range(0, samples, block_samples):
        yield np.zeros((min(block_samples, samples - begin), 1), dtype=np.float32)


@dataclass(slots=True)
class _Run:
    """Frames that follow each other without a gap."""

    begin: int
    """First sample, from the beginning of the part."""
    rate_hz: int
    frames: list[NDArray[np.float32]]
    stop: float
    """After its last sample."""


class _PartReader:
    """Reads the chunks of a part in ascending order."""

    def __init__(self, source: Source, stream: AudioStream, part: Part) -> None:
        self._source = part_source(source, part)
        self._part, self._track, self._rate_hz = part, stream.track, stream.sample_rate_hz
        self._begins_s = {mark.position: mark.time_s for mark in part.marks}
        self._next = 0
        self._read: list[Timed] = []
        self._held: list[tuple[Any, float]] = []
        self._open()
        self._stateful = is_stateful(self._audio)
        self._decoded: Iterator[tuple[Any, float]] | None = None

    def chunk(self, number: int) -> NDArray[np.float32]:
        """Decode a chunk: (samples, channels), with silence up to its end."""
        begin_s, stop_s = _chunk_start_s(number), _chunk_start_s(number + 1)
        runs: list[_Run] = []
        for frame, time_s in self._continued(begin_s, stop_s) if self._stateful else self._afresh(number):
            if time_s >= stop_s + _TAIL_S:
                break
            self._place(runs, frame, time_s, first_chunk=number == 0)
        return self._canvas(runs, round(begin_s * self._rate_hz), round(stop_s * self._rate_hz))

    def _continued(self, begin_s: float, stop_s: float) -> Iterator[tuple[Any, float]]:
        """Decode on, up to the end of a chunk, and hold what the next one needs as well."""
        if self._decoded is None:
            self._decoded = self._begun_before(begin_s - _LEAD_S)
        held, self._held = self._held, []
        for frame, time_s in itertools.chain(held, self._decoded):
            end_s = time_s + frame.samples / frame.sample_rate
            if end_s > stop_s - _LEAD_S:
                self._held.append((frame, time_s))
            if end_s > begin_s - _LEAD_S:
                yield frame, time_s

    def _begun_before(self, time_s: float) -> Iterator[tuple[Any, float]]:
        """Decode from half a minute before a time if what precedes does not matter then, else from the beginning."""
        warm_s = time_s - _WARM_S
        if warm_s > self._part.late_s and may_forget(self._audio):
            timed = itertools.dropwhile(lambda item: item[0] < warm_s, self._seek(warm_s))
            before: list[Timed] = []
            for item in timed:
                before.append(item)
                if item[0] >= time_s:
                    break
            decoded = self._frames(self._decoder(0), itertools.chain(before, timed))
            held = list(_up_to(decoded, time_s))
            other = audio_tracks(open_container(self._source))[self._track].codec_context
            trial = self._frames(other, [item for item in before if item[0] >= time_s - _TRIAL_S])
            if _agree(held, list(_up_to(trial, time_s)), time_s - _ALIKE_S):
                return itertools.chain(held, decoded)
            self._open()
        return self._frames(self._decoder(0), self._timed)

    def _afresh(self, number: int) -> Iterator[tuple[Any, float]]:
        """Decode a chunk with a fresh decoder."""
        from_s = _chunk_start_s(number) - _LEAD_S
        timed = itertools.chain(self._read, self._timed) if number == self._next else self._seek(from_s - _SETTLE_S)
        self._next, self._read = number + 1, []
        return self._frames(self._decoder(number), self._recorded(_from_key(timed, from_s)))

    def _open(self) -> None:
        self._container = open_container(self._source)
        self._audio = audio_tracks(self._container)[self._track]
        self._adts = is_adts(self._container)
        self._timed = self._times(at_mark=False)

    def _seek(self, time_s: float) -> Iterator[Timed]:
        """Continue at or before a time: where the container's index or a mark says, or else from the beginning."""
        import av

        if time_s > self._part.late_s:
            with contextlib.suppress(av.FFmpegError):
                if self._part.marks:
                    self._seek_mark(time_s)
                else:
                    self._container.seek(round((time_s + origin_s(self._container)) * av.time_base))
                self._timed = self._times(at_mark=bool(self._part.marks))
                newest = next(self._timed, None)
                if newest is not None and newest[0] <= time_s:
                    return itertools.chain([newest], self._timed)
            self._open()
        return self._timed

    def _seek_mark(self, time_s: float) -> None:
        """Seek to the last mark before a time, if there is one and the container can be read from there."""
        index = bisect.bisect_right(self._part.marks, time_s, key=lambda mark: mark.time_s) - 1
        if index >= 0 and seeks_bytes(self._container):
            self._container.seek(self._part.marks[index].position, unsupported_byte_offset=True)

    def _times(self, *, at_mark: bool) -> Iterator[Timed]:
        """Yield the packets with their times; nothing if the first one should be marked and is not."""
        offset_s, end_s, position = -origin_s(self._container), self._part.late_s, None
        tick_s, stretch = float(self._audio.time_base), self._part.stretch
        default_s = usual_s(self._container, self._audio)
        for packet in packets(self._container, [self._audio]):
            begin_s = None if packet.pos == position else self._begins_s.get(packet.pos)
            if at_mark and position is None and begin_s is None:
                return
            position = packet.pos
            stamp_s, duration_s = stamp_and_duration_s(packet, tick_s, default_s, adts=self._adts)
            if stamp_s is None:
                time_s = end_s if begin_s is None else begin_s
                packet.pts = round((time_s - offset_s) / tick_s / stretch)
            else:
                offset_s = offset_s if begin_s is None else begin_s - stamp_s * stretch
                time_s = stamp_s * stretch + offset_s
            end_s = time_s + duration_s * stretch
            yield time_s, offset_s, packet

    def _recorded(self, timed: Iterable[Timed]) -> Iterator[Timed]:
        for item in timed:
            self._read.append(item)
            yield item

    def _frames(self, decoder: Any, timed: Iterable[Timed]) -> Iterator[tuple[Any, float]]:
        """Decode packets, skipping damaged ones."""
        import av

        time_s = offset_s = 0.0
        for item in itertools.chain(timed, [None]):
            time_s, offset_s, packet = (time_s, offset_s, None) if item is None else item
            with contextlib.suppress(av.FFmpegError):
                for frame in decoder.decode(packet):
                    stamp_s = time_s - offset_s
                    if frame.pts is not None:
                        stamp_s = frame.pts * float(frame.time_base) * self._part.stretch
                    yield frame, stamp_s + offset_s

    def _decoder(self, number: int) -> Any:
        from av.codec.context import CodecContext

        decoder = self._audio.codec_context
        if number > 0 and decoder.codec.name in _MADE_ANEW:
            extradata, decoder = decoder.extradata, CodecContext.create(decoder.codec, "r")
            decoder.extradata = extradata
        decoder.flush_buffers()
        if not decoder.is_open:
            # One thread bounds the memory and makes the concealment of damage deterministic.
            decoder.thread_count = 1
        return decoder

    def _place(self, runs: list[_Run], frame: Any, time_s: float, *, first_chunk: bool) -> None:
        """Append a frame to the last run, or begin another one after a gap or a change of the sample rate."""
        samples, rate_hz = finite(samples_of(frame)), frame.sample_rate
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            return
        if not runs and not first_chunk:
            time_s = self._snapped_s(frame, time_s)
        begin, run = round(time_s * self._rate_hz), runs[-1] if runs else None
        if run is None or run.rate_hz != rate_hz or abs(begin - run.stop) >= _MIN_GAP_S * self._rate_hz:
            run = _Run(begin, rate_hz, [], begin)
            runs.append(run)
        run.frames.append(samples)
        run.stop += len(samples) * self._rate_hz / rate_hz

    def _snapped_s(self, frame: Any, time_s: float) -> float:
        """Return the time of a frame more accurately than in milliseconds, if all frames so far had the same length."""
        length_s, tick_s = frame.samples / frame.sample_rate, float(frame.time_base)
        late_s = self._part.late_s
        exact_s = late_s + round((time_s - late_s) / length_s) * length_s
        return exact_s if tick_s * frame.sample_rate > 1 and abs(exact_s - time_s) <= tick_s else time_s

    def _canvas(self, runs: list[_Run], begin: int, stop: int) -> NDArray[np.float32]:
        channels = max((block.shape[1] for run in runs for block in run.frames), default=1)
        canvas = np.zeros((stop - begin, channels), dtype=np.float32)
        for run in runs:
            samples = np.concatenate([with_channels(block, channels) for block in run.frames])
            if run.rate_hz != self._rate_hz:
                import soxr

                samples = np.clip(soxr.resample(samples, run.rate_hz, self._rate_hz, quality="HQ"), -1.0, 1.0)
            first = max(run.begin, begin)
            placed = samples[first - run.begin :][: max(stop - first, 0)]
            canvas[first - begin : first - begin + len(placed)] = placed
        return canvas


def _up_to(frames: Iterator[tuple[Any, float]], time_s: float) -> Iterator[tuple[Any, float]]:
    """Yield frames up to the first one that begins at a time or later."""
    for frame, begin_s in frames:
        yield frame, begin_s
        if begin_s >= time_s:
            return


def _agree(frames: list[tuple[Any, float]], others: list[tuple[Any, float]], from_s: float) -> bool:
    """Return whether two decoders made the same of all packets from a time on.

    Those of steady tones may blow up when started within one. At full scale, they would only seem to agree.
    """
    pairs = [[samples_of(frame) for frame, time_s in it if time_s >= from_s] for it in (frames, others)]
    if not pairs[0] or [it.shape for it in pairs[0]] != [it.shape for it in pairs[1]]:
        return False
    one, other = (np.concatenate([block.ravel() for block in it]) for it in pairs)
    clipped = np.count_nonzero(np.abs(one) >= _FULL_SCALE)
    return bool(np.abs(one - other).max() <= _ROUNDING and clipped <= _MAX_CLIPPED * one.size)


def _chunk_start_s(number: int) -> int:
    return max(0, number * _CHUNK_S - _EARLY_S)


def _chunk_of(time_s: float) -> int:
    return int((time_s + _EARLY_S) // _CHUNK_S)


def _from_key(timed: Iterable[Timed], time_s: float) -> Iterator[Timed]:
    """Drop packets before the last one at or before a time at which decoding can begin."""
    waiting: deque[Timed] | None = deque(maxlen=_MAX_DEPENDENT)
    for item in timed:
        if waiting is not None and item[0] <= time_s:
            if item[2].is_keyframe:
                waiting.clear()
            waiting.append(item)
            continue
        if waiting is not None:
            yield from waiting
            waiting = None
        yield item
    yield from waiting or ()
