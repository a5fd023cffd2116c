"""When the frames of a video are presented: arithmetic on the time stamps of its packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.info import Timing

_FALLBACK_FPS = 25.0
_MAX_FPS = 1000.0
_MAX_JITTER_S = 0.05
_LONG_FRAME_S = 1.0
"""A video that shows a frame for so long consists of stills: its declared end is then that of the last one. Otherwise
it is that of frames which a damaged file has lost."""
_MAX_STEP_BACK_S = 1.0
"""A key frame is shown after all frames that are stored before it; a larger step back is of a clock that was set."""
_ROUNDING_S = 1e-5
"""Tolerance in times from the beginning of a file, which containers declare in microseconds."""


@dataclass(frozen=True, slots=True)
class VideoPackets:
    """Summary of the packets of a video stream."""

    frames: int
    start_s: float
    """Of the first frame, from the beginning of the file."""
    times_s: NDArray[np.float64] | None
    """(frames,) ascending times of presentation; None if time stamps are missing, or the clock jumps."""
    last_s: float
    """Declared duration of the last frame, or 0.0."""
    in_order: bool
    """Whether frames can be counted from any key frame: none is left out, or stored after a key frame but shown
    before it."""


class VideoScan:
    """Collects the packets of a video stream, in the order in which they are stored."""

    def __init__(self, tick_s: float, *, timed: bool) -> None:
        self._tick_s, self._timed = tick_s, timed
        self.newest: int | None = None
        """The latest time stamp so far."""
        self._stamps: list[int | None] = []
        self._keys: list[int] = []
        """Numbers of the packets that are key frames."""
        self._last_duration = 0
        """Of the packet with the latest time stamp."""
        self._cut = False

    def add(self, packet: Any) -> None:
        """Add a packet."""
        if packet.is_discard:
            self._cut = True
            return
        stamp = packet.pts if self._timed else None
        if stamp is not None and (self.newest is None or stamp > self.newest):
            self.newest, self._last_duration = stamp, packet.duration or 0
        if packet.is_keyframe:
            self._keys.append(len(self._stamps))
        self._stamps.append(stamp)

    def summary(self, origin_s: float, *, joined: bool) -> VideoPackets | None:
        """Return the summary, with times from `origin_s`; None without packets.

        Args:
            origin_s: time stamp at which the file begins.
            joined: whether the clock was set in between, so that time stamps are no times.
        """
        frames = len(self._stamps)
        if not frames:
            return None
        stored = np.array([stamp for stamp in self._stamps if stamp is not None], dtype=np.int64)
        if (
            len(stored) < frames
            or joined
            or bool(np.any((np.maximum.accumulate(stored) - stored)[self._keys] * self._tick_s > _MAX_STEP_BACK_S))
        ):
            start_s = max(self._start(stored) * self._tick_s - origin_s, 0.0) if len(stored) else 0.0
            return VideoPackets(frames, start_s, None, 0.0, in_order=False)
        times_s = np.sort(stored).astype(np.float64) * self._tick_s - origin_s
        if abs(times_s[0]) < _ROUNDING_S:
            times_s -= times_s[0]
        last_s = self._last_duration * self._tick_s
        return VideoPackets(frames, float(times_s[0]), times_s, last_s, not self._cut and not self._leading(stored))

    def _start(self, stored: NDArray[np.int64]) -> float:
        """Return the time stamp of the first frame, which Matroska files lack if it is negative, in ticks."""
        unknown = next(number for number, stamp in enumerate(self._stamps) if stamp is not None)
        if not unknown or len(stored) < 2:
            return float(stored[0])
        return float(stored.min() - unknown * np.ptp(stored) / (len(stored) - 1))

    def _leading(self, stored: NDArray[np.int64]) -> bool:
        """Return whether any frame is stored after a key frame but shown before it."""
        newest_key = np.searchsorted(self._keys, np.arange(len(stored))) - 1  # before each packet
        return bool(np.any((newest_key >= 0) & (stored < stored[self._keys][newest_key]))) if self._keys else False


@dataclass(frozen=True, slots=True)
class Clock:
    """When frames are presented; times in seconds from the beginning of the file."""

    timing: Timing
    fps: float
    """Frames per second, on average if they vary."""
    start_s: float
    """Of the first frame."""
    stop_s: float
    """End of the last frame, which other streams may outlast."""


def clock_of(packets: VideoPackets, declared_fps: float, declared_stop_s: float) -> Clock:
    """Return when the frames of a video are presented.

    The rate is constant if all time stamps are where the declared rate puts them, or the rate that the first and the
    last one give: at most half a frame and 50 ms away.

    Args:
        packets: of the video stream.
        declared_fps: average frames per second that the container declares, or 0.0.
        declared_stop_s: end of the longest stream that the container declares, or 0.0.
    """
    declared_fps = declared_fps if 0 < declared_fps <= _MAX_FPS else 0.0
    frames, times_s, start_s = packets.frames, packets.times_s, packets.start_s
    if times_s is None or (frames > 1 and times_s[-1] == times_s[0]):
        fps = declared_fps or _FALLBACK_FPS
        return Clock("counted", fps, start_s, start_s + frames / fps)
    steps_s = np.diff(times_s)
    mean_fps = (frames - 1) / float(times_s[-1] - times_s[0]) if frames > 1 else _FALLBACK_FPS
    mean_fps = float(f"{mean_fps:.9g}")  # time stamps are no more exact
    fps = next((fps for fps in (declared_fps, mean_fps) if fps and _is_constant(packets, fps)), 0.0)
    last_s = packets.last_s or 1 / (fps or mean_fps)
    stop_s = float(times_s[-1]) + last_s
    if fps and last_s < 1.5 / fps:
        stop_s = start_s + frames / fps
    if declared_stop_s > times_s[-1] and (frames == 1 or steps_s.max() >= _LONG_FRAME_S):
        # At a variable rate, the duration of the last frame may be an estimate.
        stop_s = max(stop_s, declared_stop_s) if fps else declared_stop_s
    elif not (fps or packets.last_s) and declared_stop_s > times_s[-1]:
        stop_s = min(stop_s, declared_stop_s)
    return Clock("constant" if fps else "variable", fps or frames / (stop_s - start_s), start_s, stop_s)


def _is_constant(packets: VideoPackets, fps: float) -> bool:
    if packets.times_s is None:
        return False
    expected_s = packets.start_s + np.arange(packets.frames) / fps
    return bool(np.abs(packets.times_s - expected_s).max() < min(0.5 / fps, _MAX_JITTER_S))
