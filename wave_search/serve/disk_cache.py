"""Files that can be made again, kept on disk up to a total size; the least recently used ones are removed first."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from wave_search.errors import CacheError
from wave_search.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader
    from pathlib import Path

_KEEP_SHARE = 0.9
"""Share of the size to which a full cache is reduced, so that not every new file has to remove one."""
_PARTIAL = ".part"
_MAX_PARTIAL_AGE_S = 86_400


def previews_folder() -> Path:
    """Return the folder of the previews of this user."""
    return user_cache_path("wave-search") / "previews"


class DiskCache:
    """A folder of files by key. Safe to use from several threads and processes.

    Args:
        folder: created if it is missing, for this user only.
        max_bytes: total size of the files.

    Attributes:
        max_bytes: the same.

    Raises:
        CacheError: the folder cannot be created or written.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self.max_bytes = folder, max_bytes
        self._making: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._bytes = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            cause = f"{folder}: the folder of the previews cannot be written ({error.strerror})"
            raise CacheError(cause, "Set XDG_CACHE_HOME to a folder that can.") from error
        self._trim()

    @property
    def size_bytes(self) -> int:
        """Size of the files at the last look, and of those that this process has added since."""
        return self._bytes

    def get(self, key: str) -> BufferedReader | None:
        """Return the open file of a key, None if there is none. Raises CacheError."""
        path = self._folder / key
        try:
            file = open_regular(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            cause = f"{path}: a preview cannot be read ({error.strerror})"
            raise CacheError(cause, f"Delete {self._folder}: all of it can be made again.") from error
        with suppress(OSError):
            os.utime(file.fileno())  # used now
        return file

    def open(self, key: str, make: Callable[[Path], object]) -> BufferedReader:
        """Open the file of a key, after making it if there is none.

        Args:
            key: letters and digits.
            make: called with a path to write the file to; of several threads that want the same file, one calls it.

        Raises:
            CacheError: it cannot be written.
            Exception: whatever `make` raises.
        """
        path = self._folder / key
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                return self.get(key) or self._made(path, make)
            except OSError as error:
                cause = f"{path}: a preview cannot be written ({error.strerror})"
                raise CacheError(cause, "Free space on its disk.") from error
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def _made(self, path: Path, make: Callable[[Path], object]) -> BufferedReader:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
        try:
            make(partial)
            file = open_regular(partial)
            partial.replace(path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
        self._bytes += os.fstat(file.fileno()).st_size
        if self._bytes > self.max_bytes:
            self._trim()
        return file

    def _trim(self) -> None:
        """Remove the least recently used files while there are too many, and what a killed process has left."""
        found: list[tuple[float, int, Path]] = []
        newest_s = 0.0
        for path in self._folder.iterdir():
            with suppress(OSError):
                status = path.lstat()
                newest_s = max(newest_s, status.st_mtime)
                found.append((status.st_mtime, status.st_size, path))
        total_bytes = sum(size_bytes for _, size_bytes, _ in found)
        full = total_bytes > self.max_bytes
        for used_s, size_bytes, path in sorted(found):
            partial = path.suffix == _PARTIAL
            old = partial and used_s < newest_s - _MAX_PARTIAL_AGE_S
            if old or (full and not partial and total_bytes > _KEEP_SHARE * self.max_bytes):
                with suppress(OSError):
                    path.unlink()
                    total_bytes -= size_bytes
        self._bytes = total_bytes
