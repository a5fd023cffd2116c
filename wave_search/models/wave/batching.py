"""Which sequences share a forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
Shape = tuple[int, ...]


def packs(items: Iterable[Item], shape_of: Callable[[Item], Shape], token_budget: int) -> list[list[Item]]:
    """Divide sequences into packs that stay within a budget, those of the same shape side by side.

    Args:
        items: the sequences.
        shape_of: number of tokens of one, and whatever else tells sequences apart that cannot be one batch.
        token_budget: largest number of tokens of a pack. A sequence that is longer than it gets a pack of its own.

    Returns:
        Packs, longest sequences first; each sequence occurs once, and equal ones keep their order.
    """
    result: list[list[Item]] = []
    room = 0
    for item in sorted(items, key=shape_of, reverse=True):
        tokens = shape_of(item)[0]
        if not result or tokens > room:
            result.append([])
            room = token_budget
        result[-1].append(item)
        room -= tokens
    return result
