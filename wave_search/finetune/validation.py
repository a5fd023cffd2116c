"""Metrics on validation pairs: recall in both directions, and accuracy on questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.evaluation.metrics import choice_accuracy, similarity_figures
from wave_search.finetune.data import Side, by_task
from wave_search.finetune.settings import QUESTIONS
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.finetune.data import Pair
    from wave_search.finetune.distributed import ProcessGroup
    from wave_search.finetune.media import Loader
    from wave_search.models import Embedder

    Vectors = Mapping[Side, NDArray[np.float32]]

_RANKS = (1, 5, 10)


def validate(pairs: Sequence[Pair], embedder: Embedder, loader: Loader, group: ProcessGroup) -> dict[str, float]:
    """Compute the metrics of each task as in evaluations. Every side is embedded once, as for a search.

    Args:
        pairs: pairs with resolved modalities.
        embedder: of the model.
        loader: reads media.
        group: the processes that share the work.

    Returns:
        Metrics from 0 to 1 by name, such as "text to audio R@1" or "questions accuracy".
    """
    figures: dict[str, float] = {}
    for task, members in by_task(pairs).items():
        sides = [side for pair in members for side in (pair.query, pair.target, *_wrong_sides(pair))]
        vectors = _embed(list(dict.fromkeys(sides)), embedder, loader, group)
        figures |= _accuracy(members, vectors) if task == QUESTIONS else _recalls(members, vectors)
    return figures


def _embed(sides: Sequence[Side], embedder: Embedder, loader: Loader, group: ProcessGroup) -> Vectors:
    mine = sides[group.rank :: group.size]
    found = []
    for side, clip in zip(mine, loader.map(loader.clip, mine), strict=True):
        modality = side.modality or Modality.AV
        found.append((side, embedder.embed([clip], [modality], side.prompt)[0][modality]))
    return dict(group.gather_lists(found))


def _wrong_sides(pair: Pair) -> list[Side]:
    return [Side(Modality.TEXT, answer) for answer in pair.wrong]


def _accuracy(pairs: Sequence[Pair], vectors: Vectors) -> dict[str, float]:
    similarities = [
        np.stack([vectors[side] for side in (pair.target, *_wrong_sides(pair))]) @ vectors[pair.query] for pair in pairs
    ]
    return {f"{QUESTIONS} accuracy": float(choice_accuracy(similarities, [0] * len(pairs)).mean())}


def _recalls(pairs: Sequence[Pair], vectors: Vectors) -> dict[str, float]:
    """Compute the recall in both directions, among the distinct sides of all pairs."""
    queries, targets = (list(dict.fromkeys(sides)) for sides in zip(*((p.query, p.target) for p in pairs), strict=True))
    belong = {(pair.query, pair.target) for pair in pairs}
    relevant = np.array([[(query, target) in belong for target in targets] for query in queries])
    similarities = np.stack([vectors[side] for side in queries]) @ np.stack([vectors[side] for side in targets]).T
    query, target = pairs[0].query.modality, pairs[0].target.modality
    figures: dict[str, float] = {}
    for direction, scores, right in (
        (f"{target} to {query}", similarities.T, relevant.T),
        (f"{query} to {target}", similarities, relevant),
    ):
        found = similarity_figures(scores, right)
        figures |= {f"{direction} R@{k}": float(found[f"R@{k}"].mean()) for k in _RANKS if k < scores.shape[1]}
    return figures
