"""An index that is filled with vectors in place of a model's embeddings, for tests of its shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.embedding_like import vectors_and_queries
from wave_search.ann.rebuild import refresh_shards
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Snapshot, Writer, create
from wave_search.types import Modality, PartitionKey

DIM = 64
VIDEO, TEXT = PartitionKey(Modality.VIDEO), PartitionKey(Modality.TEXT)
VECTORS, QUERIES = vectors_and_queries(3000, DIM)
TEXTS = QUERIES("other", 300, seed=2)


def make(directory: Path) -> Path:
    """An empty index of videos and texts."""
    spec = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
    create(directory, spec, Settings("10", (Modality.VIDEO, Modality.TEXT)))
    return directory


def fill(
    index: Path, begin: int, stop: int, *, texts: int = 0, min_shard_rows: int = 500, recall: float | None = None
) -> Snapshot:
    """Add files of a hundred segments each, as one run of `index` does."""
    with Writer(index) as writer:
        for start in range(begin, stop, 100):
            _put(writer, f"v{start}", VECTORS[start : min(start + 100, stop)], Modality.VIDEO)
        if texts:
            _put(writer, "texts", TEXTS[:texts], Modality.TEXT)
        writer.commit()
        refresh_shards(writer, TEXT, min_shard_rows, recall)
        return refresh_shards(writer, VIDEO, min_shard_rows, recall)


def _put(writer: Writer, name: str, vectors: Sequence[NDArray[np.floating[Any]]], modality: Modality) -> None:
    segments = [NewSegment(modality, None, None, None, vector) for vector in vectors]
    content_id = writer.put_content(ContentRow(name, "video", "mp4"), segments)
    writer.put_file(FileRow(f"/media/{name}".encode(), b"/media", 1, 1, 1, content_id))


def optimize(index: Path) -> Snapshot:
    """Bring the shards of the videos up to date, as one run of `optimize` does."""
    with Writer(index) as writer:
        return refresh_shards(writer, VIDEO, 500, compact=True)


def names(snapshot: Snapshot) -> list[str]:
    """Names of the shards of the videos."""
    return [shard.name for shard in snapshot.shards(VIDEO)]
