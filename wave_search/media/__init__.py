"""Bytes to arrays: identification and decoding of media files.

Importing this loads none of the decoding libraries; they are used in worker processes only.
"""

from wave_search.media.info import AudioStream, DecodedSegment, MediaInfo, VideoStream
from wave_search.media.memory import divide_memory
from wave_search.media.segmentation import WHOLE, Segmentation
from wave_search.media.sniff import looks_like_media
from wave_search.media.track_choice import parse_audio_track
from wave_search.media.worker_pool import DecoderPool, default_workers

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
