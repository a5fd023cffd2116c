"""Data-parallel training in one or several processes, each with a part of every batch, through accelerate."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

from wave_search.errors import UsageError
from wave_search.models.device import resolve_devices

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT = timedelta(days=1)
"""Timeout: all media are decoded once before training, and the first process to finish waits for the last."""


class ProcessGroup:
    """This process among those started by `accelerate launch` or `torchrun`, or else the only one.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N". Each of several processes uses its own device, or the CPU if it is
            "cpu".

    Attributes:
        rank: index of this process, from 0. The first one writes files and reports.
        size: number of processes.
        device: where this process computes.

    Raises:
        UsageError: accelerate is not installed.
    """

    def __init__(self, device: str = "auto") -> None:
        try:
            from accelerate import PartialState, utils
        except ImportError as error:
            raise UsageError("training needs the package accelerate", "pip install 'wave-search[train]'") from error
        state: Any = PartialState(cpu=device == "cpu", timeout=_TIMEOUT)
        self._utils = utils
        self.rank: int = state.process_index
        self.size: int = state.num_processes
        self.device: torch.device = state.device if self.size > 1 else resolve_devices(device)[0]

    def gather_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Concatenate the rows of all processes in rank order; each process must have the same number.

        Gradients flow only into the rows of this process. Their sum over all processes equals the gradients of a single
        process with all rows.

        Args:
            rows: (n, dim)

        Returns:
            (processes * n, dim)
        """
        gathered = self._utils.gather(rows.detach().contiguous())
        first = self.rank * len(rows)
        return torch.cat([gathered[:first], rows, gathered[first + len(rows) :]])

    def gather_lists(self, items: list[Any]) -> list[Any]:
        """Concatenate the lists of all processes in rank order."""
        gathered: list[Any] = self._utils.gather_object(items)
        return gathered

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes."""
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.copy_(self._utils.reduce(parameter.grad, "sum"))

    def total(self, value: float) -> float:
        """Return the sum of a number over all processes. Blocks until all processes call it."""
        return float(self._utils.reduce(torch.tensor(value, dtype=torch.float64, device=self.device), "sum"))
