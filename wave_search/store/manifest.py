"""The manifest: which versions of the tables and search structures make up the index."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wave_search.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexStateError,
    UsageError,
)
from wave_search.files import digest, is_temporary
from wave_search.media import Segmentation
from wave_search.models import ModelSpec
from wave_search.store import schema, table_checks
from wave_search.store.files import RESTORE, read_error
from wave_search.store.rows import ChecksumsRef, CodebookRef, Column, ScoreStats, Settings, ShardRef, Tuning

if TYPE_CHECKING:
    from wave_search.store.files import FileInfo, FileStore

T = TypeVar("T")

FOLDER = "manifest"
FORMAT_VERSION = 6
_FOLDER_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*")
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_NAME = re.compile(rf"{FOLDER}/([0-9]{{12}})\.json")
LAST_VERSION = 10**12 - 1
"""Names have twelve digits."""
_MAX_COUNT = 2**48
"""Of segments, contents and Lance versions; sums of a few such numbers fit any type that they are stored as."""
_MAX_DIM = 2**16
_SMALLEST_STD = 1e-9
_MAX_SCORE = 1e6
_REBUILD = "Index the files again into another folder (--index DIR)."


@dataclass(frozen=True, slots=True)
class Manifest:
    """One committed version of an index."""

    version: int
    """From 1."""
    created: str
    """When this version was committed: UTC, ISO 8601."""
    model: ModelSpec
    settings: Settings
    roots: tuple[str, ...]
    """Folders and files that were indexed. A name that is not UTF-8 holds surrogates, as from `os.fsdecode`."""
    table_versions: Mapping[str, int]
    table_checksums: ChecksumsRef
    """The list of checksums of the table files."""
    next_segment_id: int
    next_content_id: int
    shards: tuple[ShardRef, ...] = ()
    codebooks: tuple[CodebookRef, ...] = ()
    """One for each partition that has shards."""
    tunings: tuple[Tuning, ...] = ()
    score_stats: tuple[ScoreStats, ...] = ()
    """The statistics that turn scores into `z`."""
    columns: tuple[Column, ...] = ()
    """The user-defined columns, in the order in which they were added."""
    features: tuple[str, ...] = ()
    """Features that a reader must support besides the format. None is defined yet."""
    format_version: int = FORMAT_VERSION

    @property
    def structures(self) -> tuple[CodebookRef | ShardRef, ...]:
        """All search structures. Each has a folder of its own."""
        return (*self.codebooks, *self.shards)


def versions(store: FileStore) -> list[int]:
    """Return the committed versions, ascending; none if there is no index.

    Raises:
        IndexStateError: the files cannot be listed.
    """
    matches = map(_NAME.fullmatch, store.names(FOLDER))
    return sorted(int(match[1]) for match in matches if match)


def newest_file(store: FileStore) -> FileInfo | None:
    """Return the file of the newest version, None if there is no index. Raises IndexStateError like `versions`."""
    return max((info for info in store.list(FOLDER) if _NAME.fullmatch(info.name)), default=None)


def unpublished(store: FileStore) -> list[str]:
    """Return the names of manifests that were started and never published, or are being written right now."""
    return sorted(name for name in store.names(FOLDER) if is_temporary(name.removeprefix(f"{FOLDER}/")))


def is_made(name: str) -> bool:
    """Return whether a file has a name that only a manifest has, finished or not."""
    return _NAME.fullmatch(name) is not None or is_temporary(name.removeprefix(f"{FOLDER}/"))


def newest(store: FileStore) -> Manifest:
    """Read the manifest with the highest version.

    Raises:
        IndexNotFoundError: there is none.
        IndexCorruptError: it is damaged, or has been lost.
        IndexMismatchError: another format, or unknown features.
        IndexStateError: it cannot be read now.
    """
    while True:
        committed = versions(store)
        if not committed:
            check_not_lost(store)
            raise IndexNotFoundError(
                f"there is no index at {store.url()}",
                "Create one with `wave-search index PATH` or wave_search.create().",
            )
        try:
            return read(store, committed[-1])
        except IndexStateError:
            if versions(store)[-1:] == committed[-1:]:
                raise
            # It has just been replaced and removed.


def check_not_lost(store: FileStore) -> None:
    """Check that a folder without a manifest has no tables with rows, which only a published version can have had.

    Raises:
        IndexCorruptError: it has.
    """
    if any("/data/" in name for name in store.names(table_checks.FOLDER)):
        cause = f"{store.url(FOLDER)} is missing, the list of what belongs to the index"
        raise IndexCorruptError(cause, RESTORE)


def read(store: FileStore, version: int) -> Manifest:
    """Read one version.

    Raises:
        IndexCorruptError: it is damaged.
        IndexMismatchError: another format, or unknown features.
        IndexStateError: it cannot be read now, or has been removed.
    """
    try:
        data = store.get(name_of(version))
    except FileNotFoundError as error:
        raise read_error(store.url(name_of(version)), "it has been removed") from error
    try:
        content = _parsed(data)
        _refuse_other_formats(store, content)
        _check_digest(content, data)
        _refuse_unknown_features(store, content)
        manifest = _decoded(content)
        _check_values(manifest)
        if manifest.version != version:  # a copy under another name: the next commit would take that for its own
            raise ValueError(f"it is that of version {manifest.version}")
        return manifest
    except ValueError as error:
        raise _damaged(store, version, str(error)) from error


def publish(store: FileStore, manifest: Manifest) -> None:
    """Publish a manifest as the newest version. This is the point of commit.

    Raises:
        IndexLockedError: another process wrote this version.
        IndexStateError: it cannot be written.
    """
    if manifest.version > LAST_VERSION:
        raise IndexStateError(f"{store.url()} cannot have another version after {LAST_VERSION}", _REBUILD)
    name = name_of(manifest.version)
    try:
        store.put_if_absent(name, encode(manifest))
    except FileExistsError as error:
        raise IndexLockedError(f"{store.url(name)} was written by another process", "Run the command again.") from error


def name_of(version: int) -> str:
    """Return the name of the manifest of a version."""
    return f"{FOLDER}/{version:012d}.json"


def now() -> str:
    """Return the current time for a commit: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def encode(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest: ASCII JSON with sorted keys and a digest, deterministic."""
    return signed(msgspec.to_builtins(manifest, enc_hook=dict))  # any Mapping type is accepted


def signed(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest with some content and its digest."""
    return _dump({**content, "digest": digest(_dump(content))})


def _dump(content: Mapping[str, Any]) -> bytes:
    # msgspec writes no surrogates, and to indent would take twenty times as long.
    return (json.dumps(content, separators=(",\n", ": "), sort_keys=True) + "\n").encode("ascii")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(data)
    except RecursionError as error:
        raise ValueError("not a manifest") from error
    if not isinstance(content, dict):
        raise ValueError("not a manifest")
    return content


def _refuse_other_formats(store: FileStore, content: Mapping[str, Any]) -> None:
    """Check the format first, because nothing else can be relied on in another format."""
    found = _entry(content, "format_version")
    if type(found) is not int:
        raise ValueError(f"{found!r} is not a format")
    if found != FORMAT_VERSION:
        raise IndexMismatchError(
            f"the index {store.url()} has format {found}, this program reads format {FORMAT_VERSION}",
            f"{_REBUILD} Or use the version of wave-search that created it.",
        )


def _check_digest(content: dict[str, Any], data: bytes) -> None:
    """Check the digest, which detects any changed byte."""
    _entry(content, "digest")
    del content["digest"]
    if data != signed(content):
        raise ValueError("its digest does not match its content")


def _refuse_unknown_features(store: FileStore, content: Mapping[str, Any]) -> None:
    if unknown := _converted(_entry(content, "features"), list[str], "features"):
        raise IndexMismatchError(
            f"the index {store.url()} needs features that this program lacks: {', '.join(unknown)}",
            "Use a newer version of wave-search.",
        )


def _decoded(content: Mapping[str, Any]) -> Manifest:
    for field in fields(Manifest):
        _entry(content, field.name)
    return _converted(content, Manifest, "")


def _check_values(manifest: Manifest) -> None:
    """Check all numbers and names, because an index may come from someone else and its digest can be made by anyone.

    Raises:
        ValueError: one of them cannot be meant.
    """
    structures, versions_of = manifest.structures, manifest.table_versions
    if {*versions_of} != {*schema.NAMES}:
        raise ValueError(f"table_versions: it names {', '.join(sorted(versions_of)) or 'no table'}")
    counts = {
        "next_segment_id": (manifest.next_segment_id, 0),
        "next_content_id": (manifest.next_content_id, 0),
        "table_checksums.version": (manifest.table_checksums.version, 1),
        **{f"table_versions.{name}": (version, 1) for name, version in versions_of.items()},
        **{f"{ref.name}.stop_id": (ref.stop_id, 0) for ref in structures},
        **{f"{shard.name}.first_id": (shard.first_id, 0) for shard in manifest.shards},
        **{f"{shard.name}.count": (shard.count, 1) for shard in manifest.shards},
        **{f"tunings[{i}].nprobe": (tuning.nprobe, 1) for i, tuning in enumerate(manifest.tunings)},
        **{f"tunings[{i}].refine_k": (tuning.refine_k, 1) for i, tuning in enumerate(manifest.tunings)},
    }
    for name, (count, least) in counts.items():
        _check_range(name, count, least, _MAX_COUNT)
    _check_range("version", manifest.version, 1, LAST_VERSION)
    _check_range("model.dim", manifest.model.dim, 1, _MAX_DIM)
    for stats in manifest.score_stats:
        _check_range("score_stats.mean", stats.mean, -_MAX_SCORE, _MAX_SCORE)
        if stats.std:
            _check_range("score_stats.std", stats.std, _SMALLEST_STD, _MAX_SCORE)
    for tuning in manifest.tunings:
        _check_range("tunings.recall", tuning.recall, 0, 1)
        _check_range("tunings.tail", tuning.tail, 0, 1)
        _check_range("tunings.target", tuning.target, 0, 1)
    for ref in structures:
        if _FOLDER_NAME.fullmatch(ref.name) is None:
            raise ValueError(f"{ref.name!r} is not the name of a shard")
    folders = manifest.settings.folders
    if any("\0" in root for root in (*manifest.roots, *(one.folder for one in folders))):
        raise ValueError("roots: a name holds a null character")
    for one in folders:
        if one.max_duration_s is not None:
            _check_range("settings.folders.max_duration_s", one.max_duration_s, 0, sys.float_info.max)
    for time in filter(None, (manifest.created, manifest.settings.created)):
        _check_range("year of created", datetime.fromisoformat(time).year, _FIRST_YEAR, _LAST_YEAR)
    try:
        Segmentation.parse(manifest.settings.segmentation)
    except UsageError as error:
        raise ValueError(f"settings.segmentation: {error.message}") from error


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN is in no range
        raise ValueError(f"{name}: {value!r} is not a number from {least:,} to {most:,}")


def _converted(content: Any, as_type: type[T], name: str) -> T:
    """Return some content as a type, with every value in it checked."""
    try:
        return msgspec.convert(content, as_type)
    except msgspec.ValidationError as error:
        cause, _, place = str(error).partition(" - at `$")
        raise ValueError(f"{name}{place.strip('.`')}: {cause[:1].lower()}{cause[1:]}") from error
    except UsageError as error:  # of a `Sampling`
        raise ValueError(f"{name}: {error.message}") from error


def _entry(content: Mapping[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"it lacks the entry {name!r}")
    return content[name]


def _damaged(store: FileStore, version: int, cause: str) -> IndexCorruptError:
    earlier = [v for v in versions(store) if v < version]
    remedy = f"Delete it to go back to version {earlier[-1]}." if earlier else _REBUILD
    return IndexCorruptError(f"{store.url(name_of(version))} is damaged: {cause}", remedy)
