"""A query that has no match scores lower than one that has: z is comparable between queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from recipes.wave_nano.classes import SOUND_WORDS
from wave_search.calibration import fit_lower_half
from wave_search.types import Modality, PartitionKey

SOUNDS = Path(__file__).parents[1] / "data" / "nano" / "sounds"
ABSENT = (
    "a violin concerto",
    "quantum physics",
    "a football match",
    "an opera singer",
    "a wedding",
    "mathematics homework",
    "a golf course",
    "a politician giving a speech",
    "a printer",
    "a glass of wine",
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> object:
    with ws.create(tmp_path_factory.mktemp("index"), "wave-nano", workers=2) as made:
        made.add([SOUNDS])
        yield made


def best(index: ws.Index, words: str) -> float:
    return index.search(text=words, target="audio", k=1)[0].z


def test_z_tells_presence_from_absence(index: ws.Index) -> None:
    present = np.array([best(index, words[0]) for words in SOUND_WORDS.values()])
    absent = np.array([best(index, words) for words in ABSENT])
    assert (present[:, None] > absent).mean() >= 0.9


def test_nothing_like_that_is_an_answer(index: ws.Index) -> None:
    limit = float(np.median([best(index, words) for words in ABSENT])) + 0.01
    assert index.search(text=SOUND_WORDS["dog"][0], target="audio", min_z=limit)
    found = [bool(index.search(text=words, target="audio", min_z=limit)) for words in ABSENT]
    assert sum(found) <= len(ABSENT) // 2


def test_z_tells_what_is_there_from_its_neighbours(tmp_path: Path) -> None:
    kept = ("clock_tick", "sneezing", "helicopter", "chainsaw", "crackling_fire")
    missing = sorted(set(SOUND_WORDS) - set(kept))
    sounds = {label: next(SOUNDS.glob(f"*-{label}.flac")) for label in SOUND_WORDS}
    with ws.create(tmp_path, "wave-nano", workers=2) as index:
        index.add([sounds[label] for label in kept])
        present = [best(index, words) for label in kept for words in SOUND_WORDS[label][:4]]
        absent = [best(index, words) for label in missing for words in SOUND_WORDS[label][:4]]
    assert min(present) > max(absent)


def test_a_space_of_an_instruction_is_measured_by_queries_with_it(tmp_path: Path) -> None:
    with ws.create(tmp_path, "wave-tiny", workers=2) as index:
        index.add([SOUNDS], instructions=["What animal is heard?"])
        for instruction in ("", "What animal is heard?"):
            key = PartitionKey(Modality.AUDIO, instruction)
            rows = index._snapshot.vectors(key, index._snapshot.partition(key).ids).astype(np.float32)
            cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)].reshape(len(rows), -1)
            spread = index._snapshot.score_stats(key).get(Modality.AUDIO)
            assert spread is not None
            assert spread.mean == pytest.approx(np.mean([fit_lower_half(row)[0] for row in cosines]), abs=1e-5)


def test_the_spread_is_kept_in_the_index(index: ws.Index) -> None:
    with ws.open(index.path) as again:
        assert best(again, "a dog barking") == pytest.approx(best(index, "a dog barking"))
        assert {spread.query for spread in again._snapshot.manifest.score_stats} == {"text", "audio"}
