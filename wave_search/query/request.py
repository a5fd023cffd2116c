"""What a search is asked for: the arguments of `Index.search` as checked parts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.query.parse import check_range, parse_media, split_range
from wave_search.query.parts import AudioVideoPair, SegmentRef, SimilarFile, Weighted
from wave_search.types import Hit, MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


def read_parts(
    *,
    text: Any = None,
    media: Mapping[Modality, Any] | None = None,
    vector: Any = None,
    like: Any = None,
    similar: Any = None,
) -> tuple[Weighted, ...]:
    """Check what was given. Each argument is None, a thing, a `Weighted` of it, or several of either.

    Args:
        text: words.
        media: files for each modality.
        vector: (dim,) or (rows, dim), not several.
        like: segments of the index, as hits or ids.
        similar: files.

    Returns:
        The parts; the item of each is a text, a `MediaRef`, rows (q, dim) of unit norm, a `SegmentRef`, a
        `SimilarFile`, or sound and picture `AudioVideoPair`: if one of each is wanted, with the same weight.

    Raises:
        UsageError: nothing is given, or only what to avoid; there is no such file; or something is not what it should
            be.
    """
    parts = [*_each(text, _text)]
    for modality, given in (media or {}).items():
        if given is not None:
            parts += _each(given, partial(parse_media, modality=modality))
    parts += _each(vector, _unit) if vector is None or isinstance(vector, Weighted) else [Weighted(_unit(vector))]
    parts += _each(like, _stored)
    parts += _each(similar, _similar)
    if not parts:
        raise UsageError("there is no query", "Give a text, audio, video, image, av, like or similar.")
    if all(part.weight < 0 for part in parts):
        raise UsageError("there is nothing to look for, only what to avoid", "Say what should be found as well.")
    return tuple(_paired(parts))


def takes_instruction(parts: Sequence[Weighted]) -> bool:
    """Whether a part is media that are embedded with the instruction of the query."""
    return any(isinstance(part.item, MediaRef | AudioVideoPair) for part in parts)


def _each(given: Any, read: Callable[[Any], Any]) -> Iterator[Weighted]:
    """Part by part: `given` is None, one thing, or several."""
    if given is None:
        return
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes | os.PathLike)
    for one in given if several else [given]:
        part = one if isinstance(one, Weighted) else Weighted(one)
        yield Weighted(read(part.item), part.weight)


def _text(item: Any) -> str:
    if not isinstance(item, str):
        raise UsageError(f"{item!r} is no text")
    return item


def _stored(item: Any) -> SegmentRef:
    if isinstance(item, Hit):
        return SegmentRef(item.segment_id)
    if isinstance(item, int | np.integer):
        return SegmentRef(int(item))
    raise UsageError(f"{item!r} is no segment of the index", "Give a hit of a search, or its segment_id.")


def _similar(item: Any) -> SimilarFile:
    if isinstance(item, MediaRef):
        path, modality, start_s, stop_s = item.path, item.modality, item.start_s, item.stop_s
    else:
        (path, start_s, stop_s), modality = split_range(item), None
    check_range(path, start_s, stop_s)
    return SimilarFile(path, modality, start_s, stop_s)


def _paired(parts: list[Weighted]) -> list[Weighted]:
    """What is heard and what is seen become one clip, if there is no doubt which belong together."""
    if len(parts) == 1:
        return parts
    wanted: dict[Modality, list[Weighted]] = {Modality.AUDIO: [], Modality.VIDEO: []}
    for part in parts:
        if isinstance(part.item, MediaRef) and part.weight > 0 and part.item.modality in wanted:
            wanted[part.item.modality].append(part)
    heard, seen = wanted.values()
    if len(heard) != 1 or len(seen) != 1 or heard[0].weight != seen[0].weight:
        return parts
    others = [part for part in parts if part is not heard[0] and part is not seen[0]]
    return [Weighted(AudioVideoPair(heard[0].item, seen[0].item), heard[0].weight), *others]


def _unit(vector: ArrayLike) -> NDArray[np.float32]:
    try:
        rows = np.atleast_2d(np.asarray(vector, np.float32))
    except (TypeError, ValueError):
        rows = np.zeros((0, 0), np.float32)
    norms = np.sqrt(np.vecdot(rows, rows))[..., None]
    if rows.ndim != 2 or not len(rows) or not (np.isfinite(norms) & (norms > 0)).all():
        raise UsageError("the vector is not one", "Give finite numbers, not all 0, of shape (dim,) or (rows, dim).")
    unit: NDArray[np.float32] = rows / norms
    return unit
