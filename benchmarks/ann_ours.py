"""This package as an engine of `ann.py`: an index with a table of files, filled from vectors in place of a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

import wave_search as ws
from benchmarks.vectors import Library
from wave_search.ann.rebuild import refresh_shards
from wave_search.calibration.cohort import score_stats
from wave_search.models import LoadOptions, ModelSpec
from wave_search.models.session import ModelSession
from wave_search.models.wave.clips import SAMPLING
from wave_search.query.fusion import Query
from wave_search.query.partition import PartitionSearch
from wave_search.store import ContentRow, FileRow, LocalFiles, NewSegment, Settings, Writer, create, manifest
from wave_search.store.snapshot import Snapshot
from wave_search.types import Clip, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TARGETS = (0.90, 0.95, 0.99)
TOLD = (0.90, 0.95, 0.96, 0.97, 0.99)
"""Target recalls; some above 0.95, for cases in which it narrowly misses that."""
TEXTS = 1_000
VERSIONS = "versions.json"
_SEGMENTS_PER_FILE = 10
VIDEO = PartitionKey(Modality.VIDEO)


class Ours:
    """An index of this package; the width is the target recall in percent.

    Args:
        public: use `Index.search`, which also returns paths and times; otherwise only the search of the partition.
        moments: merge adjacent segments, for which up to 64 segments are considered, as by default.
    """

    widths = tuple(round(100 * target) for target in TOLD)

    def __init__(self, *, public: bool, moments: bool = False) -> None:
        asked = f"Index.search(moments={moments})" if public else "its partition alone"
        self.name = f"wave-search, {asked}"
        self._public, self._moments = public, moments

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Store vectors and files, build the shards, and tune them for the usual recall of 0.95."""
        self.store(items, folder)
        self.shard(folder)

    def store(self, items: NDArray[np.float16], folder: Path) -> None:
        """Store vectors and files."""
        dim = items.shape[1]
        spec = ModelSpec("vectors", "none", dim, tuple(Modality), SAMPLING, {})
        create(folder / "index", spec, Settings("10", (Modality.VIDEO, Modality.TEXT)))
        texts = Library(dim).queries("cross", TEXTS, len(items), seed=1).astype(np.float16)
        with Writer(folder / "index") as writer:
            for number, start in enumerate(range(0, len(items), _SEGMENTS_PER_FILE)):
                rows = items[start : start + _SEGMENTS_PER_FILE]
                put(writer, f"video{number:07}.mp4", Modality.VIDEO, rows)
            for number, text in enumerate(texts):
                put(writer, f"text{number:07}.txt", Modality.TEXT, text[None])
            writer.commit()
            writer.set_score_stats(score_stats(writer.snapshot, _Phrases(spec, len(items))))
            writer.commit()

    def shard(self, folder: Path) -> None:
        """Build the shards of what is stored, and tune them."""
        with Writer(folder / "index") as writer:
            refresh_shards(writer, VIDEO, ws.MIN_SHARD_ROWS)

    def finish(self, folder: Path) -> None:
        """Tune for each target recall, and record the versions of the index, unless that is done already."""
        if (folder / VERSIONS).exists():
            return
        with Writer(folder / "index") as writer:
            versions = {
                width: refresh_shards(writer, VIDEO, ws.MIN_SHARD_ROWS, target).manifest.version
                for width, target in zip(self.widths, TOLD, strict=True)
            }
        (folder / VERSIONS).write_text(json.dumps(versions))

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[..., NDArray[np.int64]]:
        """Open each of these versions on first use."""
        versions = json.loads((folder / VERSIONS).read_text())
        opened: dict[int, Any] = {}

        def at(width: int) -> Any:
            if width not in opened:
                files = LocalFiles(folder / "index")
                snapshot = Snapshot(files, manifest.read(files, versions[str(width)]))
                if self._public:
                    engine = ModelSession.for_index("auto", LoadOptions(), snapshot.manifest.model)
                    opened[width] = ws.Index(snapshot, engine, 1, None)
                else:
                    opened[width] = PartitionSearch(snapshot, VIDEO)
            return opened[width]

        def search(
            query: NDArray[np.float32], k: int, width: int, allowed_ids: NDArray[np.int64] | None
        ) -> NDArray[np.int64]:
            if not self._public:
                found: NDArray[np.int64] = (
                    at(width).search([Query.of_vectors(query[None])], k, allowed_ids=allowed_ids)[0].ids
                )
                return found
            if allowed_ids is not None:
                raise NotImplementedError
            hits = at(width).search(vector=query, target="video", k=k, moments=self._moments)
            return np.array([hit.segment_id for hit in hits])

        return search


class _Phrases:
    """A stand-in for the model that embeds the phrases for calibration."""

    def __init__(self, spec: ModelSpec, items: int) -> None:
        self.spec, self._items = spec, items

    def embed(self, clips: Sequence[Clip], modalities: Sequence[Modality]) -> list[dict[Modality, NDArray[np.float32]]]:
        """Other vectors of the kind of texts."""
        rows = Library(self.spec.dim).queries("cross", len(clips), self._items, seed=2)
        return [{Modality.TEXT: row} for row in rows]


def put(writer: Writer, name: str, modality: Modality, rows: NDArray[np.float16]) -> None:
    """Add a file of ten-second segments with these vectors."""
    is_text = modality is Modality.TEXT
    segments = [
        NewSegment(modality, None if is_text else 10.0 * i, None if is_text else 10.0 * i + 10, None, row)
        for i, row in enumerate(rows)
    ]
    kind = "text" if is_text else "video"
    content_id = writer.put_content(ContentRow(name, kind, "", None if is_text else 10.0 * len(rows)), segments)
    writer.put_file(FileRow(f"/media/{name}".encode(), b"/media", 1, 1, 1, content_id))
