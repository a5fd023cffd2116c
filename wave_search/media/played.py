"""The sound of a file as a player plays it: a range of one track, for previews."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wave_search.errors import UnsupportedMediaError
from wave_search.media.av_frames import BACK_S
from wave_search.media.contents import played_parts
from wave_search.media.demux import (
    audio_tracks,
    decode,
    has_wrong_stamps,
    is_broadcast,
    is_default,
    is_stateful,
    open_container,
    origin_s,
    packets,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.media.source import Source


def played_audio(container: Any) -> Any | None:
    """Return the audio stream that a player plays: the default one, or the first."""
    tracks = audio_tracks(container)
    return next(filter(is_default, tracks), next(iter(tracks), None))


def seek_before(container: Any, stream: Any, at_s: float) -> None:
    """Go to a place at or before a time at which a stream can be decoded, if the container can."""
    import av

    if at_s <= 0 or (stream.type == "audio" and (is_stateful(stream) or has_wrong_stamps(container, stream))):
        return
    wanted_s = origin_s(container) + at_s
    with suppress(av.FFmpegError):
        if stream.type != "video" or not is_broadcast(container):
            container.seek(int(wanted_s / stream.time_base), stream=stream)
            return
        # A seek may lead behind the key frame that the picture is decoded from.
        for back_s in (each for each in BACK_S if each < at_s):
            stamp = int((wanted_s - back_s) / stream.time_base)
            container.seek(stamp, stream=stream)
            key = next((packet for packet in packets(container, [stream]) if packet.is_keyframe), None)
            if key is not None and key.pts is not None and float(key.pts * stream.time_base) <= wanted_s:
                container.seek(stamp, stream=stream)
                return
        container.seek(0, unsupported_byte_offset=True)


class SoundConverter:
    """Converts frames of sound whose rate and channels may change, as in recordings of broadcasts.

    Args:
        sample_format: of the result, by FFmpeg's name.
        layout: of the result, by FFmpeg's name.
        rate_hz: of the result; None for that of each frame.
    """

    def __init__(self, sample_format: str, layout: str, rate_hz: int | None) -> None:
        self._target = sample_format, layout, rate_hz
        self._from: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def convert(self, frame: Any | None) -> list[Any]:
        """Return the frames that a frame makes; None for the end of the sound."""
        from av import AudioResampler

        form = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        made: list[Any] = []
        if form != self._from:
            made += [] if self._resampler is None else self._resampler.resample(None)
            self._from, self._resampler = form, None if form is None else AudioResampler(*self._target)
        made += [] if self._resampler is None else self._resampler.resample(frame)
        return [one for one in made if one is not None]  # None ends what is passed on as it is


def mono(
    source: Source, start_s: float, stop_s: float, rate_hz: int | None = None
) -> Iterator[tuple[float, NDArray[np.float32], int]]:
    """Decode a range of the sound that a player plays, at its own rate or another one.

    Yields:
        The time of each block from the beginning of the file, its samples and their rate.

    Raises:
        UnsupportedMediaError: there is no sound.
    """
    heard = False
    for part, begin_s in played_parts(source, start_s, stop_s):
        container = open_container(part)
        audio = played_audio(container)
        if audio is not None:
            heard = True
            for at_s, block in _heard_between(container, audio, start_s - begin_s, stop_s - begin_s, rate_hz):
                yield at_s + begin_s, block.to_ndarray().reshape(-1), block.sample_rate
    if not heard:
        raise UnsupportedMediaError(source.path, "it has no sound", "Look at its picture.")


def _heard_between(
    container: Any, audio: Any, start_s: float, stop_s: float, rate_hz: int | None
) -> Iterator[tuple[float, Any]]:
    """Decode a range of a stream: the time of each block, and it, as float32 of one channel."""
    seek_before(container, audio, start_s)
    converter = SoundConverter("flt", "mono", rate_hz)
    counted = has_wrong_stamps(container, audio)
    begin_s, at_s = origin_s(container), 0.0 if counted else start_s
    for frame in decode(container, audio):
        if frame.pts is not None and not counted:
            at_s = float(frame.pts * audio.time_base) - begin_s
        if at_s >= stop_s:
            break
        for block in converter.convert(frame):
            yield at_s, block
        at_s += frame.samples / frame.sample_rate
    for block in converter.convert(None):
        yield at_s, block
