"""The model reproduces recorded numbers of the published implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.__main__ import main
from tests.golden.cases import run_case
from tests.golden.folder import Folder
from tests.golden.ledger import Arrays, Ledger
from tests.golden.run import load
from tests.golden.tables import run_tables

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FOLDER = Folder.open(GOLDEN)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    ledger = Ledger()
    wave = load(FOLDER, tmp_path_factory.mktemp("checkpoint"), ledger)
    return wave, ledger


def test_every_weight_arrives(loaded):
    _, ledger = loaded
    assert len(ledger.outcomes) == 2
    assert ledger.ok


@pytest.mark.parametrize("name", sorted(FOLDER.cases))
def test_case(loaded, name):
    ledger = Ledger()
    run_case(FOLDER, loaded[0], name, ledger)
    assert ledger.failures() == []
    assert ledger.unchecked == []
    assert len(ledger.outcomes) > 10


def test_tables(loaded):
    ledger = Ledger()
    assert run_tables(FOLDER, loaded[0], ledger) == 8
    assert ledger.failures() == []
    assert ledger.unchecked == []


def test_one_zeroed_weight_fails(loaded):
    wave, ledger = loaded[0], Ledger()
    gain = wave.beats.encoder.pos_conv[0].weight_g
    original = gain.detach().clone()
    try:
        gain.data.zero_()
        run_case(FOLDER, wave, "audio_0p4s", ledger)
    finally:
        gain.data.copy_(original)
    assert {outcome.stage for outcome in ledger.failures()} == {"beats", "inputs", "hidden", "embedding"}


def test_an_array_that_nothing_was_compared_with_fails():
    ledger = Ledger()
    arrays = Arrays("case", {"mllm_embeds": np.zeros(2), "text_embeds": np.zeros(2)}, ledger)
    arrays.check("mllm_embeds", torch.zeros(2))
    assert ledger.ok
    arrays.close()
    assert not ledger.ok
    assert ledger.unchecked == ["case: text_embeds"]


@pytest.mark.parametrize("got", [[0.0, 2e-4], [0.0, np.nan], [0.0]])
def test_another_number_or_shape_fails(got):
    ledger = Ledger()
    Arrays("case", {"mllm_embeds": np.zeros(2)}, ledger).check("mllm_embeds", got)
    assert not ledger.ok


def test_command_line_refuses_another_folder(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
