"""Finding indexed files by their paths in tables."""

from __future__ import annotations

import ntpath
import os
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from wave_search.files import composed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.store import Snapshot

_FOLDERS_KEPT = 10_000


class TablePaths:
    """Finds indexed files by paths as the programs of several systems write them."""

    def __init__(self, snapshot: Snapshot) -> None:
        files = snapshot.files()
        self._files = frozenset(path for path, id_ in zip(files, files.content_ids.tolist(), strict=True) if id_ >= 0)
        self._roots = [os.fsencode(root) for root in snapshot.manifest.roots]
        bases = [os.getcwdb(), *self._roots, *map(os.path.dirname, self._roots)]  # noqa: PTH109 - bytes
        self._bases = list(dict.fromkeys(bases))
        self._in_ascii = all(map(bytes.isascii, self._bases))
        self._places_of = lru_cache(_FOLDERS_KEPT)(self._places)

    def find(self, path: str, encoding: str) -> bytes | None:
        """Return the indexed file that a path in a table refers to, or None.

        Args:
            path: as in the table; bytes that are not UTF-8 are surrogates.
            encoding: of the table. The name on disk may be in UTF-8 or, as bytes, in this encoding.
        """
        for name in _spellings(path, encoding):
            candidates = self._candidates(name)
            found = next(filter(self._files.__contains__, candidates), None)
            if found is None and not (self._in_ascii and name.isascii()):
                alike = (self._by_composed.get(composed(candidate)) for candidate in candidates)
                found = next((file for file in alike if file is not None), None)
            if found is not None:
                return found
        return None

    @cached_property
    def _by_composed(self) -> dict[bytes, bytes]:
        return {composed(path): path for path in self._files if not path.isascii()}

    def _candidates(self, name: bytes) -> list[bytes]:
        found = self._absolute(os.path.expanduser(name) if name.startswith(b"~") else name)  # noqa: PTH111 - bytes
        if b"\\" in name or b":" in name or name.startswith(b"//"):
            found += self._from_windows(name)
        return found

    def _absolute(self, path: bytes) -> list[bytes]:
        folder, slash, name = path.rpartition(b"/")
        places = self._places_of(folder + slash)
        linked = [os.path.realpath(place + name) for place, links in places if name in links]
        return [place + name for place, _ in places] + linked

    def _places(self, folder: bytes) -> tuple[tuple[bytes, frozenset[bytes]], ...]:
        """Return what a folder in a table may be here, each with the names of the symbolic links in it.

        Paths in the index have no symbolic links. To look once at each folder is much faster than at each path.
        """
        bases = self._bases[:1] if folder.startswith(b"/") else self._bases
        joined = [os.path.join(base, folder) for base in bases]  # noqa: PTH118 - bytes
        places = dict.fromkeys(resolve(path) for path in joined for resolve in (os.path.normpath, os.path.realpath))
        return tuple((os.path.join(place, b""), _links(place)) for place in places)  # noqa: PTH118

    def _from_windows(self, name: bytes) -> Iterator[bytes]:
        """Yield what a path with backslashes or a drive may be here."""
        drive, rest = ntpath.splitdrive(name)
        if not drive and b"\\" not in rest:
            return
        parts = rest.replace(b"\\", b"/").strip(b"/").split(b"/")
        relative = b"/".join(parts)
        if drive.endswith(b":"):
            yield b"/mnt/%s/%s" % (drive[:-1].lower(), relative)  # where WSL has the drives
        yield from self._absolute(relative)
        for at, part in enumerate(parts[:-1]):
            for root in self._roots:
                if part.lower() == os.path.basename(root).lower():  # noqa: PTH119 - bytes
                    yield os.path.normpath(os.path.join(root, *parts[at + 1 :]))  # noqa: PTH118


def _links(folder: bytes) -> frozenset[bytes]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except OSError:
        return frozenset()


def _spellings(path: str, encoding: str) -> Iterator[bytes]:
    name = os.fsencode(path)
    yield name
    if not name.isascii():
        with suppress(UnicodeError):
            yield name.decode(encoding).encode()
        with suppress(UnicodeError):
            yield path.encode(encoding)
