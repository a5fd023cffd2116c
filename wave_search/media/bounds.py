"""Bounds of the numbers and texts that come from files: what is beyond them can be stored by no table.

They are checked where a file is identified and decoded, so that an absurd number costs this file and not the run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError
from wave_search.media.source import REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wave_search.media.info import DecodedSegment, MediaInfo

MAX_S = 1e9
"""32 years. Subtitles may have any time up to 9999 hours."""
_MAX_INT32 = 2**31 - 1
_MAX_FPS = 1e6


def check_info(path: Path, info: MediaInfo) -> None:
    """Check what a file declares about itself.

    Raises:
        BrokenMediaError: a number is impossible.
    """
    for name, value, most in _numbers(info):
        if value is not None and not 0 <= value <= most:  # also NaN
            raise BrokenMediaError(path, f"declares an impossible {name}: {value:.6g}", REPLACE)


def check_segment(path: Path, segment: DecodedSegment) -> None:
    """Check the times and the text of a segment.

    Raises:
        BrokenMediaError: they are impossible.
    """
    if segment.span is not None and not segment.span.stop_s <= MAX_S:
        raise BrokenMediaError(path, f"declares an impossible time: {segment.span.stop_s:.6g} s", REPLACE)
    try:
        (segment.clip.text or "").encode()
    except UnicodeEncodeError as error:
        raise BrokenMediaError(path, "contains halves of characters", "Convert it to UTF-8.") from error


def _numbers(info: MediaInfo) -> Iterator[tuple[str, float | None, float]]:
    yield "duration in seconds", info.duration_s, MAX_S
    yield "duration in seconds", info.declared_s, math.inf
    yield "width", info.width, _MAX_INT32
    yield "height", info.height, _MAX_INT32
    if info.video is not None:
        yield "width", info.video.width, _MAX_INT32
        yield "height", info.video.height, _MAX_INT32
        yield "frame rate", info.video.fps, _MAX_FPS
        yield "number of frames", info.video.frames, math.inf
    if info.audio is not None:
        yield "sample rate", info.audio.sample_rate_hz, _MAX_INT32
        yield "number of channels", info.audio.channels, _MAX_INT32
