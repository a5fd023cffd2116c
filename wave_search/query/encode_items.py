"""Encoding of many items: in batches, with progress, and past items that cannot be embedded."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from wave_search.arguments import check_choice, check_functions
from wave_search.batches import BATCH_CLIPS, WHOLE_BATCH_BYTES, batched, clip_bytes
from wave_search.errors import UsageError, WaveSearchError, shown
from wave_search.query.request import check_count
from wave_search.reports import Progress
from wave_search.types import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.query.encode import Encoder
    from wave_search.reports import ProgressCallback
    from wave_search.types import Clip, Modality

    Decoded = tuple[int, Clip, Modality]

OnError = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The vectors of those of several items that could be embedded."""

    vectors: NDArray[np.float32]
    """(n, dim) of unit norm."""
    positions: NDArray[np.int64]
    """(n,) position of each among the items, from 0, ascending."""
    errors: Mapping[int, WaveSearchError]
    """Why the others could not be embedded, by position."""


class ItemProgress:
    """Reports how many of some items are done, and the end, whatever happens; a context manager.

    Args:
        total: number of items; 0 if unknown.
        progress: called after each; None for nobody.
    """

    def __init__(self, total: int, progress: ProgressCallback | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._report("done")

    def reach(self, done: int) -> None:
        """Report how many items are done."""
        self._done = done
        self._report("embed")

    def _report(self, stage: Literal["embed", "done"]) -> None:
        if self._progress is not None:
            self._progress(Progress(stage, self._total, self._done, 0, 0, 0.0))


def encode_items(
    encoder: Encoder,
    items: Iterable[Any],
    instruction: str | None = None,
    *,
    role: Role = "query",
    batch_size: int | None = None,
    progress: ProgressCallback | None = None,
    errors: OnError = "raise",
) -> Encoded:
    """Embed each item as one clip of any length. See `MediaEmbedder.encode`."""
    if instruction is not None and not isinstance(instruction, str):
        raise UsageError(f"{shown(instruction)} is not an instruction", "It must be a string.")
    check_choice(errors, get_args(OnError), "errors")
    check_choice(role, get_args(Role), "role")
    check_functions(progress=progress)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    total = len(items) if isinstance(items, Sized) else 0
    failed: dict[int, WaveSearchError] | None = {} if errors == "skip" else None
    rows: dict[int, NDArray[np.float32]] = {}
    with ItemProgress(total, progress) as counter:
        batches = batched(
            _decoded(encoder, items, failed),
            lambda decoded: clip_bytes(decoded[1]),
            max_items=batch_size or BATCH_CLIPS,
            max_bytes=WHOLE_BATCH_BYTES,
        )
        for batch in batches:
            rows.update(_embedded(encoder, batch, instruction, role, failed))
            counter.reach(len(rows) + len(failed or ()))
    positions = np.array(sorted(rows), np.int64)
    vectors = [rows[position] for position in positions.tolist()]
    found = np.stack(vectors) if vectors else np.empty((0, encoder.dim), np.float32)
    return Encoded(found, positions, failed or {})


def _decoded(encoder: Encoder, items: Iterable[Any], failed: dict[int, WaveSearchError] | None) -> Iterator[Decoded]:
    for position, item in enumerate(items):
        try:
            yield position, *encoder.first_clip(item)
        except WaveSearchError as error:
            if failed is None:
                raise
            failed[position] = error


def _embedded(
    encoder: Encoder,
    batch: Sequence[Decoded],
    instruction: str | None,
    role: Role,
    failed: dict[int, WaveSearchError] | None,
) -> dict[int, NDArray[np.float32]]:
    """Return the vectors of a batch, or of each of its clips that can be embedded alone."""
    try:
        vectors = encoder.embed_clips([(clip, modality) for _, clip, modality in batch], instruction, role)
        return {position: vector for (position, _, _), vector in zip(batch, vectors, strict=True)}
    except WaveSearchError as error:
        if failed is None:
            raise
        if len(batch) == 1:
            failed[batch[0][0]] = error
            return {}
    return {
        position: vector
        for one in batch
        for position, vector in _embedded(encoder, [one], instruction, role, failed).items()
    }
