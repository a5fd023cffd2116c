"""Which sequences share a forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def group_by_length(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group sequences of similar length, so that a padded batch stays within a budget.

    Args:
        lengths: tokens of each sequence.
        token_budget: largest padded size of a batch (rows x longest row). A sequence that is longer than it gets a
            batch of its own.

    Returns:
        Groups of positions in `lengths`, longest first; each position occurs once.
    """
    groups: list[list[int]] = []
    room = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if room == 0:
            groups.append([])
            # The first row of a group is its longest, so it decides how many rows fit.
            room = max(1, token_budget // max(1, lengths[position]))
        groups[-1].append(position)
        room -= 1
    return groups
