"""Attention within each of many short sequences, as the towers need it: windows, frames and seconds of audio.

transformers has two implementations: one call per sequence, of which a clip has thousands, or the package flash-attn.
This is a third: one call for all sequences of the same length. On CUDA, PyTorch runs it with the kernels of flash-attn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from wave_search.models.wave.transformers_imports import AttentionInterface

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# transformers passes sequence boundaries only to implementations with "flash" in their name.
_NAME = "flash_by_length"

Plan = list[tuple[int, torch.Tensor | None]]
"""By sequence length: the rows of the sequences of this length, in order; None if these are all rows."""


def attend_by_length(tower: Any) -> None:
    """Make a tower of transformers use this attention. Its forward needs a new dict as `plans` in each call."""
    AttentionInterface.register(_NAME, _attention)
    tower.config._attn_implementation = _NAME


def _attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    plans: MutableMapping[int, Plan],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Map (1, heads, rows, width) each to (1, rows, heads, width)."""
    # Many layers share one tensor of boundaries; reading it in each of them would synchronise with the device.
    if id(cu_seq_lens_q) not in plans:
        plans[id(cu_seq_lens_q)] = _plan(cu_seq_lens_q)
    states = [state[0].transpose(0, 1) for state in (query, key, value)]
    mixed = torch.empty(states[0].shape, dtype=query.dtype, device=query.device)
    for length, rows in plans[id(cu_seq_lens_q)]:
        asked, keys, values = (_batched(state if rows is None else state[rows], length) for state in states)
        part = F.scaled_dot_product_attention(asked, keys, values, scale=scaling).transpose(1, 2).flatten(0, 1)
        if rows is None:
            mixed = part
        else:
            mixed[rows] = part
    return mixed[None], None


def _batched(rows: torch.Tensor, length: int) -> torch.Tensor:
    """Map (sequences x length, heads, width) to (sequences, heads, length, width)."""
    return rows.reshape(-1, length, *rows.shape[1:]).transpose(1, 2)


def _plan(borders: torch.Tensor) -> Plan:
    edges = borders.cpu().numpy().astype(np.int64)
    starts, lengths = edges[:-1], np.diff(edges)
    distinct = np.unique(lengths[lengths > 0]).tolist()
    if len(distinct) == 1:
        return [(distinct[0], None)]
    return [
        (
            length,
            torch.from_numpy((starts[lengths == length][:, None] + np.arange(length)).ravel()).to(borders.device),
        )
        for length in distinct
    ]
