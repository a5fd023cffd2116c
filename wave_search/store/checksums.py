"""What each file of the tables should be, so that a byte that changes later is found.

Lance files never change once they are written, and carry no checksums. Each commit lists the files that it made, with
their digests, in digests/<version>.json. A list names the one before it, and the manifest names the newest, each by the
digest of its bytes. So a commit costs what it writes, and whatever changes afterwards breaks the chain.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search.errors import IndexCorruptError
from wave_search.store import files as durable
from wave_search.store import tables
from wave_search.store.rows import ListRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wave_search.store.files import Stamp

FOLDER = "digests"
RESTORE = "Restore the index from a copy, or index the files again into another folder."


def add(
    directory: Path,
    version: int,
    made: Iterable[Stamp],
    before: ListRef | None = None,
    known: Mapping[str, str] | None = None,
) -> ListRef:
    """List the files that a commit makes. To be called before the manifest that names the list is published.

    Args:
        directory: the index.
        version: of the commit.
        made: new files of the tables; they are read.
        before: the list to go on from; None to begin a new chain.
        known: digests to take over, by path below the tables.

    Raises:
        OSError: a file cannot be read, or the list not be written.
    """
    top = directory / tables.FOLDER
    new = sorted(path for path in (Path(name) for name, _, _ in made) if path.name != tables.HINT)
    files = {**(known or {}), **{path.relative_to(top).as_posix(): durable.file_digest(path) for path in new}}
    content = {"before": before and asdict(before), "files": files}
    data = (json.dumps(content, indent=1, sort_keys=True) + "\n").encode("ascii")
    (directory / FOLDER).mkdir(exist_ok=True)
    durable.write_over(path_of(directory, version), data)
    return ListRef(version, _digest(data))


@dataclass(frozen=True, slots=True)
class Listing:
    """What a chain of lists says."""

    files: Mapping[str, str]
    """Digest of every file that a commit has made, by path below the tables. Some may be gone: cleaned up."""
    versions: tuple[int, ...]
    """Of the lists."""


def read(directory: Path, *newest: ListRef) -> Listing:
    """Read lists and those before them.

    Args:
        directory: the index.
        newest: of several versions of the index, the newest one first.

    Raises:
        IndexCorruptError: a list is missing (caused by a FileNotFoundError then) or damaged.
    """
    files: dict[str, str] = {}
    versions: dict[int, str] = {}
    for first in newest:
        ref: ListRef | None = first
        while ref is not None and versions.get(ref.version) != ref.digest:
            content = _read_one(directory, ref)
            for name, digest in content["files"].items():
                files.setdefault(name, digest)
            versions[ref.version] = ref.digest
            ref = ListRef(**content["before"]) if content["before"] else None
    return Listing(files, tuple(versions))


def damaged(directory: Path, listing: Listing) -> Iterator[Path]:
    """The files of the tables that are there and are not what they were. Reads them all."""
    for name, digest in sorted(listing.files.items()):
        path = directory / tables.FOLDER / name
        try:
            if durable.file_digest(path) != digest:
                yield path
        except FileNotFoundError:
            continue  # one that is needed is missed when the tables are read
        except OSError:
            yield path


def compared(directory: Path, newest: ListRef) -> Listing:
    """Read the lists, and compare every file with them.

    Returns:
        The files that are there. Nothing if a list has been deleted, which is a way to say: take them as they are.

    Raises:
        IndexCorruptError: a list or a file is damaged.
    """
    try:
        listing = read(directory, newest)
    except IndexCorruptError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return Listing({}, ())
        raise
    for path in damaged(directory, listing):
        raise damage(path)
    top = directory / tables.FOLDER
    return replace(listing, files={name: digest for name, digest in listing.files.items() if (top / name).exists()})


def damage(path: Path) -> IndexCorruptError:
    """The error for such a file."""
    return IndexCorruptError(f"{path} is damaged: its digest does not fit", RESTORE)


def path_of(directory: Path, version: int) -> Path:
    """Where the list of a version is, or would be."""
    return directory / FOLDER / f"{version:012d}.json"


def _read_one(directory: Path, ref: ListRef) -> dict[str, Any]:
    path = path_of(directory, ref.version)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IndexCorruptError(
            f"{path} cannot be read: {error.strerror}",
            "Restore it from a copy, or run `wave-search optimize`: "
            "that takes the tables as they are and lists them anew.",
        ) from error
    if _digest(data) != ref.digest:
        raise IndexCorruptError(
            f"{path} is damaged: its digest does not fit",
            "Restore it from a copy, or delete it and run `wave-search optimize`: "
            "that takes the tables as they are and lists them anew.",
        )
    content: dict[str, Any] = json.loads(data)
    return content


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
