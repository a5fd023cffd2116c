"""The best hits of a search in a new order: that of their vectors with an instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import score
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from wave_search.query.matches import Match
    from wave_search.query.reembed import Reembedder, Watch
    from wave_search.types import Space

_MIN_SPREAD = 1e-3
"""Of z. Hits nearer to each other say nothing about how much z a point of cosine is."""


@dataclass(frozen=True, slots=True)
class Reranker:
    """Embeds the best segments of a search again, with an instruction, and orders their hits by it."""

    reembedder: Reembedder
    instruction: str
    depth: int
    """How many segments."""
    watch: Watch

    def reorder(
        self,
        hits: Sequence[Match],
        spaces: Sequence[Space],
        queries: NDArray[np.float32],
        order: Callable[[Match], Any],
    ) -> list[Match]:
        """Bring hits into the new order.

        Those whose segment cannot be embedded again come behind the others of the best, and all further ones behind
        these: in the order that they had, and with the score that they had.

        Args:
            hits: best first.
            spaces: what was searched. What is embedded with the instruction there, and text, keeps its score.
            queries: (q, dim) of unit norm, together one query.
            order: by which hits are sorted.
        """
        best = set(list(dict.fromkeys(hit.segment_id for hit in hits))[: self.depth])
        chosen = [hit for hit in hits if hit.segment_id in best]
        as_before = {space.modality for space in spaces if space.instruction or space.modality is Modality.TEXT}
        settled = [hit for hit in chosen if hit.modality in as_before]
        scores = self._scores([hit for hit in chosen if hit.modality not in as_before], queries)
        again = [hit for hit in chosen if hit.segment_id in scores]
        lost = [hit for hit in chosen if hit.segment_id not in scores and hit.modality not in as_before]
        further = [hit for hit in hits if hit.segment_id not in best]
        return [*sorted([*settled, *rescored(again, scores)], key=order), *lost, *further]

    def _scores(self, hits: Sequence[Match], queries: NDArray[np.float32]) -> dict[int, float]:
        """Cosines with the instruction by segment id, of those segments that can be embedded."""
        ids = list(dict.fromkeys(hit.segment_id for hit in hits))
        try:
            vectors = self.reembedder.embed(ids, self.instruction, self.watch)
        finally:
            self.watch.tell("done")  # however it ended: a display has to leave the terminal in order
        return {number: float(score(vector[None], queries)[0]) for number, vector in vectors.items()}


def rescored(hits: Sequence[Match], scores: Mapping[int, float]) -> list[Match]:
    """Give hits new scores, and the z that goes with them.

    An instruction moves the cosines of a whole partition, and how far is known only of the segments that were embedded
    with it. So, for each modality, these keep their mean z: together they stand out from the partition as before. And
    they keep the scale: a point of cosine is as much z as before.

    Args:
        hits: of one query.
        scores: cosines by segment id.
    """
    found: list[Match] = []
    for modality in dict.fromkeys(hit.modality for hit in hits):
        part = [hit for hit in hits if hit.modality == modality]
        before = np.array([(hit.score, hit.z) for hit in part])
        now = np.array([scores[hit.segment_id] for hit in part])
        spread, spread_z = before.std(axis=0)
        per_point = spread_z / spread if spread > 0 and spread_z >= _MIN_SPREAD else 0.0
        z = before[:, 1].mean() + (now - now.mean()) * per_point
        found += [
            hit._replace(score=min(float(score), 1.0), z=float(z)) for hit, score, z in zip(part, now, z, strict=True)
        ]
    return found
