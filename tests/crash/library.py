"""A made-up library as a run changes it, and how an index of it is changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from wave_search import indexer
from wave_search.ann.rebuild import refresh_shards
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Snapshot, Writer, create, tiers
from wave_search.store import writer as writer_module
from wave_search.types import Modality, PartitionKey

DIM = 16
PARTITIONS = (PartitionKey(Modality.AUDIO), PartitionKey(Modality.VIDEO), PartitionKey(Modality.TEXT))
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
SETTINGS = Settings("10", tuple(key.modality for key in PARTITIONS))
FOLDERS = (b"/media/a/", b"/media/b/", b"/media/c/")
FILES_PER_COMMIT = 5
MIN_SHARD_ROWS = 20
"""So that the small index has shards."""

Library = Mapping[bytes, int]
"""Which content each path has."""
Content = dict[bytes, list[tuple[object, ...]]]
"""What an index says of each path: its segments with their vectors."""


def segments(content: int) -> list[NewSegment]:
    """The segments of a content, always the same."""
    random_state = np.random.default_rng(content)
    found = []
    for i in range(1 + content % 3):
        for modality in (Modality.TEXT,) if content % 4 == 0 else (Modality.AUDIO, Modality.VIDEO):
            vector = random_state.standard_normal(DIM)
            vector /= np.linalg.norm(vector)
            is_text = modality == Modality.TEXT
            span = (None, None) if is_text else (10.0 * i, 10.0 * i + 10)
            found.append(NewSegment(modality, *span, f"{content} {i}" if is_text else None, vector.astype(np.float16)))
    return found


def expected(library: Library) -> Content:
    """What an index of a library must say."""
    return {
        path: sorted((s.modality, s.start_s, s.text, s.vector.tobytes()) for s in segments(content))
        for path, content in library.items()
    }


def found(snapshot: Snapshot) -> Content:
    """What an index says, read through everything that a search uses."""
    result: Content = {path: [] for path in snapshot.files()}
    for key in PARTITIONS:
        partition = snapshot.partition(key)
        paths = map(snapshot.paths_at, snapshot.file_numbers(partition.content_ids))
        rows = snapshot.segment_rows(partition.ids)
        for row, vector, names in zip(rows, snapshot.vectors(key, partition.ids), paths, strict=True):
            for path in names:
                result[path].append((row.modality, row.start_s, row.text, vector.tobytes()))
    return {path: sorted(rows) for path, rows in result.items()}


@dataclass(frozen=True)
class Operation:
    """One run of a command."""

    name: str
    run: Callable[[Path], object]
    states: tuple[Library, ...]
    """What is committed one after another; the first is what it begins with, the last what it leads to."""


def plan(seed: int) -> list[Operation]:
    """What happens to the library: files come, change, move and go, and the index is kept up to date."""
    chance = random.Random(seed)
    start = {path: chance.randrange(1000) for path in names(chance, 12)}
    grown = {**changed(chance, start), **{path: chance.randrange(1000) for path in names(chance, 10)}}
    folder = chance.choice(FOLDERS)
    kept = {path: content for path, content in grown.items() if not path.startswith(folder)}
    again = changed(chance, {**kept, **{path: chance.randrange(1000) for path in names(chance, 4)}})
    keep_versions_for_s = chance.choice((0.0, 3600.0))
    return [
        index({}, start),
        index(start, grown),
        Operation("optimize", lambda directory: optimize(directory, keep_versions_for_s), (grown,)),
        Operation("remove", lambda directory: indexer.remove(directory, [str(folder, "ascii")]), (grown, kept)),
        index(kept, again),
        Operation("optimize", lambda directory: optimize(directory, 0.0), (again,)),
    ]


def names(chance: random.Random, count: int) -> list[bytes]:
    return [chance.choice(FOLDERS) + f"{chance.randrange(10_000)}.mp4".encode() for _ in range(count)]


def changed(chance: random.Random, library: Library) -> dict[bytes, int]:
    """Some files are gone, some have other content, some other names."""
    result = {}
    for path, content in library.items():
        what = chance.choice(("same", "same", "gone", "new content", "moved"))
        if what != "gone":
            new_path = names(chance, 1)[0] if what == "moved" else path
            result[new_path] = chance.randrange(1000) if what == "new content" else content
    return result


def index(before: Library, after: Library) -> Operation:
    """Bring an index up to date as a run of `index` does: in batches, and what is gone at the end."""
    fresh = sorted(path for path in after if before.get(path) != after[path])
    states = [dict(before)]
    for batch in batches(fresh):
        states.append({**states[-1], **{path: after[path] for path in batch}})
    if states[-1] != after:
        states.append(dict(after))
    return Operation("index", lambda directory: update(directory, after, compact), tuple(states))


def batches(paths: list[bytes]) -> Iterator[list[bytes]]:
    return (paths[i : i + FILES_PER_COMMIT] for i in range(0, len(paths), FILES_PER_COMMIT))


def update(directory: Path, library: Library, after_commit: Callable[[Writer], object] = lambda writer: None) -> None:
    with Writer(directory) as writer:
        digests = {number: digest for digest, number in writer.snapshot.content_ids().items()}
        known = {path: digests[row.content_id] for path, row in writer.snapshot.files().items()}
        for batch in batches(sorted(path for path, content in library.items() if known.get(path) != str(content))):
            for path in batch:
                put(writer, path, library[path])
            writer.commit(drop_dead=False)
            after_commit(writer)
        writer.remove_files(known.keys() - library.keys())
        writer.commit()
        for key in PARTITIONS:
            refresh_shards(writer, key, MIN_SHARD_ROWS)


def compact(writer: Writer) -> None:
    """Merge fragments and clean up, as other writers do after many commits."""
    few = patch.multiple(tiers, FAN=2, LIMITS=tuple(2**n for n in range(1, 10)))
    with few, patch.object(writer_module, "is_due", lambda _: True):
        writer.compact_if_fragmented()


def put(writer: Writer, path: bytes, content: int) -> None:
    duration_s = None if content % 4 == 0 else 30.0
    content_id = writer.put_content(ContentRow(str(content), "video", "mp4", duration_s), segments(content))
    writer.put_file(FileRow(path, b"/media", content, content, 1, content_id))


def optimize(directory: Path, keep_versions_for_s: float) -> None:
    indexer.optimize(directory, keep_versions_for_s=keep_versions_for_s, min_shard_rows=MIN_SHARD_ROWS)


def make(directory: Path) -> None:
    """An empty index."""
    create(directory, SPEC, SETTINGS)
