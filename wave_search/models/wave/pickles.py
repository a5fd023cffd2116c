"""What is checked of a pickle of tensors before torch reads it: that time and memory are in proportion to its size."""

from __future__ import annotations

import pickletools
import zipfile
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from wave_search.files import check_holes, open_regular

if TYPE_CHECKING:
    from pathlib import Path

_MAX_PICKLE_BYTES = 64 << 20
"""Of the part that lists the tensors."""
_MAX_TUPLE_REFERENCES = 32
"""A pickle that refers to tuples in tuples can hold one of 2 ** 60 items, whose hash takes years. Torch writes none."""
_OLD_PICKLES = 4
"""Pickles in front of the data of an old file, of which the last one lists the tensors."""
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})


class UnboundedPickleError(ValueError):
    """A pickle that would take more time or memory than its size explains."""


def check_pickle(path: Path) -> None:
    """Check a `.bin` or `.pt` file, in the format of a zip archive or the older one. Torch reports other damage.

    Raises:
        UnboundedPickleError: it is compressed, or would take more time or memory than its size explains.
        BadZipFile: it is a damaged zip archive.
        OSError: it cannot be read, or is not a regular file, or has large holes.
    """
    with open_regular(path, follow_links=True) as file:
        check_holes(file, path)
        if is_zip(path):
            _check_zip(file)
            return
        for _ in range(_OLD_PICKLES):
            _check_operations(file)


def is_zip(path: Path) -> bool:
    """Return whether a file is in torch's format since 1.6."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _check_zip(file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UnboundedPickleError("it is compressed, which torch never does")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                if entry.file_size > _MAX_PICKLE_BYTES:
                    raise UnboundedPickleError(f"its list of tensors has {entry.file_size:,} bytes")
                _check_operations(BytesIO(archive.read(entry)))


def _check_operations(file: BinaryIO) -> None:
    start, references, puts = file.tell(), 0, 0
    tuples: set[Any] = set()
    previous = ""
    with suppress(ValueError):  # no pickle: torch does not read on, either
        for operation, argument, _ in pickletools.genops(file):
            references += operation.name in _GETS and argument in tuples
            if references > _MAX_TUPLE_REFERENCES or file.tell() - start > _MAX_PICKLE_BYTES:
                break
            if operation.name in _PUTS:
                place = puts if argument is None else argument
                (tuples.add if previous.startswith("TUPLE") else tuples.discard)(place)
                puts += 1
            previous = operation.name
    if references > _MAX_TUPLE_REFERENCES or file.tell() - start > _MAX_PICKLE_BYTES:
        raise UnboundedPickleError("its entries refer to each other, or are more, than those of any model")
