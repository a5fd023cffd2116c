from __future__ import annotations

import pytest
import torch

from wave_search.models.device import free_bytes
from wave_search.models.wave.batch import FEWEST_TOKENS, MOST_TOKENS, token_budget


def test_a_small_model_takes_all_that_is_useful() -> None:
    assert token_budget(8 << 30, 64, 4, "cpu") == MOST_TOKENS["cpu"]
    assert token_budget(None, 3584, 2, "cuda") == MOST_TOKENS["cuda"]


def test_what_is_free_decides_between_the_bounds() -> None:
    budgets = [token_budget(gib << 30, 3584, 2, "cuda") for gib in (0, 1, 2, 4, 8, 120)]
    assert budgets == sorted(budgets)
    assert budgets[0] == FEWEST_TOKENS
    assert budgets[2] == pytest.approx(2 * budgets[1], abs=1)
    assert budgets[-1] == MOST_TOKENS["cuda"]
    # A fourth of it, at twelve rows a token.
    assert budgets[2] * 12 * 3584 * 2 == pytest.approx((2 << 30) / 4, rel=1e-3)


def test_free_memory_of_this_machine() -> None:
    free = free_bytes(torch.device("cpu"))
    assert free is None or 1 << 20 < free < 1 << 50
