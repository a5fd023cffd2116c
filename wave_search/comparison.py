"""What two indexes of the same files find: how another model, or other settings, change the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.arguments import check_type, names_of
from wave_search.errors import UsageError
from wave_search.evaluation.metrics import Figure, figure
from wave_search.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ComparedQuery:
    """What two indexes find for one text."""

    text: str
    overlap: float
    """Share of the files that one of them finds among its first k, which both find there."""
    only_first: tuple[Path, ...]
    """Files that only the first index finds, best first."""
    only_second: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of `compare`."""

    models: tuple[str, str]
    """Names of the models of the two indexes."""
    k: int
    overlap: Figure
    """Mean over the queries, with its 95 % confidence interval."""
    queries: tuple[ComparedQuery, ...]


def compare(first: Index, second: Index, texts: Iterable[str], *, k: int = 10, target: Any = "any") -> Comparison:
    """Search two indexes for the same texts, and compare the first k files that each finds.

    Args:
        first: an index.
        second: another index, as a rule of the same files.
        texts: the queries.
        k: number of files of each.
        target: as for `Index.search`.

    Raises:
        UsageError: there is no query, or one is not valid.
        ModelError: a model cannot be loaded.
    """
    for index in (first, second):
        check_type(index, Index, "an index to compare")
    asked = names_of(texts, "the queries")
    if not asked:
        raise UsageError("there is no query to compare", "Name one or more texts.")
    found = [index.search_many(asked, k=k, target=target, per_file=1) for index in (first, second)]
    compared = []
    for text, *hits in zip(asked, *found, strict=True):
        ours, theirs = ([hit.path for hit in one] for one in hits)
        size = max(len(ours), len(theirs))
        compared.append(
            ComparedQuery(
                text,
                len({*ours} & {*theirs}) / size if size else 1.0,
                tuple(path for path in ours if path not in theirs),
                tuple(path for path in theirs if path not in ours),
            )
        )
    overlap = figure(f"overlap@{k}", np.array([one.overlap for one in compared]))
    return Comparison((first.model.name, second.model.name), k, overlap, tuple(compared))
