"""Bytes to arrays: what a file is, and what can be seen and heard in it.

Importing this loads none of the decoding libraries; they are used in worker processes only.
"""

from wave_search.media.decoders import Decoders
from wave_search.media.formats import looks_like_media
from wave_search.media.info import AudioStream, DecodedSegment, MediaInfo, VideoStream
from wave_search.media.segmenting import Segmenting

__all__ = [
    "AudioStream",
    "DecodedSegment",
    "Decoders",
    "MediaInfo",
    "Segmenting",
    "VideoStream",
    "looks_like_media",
]
