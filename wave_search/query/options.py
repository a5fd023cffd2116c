"""Which hits of all are wanted, and what is to be said of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wave_search.errors import UsageError


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """Which hits of all are wanted, and what is to be said of them.

    Raises:
        UsageError: a number makes no sense.
    """

    k: int = 10
    """How many at most."""
    min_z: float | None = None
    """The least z."""
    where: str | None = None
    """A condition in SQL on files and segments, see `wave_search.store.SqlFilter`."""
    columns: tuple[str, ...] = ()
    """What to say of each hit besides."""
    moments: bool = True
    """Whether adjacent segments of a file become one hit."""
    per_file: int | None = None
    """How many of a file at most."""
    dedupe: float | None = None
    """Of hits whose cosine with each other is as high as this, the best stands for all."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"{self.k} hits make no sense", "Ask for at least one.")
        if self.min_z is not None and math.isnan(self.min_z):
            raise UsageError("min_z is not a number", "Leave it out, or give a number of standard deviations.")
        if self.per_file is not None and self.per_file < 1:
            raise UsageError(f"{self.per_file} hits of a file make no sense", "Ask for at least one.")
        if self.dedupe is not None and not 0 < self.dedupe <= 1:
            raise UsageError(f"{self.dedupe} is no cosine of near-duplicates", "Give a number up to 1, such as 0.98.")

    @property
    def thins(self) -> bool:
        """Whether fewer hits come out than segments go in."""
        return self.moments or self.per_file is not None or self.dedupe is not None or self.where is not None
