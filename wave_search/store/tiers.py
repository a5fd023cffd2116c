"""When the last fragments of a table are merged, so that a commit after many small ones costs as much as the first.

Each append adds a fragment, and each opening of a table looks at all of them. As in a log-structured merge tree
(O'Neil et al., 1996, doi:10.1007/s002360050048), fragments are merged in tiers: those of a tier have up to `FAN` times
the rows of the one below. Where a tier has `FAN` of them, they become one of the next tier, so that a row is rewritten
once for each tier, and a tier keeps fewer than `FAN`. Only the last fragments can be merged, see `Tables.compact`.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FAN = 12
LIMITS = (FAN, FAN**2, FAN**3)
"""A fragment of a tier has fewer rows than its limit. Those of more than the last, 1,728, are left: a run of `index`
commits about 4,000 rows at once, and to rewrite these again would double what it writes."""


def due(rows: Sequence[int]) -> int:
    """Return how many of the last fragments should be merged, 0 if that is not worth it yet.

    Args:
        rows: of each fragment, with deleted ones, in the order of the table.
    """
    for limit in LIMITS:
        last = [*takewhile(limit.__gt__, reversed(rows))]
        if sum(count >= limit // FAN for count in last) >= FAN:
            return len(last)
    return 0
