"""The columns of hits that a request names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.store import BUILT_IN, OF_FILES, find_columns, plain
from wave_search.types import OF_HITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wave_search.store import Snapshot
    from wave_search.types import Hit, Value


def spelled(snapshot: Snapshot, columns: Iterable[str]) -> dict[str, str]:
    """Return the columns that are not fields of hits, each with its name as the index spells it.

    Raises:
        UsageError: there is no such column.
    """
    wanted = [name for name in columns if name not in OF_HITS]
    known = (*BUILT_IN, *(column.name for column in snapshot.manifest.columns))
    return dict(zip(wanted, find_columns(wanted, known), strict=True))


def with_columns(snapshot: Snapshot, hits: Sequence[Hit], paths: Sequence[bytes], columns: Sequence[str]) -> list[Hit]:
    """Return hits with the values of columns.

    Args:
        snapshot: the index.
        hits: of a search.
        paths: of their files.
        columns: names, in any capitals.
    """
    files = snapshot.files()
    positions = np.array([files.position(path) for path in paths], np.int64)
    values: dict[str, Sequence[Any]] = {}
    for name, known in spelled(snapshot, columns).items():
        if known in OF_FILES or known not in BUILT_IN:
            values[name] = snapshot.file_columns().values(known, positions)
        else:
            values[name] = [_of_peak(hit, known) for hit in hits]
    return [
        replace(hit, columns={name: values[name][number] if name in values else getattr(hit, name) for name in columns})
        for number, hit in enumerate(hits)
    ]


def _of_peak(hit: Hit, column: str) -> Value | None:
    """Return the value of one of `OF_SEGMENTS` of the best segment of a hit."""
    peak = {"modality": hit.modality.value, "start_s": hit.peak_start_s, "stop_s": hit.peak_stop_s, "text": hit.text}
    return plain(peak[column])
