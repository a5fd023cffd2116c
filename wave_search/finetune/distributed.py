"""The processes that train together, each on a part of every batch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import torch

from wave_search.models.device import resolve_devices

if TYPE_CHECKING:
    from collections.abc import Iterable


class Team(Protocol):
    """This process among others."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0. The first writes files and reports."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""

    def gather_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Put the rows of all processes below each other, in order; each process must have as many.

        Gradients flow into the own rows only. Summed over the processes they are those of one process with all rows.
        """

    def gather_lists(self, items: list[Any]) -> list[Any]:
        """Put lists of all processes one behind the other, in order."""

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes."""

    def total(self, value: float) -> float:
        """Sum of a number over all processes."""


class Alone:
    """One process.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
    """

    rank = 0
    size = 1

    def __init__(self, device: str = "auto") -> None:
        self.device = resolve_devices(device)[0]

    def gather_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Team`."""
        return rows

    def gather_lists(self, items: list[Any]) -> list[Any]:
        """See `Team`."""
        return items

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """See `Team`."""

    def total(self, value: float) -> float:
        """See `Team`."""
        return value


class Several:
    """A process that `accelerate launch` has started.

    Args:
        state: accelerate's view of it.
    """

    def __init__(self, state: Any) -> None:
        self._state = state
        self.rank: int = state.process_index
        self.size: int = state.num_processes
        self.device: torch.device = state.device

    def gather_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Team`."""
        from accelerate.utils import gather

        every = gather(rows.detach().contiguous())
        first = self.rank * len(rows)
        return torch.cat([every[:first], rows, every[first + len(rows) :]])

    def gather_lists(self, items: list[Any]) -> list[Any]:
        """See `Team`."""
        from accelerate.utils import gather_object

        every: list[Any] = gather_object(items)
        return every

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """See `Team`."""
        from accelerate.utils import reduce

        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.copy_(reduce(parameter.grad, "sum"))

    def total(self, value: float) -> float:
        """See `Team`."""
        from accelerate.utils import reduce

        return float(reduce(torch.tensor(value, dtype=torch.float32, device=self.device), "sum"))


def join_team(device: str) -> Team:
    """Find out whether there are other processes, and meet them.

    Args:
        device: of a process that is alone; "cpu" holds for several, too.
    """
    if find_spec("accelerate") is not None:
        from datetime import timedelta

        from accelerate import PartialState

        # Reading all media once takes a while, and those who are done wait for the others.
        state = PartialState(cpu=device == "cpu", timeout=timedelta(days=1))
        if state.num_processes > 1:
            return Several(state)
    return Alone(device)
