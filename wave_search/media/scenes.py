"""Changes of scene, found by PySceneDetect in frames that are decoded here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError, UsageError

if TYPE_CHECKING:
    from wave_search.media.info import VideoStream
    from wave_search.media.video import FrameSource
    from wave_search.types import Span

_LOOKED_AT_PIXELS = 256
"""Of the longer side; more details only cost time."""


def find_cuts(frames: FrameSource, stream: VideoStream, span: Span) -> list[float]:
    """Find the moments at which new scenes begin.

    Every frame of the range is decoded.

    Returns:
        Seconds from the beginning of the file, rising.

    Raises:
        UsageError: PySceneDetect is not installed.
    """
    try:
        from scenedetect import ContentDetector, FrameTimecode
    except ImportError as error:
        raise UsageError(
            "finding scenes needs PySceneDetect, which is not installed", "Run: pip install 'wave-search[scene]'"
        ) from error
    detector = ContentDetector()
    step = max(1, max(stream.width, stream.height) // _LOOKED_AT_PIXELS)
    first, stop = round(span.start_s * stream.fps), min(round(span.stop_s * stream.fps), stream.frames)
    cuts: list[Any] = []
    try:
        for number in range(first, stop):
            small = frames.full_size(number)[::step, ::step, ::-1]
            cuts += detector.process_frame(FrameTimecode(number, stream.fps), np.ascontiguousarray(small))
        cuts += detector.post_process(FrameTimecode(stop, stream.fps))
    except BrokenMediaError:
        return []
    return sorted(cut.frame_num / stream.fps for cut in cuts)
