"""The hits of the last query of an index, which `--like RANK` refers to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wave_search.files import LAST_HITS, read_bounded, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_BYTES = 16 << 20
_MAX_ID = 2**63


def keep_hits(directory: Path, segment_ids: Sequence[int]) -> bool:
    """Store the segments that a query found, best first, replacing those of the previous query.

    Of concurrent queries, the last one to finish is kept. Nothing is stored if the index is not writable.

    Returns:
        Whether they were stored.
    """
    content = json.dumps({"segment_ids": [int(number) for number in segment_ids]})
    try:
        write_atomic(directory / LAST_HITS, content.encode("ascii"))
    except OSError:
        return False
    return True


def kept_hits(directory: Path) -> tuple[int, ...] | None:
    """Return the segments that the last query found, best first; None if there are none, or the file is not valid."""
    try:
        kept = json.loads(read_bounded(directory / LAST_HITS, _MAX_BYTES))["segment_ids"]
        numbers = tuple(int(number) for number in kept)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return numbers if all(0 <= number < _MAX_ID for number in numbers) else None
