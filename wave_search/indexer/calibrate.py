"""How far the scores of queries spread over each partition, so that scores of different queries can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import BACKGROUND_SIZE, draw
from wave_search.indexer.phrases import PHRASES
from wave_search.store import Spread
from wave_search.types import Clip, Modality, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wave_search.store import Snapshot
    from wave_search.types import Embedder

_QUERIES = 128


def spreads(snapshot: Snapshot, model: Embedder) -> tuple[Spread, ...]:
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
    queries = _examples(snapshot, held, model)
    found = []
    for space in (space for space, count in held.items() if count > 1):
        background = draw(snapshot.partition(space).ids, BACKGROUND_SIZE)
        vectors = snapshot.vectors(space, background).astype(np.float32)
        found += [
            Spread(space, kind, typical_std(vectors @ rows.T, background[:, None] != ids[None]))
            for kind, (ids, rows) in queries.items()
        ]
    return tuple(found)


def is_measured(snapshot: Snapshot) -> bool:
    """Tell whether `spreads` of every partition that has any is in the manifest. A run may have ended before that."""
    measured = {spread.space for spread in snapshot.manifest.spreads}
    return all(space in measured for space, count in snapshot.counts().segments.items() if count > 1)


Examples = tuple["NDArray[np.int64]", "NDArray[np.float32]"]
"""Segment ids (n,), -1 where there is none, and vectors (n, dim) of unit norm."""


def _examples(snapshot: Snapshot, held: Mapping[Space, int], model: Embedder) -> dict[Modality, Examples]:
    phrases = model.embed([Clip(text=phrase) for phrase in PHRASES], [Modality.TEXT])
    rows = np.stack([vectors[Modality.TEXT] for vectors in phrases])
    examples: dict[Modality, Examples] = {Modality.TEXT: (np.full(len(rows), -1), rows)}
    for space in held:
        if space.modality is not Modality.TEXT and not space.instruction:
            ids = draw(snapshot.partition(space).ids, _QUERIES)
            examples[space.modality] = ids, snapshot.vectors(space, ids).astype(np.float32)
    return examples


def typical_std(scores: NDArray[np.float32], counted: NDArray[np.bool_]) -> float:
    """Root of the mean variance of a query's scores, over the queries.

    Args:
        scores: (n, q) of each query on each of n vectors.
        counted: (n, q) or (1, 1), false where a vector is the query itself.
    """
    return float(np.sqrt(np.var(scores, axis=0, dtype=np.float64, where=counted).mean()))
