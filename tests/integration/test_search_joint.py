"""Queries of several parts over plain vectors: who meets all of them comes first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from wave_search.ann import covered, draw, shard_set
from wave_search.ann.rebuild import refresh_shards
from wave_search.calibration.background import SAMPLE_SIZE
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import ContentRow, FileRow, NewSegment, ScoreStats, Settings, Writer, create
from wave_search.types import Modality, PartitionKey

DIM = 32
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
AUDIO, VIDEO = PartitionKey(Modality.AUDIO), PartitionKey(Modality.VIDEO)
STD = {AUDIO: 0.1, VIDEO: 0.05}
DOG, RAIN, MUSIC = np.eye(3, DIM)
NOISE = 700
CRAFTED = {
    "both": (0.45, 0.45, 0.0),
    "dog": (0.95, 0.0, 0.0),
    "rain": (0.0, 0.95, 0.0),
    "dog and music": (0.7, 0.0, 0.5),
    "music": (0.0, 0.0, 0.95),
}


def crafted(*shares: float) -> np.ndarray:
    """So much of dog, rain and music, and for the rest something that no noise has."""
    vector = np.zeros(DIM)
    vector[:3] = shares
    vector[-1] = np.sqrt(1 - vector @ vector)
    return vector


def noise(seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(NOISE, DIM)) * np.r_[np.full(3, 0.3), np.ones(DIM - 4), 0]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def put(writer: Writer, name: str, vectors: np.ndarray, modality: Modality) -> None:
    row = ContentRow(f"{name} as {modality}", modality, "wav", 10.0)
    content_id = writer.put_content(
        row, [NewSegment(modality, None, None, None, one) for one in np.atleast_2d(vectors)]
    )
    writer.put_file(FileRow(os.fsencode(f"/media/{modality}/{name}"), b"/media", 1, 1, 1, content_id))


def fill(
    folder: Path, keys: tuple[PartitionKey, ...] = (AUDIO,), score_stats: tuple[ScoreStats, ...] | None = None
) -> Path:
    """An index of noise with the crafted vectors among it; pictures stand for what is asked."""
    create(folder, SPEC, Settings("10", (Modality.AUDIO, Modality.VIDEO, Modality.IMAGE)))
    with Writer(folder) as writer:
        for name, vector in (("dog", DOG), ("rain", RAIN), ("music", MUSIC)):
            put(writer, name, vector, Modality.IMAGE)
        for number, key in enumerate(keys):
            put(writer, "noise", noise(number), key.modality)
            for name, shares in CRAFTED.items():
                put(writer, name, crafted(*shares), key.modality)
        measured = tuple(ScoreStats(key, Modality.IMAGE, 0.0, STD[key]) for key in keys)
        writer.set_score_stats(measured if score_stats is None else score_stats)
        writer.commit()
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> object:
    with ws.open(fill(tmp_path_factory.mktemp("index") / "index", (AUDIO, VIDEO))) as opened:
        yield opened


def asked(index: ws.Index, **weights: float) -> list[ws.Weighted]:
    """Parts by their names."""
    ids = index._snapshot.partition(PartitionKey(Modality.IMAGE)).ids.tolist()
    return [ws.Weighted(ids[("dog", "rain", "music").index(name)], weight) for name, weight in weights.items()]


def search(index: ws.Index, target: str = "audio", k: int = 10, **weights: float) -> list[ws.Hit]:
    return index.search(like=asked(index, **weights), target=target, k=k)


def names(hits: list[ws.Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


def z_of(hits: list[ws.Hit]) -> dict[str, float]:
    return {hit.path.name: hit.z for hit in hits}


def test_what_has_both_comes_before_what_is_one_of_them_very_much(index: ws.Index) -> None:
    found = search(index, dog=1, rain=1)
    assert [hit.rank for hit in found] == list(range(1, 11))
    assert [hit.z for hit in found] == sorted((hit.z for hit in found), reverse=True)
    hits = {hit.path.name: hit for hit in found}
    assert found[0] == hits["both"]
    assert hits["both"].score < hits["dog"].score, "the sum alone would prefer that"
    assert hits["both"].score == pytest.approx(0.9 / 2**0.5, abs=1e-3)
    assert hits["both"].z == pytest.approx(4.5, abs=0.2)
    assert hits["dog"].z < 2.5


def test_a_part_twice_is_that_part(index: ws.Index) -> None:
    once = search(index, dog=1)
    (part,) = asked(index, dog=1)
    doubled = index.search(like=[part, part], target="audio")
    assert names(doubled) == names(once)
    assert [hit.z for hit in doubled] == pytest.approx([hit.z for hit in once], abs=1e-3)


def test_weights(index: ws.Index) -> None:
    even, dog, rain = (
        z_of(search(index, k=NOISE, dog=dog, rain=rain)) for dog, rain in ((1.0, 1.0), (3.0, 1.0), (1.0, 3.0))
    )
    assert even["dog"] == pytest.approx(even["rain"], abs=0.3)
    assert dog["dog"] > even["dog"] > rain["dog"]
    assert rain["rain"] > even["rain"] > dog["rain"]
    tenfold = z_of(search(index, k=NOISE, dog=30, rain=10))
    assert [tenfold[name] for name in CRAFTED] == pytest.approx([dog[name] for name in CRAFTED], abs=1e-3)


def test_what_is_like_the_unwanted_goes_behind(index: ws.Index) -> None:
    plain, exclude_ids = search(index, dog=1), search(index, dog=1, music=-0.5)
    assert names(plain)[:3] == ["dog", "dog and music", "both"]
    assert names(exclude_ids)[:2] == ["dog", "both"]
    everything = z_of(search(index, k=2 * NOISE, dog=1, music=-0.5))
    assert everything["dog and music"] < 0, "7 - 4 * (5 - 1)"
    assert everything["dog"] == pytest.approx(z_of(plain)["dog"], abs=1e-3), "what is not like it stays as it was"
    assert z_of(search(index, dog=1, music=-0.1))["dog and music"] == pytest.approx(7 - 0.8 * 4, abs=0.3)


def test_min_score_is_for_all_parts_together(index: ws.Index) -> None:
    hits = index.search(like=asked(index, dog=1, rain=1), target="audio", min_z=4)
    assert names(hits) == ["both"]
    assert index.search(like=asked(index, dog=1, rain=1), target="audio", min_z=5) == []
    assert names(index.search(like=asked(index, dog=1), target="audio", min_z=5)) == ["dog", "dog and music"]


def test_any_merges_by_z(index: ws.Index) -> None:
    hits = search(index, "any", dog=1, rain=1)
    assert [(hit.path.name, hit.modality) for hit in hits[:2]] == [("both", "video"), ("both", "audio")]
    assert [hit.z for hit in hits] == sorted((hit.z for hit in hits), reverse=True)
    for target in ("audio", "video"):
        apart = z_of(search(index, target, k=NOISE, dog=1, rain=1))
        assert next(hit.z for hit in hits if hit.modality == target) == apart["both"]


def test_a_condition_holds(index: ws.Index) -> None:
    asking = {"like": asked(index, dog=1, rain=1), "target": "audio", "where": "name NOT LIKE 'both%'"}
    assert names(index.search(**asking))[0] != "both"
    few = index.search(**asking | {"where": "name IN ('dog', 'both', 'music')"})
    assert names(few) == ["both", "dog", "music"]


def test_of_a_part_of_several_rows_the_best_counts(index: ws.Index) -> None:
    rows = np.stack([RAIN, MUSIC])
    found = z_of(index.search(vector=rows, like=asked(index, dog=1), target="audio", k=NOISE))
    assert found["both"] > found["dog"]
    assert found["dog and music"] > found["dog"]
    avoiding = z_of(index.search(vector=ws.Weighted(rows, -0.5), like=asked(index, dog=1), target="audio", k=2 * NOISE))
    assert avoiding["dog"] > 5
    assert max(avoiding["both"], avoiding["dog and music"]) < 0


def test_vectors_of_unknown_origin_are_measured_by_their_own_spread(index: ws.Index, tmp_path: Path) -> None:
    with ws.open(fill(tmp_path / "index", score_stats=())) as unmeasured:
        hits = search(unmeasured, dog=1, rain=1)
        alone = [z_of(search(unmeasured, k=NOISE, **{name: 1.0})) for name in ("dog", "rain")]
    assert names(hits)[0] == "both"
    low, high = sorted(z["both"] for z in alone)
    assert low <= hits[0].z <= high


def test_shards_and_what_is_in_none_are_ordered_alike(
    index: ws.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
    monkeypatch.setattr(shard_set, "_CODE_COST", 0)  # small as they are, they are searched by their codes
    folder = fill(tmp_path / "index")
    with Writer(folder) as writer:
        refresh_shards(writer, AUDIO, 1)
        put(writer, "new noise", noise(7), Modality.AUDIO)
        put(writer, "new both", crafted(0.6, 0.6, 0.0), Modality.AUDIO)
        snapshot = writer.commit()
    share = covered(snapshot.partition(AUDIO).ids, snapshot.shards(AUDIO))
    assert 0 < share.sum() < len(share)
    ids = snapshot.partition(AUDIO).ids
    vectors = snapshot.vectors(AUDIO, ids).astype(np.float64)
    with ws.open(folder) as opened:
        hits = search(opened, dog=1, rain=1)
        background = {
            name: {h.segment_id: h.z for h in search(opened, k=len(ids), **{name: 1})} for name in ("dog", "rain")
        }
    z = np.array([[by_part[n] for n in ids.tolist()] for by_part in background.values()])
    usual = z[:, np.searchsorted(ids, draw(ids, SAMPLE_SIZE))].mean(axis=1, keepdims=True)
    unmet = np.log1p(np.exp(-(z - usual) / 2)).mean(axis=0)
    expected = dict(zip(ids.tolist(), (usual.mean() - 2 * np.log(np.expm1(unmet))).tolist(), strict=True))
    assert names(hits)[:2] == ["new both", "both"]
    for hit in hits:
        assert hit.z == pytest.approx(expected[hit.segment_id], abs=1e-3)
        row = vectors[int(np.searchsorted(ids, hit.segment_id))]
        assert hit.score == pytest.approx(float(row @ (DOG + RAIN)) / 2**0.5, abs=1e-3)
    best = sorted(expected, key=lambda number: -expected[number])[:10]
    assert len({hit.segment_id for hit in hits} & set(best)) >= 9
