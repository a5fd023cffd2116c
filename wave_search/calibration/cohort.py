"""How far the scores of queries spread over each partition, so that scores of different queries can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import draw
from wave_search.calibration.background import background
from wave_search.calibration.phrases import PHRASES
from wave_search.store import ScoreStats
from wave_search.types import Clip, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wave_search.models import Embedder
    from wave_search.store import Snapshot

_QUERIES = 128
BACKGROUND_SIZE = 1024
"""So many segments of a partition stand for all of it when the scores of typical queries are measured."""


def score_stats(snapshot: Snapshot, model: Embedder) -> tuple[ScoreStats, ...]:
    """Measure each partition with typical queries: phrases, and what the index itself holds of the other modalities.

    A query that means nothing here scores nearly the same on everything. Measured by its own spread, its best hit
    would stand out as far as that of a query with matches; measured by the spread of typical queries it does not.
    This is the normalisation of scores by a cohort that speaker verification uses (Auckenthaler et al., Digital
    Signal Processing 10, 2000), with the spread of the whole cohort.

    Args:
        snapshot: what to measure.
        model: embeds the phrases.

    Returns:
        One for each partition of two segments or more and each kind of query that there are examples of.
    """
    held = snapshot.counts().segments
    examples = _examples(snapshot, held, model)
    found = []
    for key in (key for key, count in held.items() if count > 1):
        ids = draw(snapshot.partition(key).ids, BACKGROUND_SIZE)
        vectors = snapshot.vectors(key, ids).astype(np.float32)
        # A query with an instruction looks into the spaces of that instruction.
        asked = {of.modality: some for of, some in examples.items() if of.instruction in ("", key.instruction)}
        for kind, (query_ids, rows) in asked.items():
            found.append(ScoreStats(key, kind, *typical_background(vectors @ rows.T, ids[:, None] != query_ids)))
    return tuple(found)


def is_measured(snapshot: Snapshot) -> bool:
    """Tell whether the manifest has the statistics of every partition. A run may have ended before it measured them."""
    measured = {spread.key for spread in snapshot.manifest.score_stats}
    return all(key in measured for key, count in snapshot.counts().segments.items() if count > 1)


Examples = tuple["NDArray[np.int64]", "NDArray[np.float32]"]
"""Segment ids (n,), -1 where there is none, and vectors (n, dim) of unit norm."""


def _examples(snapshot: Snapshot, held: Mapping[PartitionKey, int], model: Embedder) -> dict[PartitionKey, Examples]:
    phrases = model.embed([Clip(text=phrase) for phrase in PHRASES], [Modality.TEXT])
    rows = np.stack([vectors[Modality.TEXT] for vectors in phrases])
    examples: dict[PartitionKey, Examples] = {PartitionKey(Modality.TEXT): (np.full(len(rows), -1), rows)}
    for key in sorted(held, key=lambda key: key.instruction):
        if key.modality is not Modality.TEXT:
            ids = draw(snapshot.partition(key).ids, _QUERIES)
            examples[key] = ids, snapshot.vectors(key, ids).astype(np.float32)
    return examples


def typical_background(scores: NDArray[np.float32], counted: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean and standard deviation of what queries score where nothing is like them: the root of the mean variance.

    Args:
        scores: (n, q) of each query on each of n vectors.
        counted: (n, q), false where a vector is the query itself.
    """
    backgrounds = [background(row[kept]) for row, kept in zip(scores.T, counted.T, strict=True) if kept.sum() > 1]
    if not backgrounds:
        return 0.0, 0.0
    means, stds = np.array(backgrounds).T
    return float(means.mean()), float(np.sqrt((stds**2).mean()))
