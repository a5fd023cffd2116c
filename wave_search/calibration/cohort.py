"""Score statistics of a cohort of typical queries on each partition, measured when the index is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import draw
from wave_search.calibration.background import fit_lower_half
from wave_search.calibration.phrases import PHRASES
from wave_search.store import ScoreStats
from wave_search.types import Clip, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wave_search.models import Embedder
    from wave_search.store import Snapshot

Examples = tuple["NDArray[np.int64]", "NDArray[np.float32]"]
"""Queries of a cohort: segment ids (n,), -1 for a phrase, and vectors (n, dim) of unit norm."""

_QUERIES = 128
"""Number of segments of a partition that serve as queries of its cohort."""
BACKGROUND_SIZE = 1024
"""Number of segments of a partition that the queries are scored on."""


def score_stats(snapshot: Snapshot, model: Embedder) -> tuple[ScoreStats, ...]:
    """Measure the scores of typical queries on each partition: phrases, and segments of the index itself.

    A query that matches nothing scores nearly the same on everything. Measured by its own standard deviation, its best
    hit would stand out as far as that of a query with matches; measured by that of typical queries, it does not. This
    is the normalisation of scores by a cohort that speaker verification uses (Auckenthaler et al., Digital Signal
    Processing 10, 2000), with the standard deviation of the whole cohort.

    Args:
        snapshot: the version of the index to measure.
        model: embeds the phrases.

    Returns:
        One for each pair of a partition with at least two segments and a query modality that the index has examples of.
    """
    held = snapshot.counts().segments
    examples = _examples(snapshot, held, model)
    found = []
    for key in (key for key, count in held.items() if count > 1):
        ids = draw(snapshot.partition(key).ids, BACKGROUND_SIZE)
        vectors = snapshot.vectors(key, ids).astype(np.float32)
        # A query with an instruction searches only partitions with that instruction.
        cohorts = {of.modality: some for of, some in examples.items() if of.instruction in ("", key.instruction)}
        for modality, (query_ids, queries) in cohorts.items():
            found.append(ScoreStats(key, modality, *cohort_stats(vectors @ queries.T, ids[:, None] != query_ids)))
    return tuple(found)


def is_measured(snapshot: Snapshot) -> bool:
    """Return whether the manifest has statistics for every partition. An interrupted run may not have measured them."""
    measured = {stats.key for stats in snapshot.manifest.score_stats}
    return all(key in measured for key, count in snapshot.counts().segments.items() if count > 1)


def _examples(snapshot: Snapshot, held: Mapping[PartitionKey, int], model: Embedder) -> dict[PartitionKey, Examples]:
    examples: dict[PartitionKey, Examples] = {}
    if Modality.TEXT in model.spec.modalities:
        phrases = model.embed([Clip(text=phrase, role="query") for phrase in PHRASES], [Modality.TEXT])
        rows = np.stack([vectors[Modality.TEXT] for vectors in phrases])
        examples[PartitionKey(Modality.TEXT)] = np.full(len(rows), -1), rows
    for key in sorted(held, key=lambda key: key.instruction):
        if key.modality is not Modality.TEXT:
            ids = draw(snapshot.partition(key).ids, _QUERIES)
            examples[key] = ids, snapshot.vectors(key, ids).astype(np.float32)
    return examples


def cohort_stats(scores: NDArray[np.float32], counted: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean of the background means of queries, and the root of the mean of their variances.

    Args:
        scores: (n, q) of each query on each of n vectors.
        counted: (n, q), false where a vector is the query itself.

    Returns:
        Mean and standard deviation; both 0.0 if no query has two scores.
    """
    backgrounds = [fit_lower_half(row[kept]) for row, kept in zip(scores.T, counted.T, strict=True) if kept.sum() > 1]
    if not backgrounds:
        return 0.0, 0.0
    means, stds = np.array(backgrounds).T
    return float(means.mean()), float(np.sqrt((stds**2).mean()))
