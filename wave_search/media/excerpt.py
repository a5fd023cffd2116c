"""Excerpts of indexed files for language models: frames as one picture, a range of sound. Both are small.

They are made in the worker processes, like other previews.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError
from wave_search.media.played import mono
from wave_search.media.preview import shown_picture, source_of
from wave_search.media.source import CONVERT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image

    from wave_search.media.source import IndexedFile, Source

_GAP = 4
"""Pixels between the frames of a sheet."""
_QUALITIES = (82, 65, 45, 25)
"""Of JPEG: the first one that is small enough, or the last."""
_MP3_RATE_HZ = 24_000
_MP3_BITS_PER_S = 64_000
_MP3_BLOCK = 1 << 14
_MAX_JITTER_S = 0.1


@dataclass(frozen=True, slots=True)
class DrawFrames:
    """Draw an image, one frame of a video, or several as a contact sheet with their times. Yields a JPEG file."""

    file: IndexedFile
    times_s: tuple[float, ...]
    """In seconds from the beginning of a video; a single one is drawn without its time."""
    max_side: int
    """Largest width and height of the picture, in pixels."""
    max_bytes: int
    """Size above which the quality is reduced."""

    @property
    def reach_s(self) -> float:
        """See `PreviewTask`."""
        return 10.0 * len(self.times_s)

    def previews(self) -> Iterator[bytes]:
        """See `PreviewTask`."""
        with self.file.open() as file:
            source = source_of(self.file, file)
            frames = []
            for at_s in self.times_s:
                pixels, size = shown_picture(source, self.file.kind, at_s)
                frames.append(_within(pixels, size, self.max_side))
        yield _jpeg(frames[0] if len(frames) == 1 else _sheet(frames, self.times_s, self.max_side), self.max_bytes)


@dataclass(frozen=True, slots=True)
class EncodeSound:
    """Encode a range of the sound that a player plays. Yields an MP3 file, mono."""

    file: IndexedFile
    start_s: float
    stop_s: float

    @property
    def reach_s(self) -> float:
        """See `PreviewTask`."""
        return self.stop_s - self.start_s

    def previews(self) -> Iterator[bytes]:
        """See `PreviewTask`."""
        with self.file.open() as file:
            samples = _range(source_of(self.file, file), self.start_s, self.stop_s)
        if not len(samples):
            raise BrokenMediaError(self.file.path, "nothing of the range can be decoded", CONVERT)
        yield _mp3(samples)


def _within(pixels: NDArray[np.uint8], size: tuple[int, int], max_side: int) -> Image:
    """Return a picture of at most `max_side` pixels; `size` is what it has in square pixels."""
    from PIL import Image

    shrink = max(1.0, max(size) / max_side)
    width, height = (max(1, round(side / shrink)) for side in size)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _sheet(frames: list[Image], times_s: tuple[float, ...], max_side: int) -> Image:
    """Return frames in rows, as large as fits, each with its time in a corner."""
    from PIL import Image, ImageDraw, ImageFont

    wide, high = max(frame.width for frame in frames), max(frame.height for frame in frames)

    def shares(columns: int) -> tuple[int, int]:
        rows = -(-len(frames) // columns)
        return (max_side - _GAP * (columns - 1)) // columns, (max_side - _GAP * (rows - 1)) // rows

    columns = max(range(1, len(frames) + 1), key=lambda count: min(shares(count)[0] / wide, shares(count)[1] / high))
    scale = min(1.0, shares(columns)[0] / wide, shares(columns)[1] / high)
    width, height = max(1, int(wide * scale)), max(1, int(high * scale))
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(max(11, min(28, height // 9)))
    for number, (frame, at_s) in enumerate(zip(frames, times_s, strict=True)):
        frame.thumbnail((width, height))
        corner = number % columns * (width + _GAP), number // columns * (height + _GAP)
        sheet.paste(frame, corner)
        label = f" {int(at_s // 60)}:{at_s % 60:04.1f} "
        _, _, right, bottom = draw.textbbox(corner, label, font)
        draw.rectangle((*corner, right, bottom + 2), fill="black")
        draw.text(corner, label, fill="white", font=font)
    return sheet


def _jpeg(picture: Image, max_bytes: int) -> bytes:
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= max_bytes:
            break
    return buffer.getvalue()


def _range(source: Source, start_s: float, stop_s: float) -> NDArray[np.float32]:
    """Decode a range of the sound: (n,) float32 at the rate of the MP3 file. What is missing is silent."""
    samples = np.zeros(round((stop_s - start_s) * _MP3_RATE_HZ), np.float32)
    next_place, end = None, 0
    for at_s, block, _ in mono(source, start_s, stop_s, _MP3_RATE_HZ):
        place = round((at_s - start_s) * _MP3_RATE_HZ)
        if next_place is not None and abs(place - next_place) < _MAX_JITTER_S * _MP3_RATE_HZ:
            place = next_place
        next_place = place + len(block)
        inside = block[max(0, -place) : max(0, len(samples) - place)]
        first = max(0, place)
        samples[first : first + len(inside)] = inside
        end = max(end, first + len(inside))
    return np.clip(np.nan_to_num(samples[:end]), -1.0, 1.0)


def _mp3(samples: NDArray[np.float32]) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as output:
        stream: Any = output.add_stream("libmp3lame", rate=_MP3_RATE_HZ, layout="mono")
        stream.bit_rate = _MP3_BITS_PER_S
        for first in range(0, len(samples), _MP3_BLOCK):
            block = samples[None, first : first + _MP3_BLOCK]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = _MP3_RATE_HZ, first
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()
