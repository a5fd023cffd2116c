"""Decoding of audio tracks: by libsndfile where it supports the format, otherwise by PyAV.

Channels are averaged only here. (FFmpeg's own downmix is 3 dB louder than the mean, so the level of the same audio
would depend on its container.)
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.demux import MAX_GAP_S, choose_audio, decode, open_container, origin_s
from wave_search.media.info import AudioStream
from wave_search.media.source import REPLACE, descriptor_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.media.source import Source

_SNDFILE = frozenset({"wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64"})
_EXACT_SEEK = frozenset({"wav", "flac", "aiff", "au", "caf", "w64"})
"""Formats in which a seek is exact. The others decode to slightly different samples after a seek, so they are decoded
from the beginning."""
_CODECS = {"flac": "flac", "mp3": "mp3"}
"""Codecs of formats for which libsndfile reports only the sample format."""
_BLOCK_SAMPLES = 1 << 20
"""Total of all channels."""
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 1_000_000
_MIN_GAP_S = 0.1
"""A longer gap between two frames is filled with silence; a shorter one is a rounding error of time stamps."""


class SndfileSource:
    """Audio through libsndfile. Made by `open_sndfile`."""

    def __init__(self, path: Path, file: Any, demuxer: str) -> None:
        self._path = path
        self._file = file
        self._demuxer = demuxer
        self.sample_rate_hz: int = file.samplerate
        self.stream = AudioStream(_CODECS.get(demuxer, str(file.subtype).lower()), file.samplerate, file.channels)

    def count(self) -> int:
        """Return the number of samples: from the header if the last one can be read, else by decoding all."""
        import soundfile

        declared: int = self._file.frames
        with contextlib.suppress(soundfile.LibsndfileError):
            self._file.seek(declared - 1)
            if len(self._file.read(1)) == 1:
                return declared
        return sum(len(block) for block in self.blocks(0))

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` to the end. See `MonoSource`.

        Raises:
            BrokenMediaError: no sample of the whole file is a number.
        """
        import soundfile

        size = max(1, _BLOCK_SAMPLES // self.stream.channels)
        start = first if self._demuxer in _EXACT_SEEK else 0
        valid = start > 0
        try:
            self._file.seek(min(start, self._file.frames))
            while len(block := self._file.read(size, dtype="float32", always_2d=True)):
                valid = valid or bool(np.isfinite(block).any())
                yield mono(block)[max(first - start, 0) :]
                start += len(block)
        except soundfile.LibsndfileError:
            return
        if not valid:
            raise BrokenMediaError(self._path, "none of its samples is a number (all are NaN or infinite)", REPLACE)


def open_sndfile(source: Source) -> SndfileSource | None:
    """Open audio with libsndfile.

    Returns:
        None if libsndfile does not read the format, or the file has no samples.
    """
    if source.demuxer not in _SNDFILE or source.offset_bytes:
        return None
    import soundfile

    try:
        file = soundfile.SoundFile(descriptor_path(source.file))
    except (soundfile.LibsndfileError, RuntimeError):
        return None
    if file.frames < 1:
        file.close()
        return None
    check_rate(source.path, file.samplerate)
    return SndfileSource(source.path, file, source.demuxer)


class AvSource:
    """Audio through PyAV.

    Audio that starts after the beginning of the file is padded with silence; earlier samples are dropped.

    Args:
        source: the file.
        stream: as probed.
    """

    def __init__(self, source: Source, stream: AudioStream) -> None:
        self._source = source
        self.sample_rate_hz = stream.sample_rate_hz

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` to the end. See `MonoSource`."""
        position = 0
        for block in self._placed():
            yield block[max(first - position, 0) :]
            position += len(block)

    def _placed(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples of the file in blocks, with gaps filled by silence."""
        container = open_container(self._source)
        position, rate_hz, origin = 0, self.sample_rate_hz, origin_s(container)
        for frame in decode(container, choose_audio(container)):
            if frame.sample_rate != rate_hz:
                continue
            block = mono(samples_of(frame))
            begin_s = position / rate_hz if frame.pts is None else float(frame.pts * frame.time_base) - origin
            gap = round(begin_s * rate_hz) - position
            if position == 0 and gap < 0:
                block = block[-gap:]
            elif (position == 0 or gap >= _MIN_GAP_S * rate_hz) and 0 < gap <= MAX_GAP_S * rate_hz:
                yield np.zeros(gap, dtype=np.float32)
                position += gap
            yield block
            position += len(block)


def check_rate(path: Path, sample_rate_hz: int) -> None:
    """Check that a sample rate is plausible.

    Raises:
        BrokenMediaError: it is out of range.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise BrokenMediaError(path, f"declares a sample rate of {sample_rate_hz} Hz", REPLACE)


def samples_of(frame: Any) -> NDArray[np.float32]:
    """Convert a frame of PyAV to (samples, channels) float32 in [-1, 1]."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.kind == "i":
        array = array / float(np.iinfo(array.dtype).max + 1)
    samples: NDArray[np.float32] = array.astype(np.float32)
    return samples


def mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average channels.

    Args:
        block: (samples, channels), any values.

    Returns:
        (samples,) float32 in [-1, 1]: NaN and infinity become 0, other values are clipped.
    """
    finite = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    average: NDArray[np.float32] = np.clip(finite, -1.0, 1.0).mean(axis=1, dtype=np.float32)
    return average
