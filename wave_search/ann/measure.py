"""Measuring how widely the shards of a space have to be searched, with what the index itself holds as queries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Questions, draw, is_outgrown, tune
from wave_search.store import Tuning
from wave_search.types import Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.ann import Shards
    from wave_search.store import Snapshot

RECALL = 0.95
_QUESTIONS = 256
_MIN_QUESTIONS = 32
"""Fewer say too little."""
_GROWTH = 1.25


def last_target(snapshot: Snapshot, key: PartitionKey) -> float:
    """The recall that was wanted of a space before, or else the usual one."""
    return next((tuning.target for tuning in snapshot.tunings(key)), RECALL)


def is_due(snapshot: Snapshot, key: PartitionKey, covered: int, target: float) -> bool:
    """Tell whether what was measured no longer holds.

    That is where another recall is wanted, where the shards have grown by a quarter since or lost as much, or where
    there are queries now of a kind that was not there.
    """
    done = {tuning.query: tuning for tuning in snapshot.tunings(key)}
    return done.keys() != {kind for kind, _ in _kinds(snapshot, key)} or any(
        tuning.target != target or not covered / _GROWTH < tuning.vectors < covered * _GROWTH
        for tuning in done.values()
    )


def measure(snapshot: Snapshot, key: PartitionKey, shards: Shards, target: float) -> tuple[list[Tuning], bool]:
    """Find the effort for each kind of query: stored vectors of that modality, as text is to video.

    Args:
        snapshot: where queries come from.
        key: of the shards.
        shards: to search.
        target: wanted recall@10.

    Returns:
        What to keep, and whether any of it shows that the codebook is outgrown.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tunings, outgrown = [], False
    for kind, source in _kinds(snapshot, key):
        ids = draw(snapshot.partition(source).ids, _QUESTIONS)
        rows = snapshot.vectors(source, ids).astype(np.float32)
        measured = tune(shards, Questions(rows, ids if source == key else None), target)
        outgrown |= is_outgrown(shards, measured, target)
        effort = measured.effort
        tunings.append(Tuning(key, kind, effort.nprobe, effort.candidates, measured.recall, target, shards.count, now))
    return tunings, outgrown


def _kinds(snapshot: Snapshot, key: PartitionKey) -> Iterator[tuple[Modality, PartitionKey]]:
    """Each kind of query that there are examples of, and where these are."""
    held = snapshot.counts().segments
    for modality in Modality:
        source = key if modality is key.modality else PartitionKey(modality)
        if held.get(source, 0) >= _MIN_QUESTIONS:
            yield modality, source
