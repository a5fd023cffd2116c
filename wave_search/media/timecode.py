"""The time of day at which the recording of a file began, as cameras and sound recorders note it."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from wave_search.media.completeness import chunks

if TYPE_CHECKING:
    from wave_search.media.source import Source

_SMPTE = re.compile(r"[0-9]{2}:[0-5][0-9]:[0-5][0-9][:;.][0-9]{2,3}")
_RIFF = (b"RIFF", b"RF64", b"BW64")
_TIME_REFERENCE = 338
"""Position in the chunk "bext" of Broadcast Wave (EBU Tech 3285): samples since midnight, 64 bits."""
_DAY_S = 86_400


def container_timecode(container: Any) -> str | None:
    """Return the SMPTE time code that a container or one of its streams declares."""
    tags = (tag for part in (container, *container.streams) for tag in part.metadata.items())
    # Matroska writes the names of tags in capitals.
    return next((text for name, text in tags if name.lower() == "timecode" and _SMPTE.fullmatch(text)), None)


def wave_timecode(source: Source, sample_rate_hz: int) -> str | None:
    """Return the time of the first sample of a Broadcast Wave file, as "HH:MM:SS.ffffff", in microseconds.

    Returns:
        None if the file is no such file, or does not say: the reference is then zero.
    """
    file = source.reader()
    if source.demuxer != "wav" or file.read(4) not in _RIFF:
        return None
    for name, begin, size in chunks(file, 12, "<4sI"):
        if name == b"bext" and size >= _TIME_REFERENCE + 8:
            file.seek(begin + _TIME_REFERENCE)
            data = file.read(8)
            samples = struct.unpack("<Q", data)[0] if len(data) == 8 else 0
            return _time_of_day(samples, sample_rate_hz) if 0 < samples < _DAY_S * sample_rate_hz else None
    return None


def _time_of_day(samples: int, sample_rate_hz: int) -> str:
    seconds, rest = divmod(samples, sample_rate_hz)
    microseconds = rest * 1_000_000 // sample_rate_hz
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{microseconds:06}"
