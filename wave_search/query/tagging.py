"""Zero-shot labels: which of some words fit what is stored."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import draw, score
from wave_search.calibration.background import SAMPLE_SIZE, background_of
from wave_search.errors import UsageError
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
"""From here on a label is given. Measured with wave-nano on 80 recordings of ten sounds and 98 of others, none of which
it was trained on, and labels for five of the ten. Of those with a label of their own, 0.91 get it and 0.04 another; of
the rest of the ten 0.04 get one, of the others 0.29. With 3 it is 0.95, 0.04, 0.14 and 0.44; with 5 it is 0.81, 0.03,
0.02 and 0.08. Words that the model does not know have a lower z: labels in rarer words want less."""
Tags = dict[int, list[tuple[str, float]]]
"""By content id: labels with their z, best first."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name, and the words that it is recognised by."""

    name: str
    texts: tuple[str, ...]


def read_labels(lines: Iterable[str]) -> tuple[Label, ...]:
    """Read labels, one a line; after a tab other words for the same. Empty lines and those with # in front are none.

    Raises:
        UsageError: there is none, or one comes twice.
    """
    labels = []
    for line in lines:
        texts = tuple(text for text in (part.strip() for part in line.split("\t")) if text)
        if texts and not texts[0].startswith("#"):
            labels.append(Label(texts[0], texts))
    if not labels:
        raise UsageError("there are no labels", "Write one a line.")
    name, times = Counter(label.name for label in labels).most_common(1)[0]
    if times > 1:
        raise UsageError(f'the label "{name}" comes {times} times', "Write other words for the same behind a tab.")
    return tuple(labels)


@dataclass(frozen=True, slots=True)
class Tagging:
    """What to label by.

    Raises:
        UsageError: a number makes no sense.
    """

    labels: tuple[Label, ...]
    min_z: float
    """The least z."""
    top: int
    """How many labels of a content at most."""

    def __post_init__(self) -> None:
        if self.top < 1 or math.isnan(self.min_z):
            raise UsageError(f"{self.top} labels with z >= {self.min_z} make no sense", "Ask for at least one.")

    def run(self, snapshot: Snapshot, keys: Sequence[PartitionKey], encoder: Encoder) -> Tags:
        """Find the labels of all contents by the stored vectors.

        Args:
            snapshot: the version.
            keys: which partitions to look at.
            encoder: embeds the labels.
        """
        rows = encoder.encode([text for label in self.labels for text in label.texts])
        firsts = np.cumsum([0, *(len(label.texts) for label in self.labels[:-1])])
        best: dict[int, NDArray[np.float32]] = {}
        for key in keys:
            partition = snapshot.partition(key)
            means, stds = self._backgrounds(snapshot, key, partition.ids, rows)
            for ids, vectors in snapshot.vector_batches(key, 0, snapshot.manifest.next_segment_id):
                live = np.isin(ids, partition.ids, assume_unique=True)
                scores = np.maximum.reduceat(vectors[live].astype(np.float32) @ rows.T, firsts, axis=1)
                z = np.where(stds > 0, (scores - means) / np.where(stds > 0, stds, 1), 0).astype(np.float32)
                content_ids = partition.content_ids[np.searchsorted(partition.ids, ids[live])]
                for content_id, row in zip(content_ids.tolist(), z, strict=True):
                    best[content_id] = np.maximum(best[content_id], row) if content_id in best else row
        return {content_id: named for content_id, row in best.items() if (named := self._named(row))}

    def _backgrounds(
        self, snapshot: Snapshot, key: PartitionKey, ids: NDArray[np.int64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of the scores of each label."""
        sample = snapshot.vectors(key, draw(ids, SAMPLE_SIZE))
        score_stats = snapshot.score_stats(key)
        found, start = [], 0
        for label in self.labels:
            stop = start + len(label.texts)
            found.append(background_of(score(sample, rows[start:stop]), stop - start, Modality.TEXT, score_stats))
            start = stop
        return np.array([b.mean for b in found], np.float32), np.array([b.std for b in found], np.float32)

    def _named(self, z: NDArray[np.float32]) -> list[tuple[str, float]]:
        order = np.argsort(-z, kind="stable")[: self.top]
        return [(self.labels[at].name, float(z[at])) for at in order if z[at] >= self.min_z]

    def columns(
        self, name: str, tags: Tags, snapshot: Snapshot
    ) -> tuple[list[Column], dict[bytes, Mapping[str, Value]]]:
        """Columns for the labels and for the z of the best, and what they say of each file."""
        columns = [Column(name, "text" if self.top == 1 else "texts"), Column(f"{name}_z", "number")]
        values: dict[bytes, Mapping[str, Value]] = {}
        for path, row in snapshot.files().items():
            if row.content_id in tags:
                names = [label for label, _ in tags[row.content_id]]
                z = round(tags[row.content_id][0][1], 4)
                values[path] = {name: names[0] if self.top == 1 else names, f"{name}_z": z}
        return columns, values

    def report(self, tags: Tags, snapshot: Snapshot) -> TagReport:
        """Count the files of each label."""
        named = [
            [] if row.content_id not in tags else [label for label, _ in tags[row.content_id]]
            for row in snapshot.files().values()
            if row.content_id is not None
        ]
        counts = Counter(label for names in named for label in names)
        return TagReport({label.name: counts[label.name] for label in self.labels}, sum(not names for names in named))
