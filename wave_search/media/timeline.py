"""Where the packets of a file lie in time: pauses, broken clocks, and clocks that start again.

A step forward between two packets of a stream is a pause, of silence or without a picture. It is believed up to an
hour; a longer one only if the container declares a duration that includes it, or another stream has packets up to its
end. In formats of broadcasts, which declare no duration and are cut together, a step that the picture and all sound
make is believed up to a minute. A step back, and a step forward that is not believed, is a clock that was set: what
follows is joined to what precedes, in all streams, as players do. So a clock that jumps by years does not become years
of silence.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, replace
from typing import Any

from wave_search.media.info import Mark

MAX_DURATION_S = 7 * 86_400.0
"""Longest plausible duration: time stamps of damaged files can span thousands of years."""
MAX_PAUSE_S = 3600.0
"""A longer pause needs evidence besides the time stamps of its own stream."""
MAX_JOINT_PAUSE_S = 60.0
"""A longer pause of all streams at once is a cut, in formats of broadcasts."""
_MAX_OVERLAP_S = 1.0
"""A step back of a stream's clock up to this is the inaccuracy of a container."""
_INTERLEAVING_S = 60.0
"""Greatest distance in time between packets of two streams that are stored next to each other."""
_PADDING_S = 0.2
"""Tolerance in durations: audio encoders pad their last frames, so that a container declares slightly less than its
packets hold; or less by up to a packet, if these are long, as in GXF."""
_MARK_EVERY_S = 5.0
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Reset:
    """Where the clock of a file was set."""

    position: int
    """Of the first packet, in bytes, from the beginning of the media."""
    time_s: float
    """From the beginning of the file."""
    offset_s: float
    """What is added to time stamps from there on."""


class PacketClock:
    """The times of the packets of a file, given in the order of the file.

    Args:
        origin_s: time stamp at which the file begins, in seconds.
        declared_s: duration that the container declares, or 0.0.
        broadcast: whether it is a picture, perhaps with sound, in a format of broadcasts.
    """

    def __init__(self, origin_s: float, declared_s: float, *, broadcast: bool) -> None:
        self.declared_s, self._broadcast = declared_s, broadcast
        self.joined: set[int] = set()
        """Indices of the streams that the clock was set for."""
        self.resets: list[Reset] = []
        """Where it was set, as far as the positions of packets are known."""
        self._offsets_s = [-origin_s]
        self._ends_s: dict[int, float] = {}

    def place(
        self,
        stream: int,
        stamp_s: float | None,
        duration_s: float,
        position: int | None = None,
        delay_s: float = 0.0,
    ) -> float:
        """Return the time of a packet, in seconds from the beginning of the file.

        Args:
            stream: index of its stream.
            stamp_s: its time stamp; None continues where the packet before it ended.
            duration_s: of the packet.
            position: of its first byte in the file, if it is known.
            delay_s: how much later than at its stamp it is shown, if that is the time of decoding.
        """
        end_s = self._ends_s.get(stream)
        if stamp_s is not None and end_s is not None and len(self._offsets_s) == 1:  # of nearly all packets
            time_s = stamp_s + self._offsets_s[0]
            if -_MAX_OVERLAP_S <= time_s - end_s <= MAX_JOINT_PAUSE_S and time_s <= MAX_DURATION_S:
                if time_s + duration_s > end_s:
                    self._ends_s[stream] = time_s + duration_s
                return time_s
        offsets = len(self._offsets_s)
        time_s = self._time_s(stream, stamp_s, delay_s)
        if len(self._offsets_s) > offsets and position is not None:
            self.resets.append(Reset(position, time_s, self._offsets_s[-1]))
        elif stamp_s is not None and position is not None and self.resets:
            newest = self.resets[-1]  # packets of another stream may be stored before that one
            if position < newest.position and abs(time_s - stamp_s - newest.offset_s) < _ROUNDING_S:
                self.resets[-1] = replace(newest, position=position)
        if stamp_s is not None and abs(time_s - stamp_s - self._offsets_s[0]) > _ROUNDING_S:
            self.joined.add(stream)
        self._ends_s[stream] = max(self._ends_s.get(stream, time_s), time_s + duration_s)
        return time_s

    def _time_s(self, stream: int, stamp_s: float | None, delay_s: float) -> float:
        end_s = self._ends_s.get(stream)
        if stamp_s is None:
            return 0.0 if end_s is None else end_s
        if end_s is None:
            return stamp_s + self._offsets_s[-1]
        time_s = stamp_s + self._offsets_s[-1]
        if len(self._offsets_s) > 1:  # packets of the other stream may still come from before the jump
            time_s = min(time_s, stamp_s + self._offsets_s[-2], key=lambda it: abs(it - end_s))
        if time_s - end_s >= -_MAX_OVERLAP_S and self._plausible(stream, end_s, time_s):
            return time_s
        time_s = max(self._ends_s.values()) - delay_s
        self._offsets_s.append(time_s - stamp_s)
        return time_s

    def _plausible(self, stream: int, end_s: float, time_s: float) -> bool:
        others_s = [other_s for other, other_s in self._ends_s.items() if other != stream]
        if time_s - end_s <= (MAX_JOINT_PAUSE_S if self._broadcast else MAX_PAUSE_S):
            return time_s <= MAX_DURATION_S
        known_s = max(self.declared_s, max(others_s, default=0.0) + _INTERLEAVING_S)
        return time_s <= min(known_s + _MAX_OVERLAP_S, MAX_DURATION_S)


class AudioScan:
    """Summary of the packets of an audio stream, in the order of the file.

    Args:
        clock: of the file.
        stream: the stream.
        usual_s: duration of packets that have none.
        estimated: whether FFmpeg estimates the duration of the stream, because the format does not declare it.
    """

    def __init__(self, clock: PacketClock, stream: Any, *, usual_s: float, estimated: bool) -> None:
        self._clock, self._stream, self.usual_s = clock, stream, usual_s
        self._declared_s = 0.0 if estimated or not stream.duration else float(stream.duration * stream.time_base)
        self.tick_s = float(stream.time_base)
        """Time base of the stream. To compute with fractions takes most of the time of a scan."""
        self.start_s: float | None = None
        """Of the first packet, from the beginning of the file; below 0 if its first samples are not to be played."""
        self.joined = False
        """Whether the clock was set between two of its packets."""
        self.packet_s = 0.0
        """Duration of the first packet."""
        self._stop_s = self._last_s = self._time_s = 0.0
        self._step_s = math.inf
        """Least distance of two packets, the latter of which declares no duration, such as WavPack in Matroska."""
        self._offset_s: float | None = None
        self._position = -1
        self._times_s, self._positions = array("d"), array("q")

    def add(self, stamp_s: float | None, duration_s: float, position: int | None) -> None:
        """Add the next packet, which begins at a byte of the file if that is known."""
        time_s = self._clock.place(self._stream.index, stamp_s, duration_s, position)
        if self.start_s is None:
            self.start_s = self._stop_s = time_s
            self.packet_s = duration_s
        elif not duration_s and time_s > self._time_s:
            self._step_s = min(self._step_s, time_s - self._time_s)
            duration_s = self._step_s
            if time_s < self._clock.declared_s < time_s + duration_s:  # of the last one, which may be shorter
                duration_s = self._clock.declared_s - time_s
        self._time_s = time_s
        self._stop_s, self._last_s = max(self._stop_s, time_s + duration_s), duration_s
        self._mark(time_s, stamp_s, position)

    def stop_s(self) -> float:
        """Return the end of the sound, from the beginning of the file."""
        if self.start_s is None:
            return 0.0
        padding_s = self._stop_s - max(self.start_s, 0.0) - self._declared_s
        is_padding = self._declared_s > 0 and 0 <= padding_s < max(_PADDING_S, self._last_s)
        return self._stop_s - padding_s if is_padding else self._stop_s

    def marks(self) -> tuple[Mark, ...]:
        """Return a packet every few seconds, and each one at which the clock was set."""
        return tuple(map(Mark, self._times_s, self._positions))

    def _mark(self, time_s: float, stamp_s: float | None, position: int | None) -> None:
        if position is None or position == self._position:
            return
        self._position = position
        jumped = False
        if stamp_s is not None:
            offset_s = time_s - stamp_s
            jumped = self._offset_s is not None and abs(offset_s - self._offset_s) > _ROUNDING_S
            self._offset_s = offset_s
        self.joined = self.joined or jumped
        if jumped or not self._times_s or time_s >= self._times_s[-1] + _MARK_EVERY_S:
            self._times_s.append(time_s)
            self._positions.append(position)
