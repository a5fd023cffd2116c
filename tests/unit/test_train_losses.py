"""The losses against the recorded numbers of the published recipe."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wave_search.finetune.losses import choice, contrastive, info_nce, multiple_choice

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


def test_losses_are_those_of_the_published_recipe() -> None:
    # The recorded similarities are divided by the temperature already.
    expected = json.loads((GOLDEN / "tables.json").read_text())
    with np.load(GOLDEN / "tables.npz") as arrays:
        cosines = torch.from_numpy(arrays["loss_contrastive_v2t_sims"])
        choices = torch.from_numpy(arrays["loss_qa_equal_v2t_sims"])
    assert float(info_nce(cosines, 1)) == pytest.approx(expected["loss_contrastive"]["loss"], rel=1e-4)
    assert float(choice(choices, 1)) == pytest.approx(expected["loss_qa_equal"]["loss"], rel=1e-4)


def test_partners_that_agree_cost_nothing_and_strangers_cost_much() -> None:
    vectors = torch.eye(4)
    assert float(contrastive(vectors, vectors, 0.01)) == pytest.approx(0, abs=1e-6)
    assert float(contrastive(vectors, vectors.roll(1, 0), 0.01)) == pytest.approx(100)


def test_what_means_the_same_is_no_negative() -> None:
    vectors = torch.eye(2)[[0, 0, 1]]
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert float(contrastive(vectors, vectors, 0.01, same)) == pytest.approx(2 / 3 * np.log(2), abs=1e-5)


def test_the_first_candidate_is_the_right_one() -> None:
    media = torch.eye(2)
    candidates = torch.stack([torch.eye(2), torch.eye(2).flip(0)])
    assert float(multiple_choice(media, candidates, 0.01)) == pytest.approx(0, abs=1e-6)
    assert float(multiple_choice(media, candidates.flip(1), 0.01)) == pytest.approx(100)
