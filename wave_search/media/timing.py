"""When the frames of a video are presented: pure arithmetic on the time stamps of its packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wave_search.media.demux import VideoPackets
    from wave_search.media.info import Timing

_FALLBACK_FPS = 25.0
_MAX_FPS = 1000.0
_MAX_JITTER_S = 0.05
_LONG_FRAME_S = 1.0
"""A video that shows a frame for so long consists of stills: its declared end is then that of the last one. Otherwise
it is that of frames which a damaged file has lost."""


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
    return Clock("constant" if fps else "variable", fps or frames / (stop_s - start_s), start_s, stop_s)


def _is_constant(packets: VideoPackets, fps: float) -> bool:
    if packets.times_s is None:
        return False
    expected_s = packets.start_s + np.arange(packets.frames) / fps
    return bool(np.abs(packets.times_s - expected_s).max() < min(0.5 / fps, _MAX_JITTER_S))
