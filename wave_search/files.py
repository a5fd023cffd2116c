"""File names, content digests, files that are replaced as a whole, and configuration files decoded into types."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import unicodedata
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from wave_search.descriptors import Folder, flags, occupies_bytes, open_file
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedReader

DIGEST_BYTES = 16
Decoded = TypeVar("Decoded")
_BLOCK_BYTES = 1 << 20
_UNIT_BYTES = 512
"""Of `st_blocks`, on all systems that have it."""
_MAX_HOLES_BYTES = 1 << 30
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}\.tmp")


class IrregularFileError(OSError):
    """Something else than a regular file or folder of a reasonable size: a link, a FIFO, a device.

    It may refer to anything, or never end, so that it is neither read nor written.
    """

    def __init__(self, path: Path | str, cause: str) -> None:
        super().__init__(errno.EINVAL, cause, str(path))


def is_under(path: bytes, folder: bytes) -> bool:
    """Return whether `path` is `folder` or is inside it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


@lru_cache(4096)  # parsing the paths of ten hits is a tenth of a search, and searches often find the same files
def as_path(name: bytes) -> Path:
    """Return a name as a `Path`; invalid UTF-8 becomes surrogates, which `os.fsencode` reverses."""
    return Path(os.fsdecode(name))


def as_name(path: str | bytes | os.PathLike[str]) -> bytes:
    """Return a path as an index stores it: as bytes, with slashes on Windows too. `as_path` reverses it."""
    name = os.fsencode(path)
    return name if os.sep == "/" else name.replace(os.fsencode(os.sep), b"/")


def mtime_ns(status: os.stat_result) -> int:
    """Return the time of modification in nanoseconds since 1970, clipped to 64 bits: the years 1677 to 2262.

    File systems and wrong clocks have times outside of them. Such files differ by their size only.
    """
    return min(max(status.st_mtime_ns, -(2**63)), 2**63 - 1)


def composed(name: bytes) -> bytes:
    """Return a name with its letters composed (NFC): macOS writes names decomposed, most other programs composed."""
    return name if name.isascii() else os.fsencode(composed_text(os.fsdecode(name)))


def composed_text(text: str) -> str:
    """Return a text with its letters composed (NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def on_disk(path: Path) -> Path:
    """Return an existing path that differs at most in the composition of letters; without one, the path itself."""
    found = Path(path.anchor)
    for part in path.parts[1 if path.anchor else 0 :]:
        spellings = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        found = next((found / name for name in spellings if os.path.lexists(found / name)), found / part)
    return found


def digest(parts: bytes | Iterable[bytes], size_bytes: int = DIGEST_BYTES) -> str:
    """Return the BLAKE2b digest of bytes, or of concatenated parts, in hexadecimal."""
    state = hashlib.blake2b(digest_size=size_bytes)
    for part in (parts,) if isinstance(parts, bytes) else parts:
        state.update(part)
    return state.hexdigest()


def check_holes(file: BinaryIO, path: Path) -> None:
    """Check that an open file was written, but for at most a GiB, and go to its beginning.

    A file of a terabyte that takes no space on the disk would take hours to read.

    Raises:
        IrregularFileError: there are more holes.
        OSError: it cannot be read.
    """
    status = os.fstat(file.fileno())
    at, holes_bytes = 0, 0
    while status.st_size - at > _MAX_HOLES_BYTES - holes_bytes and may_have_holes(status):
        hole = os.lseek(file.fileno(), at, os.SEEK_HOLE)
        try:
            at = os.lseek(file.fileno(), hole, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            at = status.st_size  # a hole up to the end
        holes_bytes += at - hole
        if holes_bytes > _MAX_HOLES_BYTES:
            raise IrregularFileError(path, "it consists mostly of holes, which take no space on the disk")
    file.seek(0)


def may_have_holes(status: os.stat_result) -> bool:
    """Return whether a file takes a GiB less space on the disk than its size. That may also be compression."""
    return status.st_size - occupies_bytes(status) > _MAX_HOLES_BYTES


def blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Read an open file from its beginning in blocks of one MiB.

    Raises:
        IrregularFileError: see `check_holes`.
        OSError: it cannot be read.
    """
    check_holes(file, path)
    while block := file.read(_BLOCK_BYTES):
        yield block


def is_gone(path: str | os.PathLike[str]) -> bool:
    """Return whether there is no such file; false for one that cannot be examined."""
    try:
        os.stat(path)  # noqa: PTH116 - half the time of Path.stat
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no file can have
        return True
    except OSError:
        return False
    return False


def disk_bytes(folder: Path) -> int:
    """Return the bytes that a folder takes on its disk, as `du` counts them: in whole blocks, each file once.

    What another process removes meanwhile does not count. No link is followed.
    """
    sizes: dict[tuple[int, int], int] = {}
    for root, folders, names in os.walk(folder):
        for path in (root, *(os.path.join(root, name) for name in (*folders, *names))):  # noqa: PTH118 - half the time of pathlib
            with suppress(FileNotFoundError):
                status = os.lstat(path)
                blocks = getattr(status, "st_blocks", -(-status.st_size // _UNIT_BYTES))  # not on Windows
                sizes[status.st_dev, status.st_ino] = blocks * _UNIT_BYTES
    return sum(sizes.values())


def is_unchanged(path: Path, size_bytes: int, modified_ns: int) -> bool:
    """Return whether a file has this size and this time of modification, in the range of `mtime_ns`."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return False
    return (status.st_size, mtime_ns(status)) == (size_bytes, modified_ns)


def open_regular(path: Path, *, folder: Folder | None = None, follow_links: bool = False) -> BufferedReader:
    """Open a regular file for reading. Opening never waits, as it does for a FIFO without a writer.

    Args:
        path: the file, also for messages.
        folder: the opened folder in which its name is looked up; None to look up the whole path.
        follow_links: whether the last part of the path may be a symbolic link.

    Raises:
        IrregularFileError: it is a link or anything else but a regular file.
        OSError: it cannot be opened.
    """
    try:
        return open_checked(path, lambda status: check_regular(status, path), folder=folder, follow_links=follow_links)
    except OSError as error:
        error.filename = str(path)
        if error.errno == errno.ELOOP and not follow_links:
            raise IrregularFileError(path, "it is a symbolic link") from error
        if error.errno == errno.ENXIO:  # a socket
            raise IrregularFileError(path, "it is not a regular file") from error
        raise


def open_checked(
    path: Path, check: Callable[[os.stat_result], object], *, folder: Folder | None = None, follow_links: bool = True
) -> BufferedReader:
    """Open a file for reading, unless `check` raises for the status of what was opened. Never waits, as for a FIFO.

    Args:
        path: the file.
        check: called with the status; what it raises is raised.
        folder: as for `open_regular`.
        follow_links: as for `open_regular`.
    """
    opening = os.O_RDONLY | flags("O_NONBLOCK", "O_NOCTTY")
    descriptor = open_file(path, opening, folder=folder, follow_link=follow_links)
    try:
        check(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return open(path, "rb", opener=lambda *_: descriptor)  # not os.fdopen: `descriptor_path` may need the name


def check_regular(status: os.stat_result, path: Path) -> None:
    """Check the status of an open file.

    Raises:
        IsADirectoryError: it is a folder.
        IrregularFileError: it is anything else but a regular file.
    """
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise IrregularFileError(path, "it is not a regular file")


def read_bounded(path: Path, limit_bytes: int, *, folder: Folder | None = None, follow_links: bool = False) -> bytes:
    """Read a regular file of at most `limit_bytes`. Arguments and errors are those of `open_regular`.

    Raises:
        IrregularFileError: also if it is larger, or see `check_holes`.
    """
    with open_regular(path, folder=folder, follow_links=follow_links) as file:
        check_holes(file, path)
        data = file.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            size_bytes = os.fstat(file.fileno()).st_size
            raise IrregularFileError(path, f"it has {size_bytes:,} bytes, more than the {limit_bytes:,} allowed")
    return data


def is_temporary(name: str) -> bool:
    """Return whether a file has a name that only `write_atomic` gives, for the time of writing."""
    return _TEMPORARY.fullmatch(name) is not None


def write_atomic(
    path: Path,
    content: bytes | Callable[[BinaryIO], object],
    *,
    durable: bool = False,
    overwrite: bool = True,
    folder: Folder | None = None,
) -> None:
    """Write a file as a whole: readers see the old content or the new one, also after a crash.

    A link in its place is replaced, not followed.

    Args:
        path: the file. The permissions of a new file follow the umask.
        content: of the file, or a function that writes it.
        durable: whether the content and the name are on the disk before this returns (fsync).
        overwrite: whether to replace a file that exists.
        folder: the opened folder of the file; None to look it up by its path.

    Raises:
        FileExistsError: the file exists and must not be overwritten.
        OSError: it cannot be written; the old content is kept.
    """
    opened = None
    temporary = f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        if folder is None:
            folder = opened = Folder(path.parent)
        _write(temporary, content, durable=durable, folder=folder)
        try:
            folder.rename(temporary, path.name, overwrite=overwrite)
        finally:
            with suppress(FileNotFoundError):
                folder.remove(temporary)
        if durable:
            folder.sync()
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # a user does not know the temporary name
        raise
    finally:
        if opened is not None:
            opened.close()


def _write(name: str, content: bytes | Callable[[BinaryIO], object], *, durable: bool, folder: Folder) -> None:
    """Create a file in a folder; nothing is left if that fails."""
    opening = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(open_file(folder.path / name, opening, folder=folder), "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        with suppress(FileNotFoundError):
            folder.remove(name)
        raise


def read_toml(path: Path, as_type: type[Decoded], remedy: str, table: str | None = None) -> Decoded:
    """Read a TOML file, or one table of it, into a type that msgspec can decode; paths become `pathlib.Path`.

    Args:
        path: of the file.
        as_type: type of the result. Values are checked against its annotations.
        remedy: added to errors: where the format is described.
        table: the name of the table; None for the whole file.

    Raises:
        UsageError: the file cannot be read, or a key is missing, unknown or of a wrong type or value. The message
            names the file and the key.
    """
    import tomllib

    import msgspec

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if table is not None and table not in content:
            raise UsageError(f"{path}: there is no table [{table}]", remedy)
        return msgspec.convert(content if table is None else content[table], as_type, dec_hook=_decoded)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})", remedy) from error
    except msgspec.ValidationError as error:
        cause, _, place = str(error).partition(" - at `$")
        keys = f"{table or ''}{place.removesuffix('`')}".lstrip(".")
        raise UsageError(f"{path}: {keys}: {cause}" if keys else f"{path}: {cause}", remedy) from error
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML ({error})", remedy) from error


def _decoded(as_type: type, value: object) -> object:
    if as_type is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{as_type.__name__}`, got `{type(value).__name__}`")
