"""ZIP files of clips, written while they are made, so that they may be larger than memory and disk."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE_BYTES = 1 << 20
_SKIPPED = "skipped.txt"


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
