"""Figures on pairs that are not trained on: recall in both directions, and right answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.finetune.batches import by_task
from wave_search.finetune.metrics import recall
from wave_search.finetune.rows import text_side
from wave_search.finetune.settings import QUESTIONS
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.finetune.distributed import Team
    from wave_search.finetune.loading import Loader
    from wave_search.finetune.rows import Pair, Side
    from wave_search.models import Embedder

    Vectors = Mapping[Hashable, NDArray[np.float32]]

_RANKS = (1, 5, 10)


def validate(pairs: Sequence[Pair], embedder: Embedder, loader: Loader, team: Team) -> dict[str, float]:
    """Compute the figures of each task. Every side is embedded once, as searches embed it.

    Args:
        pairs: with their modalities.
        embedder: the model.
        loader: reads media.
        team: the processes that share the work.

    Returns:
        Name, such as "text to audio R@1" or "questions right", and share of right hits.
    """
    figures: dict[str, float] = {}
    for task, members in by_task(pairs).items():
        sides = [side for pair in members for side in (pair.query, pair.target)]
        sides += [text_side(answer, "an answer") for pair in members for answer in pair.wrong]
        vectors = _vectors({side.key: side for side in sides}, embedder, loader, team)
        if task == QUESTIONS:
            right = [
                _is_right(pair, [text_side(answer, "an answer") for answer in pair.wrong], vectors) for pair in members
            ]
            figures[f"{QUESTIONS} right"] = float(np.mean(right))
        else:
            figures |= _recalls(members, vectors)
    return figures


def _vectors(sides: Mapping[Hashable, Side], embedder: Embedder, loader: Loader, team: Team) -> Vectors:
    mine = list(sides.values())[team.rank :: team.size]
    found = []
    for side, clip in zip(mine, loader.map(loader.clip, mine), strict=True):
        modality = side.modality or Modality.AV
        found.append((side.key, embedder.embed([clip], [modality], side.prompt)[0][modality]))
    return dict(team.gather_lists(found))


def _is_right(pair: Pair, wrong: Sequence[Side], vectors: Vectors) -> bool:
    asked = vectors[pair.query.key]
    right = float(vectors[pair.target.key] @ asked)
    return all(float(vectors[answer.key] @ asked) < right for answer in wrong)


def _recalls(pairs: Sequence[Pair], vectors: Vectors) -> dict[str, float]:
    """Among the distinct sides of all pairs."""
    queries = {pair.query.key: pair.query for pair in pairs}
    targets = {pair.target.key: pair.target for pair in pairs}
    together = {(pair.query.key, pair.target.key) for pair in pairs}
    relevant = np.array([[(query, target) in together for target in targets] for query in queries])
    similarities = np.stack([vectors[key] for key in queries]) @ np.stack([vectors[key] for key in targets]).T
    names = pairs[0].query.modality, pairs[0].target.modality
    figures = {}
    for asked, found, scores, right in (
        (names[1], names[0], similarities.T, relevant.T),
        (names[0], names[1], similarities, relevant),
    ):
        for k in _RANKS:
            if k < scores.shape[1]:
                figures[f"{asked} to {found} R@{k}"] = recall(scores, right, k)
    return figures
