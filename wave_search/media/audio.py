"""Sound of formats whose seeking is exact, through libsndfile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.descriptors import descriptor_path
from wave_search.errors import BrokenMediaError
from wave_search.media.info import AudioStream
from wave_search.media.mixing import MAX_RATE_HZ, MIN_RATE_HZ, finite
from wave_search.media.source import REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.media.source import Source

_SNDFILE = frozenset({"wav", "flac", "aiff", "au", "caf", "w64"})
"""Not MP3 and Ogg: of a file that was joined from several, libsndfile reads the first one only."""
_BLOCK_SAMPLES = 1 << 16
"""Total of all channels."""
_PIECES = 16
"""Into so many, a damaged block is divided. A damaged piece is lost as a whole."""
_MAX_DIVIDED = 4
"""Damaged blocks in a row, after which further ones are not divided, because each attempt searches the file."""


class SndfileSource:
    """Audio through libsndfile, a `ChannelSource`. Made by `open_sndfile`."""

    def __init__(self, source: Source, file: Any) -> None:
        self._source, self._file = source, file
        self.sample_rate_hz: int = file.samplerate
        codec = "flac" if source.demuxer == "flac" else str(file.subtype).lower()
        self.stream = AudioStream(codec, file.samplerate, file.channels)

    def declared(self) -> int | None:
        """Return the number of samples in the header, or None if the last one cannot be read."""
        import soundfile

        declared: int = self._file.frames
        with contextlib.suppress(soundfile.LibsndfileError):
            self._file.seek(declared - 1)
            if len(self._file.read(1)) == 1:
                return declared
        return None

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` to the end, with silence where it is damaged. See `ChannelSource`.

        Raises:
            BrokenMediaError: no sample of the whole file is a number.
        """
        size = max(_PIECES, _BLOCK_SAMPLES // self.stream.channels)
        valid, follows, damaged = first > 0, False, 0
        for position in range(first, self._file.frames, size):
            stop = min(position + size, self._file.frames)
            block = self._read(position, stop, seek=not follows)
            follows = block is not None
            damaged = 0 if follows else damaged + 1
            if block is None:
                pieces = range(position, stop, size // _PIECES)
                block = np.zeros((stop - position, self.stream.channels), np.float32)
                for at in pieces if damaged <= _MAX_DIVIDED else ():
                    piece = self._read(at, min(at + pieces.step, stop), seek=True)
                    if piece is not None:
                        block[at - position :][: len(piece)] = piece
            else:
                valid = valid or bool(np.isfinite(block).any())
            yield finite(block)
        if not valid:
            raise BrokenMediaError(
                self._source.path, "none of its samples is a number (all are NaN or infinite)", REPLACE
            )

    def _read(self, start: int, stop: int, *, seek: bool) -> NDArray[np.float32] | None:
        """Read some samples; None if they are damaged. Then the next call must seek."""
        import soundfile

        try:
            if seek:
                self._file.seek(start)
            samples: NDArray[np.float32] = self._file.read(stop - start, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            # It reads nothing more after an error.
            self._file.close()
            self._file = soundfile.SoundFile(descriptor_path(self._source.file))
            return None
        return samples


def open_sndfile(source: Source) -> SndfileSource | None:
    """Open audio with libsndfile.

    Returns:
        None if libsndfile does not read the format, or the file has no samples.
    """
    if source.demuxer not in _SNDFILE or source.offset_bytes or source.stop_bytes is not None:
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
    return SndfileSource(source, file)


def check_rate(path: Path, sample_rate_hz: int) -> None:
    """Check that a sample rate is plausible.

    Raises:
        BrokenMediaError: it is out of range.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise BrokenMediaError(path, f"declares a sample rate of {sample_rate_hz} Hz", REPLACE)
