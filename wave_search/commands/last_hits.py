"""The hits of the last query, so that the next one can start from them. A convenience: nothing else depends on it."""

from __future__ import annotations

import contextlib
import json
import os
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "last-hits.json"


def keep_hits(directory: Path, segment_ids: Sequence[int]) -> bool:
    """Keep the segments that were found, best first, in place of those of the query before.

    Of several queries at a time the last to end is kept, whole. An index that cannot be written keeps nothing.

    Returns:
        Whether they are kept.
    """
    path = directory / FILE
    temporary = path.with_name(f".{FILE}.{os.getpid()}.{get_ident()}.tmp")
    try:
        temporary.write_text(json.dumps({"segment_ids": [int(number) for number in segment_ids]}), encoding="ascii")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        return False
    return True


def kept_hits(directory: Path) -> tuple[int, ...] | None:
    """The segments that the last query found, best first; None if none are kept, or not in a form that is known."""
    try:
        kept = json.loads((directory / FILE).read_text(encoding="ascii"))["segment_ids"]
        return tuple(int(number) for number in kept)
    except (OSError, ValueError, KeyError, TypeError):
        return None
