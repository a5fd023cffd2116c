"""The tasks for comparing the rules for composed queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.compose_scenes import LABELS, SOURCES_OF
from recipes.wave_nano.scenes import COLOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.compose_scenes import Asked, Collection

    Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Query:
    """Two terms, the items to search, and the relevant ones."""

    parts: Vector
    """(2, dim)."""
    items: Vector
    """(n, dim)."""
    wanted: NDArray[np.bool_]
    avoided: NDArray[np.bool_] | None = None
    one: Vector | None = None
    """Both terms as one embedding of the model."""


Tasks = dict[str, list[Query]]


def finding(all_: Collection, asked: Asked) -> Tasks:
    """Tasks with two items to find."""
    things, colours = np.array(all_.video_of).T
    seen, heard, walls = np.array(all_.av_of).T
    first, second = np.array(all_.audio_of).T
    recordings = list(enumerate(asked.recordings))

    def query(a: Vector, b: Vector, items: Vector, wanted: Vector, one: Vector | None = None) -> Query:
        return Query(np.stack([a, b]), items, wanted, one=one)

    return {
        "thing (text), colour (text): video": [
            query(a, b, all_.video, (things == t) & (colours == c), asked.thing_and_colour[t, c])
            for t, a in asked.thing.items()
            for c, b in asked.colour.items()
        ],
        "thing (picture), colour (text): video": [
            query(a, b, all_.video, (things == t) & (colours == c))
            for t, a in asked.picture.items()
            for c, b in asked.colour.items()
        ],
        "thing (text), sound (text): av": [
            query(asked.thing[t], b, all_.av, (seen == t) & (heard == s), asked.thing_and_sound[t, s])
            for t in SOURCES_OF
            for s, b in asked.sound.items()
        ],
        "sound (recording), colour (text): av": [
            query(a, asked.colour[c], all_.av, (heard == s) & (walls == c))
            for _, (s, a) in recordings
            for c in COLOURS
            if ((heard == s) & (walls == c)).any()
        ],
        "sound (recording), thing (text): av": [
            query(a, asked.thing[t], all_.av, (heard == s) & (seen == t))
            for _, (s, a) in recordings
            for t in SOURCES_OF
        ],
        "sound (recording), thing (video): av": [
            query(a, asked.video[t], all_.av, (heard == s) & (seen == t), asked.video_and_recording[t, n])
            for n, (s, a) in recordings
            for t in SOURCES_OF
        ],
        "sound (recording), thing (picture): av": [
            query(a, asked.picture[t], all_.av, (heard == s) & (seen == t), asked.picture_and_recording[t, n])
            for n, (s, a) in recordings
            for t in SOURCES_OF
        ],
        "sound (text), sound (text): blend": [
            query(asked.sound[a], asked.sound[b], all_.audio, (first == a) & (second == b))
            for a, b in sorted(set(all_.audio_of))
            if a != b
        ],
        "sound (recording), sound (recording): blend": [
            query(va, vb, all_.audio, (first == a) & (second == b))
            for a, va in asked.recordings
            for b, vb in asked.recordings
            if LABELS.index(a) < LABELS.index(b)
        ],
    }


def avoiding(all_: Collection, asked: Asked) -> Tasks:
    """Tasks of a thing to find and one to avoid: as many items that have only the first as items that have both."""
    rng = np.random.default_rng(1)
    things, colours = np.array(all_.video_of).T
    seen, heard, _ = np.array(all_.av_of).T
    blends = np.array(all_.audio_of)

    def query(a: Vector, b: Vector, items: Vector, has: Vector, avoided: Vector) -> Query:
        both, only = np.flatnonzero(has & avoided), np.flatnonzero(has & ~avoided)
        count = min(len(both), len(only))
        kept = ~has
        kept[rng.permutation(both)[:count]] = kept[rng.permutation(only)[:count]] = True
        return Query(np.stack([a, b]), items[kept], (has & ~avoided)[kept], (has & avoided)[kept])

    return {
        "thing (text), not colour (text): video": [
            query(a, b, all_.video, things == t, colours == c)
            for t, a in asked.thing.items()
            for c, b in asked.colour.items()
        ],
        "colour (text), not thing (text): video": [
            query(a, b, all_.video, colours == c, things == t)
            for t, b in asked.thing.items()
            for c, a in asked.colour.items()
        ],
        "thing (picture), not colour (text): video": [
            query(a, b, all_.video, things == t, colours == c)
            for t, a in asked.picture.items()
            for c, b in asked.colour.items()
        ],
        "thing (text), not sound (text): av": [
            query(asked.thing[t], b, all_.av, seen == t, heard == s) for t in SOURCES_OF for s, b in asked.sound.items()
        ],
        "sound (recording), not thing (text): av": [
            query(a, asked.thing[t], all_.av, heard == s, seen == t) for s, a in asked.recordings for t in SOURCES_OF
        ],
        "sound (text), not sound (text): audio": [
            query(asked.sound[a], asked.sound[b], all_.audio, (blends == a).any(axis=1), (blends == b).any(axis=1))
            for a in LABELS
            for b in LABELS
            if a != b
        ],
        "sound (recording), not sound (recording): audio": [
            query(va, vb, all_.audio, (blends == a).any(axis=1), (blends == b).any(axis=1))
            for a, va in asked.recordings
            for b, vb in asked.recordings
            if a != b
        ],
    }
