"""Names of labels from WordNet, probabilities in place of photographs, and what the evaluation expects of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recipes.wave_nano import evaluate_real, photographs
from recipes.wave_nano.classes import SOUND_WORDS as TEN
from recipes.wave_nano.esc50 import PICTURED, SOUND_WORDS
from recipes.wave_nano.photographs import Simulator, label_meanings, read_labels, read_wordnet
from wave_search.errors import UsageError

WORDNET = """\
  1 This software and database is being provided to you, the LICENSEE
00000001 03 n 01 entity 0 000 | that which is
00000002 06 n 02 musical_instrument 0 instrument 1 001 @ 00000001 n 0000 | makes music
00000003 06 n 01 guitar 0 002 @ 00000002 n 0000 ~ 00000009 n 0000 | has strings
00000004 06 n 02 Stradavarius 0 Strad 0 002 @i 00000002 n 0000 + 00000007 v 0101 | a violin
00000005 05 n 01 dog 0 001 @ 00000001 n 0000 | barks
"""


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data.noun").write_text(WORDNET)
    (tmp_path / "labels.txt").write_text("n00000003 n00000004\nn00000005\n")
    monkeypatch.setattr(photographs, "_LABELS", tmp_path / "labels.txt")
    monkeypatch.setattr(photographs, "_WIDEST", 2)
    return tmp_path / "data.noun"


def test_labels_have_their_names_and_those_of_their_kinds(wordnet: Path) -> None:
    labels = read_labels(read_wordnet(wordnet))
    assert [[name.text for name in names] for names in labels.names] == [["guitar"], ["stradavarius", "strad"], ["dog"]]
    # "entity" is true of everything, so that it is left out.
    (kind,) = labels.kinds[1]
    assert [name.text for name in kind] == ["musical instrument", "instrument"]
    assert kind[0].labels.tolist() == [True, True, False]
    assert labels.kinds[2] == ()
    assert labels.kinds_named("instrument").tolist() == [True, True, False]


def test_texts_are_true_of_their_labels(wordnet: Path) -> None:
    labels = read_labels(read_wordnet(wordnet))
    drawn = [labels.draw(np.random.default_rng(seed), 0) for seed in range(40)]
    assert {"a guitar", "a photo of a guitar", "guitars", "an instrument"} <= {text for text, _ in drawn}
    assert all(true_of.tolist() == [True, "instrument" in text, False] for text, true_of in drawn)


def test_a_missing_wordnet_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_wordnet(tmp_path / "data.noun")


def test_probabilities_are_those_of_the_label_and_of_what_it_is_confused_with() -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((300, 64)).astype(np.float32)
    weights[1] += 0.5 * weights[0]
    drawn = Simulator(weights, 2).draw(rng, [0] * 200 + [7] * 200)
    assert drawn.shape == (400, 5, 300)
    np.testing.assert_allclose(drawn.sum(axis=-1), 1, atol=1e-4)
    named = drawn[:, 0].argmax(axis=-1)
    assert 0.6 < (named[:200] == 0).mean() < 0.99
    assert (named[:200] == 1).sum() > 5 * (named[200:] == 1).sum()
    assert 0.5 < (drawn[200:, 1:].argmax(axis=-1) == 7).mean() < 0.9


def test_kinds_weigh_nearly_as_much_as_the_name() -> None:
    own, other = np.eye(2, dtype=np.float32)
    both, alone = label_meanings([own[None], own[None]], [np.stack([other, other]), np.zeros((0, 2), np.float32)])
    assert 0.6 < both[1] < both[0] < 0.8
    np.testing.assert_allclose([np.linalg.norm(both), *alone], [1, 1, 0], atol=1e-6)


def test_expected_photographs_are_labels_of_the_classifier() -> None:
    ids = set(photographs._LABELS.read_text().split())
    everyday = evaluate_real.read_everyday()
    assert len(ids) == 1000
    assert len(everyday) == 40
    assert {one for group in (*everyday.values(), *PICTURED.values()) for one in group} <= ids
    assert set(PICTURED) <= {*TEN, *SOUND_WORDS}


def test_a_folder_without_photographs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no photographs"):
        evaluate_real.read_photographs(None, tmp_path)  # type: ignore[arg-type]  # not reached
