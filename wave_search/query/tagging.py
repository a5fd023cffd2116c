"""Zero-shot labelling: assignment of texts to the files of an index that match them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import draw, score
from wave_search.calibration import SAMPLE_SIZE, Background
from wave_search.errors import UsageError
from wave_search.query.encode_items import encode_items
from wave_search.query.request import check_count, check_min_z
from wave_search.reports import TagReport
from wave_search.store import Column
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.query.encode import Encoder
    from wave_search.store import Snapshot
    from wave_search.types import PartitionKey, Value

MIN_LABEL_Z = 4.0
"""Default minimum z of a label. Measured with the first wave-nano (6160288e4d1f) on 80 recordings of ten sounds and 98
of others, none of which it was trained on, and labels for five of the ten. Of the recordings that have a label, 0.91
get it and 0.04 another one; of the other classes of the ten, 0.04 get a label, and of the other sounds 0.29. With 3 the
shares are 0.95, 0.04, 0.14 and 0.44; with 5 they are 0.81, 0.03, 0.02 and 0.08. Texts that the model does not know have
a lower z, so labels with rarer words need a lower minimum."""
Tags = dict[int, list[tuple[str, float]]]
"""Labels with their z, best first, by content id."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label and the texts that are compared with the files."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaggedFiles:
    """The labels of the files of an index."""

    columns: list[Column]
    """One column for the labels, and one for the z of the best label."""
    values: dict[bytes, Mapping[str, Value]]
    """Values of the columns by path, without files that have no label."""
    report: TagReport


def read_labels(lines: Iterable[str]) -> tuple[Label, ...]:
    """Parse labels, one per line, each followed by alternative texts for it, separated by tabs.

    Empty lines and lines that begin with # are skipped.

    Raises:
        UsageError: there are no labels, or one occurs twice.
    """
    labels = []
    for line in lines:
        texts = tuple(text for text in (part.strip() for part in line.split("\t")) if text)
        if texts and not texts[0].startswith("#"):
            labels.append(Label(texts[0], texts))
    if not labels:
        raise UsageError("there are no labels", "Write one per line.")
    name, times = Counter(label.name for label in labels).most_common(1)[0]
    if times > 1:
        raise UsageError(
            f'the label "{name}" is given {times} times',
            "Write alternative texts for it on the same line, separated by tabs.",
        )
    return tuple(labels)


@dataclass(frozen=True, slots=True)
class Tagging:
    """The parameters of labelling.

    Raises:
        UsageError: `top` is below 1, or `min_z` is not a number.
    """

    labels: tuple[Label, ...]
    min_z: float
    """Minimum z of a label."""
    top: int
    """Maximum number of labels of a file."""

    def __post_init__(self) -> None:
        check_count("top", self.top)
        check_min_z(self.min_z)

    def run(self, snapshot: Snapshot, keys: Sequence[PartitionKey], encoder: Encoder, column: str) -> TaggedFiles:
        """Label all files by their stored vectors.

        Args:
            snapshot: the version of the index.
            keys: the partitions whose segments are compared with the labels.
            encoder: embeds the labels.
            column: name of the column of labels; that of the z has "_z" appended.
        """
        tags = self._tags(snapshot, keys, encoder)
        columns = [Column(column, "text" if self.top == 1 else "texts"), Column(f"{column}_z", "number")]
        values: dict[bytes, Mapping[str, Value]] = {}
        counts: Counter[str] = Counter()
        unlabelled = 0
        for path, row in snapshot.files().items():
            if row.content_id in tags:
                names = [name for name, _ in tags[row.content_id]]
                z = round(tags[row.content_id][0][1], 4)
                values[path] = {column: names[0] if self.top == 1 else names, f"{column}_z": z}
                counts.update(names)
            elif row.content_id is not None:
                unlabelled += 1
        return TaggedFiles(
            columns, values, TagReport({label.name: counts[label.name] for label in self.labels}, unlabelled)
        )

    def _tags(self, snapshot: Snapshot, keys: Sequence[PartitionKey], encoder: Encoder) -> Tags:
        rows = encode_items(encoder, [text for label in self.labels for text in label.texts]).vectors
        firsts = np.cumsum([0, *(len(label.texts) for label in self.labels[:-1])])
        best: dict[int, NDArray[np.float32]] = {}
        for key in keys:
            partition = snapshot.partition(key)
            backgrounds = self._backgrounds(snapshot, key, partition.ids, rows)
            for ids, vectors in snapshot.vector_batches(key, 0, snapshot.manifest.next_segment_id):
                live = np.isin(ids, partition.ids, assume_unique=True)
                scores = np.maximum.reduceat(vectors[live].astype(np.float32) @ rows.T, firsts, axis=1)
                z = np.stack([one.z(column) for one, column in zip(backgrounds, scores.T, strict=True)], axis=1)
                content_ids = partition.content_ids[np.searchsorted(partition.ids, ids[live])]
                for content_id, row in zip(content_ids.tolist(), z, strict=True):
                    best[content_id] = np.maximum(best[content_id], row) if content_id in best else row
        return {content_id: labels for content_id, row in best.items() if (labels := self._above_min(row))}

    def _backgrounds(
        self, snapshot: Snapshot, key: PartitionKey, ids: NDArray[np.int64], rows: NDArray[np.float32]
    ) -> list[Background]:
        """Return the background of each label."""
        sample = snapshot.vectors(key, draw(ids, SAMPLE_SIZE))
        score_stats = snapshot.score_stats(key)
        found, start = [], 0
        for label in self.labels:
            stop = start + len(label.texts)
            scores = score(sample, rows[start:stop])
            found.append(Background.of_query(scores, stop - start, Modality.TEXT, score_stats))
            start = stop
        return found

    def _above_min(self, z: NDArray[np.float32]) -> list[tuple[str, float]]:
        order = np.argsort(-z, kind="stable")[: self.top]
        return [(self.labels[at].name, float(z[at])) for at in order if z[at] >= self.min_z]
