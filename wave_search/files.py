"""File names, content digests, files that are replaced as a whole, and configuration files decoded into types."""

from __future__ import annotations

import hashlib
import os
import secrets
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DIGEST_BYTES = 16
Decoded = TypeVar("Decoded")
_BLOCK_BYTES = 1 << 20


@lru_cache(4096)  # parsing the paths of ten hits is a tenth of a search, and searches often find the same files
def as_path(name: bytes) -> Path:
    """Return a name as a `Path`; invalid UTF-8 becomes surrogates, which `os.fsencode` reverses."""
    return Path(os.fsdecode(name))


def mtime_ns(status: os.stat_result) -> int:
    """Return the time of modification in nanoseconds since 1970, clipped to 64 bits: the years 1677 to 2262.

    File systems and wrong clocks have times outside of them. Such files differ by their size only.
    """
    return min(max(status.st_mtime_ns, -(2**63)), 2**63 - 1)


def digest(parts: bytes | Iterable[bytes], size_bytes: int = DIGEST_BYTES) -> str:
    """Return the BLAKE2b digest of bytes, or of concatenated parts, in hexadecimal."""
    state = hashlib.blake2b(digest_size=size_bytes)
    for part in (parts,) if isinstance(parts, bytes) else parts:
        state.update(part)
    return state.hexdigest()


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file's content in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    return digest(blocks(path))


def blocks(path: Path) -> Iterator[bytes]:
    """Read a file in blocks of one MiB.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def write_atomic(
    path: Path, content: bytes | Callable[[BinaryIO], object], *, durable: bool = False, overwrite: bool = True
) -> None:
    """Write a file as a whole: readers see the old content or the new one, also after a crash.

    Args:
        path: the file. The permissions of a new file follow the umask.
        content: of the file, or a function that writes it.
        durable: whether the content and the name are on the disk before this returns (fsync).
        overwrite: whether to replace a file that exists.

    Raises:
        FileExistsError: the file exists and must not be overwritten.
        OSError: it cannot be written; the old content is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # unlike a rename, it fails if the name is taken
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # a user does not know the temporary name
        raise
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Flush the content of a file, or the entries of a directory, to disk (fsync).

    Raises:
        OSError: it cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
