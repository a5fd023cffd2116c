"""The hits of the last query of an index, which `--like RANK` refers to: a file of the user's own for each index."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from wave_search.files import digest, read_bounded, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_BYTES = 16 << 20
_MAX_ID = 2**63
_OWNER_ONLY = 0o700


def keep_hits(index: Path, created: str, segment_ids: Sequence[int]) -> bool:
    """Store the segments that a query found, best first, replacing those of the previous query of the index.

    Of concurrent queries, the last one to finish is kept.

    Args:
        index: folder of the index.
        created: when it was created, which tells it from another one in the same folder later.
        segment_ids: the segments.

    Returns:
        Whether they were stored: not where the state folder of the user cannot be written.
    """
    content = {"index": os.path.realpath(index), "created": created, "segment_ids": [int(id_) for id_ in segment_ids]}
    try:
        file = hits_file(index)
        file.parent.mkdir(_OWNER_ONLY, parents=True, exist_ok=True)
        write_atomic(file, json.dumps(content).encode("ascii"))
    except OSError:
        return False
    return True


def kept_hits(index: Path, created: str) -> tuple[int, ...] | None:
    """Return the segments that the last query found, best first; None if there are none, or the file is not valid."""
    try:
        kept = json.loads(read_bounded(hits_file(index), _MAX_BYTES))
        numbers = tuple(int(number) for number in kept["segment_ids"])
        is_same = kept["created"] == created
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return numbers if is_same and all(0 <= number < _MAX_ID for number in numbers) else None


def hits_file(index: Path) -> Path:
    """Return where the hits of an index are. Raises OSError if the index is in a folder that is gone."""
    from platformdirs import user_state_path

    return user_state_path("wave-search") / "last-hits" / f"{digest(os.fsencode(os.path.realpath(index)))}.json"
