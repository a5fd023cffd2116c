"""Media in memory as items of queries and of `encode`: arrays, images, sounds, encoded bytes and open files."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wave_search.arguments import check_type, is_pillow
from wave_search.errors import MediaError, UsageError, WaveSearchError, shown
from wave_search.types import ByContent, Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

    class ReadableFile(Protocol):
        """A file that is open for reading bytes."""

        def read(self) -> bytes:
            """Return what is left of it."""

    class PillowImage(Protocol):
        """A `PIL.Image.Image`."""

        @property
        def mode(self) -> str:
            """Its pixel format."""

        def convert(self, mode: str) -> Any:
            """Return it in another pixel format."""

    EncodedBytes: TypeAlias = bytes | bytearray | memoryview | ReadableFile
    Picture: TypeAlias = PillowImage | NDArray[Any]
    Sound: TypeAlias = Waveform | tuple[ArrayLike, int]
    InMemory: TypeAlias = EncodedBytes | Picture | Sound | Frames | Clip

_HAS_SOUND = (Modality.AUDIO, Modality.AV)


@dataclass(frozen=True, slots=True, eq=False)
class MemoryMedia(ByContent):
    """Media in memory, of any size and rate."""

    content: bytes | Clip
    """Bytes of a file, or what is decoded: RGB pixels of 8 bits, and mono samples in [-1, 1]."""
    modality: Modality | None = None
    """What it is embedded as; None to choose."""

    def __repr__(self) -> str:
        return f"<MemoryMedia {self}>"

    def __str__(self) -> str:
        if isinstance(self.content, bytes):
            return f"the file of {len(self.content):,} bytes in memory"
        return f"the {' and '.join(self.content.modalities) or 'empty clip'} in memory"


def is_in_memory(item: Any) -> bool:
    """Return whether an item is one piece of media in memory, not several items."""
    decoded = isinstance(item, Clip | Frames | Waveform | bytes | bytearray | memoryview | np.ndarray)
    return decoded or _is_sound(item) or is_pillow(item) or hasattr(item, "read") or hasattr(item, "detach")


def _is_sound(item: Any) -> bool:
    """Return whether an item is a pair of samples and a rate, in this or the wrong order, not a pair of items."""
    if not isinstance(item, tuple) or len(item) != 2:
        return False
    numbers = [isinstance(part, int | float | np.number) for part in item]
    samples = item[numbers.index(False)] if sum(numbers) == 1 else None
    return isinstance(samples, list | tuple) or hasattr(samples, "__array__")


def read_memory(item: Any, modality: Modality | None = None) -> MemoryMedia:
    """Check media in memory.

    Args:
        item: accepted by `is_in_memory`.
        modality: what it shall be embedded as; None to choose.

    Raises:
        UsageError: it is not of this modality, or has a shape, a type or values that no such media have.
    """
    if isinstance(item, bytes | bytearray | memoryview):
        return MemoryMedia(_filled(bytes(item)), modality)
    if hasattr(item, "read") and not is_pillow(item):
        return MemoryMedia(_filled(_read(item)), modality)
    clip = _clip(item, modality)
    if modality is not None and modality not in clip.modalities:
        raise UsageError(f"{shown(item)} has no {modality}", _REMEDIES[modality])
    return MemoryMedia(clip, modality)


def _clip(item: Any, modality: Modality | None) -> Clip:
    from wave_search.media.arrays import read_frames, read_picture, read_sound

    match item:
        case Clip():
            sound, frames, image = item.waveform, item.frames, item.image
            for name, part, kind in (
                ("text", item.text, str),
                ("frames", frames, Frames),
                ("waveform", sound, Waveform),
            ):
                check_type(part, (kind, NoneType), f"{name} of a clip")
            return Clip(
                text=item.text,
                image=None if image is None else read_picture(image),
                frames=None if frames is None else read_frames(frames),
                waveform=None if sound is None else read_sound(sound.samples, sound.sample_rate_hz),
            )
        case Waveform():
            return Clip(waveform=read_sound(item.samples, item.sample_rate_hz))
        case Frames():
            return Clip(frames=read_frames(item))
    if _is_sound(item):
        return Clip(waveform=read_sound(*item))
    if modality not in (None, Modality.IMAGE):
        raise UsageError(f"{shown(item)} cannot be used as {modality}", _REMEDIES[modality])
    if getattr(item, "ndim", 3) == 1:
        raise UsageError(
            f"{shown(item)} is no picture, and a sound needs a rate", "Use (samples, rate), or vector= for a vector."
        )
    return Clip(image=read_picture(item))


_REMEDIES = {
    Modality.TEXT: "Use a string.",
    Modality.IMAGE: "Use an image of Pillow, an array (height, width, 3), or the bytes of a file.",
    Modality.AUDIO: "Use (samples, rate), Waveform(samples, rate), or the bytes of a file.",
    Modality.VIDEO: "Use Frames(pixels, duration_s), or the bytes of a file.",
    Modality.AV: "Use Clip(frames=..., waveform=...), or the bytes of a file.",
}


def _read(file: Any) -> bytes:
    try:
        data = file.read()
    except ValueError as error:
        what = f"{shown(file)} is closed, or open for writing"
        raise UsageError(what, 'Open it with open(path, "rb").') from error
    if not isinstance(data, bytes):
        raise UsageError("the file is open as text", 'Open it with open(path, "rb").')
    return data


def _filled(data: bytes) -> bytes:
    if not data:
        raise UsageError("the media in memory are 0 bytes long", "Rewind an open file with seek(0) before it is used.")
    return data


@contextmanager
def as_file(media: MemoryMedia) -> Iterator[Path]:
    """Write encoded media into a temporary file, for decoders; messages name what is in memory in its place."""
    assert isinstance(media.content, bytes)  # noqa: S101 - decoded media need no file
    with tempfile.NamedTemporaryFile(prefix="wave-search-") as file:
        file.write(media.content)
        file.flush()
        try:
            yield Path(file.name)
        except MediaError as error:
            raise _of_memory(error, media, Path(file.name)) from error
        except WaveSearchError as error:
            message, remedy = (text.replace(file.name, str(media)) for text in (error.message, error.remedy))
            raise type(error)(message, remedy) from error


def _of_memory(error: MediaError, media: MemoryMedia, path: Path) -> MediaError:
    """Return what is wrong with media in memory, which have no name, for an error of the file that holds them."""
    from wave_search.media.source import CONVERT, EXCLUDE, RENAME, REPLACE, USE_LISTED
    from wave_search.media.worker import MORE_MEMORY

    remedies = {
        CONVERT: "If a player or viewer opens it, convert it there; otherwise use the bytes of an intact file.",
        EXCLUDE: "Use the bytes of a picture, a sound or a film.",
        MORE_MEMORY: "Reduce its resolution.",
        RENAME: "Use a string for text, or the bytes of a picture, a sound or a film.",
        REPLACE: "Use the bytes of an intact file.",
        USE_LISTED: "Use the files that it lists.",
    }
    cause = "text, not media" if error.remedy == RENAME else error.cause.replace(str(path), str(media))
    remedy = remedies.get(error.remedy, error.remedy).replace(f"./{path.name}", "FILE")
    return type(error)(str(media), cause, remedy)
