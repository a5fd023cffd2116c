"""The hits of the last query of an index, which `--like RANK` refers to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wave_search.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "last-hits.json"


def keep_hits(directory: Path, segment_ids: Sequence[int]) -> bool:
    """Store the segments that a query found, best first, replacing those of the previous query.

    Of concurrent queries, the last one to finish is kept. Nothing is stored if the index is not writable.

    Returns:
        Whether they were stored.
    """
    content = json.dumps({"segment_ids": [int(number) for number in segment_ids]})
    try:
        write_atomic(directory / FILE, content.encode("ascii"))
    except OSError:
        return False
    return True


def kept_hits(directory: Path) -> tuple[int, ...] | None:
    """Return the segments that the last query found, best first; None if there are none, or the file is not valid."""
    try:
        kept = json.loads((directory / FILE).read_text(encoding="ascii"))["segment_ids"]
        return tuple(int(number) for number in kept)
    except (OSError, ValueError, KeyError, TypeError):
        return None
