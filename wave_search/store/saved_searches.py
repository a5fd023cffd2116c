"""Searches that people keep with an index, under names: one small file each, beside what a commit lists.

They may be written while another process writes the index, and by people who share it. A file is replaced as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from wave_search.errors import NameTakenError, SearchNotFoundError, UsageError, shown
from wave_search.files import composed_text, digest, is_temporary
from wave_search.types import Modality, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.store.files import FileInfo, FileStore

FOLDER = "searches"
MAX_SEARCHES = 500
MAX_NAME_CHARS = 100
_MAX_BYTES = 1 << 20
_FILE = re.compile(rf"{FOLDER}/[0-9a-f]{{32}}\.json")
_REMEDY = "Delete the file, and save the search again."
Text = Annotated[str, Meta(max_length=100_000)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Hexadecimal = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


@dataclass(frozen=True, slots=True)
class SavedTerm:
    """A term of a saved search: a text, or a segment by its content, because ids change when files are indexed anew."""

    text: Text | None = None
    digest: Hexadecimal | None = None
    """Of the content of a segment."""
    modality: Modality | None = None
    start_s: float | None = None
    """Range of the segment in seconds; None, like `stop_s`, for texts and images."""
    stop_s: float | None = None
    words: Hexadecimal | None = None
    """Digest of the text of a text segment."""
    name: Text = ""
    """Name of the file of the segment when it was saved."""
    weight: float = 1.0
    """Negative for a term to avoid."""

    def __post_init__(self) -> None:
        if (self.text is None) != (self.digest is not None and self.modality is not None):
            raise ValueError("a term is either a text or a segment")
        if not 0 < abs(self.weight) <= 1e6:
            raise ValueError("a weight is not valid")


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that is kept under a name. Without terms it lists files."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    terms: Annotated[tuple[SavedTerm, ...], Meta(max_length=100)] = ()
    target: Target = "any"
    min_z: float | None = None
    where: Text | None = None
    """SQL condition."""
    moments: bool = True
    per_file: Count | None = None
    dedupe: float | None = None
    copies: bool = False
    instruction: Text | None = None
    rerank: Count | None = None


def checked_name(name: str) -> str:
    """Return a name for a search as it is stored.

    Raises:
        UsageError: it cannot be a name.
    """
    tidy = composed_text(name).strip() if isinstance(name, str) else ""
    if not tidy or not tidy.isprintable() or len(tidy) > MAX_NAME_CHARS or tidy in (".", ".."):
        raise UsageError(
            f"{shown(name)} cannot be the name of a search",
            f"Use 1 to {MAX_NAME_CHARS} printable characters.",
        )
    return tidy


def read_all(store: FileStore) -> list[SavedSearch]:
    """Return all searches by name, without files that are damaged, which `verify` reports.

    Raises:
        IndexStateError: the folder cannot be read.
    """
    found = (_decoded(store, info.name) for info in _files(store))
    return sorted((one for one in found if isinstance(one, SavedSearch)), key=lambda one: one.name.casefold())


def read(store: FileStore, name: str) -> SavedSearch:
    """Return the search of a name, in any case.

    Raises:
        SearchNotFoundError: there is none.
        UsageError: it is damaged.
        IndexStateError: it cannot be read.
    """
    try:
        found = _decoded(store, _file_of(checked_name(name)))
    except FileNotFoundError:
        raise SearchNotFoundError(
            f'there is no search "{name}"', "List those that there are: `wave-search searches list`."
        ) from None
    if isinstance(found, str):
        raise UsageError(found, _REMEDY)
    return found


def write(store: FileStore, search: SavedSearch, *, replace: bool) -> None:
    """Keep a search.

    Raises:
        UsageError: there are too many, or it is too large.
        NameTakenError: there is one of that name, in any case, which must not be replaced.
        IndexStateError: the disk is full or read-only.
    """
    data, name = msgspec.json.encode(search), _file_of(search.name)
    if len(data) > _MAX_BYTES:
        raise UsageError("the search is too large to be saved", "Use fewer or shorter terms.")
    if sum(info.name != name for info in _files(store)) >= MAX_SEARCHES:
        raise UsageError(f"there are {MAX_SEARCHES} searches already", "Remove some that are not needed any more.")
    if replace:
        store.put(name, data)
        return
    try:
        store.put_if_absent(name, data)
    except FileExistsError:
        raise NameTakenError(
            f'there is a search "{search.name}" already', "Choose another name, or replace it (--replace)."
        ) from None


def remove(store: FileStore, name: str) -> None:
    """Remove a search. Raises SearchNotFoundError, and IndexStateError if the disk is read-only."""
    store.delete([_file_of(read(store, name).name)])


def faults(store: FileStore) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the files of searches, each with a remedy."""
    for info in _files(store):
        found = _decoded(store, info.name)
        if isinstance(found, str):
            yield found, _REMEDY


def is_made(name: str) -> bool:
    """Return whether a file has a name that only a saved search has, finished or not."""
    return _FILE.fullmatch(name) is not None or is_temporary(name.removeprefix(f"{FOLDER}/"))


def _files(store: FileStore) -> Iterator[FileInfo]:
    return (info for info in store.list(FOLDER) if _FILE.fullmatch(info.name))


def _file_of(name: str) -> str:
    return f"{FOLDER}/{digest(name.casefold().encode('utf-8', 'replace'))}.json"


def _decoded(store: FileStore, file: str) -> SavedSearch | str:
    """Return the search of a file, or what is wrong with it."""
    try:
        data = store.get(file)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it has {len(data):,} bytes")
        found = msgspec.json.decode(data, type=SavedSearch)
        if checked_name(found.name) != found.name or _file_of(found.name) != file:
            raise ValueError("it belongs to another name")
    except (ValueError, UsageError, RecursionError) as error:
        return f"the saved search in {store.url(file)} cannot be read: {error}"
    return found
