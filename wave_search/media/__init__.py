"""Bytes to arrays: identification and decoding of media files.

Importing this loads none of the decoding libraries; they are used in worker processes only.
"""

from typing import TYPE_CHECKING

from wave_search.lazy import lazy_names
from wave_search.media.segmentation import WHOLE, Segmentation

if TYPE_CHECKING:
    from wave_search.media.info import AudioStream, DecodedSegment, MediaInfo, VideoStream
    from wave_search.media.memory import default_workers, divide_memory
    from wave_search.media.sniff import looks_like_media
    from wave_search.media.track_choice import parse_audio_track
    from wave_search.media.worker_pool import DecoderPool

__all__ = [
    "WHOLE",
    "AudioStream",
    "DecodedSegment",
    "DecoderPool",
    "MediaInfo",
    "Segmentation",
    "VideoStream",
    "default_workers",
    "divide_memory",
    "looks_like_media",
    "parse_audio_track",
]

# A search in an index needs the segmentation of its files, and decodes none.
__getattr__ = lazy_names(
    __name__,
    {
        "info": "AudioStream DecodedSegment MediaInfo VideoStream",
        "memory": "default_workers divide_memory",
        "sniff": "looks_like_media",
        "track_choice": "parse_audio_track",
        "worker_pool": "DecoderPool",
    },
)
