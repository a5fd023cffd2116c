"""ZIP files of clips, written while they are made, so that they may be larger than memory and disk."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from wave_search.errors import UnsupportedMediaError, WaveSearchError
from wave_search.media.source import IndexedFile
from wave_search.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wave_search.query import FileDetails

_PIECE_BYTES = 1 << 20
_SKIPPED = "skipped.txt"
_UNUSUAL = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
"""Characters that a name of a file cannot have on some system."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file of an index, or a range of it."""

    file: FileDetails
    start_s: float | None
    """In seconds from the beginning of the file, like `stop_s`; None for a file without times."""
    stop_s: float | None


@dataclass(frozen=True, slots=True)
class Packed:
    """An open file to put into an archive, which closes it."""

    name: str
    """Without folders, different from the other names of the archive."""
    file: BinaryIO


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be put into an archive."""

    name: str
    cause: str
    """With the remedy."""


def plain_name(name: str) -> str:
    """Return a name that a file can have on any system."""
    return _UNUSUAL.sub("_", printable(name))


def clip_name(file: FileDetails, start_s: float, stop_s: float) -> str:
    """Return a name for a clip."""
    return f"{file.path.stem.encode('utf-8', 'replace').decode()} {start_s:g}-{stop_s:g}.mp4"


def pack(
    chosen: Iterable[Chosen | Missing], cut: Callable[[FileDetails, float, float], BinaryIO]
) -> Iterator[Packed | Missing]:
    """Make the entries of an archive, each when it is asked for: clips of sound and video, and whole pictures.

    Args:
        chosen: ranges of files, and what of them is missing already.
        cut: returns an open clip of a file from a start to a stop in seconds. May raise WaveSearchError.
    """
    for number, one in enumerate(chosen, start=1):
        if isinstance(one, Missing):
            yield Missing(f"{number:03d} {one.name}", one.cause)
            continue
        file, start_s, stop_s = one.file, one.start_s, one.stop_s
        # What moves by itself is no film for a player.
        is_whole = start_s is None or stop_s is None or file.columns.get("video_codec") == "webp"
        name = file.path.name if is_whole else clip_name(file, start_s or 0.0, stop_s or 0.0)
        name = f"{number:03d} {plain_name(name)}"
        try:
            if file.kind == "text":
                raise UnsupportedMediaError(file.path, "a text has no clip", "Export it as a table.")
            if is_whole:
                opened: BinaryIO = IndexedFile(file.path, file.kind, file.size_bytes, file.mtime_ns).open()
            else:
                opened = cut(file, start_s or 0.0, stop_s or 0.0)
            yield Packed(name, opened)
        except WaveSearchError as error:
            yield Missing(name, str(error))


def zip_pieces(entries: Iterable[Packed | Missing]) -> Iterator[bytes]:
    """Write an archive, and yield it in pieces of about 1 MiB.

    Media are stored, because they are compressed already. What is missing is listed in a text, `skipped.txt`.

    Args:
        entries: each is asked for when those before it are written.
    """
    sink = _Sink()
    missing = []
    with ZipFile(sink, "w", ZIP_STORED) as archive:  # type: ignore[call-overload] # it needs no more than `write`
        for entry in entries:
            if isinstance(entry, Missing):
                missing.append(f"{entry.name}: {entry.cause}\n")
                continue
            with entry.file as file:
                described = ZipInfo(entry.name, time.localtime()[:6])
                described.file_size = os.fstat(file.fileno()).st_size  # decides whether it needs 64 bits
                with archive.open(described, "w") as target:
                    while data := file.read(_PIECE_BYTES):
                        target.write(data)
                        yield sink.taken()
        if missing:
            archive.writestr(_SKIPPED, "".join(missing).encode("utf-8", "replace"), ZIP_DEFLATED)
    yield sink.taken()


class _Sink:
    """A file that is written and never read or sought in: `ZipFile` then puts sizes behind the data."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        """Append data."""
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Needed by `ZipFile`."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        data = bytes(self._data)
        self._data.clear()
        return data
