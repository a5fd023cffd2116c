"""Ending a process at a chosen step of its work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from wave_search.store.tables import Tables

STEPS: tuple[tuple[Any, str], ...] = (
    (Tables, "append"),
    (Tables, "delete"),
    (Tables, "compact"),
    (Tables, "drop_versions"),
    (os, "fsync"),
    (os, "link"),
    (os, "replace"),
    (os, "rename"),
    (os, "unlink"),
    (os, "rmdir"),
)
"""All that a commit consists of, as owner and name of a function."""


class Counter:
    """Counts the moments before and after each step, and ends this process at one of them.

    Args:
        last: the number of the moment, from 1; 0 for none.
    """

    def __init__(self, last: int = 0) -> None:
        self.count = 0
        self._last = last

    def install(self) -> None:
        """Begin to count."""
        for owner, name in STEPS:
            setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self._moment()
            result = step(*arguments, **options)
            self._moment()
            return result

        return wrapped

    def _moment(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
