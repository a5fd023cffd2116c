"""Candidate scores for deciding whether the best film of a library matches a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import draw
from wave_search.calibration.background import SAMPLE_SIZE, Background
from wave_search.calibration.cohort import cohort_stats
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_RANK_OFFSET = 60
"""Of reciprocal rank fusion: Cormack et al., SIGIR 2009."""


@dataclass(frozen=True, slots=True)
class Library:
    """Films as vectors."""

    labels: NDArray[np.str_]
    """(films,) the class of each, "" for none."""
    vectors: dict[Modality, NDArray[np.float32]]
    """(films, dim) of each partition."""
    phrases: NDArray[np.float32]
    """(phrases, dim) that the indexer calibrates the scores of texts with."""

    def typical(self, modality: Modality, query_modality: Modality) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Scores of typical queries (films, queries), and which count: not of a film on itself."""
        queries = self.phrases if query_modality is Modality.TEXT else self.vectors[query_modality]
        scores = self.vectors[modality] @ queries.T
        others = ~np.eye(*scores.shape, dtype=bool)
        return scores, others if query_modality is modality else np.ones_like(others)

    def without(self, absent: Sequence[str]) -> Library:
        """Return the library without some classes."""
        kept = ~np.isin(self.labels, absent)
        vectors = {modality: rows[kept] for modality, rows in self.vectors.items()}
        return Library(self.labels[kept], vectors, self.phrases)


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its class."""

    label: str
    """Its class, "" if it is foreign."""
    modality: Modality
    vector: NDArray[np.float32]


Score = tuple[float, str]
"""Return how far the best film stands out, and its class."""


def z_of(library: Library, query: Query) -> NDArray[np.float32]:
    """(partitions, films) by the product's own rule."""
    z = []
    for modality, rows in library.vectors.items():
        scores = rows @ query.vector
        sample = scores[draw(np.arange(len(scores)), SAMPLE_SIZE)]
        mean, std = cohort_stats(*library.typical(modality, query.modality))
        z.append(Background.of(sample, std, mean).z(scores))
    return np.stack(z)


def by_z(library: Library, query: Query) -> Score:
    """The product's own rule: a film counts by its best partition."""
    return _best(library, z_of(library, query).max(axis=0))


def by_mean_z(library: Library, query: Query) -> Score:
    """A film counts by the mean over the partitions."""
    return _best(library, z_of(library, query).mean(axis=0))


def by_all_scores(library: Library, query: Query) -> Score:
    """Above the mean of all scores of the query, in deviations of all scores of typical queries."""
    z = []
    for modality, rows in library.vectors.items():
        scores, counted = library.typical(modality, query.modality)
        std = np.sqrt(np.var(scores, axis=0, where=counted).mean())
        z.append((rows @ query.vector - (rows @ query.vector).mean()) / std)
    return _best(library, np.stack(z).max(axis=0))


def by_film(library: Library, query: Query) -> Score:
    """Above the mean of what typical queries score on the same film, in deviations of that."""
    z = []
    for modality, rows in library.vectors.items():
        scores, counted = library.typical(modality, query.modality)
        mean, std = scores.mean(axis=1, where=counted), scores.std(axis=1, where=counted)
        z.append((rows @ query.vector - mean) / std)
    return _best(library, np.stack(z).max(axis=0))


def by_own_spread(library: Library, query: Query) -> Score:
    """Above the mean of all scores of the query, in deviations of these."""
    cosines = np.stack([rows @ query.vector for rows in library.vectors.values()])
    z = (cosines - cosines.mean(axis=1, keepdims=True)) / cosines.std(axis=1, keepdims=True)
    return _best(library, z.max(axis=0))


def by_cosine(library: Library, query: Query) -> Score:
    """Raw scores of all partitions in one list."""
    return _best(library, np.stack([rows @ query.vector for rows in library.vectors.values()]).max(axis=0))


def by_rank(library: Library, query: Query) -> Score:
    """Reciprocal ranks of a film in the partitions, added up."""
    ranks = np.stack([np.argsort(np.argsort(-(rows @ query.vector))) for rows in library.vectors.values()])
    return _best(library, (1 / (_RANK_OFFSET + 1 + ranks)).sum(axis=0))


RULES: dict[str, Callable[[Library, Query], Score]] = {
    "z": by_z,
    "mean of z over the kinds of a film": by_mean_z,
    "by mean of all, typical spread of all": by_all_scores,
    "by mean of all, own spread of all": by_own_spread,
    "by what typical queries score on the film": by_film,
    "cosine": by_cosine,
    "reciprocal rank fusion": by_rank,
}


def _best(library: Library, scores: NDArray[np.floating]) -> Score:
    best = int(scores.argmax())
    return float(scores[best]), str(library.labels[best])
