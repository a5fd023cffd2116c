"""The manifest: which versions of what make up the index."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wave_search.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError
from wave_search.models import ModelSpec
from wave_search.store import files as durable
from wave_search.store.rows import CodebookRef, Column, ListRef, ScoreStats, Settings, ShardRef, Tuning
from wave_search.types import Modality, PartitionKey, Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "manifest"
FORMAT_VERSION = 2
_NAME = re.compile(r"\d{12}\.json")
_REBUILD = "Index the files again into another folder (--index DIR)."


@dataclass(frozen=True, slots=True)
class Manifest:
    """One committed version of an index."""

    version: int
    """From 1."""
    created: str
    """UTC, ISO 8601."""
    model: ModelSpec
    settings: Settings
    roots: tuple[str, ...]
    """What the index was made from. A name that is not UTF-8 holds surrogates, as from `os.fsdecode`."""
    table_versions: Mapping[str, int]
    table_digests: ListRef
    """What the files of the tables should be."""
    next_segment_id: int
    next_content_id: int
    shards: tuple[ShardRef, ...] = ()
    codebooks: tuple[CodebookRef, ...] = ()
    """One for each space that has shards."""
    tunings: tuple[Tuning, ...] = ()
    score_stats: tuple[ScoreStats, ...] = ()
    """With which scores become `z`."""
    columns: tuple[Column, ...] = ()
    """The user's own, in the order in which they were added."""
    features: tuple[str, ...] = ()
    """What a reader must know besides the format. None is defined yet."""
    format_version: int = FORMAT_VERSION

    @property
    def structures(self) -> tuple[CodebookRef | ShardRef, ...]:
        """All that is derived, each with a folder of its own."""
        return (*self.codebooks, *self.shards)


def versions(directory: Path) -> list[int]:
    """The committed versions, ascending; none if there is no index."""
    folder = directory / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name.removesuffix(".json")) for name in names if _NAME.fullmatch(name))


def newest(directory: Path) -> Manifest:
    """Read the manifest with the highest version.

    Raises:
        IndexNotFoundError: there is none.
        IndexCorruptError: it is damaged.
        IndexMismatchError: another format, unknown features, or the other byte order.
    """
    committed = versions(directory)
    if not committed:
        raise IndexNotFoundError(
            f"there is no index at {directory}", "Make one with `wave-search index PATH` or wave_search.create()."
        )
    try:
        return read(directory, committed[-1])
    except IndexCorruptError:
        if versions(directory)[-1:] == committed[-1:]:
            raise
        return newest(directory)  # it was replaced and removed just now


def read(directory: Path, version: int) -> Manifest:
    """Read one version. Raises like `newest`."""
    path = path_of(directory, version)
    try:
        data = path.read_bytes()
        content = _parsed(data)
        _refuse_other_formats(directory, content)
        _check_digest(content, data)
        _refuse_unknown_features(directory, content)
        return _decode(content)
    except OSError as error:
        raise _damaged(directory, version, error.strerror or str(error)) from error
    except KeyError as error:
        raise _damaged(directory, version, f"it lacks the entry {error}") from error
    except (TypeError, AttributeError) as error:
        raise _damaged(directory, version, "its entries are not of the kind that they should be") from error
    except ValueError as error:
        raise _damaged(directory, version, str(error)) from error


def _damaged(directory: Path, version: int, cause: str) -> IndexCorruptError:
    earlier = [v for v in versions(directory) if v < version]
    remedy = f"Delete it to go back to version {earlier[-1]}." if earlier else _REBUILD
    return IndexCorruptError(f"{path_of(directory, version)} is damaged: {cause}", remedy)


def publish(directory: Path, manifest: Manifest) -> None:
    """Make a manifest the newest: this is the moment of commit.

    Raises:
        IndexLockedError: another process wrote this version.
        IndexStateError: it cannot be written.
    """
    durable.publish(path_of(directory, manifest.version), _encode(manifest))


def path_of(directory: Path, version: int) -> Path:
    """Where a version is, or would be."""
    return directory / FOLDER / f"{version:012d}.json"


def now() -> str:
    """The time of a commit: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _encode(manifest: Manifest) -> bytes:
    # asdict copies plain dicts only, and a mapping may be of any kind.
    plain = replace(
        manifest,
        model=replace(manifest.model, prompts=dict(manifest.model.prompts)),
        table_versions=dict(manifest.table_versions),
    )
    content = {**asdict(plain), "byte_order": sys.byteorder}
    return _dump({**content, "digest": _digest(content)})


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(data)
    except RecursionError as error:
        raise ValueError("not a manifest") from error
    if not isinstance(content, dict):
        raise ValueError("not a manifest")
    return content


def _refuse_other_formats(directory: Path, content: Mapping[str, Any]) -> None:
    """These two are told first, and by the same names in all formats: nothing else may be understood of another one."""
    found, byte_order = content["format_version"], content["byte_order"]
    if type(found) is not int:
        raise ValueError(f"{found!r} is not a format")
    if found != FORMAT_VERSION:
        raise IndexMismatchError(
            f"the index {directory} has format {found}, this program reads format {FORMAT_VERSION}",
            f"{_REBUILD} Or use the version of wave-search that made it.",
        )
    if byte_order not in ("little", "big"):
        raise ValueError(f"{byte_order!r} is not a byte order")
    if byte_order != sys.byteorder:
        raise IndexMismatchError(
            f"the index {directory} was made on a {byte_order}-endian machine, this one is {sys.byteorder}-endian",
            _REBUILD,
        )


def _check_digest(content: dict[str, Any], data: bytes) -> None:
    """Refuse any byte that differs from what was written."""
    digest = content.pop("digest")
    if digest != _digest(content) or data != _dump({**content, "digest": digest}):
        raise ValueError("its digest does not fit its content")


def _refuse_unknown_features(directory: Path, content: Mapping[str, Any]) -> None:
    if unknown := content["features"]:
        raise IndexMismatchError(
            f"the index {directory} needs features that this program lacks: {', '.join(unknown)}",
            "Use a newer version of wave-search.",
        )


def _decode(content: Mapping[str, Any]) -> Manifest:
    model, settings = content["model"], content["settings"]
    return Manifest(
        version=content["version"],
        created=content["created"],
        model=ModelSpec(
            **{
                **model,
                "modalities": _modalities(model["modalities"]),
                "sampling": Sampling(**model["sampling"]),
                "prompts": {Modality(name): prompt for name, prompt in model["prompts"].items()},
            }
        ),
        settings=Settings(settings["segmenting"], _modalities(settings["modalities"]), tuple(settings["instructions"])),
        roots=tuple(content["roots"]),
        table_versions=content["table_versions"],
        table_digests=ListRef(**content["table_digests"]),
        next_segment_id=content["next_segment_id"],
        next_content_id=content["next_content_id"],
        shards=tuple(ShardRef(**{**shard, "key": _space(**shard["key"])}) for shard in content["shards"]),
        codebooks=tuple(CodebookRef(**{**row, "key": _space(**row["key"])}) for row in content["codebooks"]),
        tunings=tuple(
            Tuning(**{**row, "key": _space(**row["key"]), "query": Modality(row["query"])})
            for row in content["tunings"]
        ),
        score_stats=tuple(
            ScoreStats(**{**row, "key": _space(**row["key"]), "query": Modality(row["query"])})
            for row in content["score_stats"]
        ),
        columns=tuple(Column(**column) for column in content["columns"]),
    )


def _modalities(names: list[str]) -> tuple[Modality, ...]:
    return tuple(Modality(name) for name in names)


def _space(modality: str, instruction: str) -> PartitionKey:
    return PartitionKey(Modality(modality), instruction)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(_dump(content), digest_size=16).hexdigest()


def _dump(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode("ascii")
