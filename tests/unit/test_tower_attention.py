"""Sequences of one length in one call give what a call for each gives."""

from __future__ import annotations

import pytest
import torch

from wave_search.models.wave.attention import _attention

HEADS, WIDTH = 3, 8


@pytest.mark.parametrize("lengths", [[5], [4, 4, 4], [4, 2, 4, 1, 2], [3, 0, 3]])
def test_each_sequence_sees_itself_alone(lengths: list[int]) -> None:
    torch.manual_seed(1)
    query, key, value = (torch.randn(sum(lengths), HEADS, WIDTH).transpose(0, 1)[None] for _ in range(3))
    borders = torch.tensor([0, *lengths]).cumsum(0)
    plans: dict[int, object] = {}
    mixed, _ = _attention(
        torch.nn.Module(), query, key, value, scaling=0.3, cu_seq_lens_q=borders, plans=plans, is_causal=False
    )
    weights = (query @ key.transpose(2, 3) * 0.3).masked_fill(_apart(lengths), -torch.inf).softmax(-1)
    torch.testing.assert_close(mixed, (weights @ value).transpose(1, 2), atol=1e-6, rtol=0)
    again, _ = _attention(torch.nn.Module(), query, key, value, scaling=0.3, cu_seq_lens_q=borders, plans=plans)
    assert torch.equal(again, mixed)
    assert len(plans) == 1


def _apart(lengths: list[int]) -> torch.Tensor:
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return owner[:, None] != owner
