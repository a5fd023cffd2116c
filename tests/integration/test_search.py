"""Searching an index of real files that were embedded by the real small model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import LIBRARY_SEGMENTS, WORDS, CountingEmbedder, make_library, tiny
from tests.media_factory import write_sound, write_video
from wave_search.ann import exact_search
from wave_search.errors import IndexMismatchError, IndexNotFoundError, UsageError
from wave_search.query.fusion import Query
from wave_search.query.partition import Candidates, PartitionSearch
from wave_search.store import Snapshot, Writer
from wave_search.types import Clip, Modality, PartitionKey

MODALITIES = list(Modality)


@pytest.fixture(scope="module", autouse=True)
def one_model() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        yield


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def index(media: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    """Small partitions, searched exactly."""
    with ws.create(tmp_path_factory.mktemp("index"), workers=2) as made:
        made.add([media])
        yield made


@pytest.fixture(scope="module")
def large(media: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    """More segments: most in IVF-PQ shards, the last ones in none, some removed."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(36):
        write_sound(folder / "a" / f"s{number}.wav", 1.0, 150 * 1.07**number)
        (folder / "a" / f"t{number}.txt").parent.mkdir(exist_ok=True)
        (folder / "a" / f"t{number}.txt").write_text(f"sentence {number} of {number * number}")
    for number in range(16):
        write_video(folder / "a" / f"v{number}.mp4", 1.0, seed=number + 10, hz=200 * 1.1**number)
    with ws.create(tmp_path_factory.mktemp("index"), workers=2) as made:
        made.add([folder / "a"], min_shard_rows=12)
        made.remove([folder / "a" / "s7.wav", folder / "a" / "v3.mp4", folder / "a" / "t9.txt"])
        made.add([media], min_shard_rows=1000)
        yield made


def all_vectors(index: ws.Index, modality: Modality) -> tuple[np.ndarray, np.ndarray]:
    snapshot = index._snapshot
    ids = snapshot.partition(PartitionKey(modality)).ids
    return snapshot.vectors(PartitionKey(modality), ids), ids


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize(
    ("query", "span_s"),
    [
        ({"audio": "sounds/300.flac"}, (0, 1)),
        ({"audio": "sounds/700.flac@10-20"}, (10, 20)),
        ({"audio": "sounds/700.flac@20-"}, (20, 21)),
        ({"audio": "videos/talking.mp4@0-10"}, (0, 10)),
        ({"video": "videos/silent.mp4@10-12"}, (10, 12)),
        ({"video": "videos/talking.mp4@0:00-0:10"}, (0, 10)),
        ({"av": "videos/talking.mp4@10-12"}, (10, 12)),
        ({"image": "pictures/2.png"}, None),
    ],
)
def test_a_clip_finds_itself(
    index: ws.Index,
    media: Path,
    query: dict[str, str],
    span_s: tuple[float, float] | None,
    everything: bool,
) -> None:
    [(modality, name)] = query.items()
    hit = index.search(**{modality: str(media / name)}, target="any" if everything else modality)[0]
    assert hit.path == (media / name.partition("@")[0]).resolve()
    assert (hit.modality, hit.rank) == (modality, 1)
    assert (hit.start_s, hit.stop_s) == (span_s or (None, None))
    assert hit.score == pytest.approx(1.0, abs=1e-3)


def test_a_text_finds_itself(index: ws.Index) -> None:
    assert index.search(text=WORDS[1], k=1)[0].text == WORDS[1]
    hit = index.search(text=WORDS[1], target="text", k=1)[0]
    assert (hit.text, hit.path.name, hit.start_s, hit.duration_s) == (WORDS[1], "note1.txt", None, None)
    assert hit.score == pytest.approx(1.0, abs=1e-3)


def test_a_long_clip_finds_each_of_its_segments(index: ws.Index, media: Path) -> None:
    hits = index.search(audio=media / "sounds" / "700.flac", target="audio", k=3, moments=False)
    assert [hit.path.name for hit in hits] == ["700.flac"] * 3
    assert sorted(hit.start_s for hit in hits) == [0, 10, 20]
    assert all(hit.score > 0.999 for hit in hits)
    assert {hit.duration_s for hit in hits} == {21.0}


@pytest.mark.parametrize("asked", MODALITIES)
@pytest.mark.parametrize("target", MODALITIES)
def test_shards_find_what_exact_search_finds(large: ws.Index, asked: Modality, target: Modality) -> None:
    assert {part.modality for part in large.info().partitions if 0 < part.covered < part.segments} >= {
        "audio", "text", "video", "av",
    }  # fmt: skip
    vectors, ids = all_vectors(large, target)
    queries = all_vectors(large, asked)[0].astype(np.float32)[:: 5 if asked != target else 3]
    found = 0
    k = min(10, len(ids))
    for query in queries:
        unit = query / np.linalg.norm(query)
        scores, best = exact_search(vectors, ids, unit, k)
        hits = large.search(vector=query, target=target, k=k, moments=False)
        found += len({hit.segment_id for hit in hits} & set(best.tolist()))
        for hit in hits:
            if hit.segment_id in best:
                exact = float(scores[best == hit.segment_id][0])
                assert hit.score == pytest.approx(min(exact, 1.0), abs=1e-6)
    assert found >= 0.95 * k * len(queries)


def test_removed_files_are_not_found_in_shards(large: ws.Index) -> None:
    for target in ("audio", "text", "video", "av"):
        names = {hit.path.name for hit in large.search(text="x", target=target, k=1000)}
        assert names
        assert names.isdisjoint({"s7.wav", "v3.mp4", "t9.txt"})


def test_any_merges_by_z(index: ws.Index, media: Path) -> None:
    hits = index.search(audio=media / "sounds" / "500.flac", target="any", k=100, moments=False)
    assert len(hits) == sum(LIBRARY_SEGMENTS.values())
    assert {hit.modality for hit in hits} == set(MODALITIES)
    assert (hits[0].path.name, hits[0].modality) == ("500.flac", "audio"), "what is identical comes before all z"
    assert [hit.z for hit in hits[1:]] == sorted((hit.z for hit in hits[1:]), reverse=True)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    alone = index.search(audio=media / "sounds" / "500.flac", target="video", k=100, moments=False)
    together = [hit for hit in hits if hit.modality == "video"]
    assert [(hit.segment_id, hit.score, hit.z) for hit in alone] == [
        (hit.segment_id, hit.score, hit.z) for hit in together
    ]


def lower_half(scores: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the normal distribution with the same lower half."""
    lower = np.sort(scores)[: (len(scores) + 1) // 2]
    std = lower.std() / 0.602810
    return lower.mean() + 0.797885 * std, std


def test_z_of_a_vector_is_measured_by_the_spread_of_queries_of_any_kind(index: ws.Index) -> None:
    hits = index.search(vector=tiny().embed([Clip(text="x")])[0][Modality.TEXT], target="audio", k=100, moments=False)
    scores = np.array([hit.score for hit in hits])
    known = [
        spread.std for spread in index._snapshot.manifest.score_stats if spread.key == PartitionKey(Modality.AUDIO)
    ]
    assert len(known) > 1
    typical = np.sqrt(np.mean(np.square(known)))
    mean = np.sort(scores)[: (len(scores) + 1) // 2].mean() + 0.797885 * typical
    np.testing.assert_allclose([hit.z for hit in hits], (scores - mean) / typical, atol=1e-3)


def test_a_query_of_a_kind_that_was_not_measured_has_the_spread_of_any_kind_too(index: ws.Index) -> None:
    snapshot, audio = index._snapshot, PartitionKey(Modality.AUDIO)
    kept = tuple(spread for spread in snapshot.manifest.score_stats if spread.query is not Modality.IMAGE)
    search = PartitionSearch(Snapshot(snapshot.store, replace(snapshot.manifest, score_stats=kept)), audio)
    row = tiny().embed([Clip(text="x")])[0][Modality.TEXT][None]
    image, unknown, text = (
        search.search([Query.of_vectors(row, modality)], 100)[0].z for modality in (Modality.IMAGE, None, Modality.TEXT)
    )
    assert image.tolist() == unknown.tolist()
    assert image.tolist() != text.tolist()


def test_z_of_a_query_is_measured_by_queries_of_its_kind_and_half_by_its_own_mean(index: ws.Index, media: Path) -> None:
    vectors, ids = all_vectors(index, Modality.AUDIO)
    cosines = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    others = [lower_half(np.delete(row, at)) for at, row in enumerate(cosines)]
    typical_mean, typical = np.mean([mean for mean, _ in others]), np.sqrt(np.mean([std**2 for _, std in others]))
    hits = index.search(audio=media / "sounds" / "500.flac", target="audio", k=100, moments=False)
    scores = np.array([hit.score for hit in hits])
    own_mean = np.sort(scores)[: (len(scores) + 1) // 2].mean() + 0.797885 * typical
    z = (scores - (own_mean + typical_mean) / 2) / typical
    np.testing.assert_allclose([hit.z for hit in hits], z, rtol=2e-3, atol=2e-3)
    assert len(ids) == len(hits)


def test_min_score_is_a_number(index: ws.Index) -> None:
    with pytest.raises(UsageError, match="min_z"):
        index.search(text="x", min_z=float("nan"))


def test_a_search_ends_where_z_falls_below_the_least(index: ws.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    search = PartitionSearch.search

    def counted(self: PartitionSearch, queries: Sequence[Query], k: int, *rest: Any) -> list[Candidates]:
        asked.append(k)
        return search(self, queries, k, *rest)

    monkeypatch.setattr(PartitionSearch, "search", counted)
    best = index.search(text="x", target="audio", k=3, moments=False)
    asked.clear()
    assert index.search(text="x", target="audio", k=3, moments=False, min_z=best[0].z) == best[:1]
    assert asked == [3]


def test_min_score_is_a_z(index: ws.Index) -> None:
    everything = index.search(text="x", target="audio", k=100)
    middle = everything[2].z
    assert index.search(text="x", target="audio", k=100, min_z=middle) == everything[:3]
    assert index.search(text="x", target="audio", min_z=1e308) == []


def test_k(index: ws.Index) -> None:
    assert len(index.search(text="x", target="audio", k=2)) == 2
    assert len(index.search(text="x", target="image", k=1000)) == 3
    with pytest.raises(UsageError, match="k must be at least 1, got 0"):
        index.search(text="x", k=0)


def test_an_instruction_changes_a_media_query_only(index: ws.Index, media: Path) -> None:
    sound = media / "sounds" / "300.flac"
    plain = index.search(audio=sound, target="audio", k=1)[0]
    asked = index.search(audio=sound, target="audio", k=1, instruction="What animal is heard?")[0]
    assert plain.score > 0.999
    assert asked.score != plain.score
    with pytest.raises(UsageError, match="the instruction changes nothing: the query is not media"):
        index.search(text="a dog", instruction="What animal is heard?")


def test_a_vector_needs_no_model(media: Path, index: ws.Index) -> None:
    counting = CountingEmbedder()
    vector = tiny().embed([ws.Clip(text=WORDS[0])])[0][Modality.TEXT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wave_search.models.load", counting.load)
        with ws.open(index.path) as other:
            assert other.search(vector=vector, target="text", k=1)[0].text == WORDS[0]
            assert other.search(vector=[vector, vector], target="text", k=1)[0].score > 0.999
            assert other.info().files
    assert counting.loads == 0
    with pytest.raises(UsageError, match="has 3 dimensions, those of the index have 64"):
        index.search(vector=[1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"audio": "pictures/0.png"}, "the file has no audio. It can be used as image"),
        ({"video": "sounds/300.flac"}, "the file has no video. It can be used as audio"),
        ({"av": "videos/silent.mp4"}, "the file has no audio and video"),
        ({"image": "videos/silent.mp4"}, "the file has no image"),
        ({"audio": "sounds/300.flac@5-6"}, "the range begins after the end of the file, 1.00 s"),
        ({"audio": "no/such/file"}, "no such file"),
        ({"text": " \n"}, "the text is empty"),
        ({"text": "x", "target": "smell"}, 'no target "smell"'),
    ],
)
def test_requests_that_are_not_valid(index: ws.Index, media: Path, query: dict[str, str], message: str) -> None:
    asked = {name: value if name in ("text", "target") else str(media / value) for name, value in query.items()}
    with pytest.raises(UsageError, match=message):
        index.search(**asked)


def test_a_picture_has_no_range(index: ws.Index, media: Path) -> None:
    with pytest.raises(UsageError, match="an image has no range"):
        index.search(image=f"{media / 'pictures' / '0.png'}@1-2")


def test_a_reader_keeps_its_state_until_it_is_refreshed(media: Path, tmp_path: Path) -> None:
    with ws.create(tmp_path / "index") as writer:
        writer.add([media / "texts"])
        with ws.open(tmp_path / "index") as reader:
            assert not reader.refresh()
            writer.remove([media / "texts" / "note0.txt"])
            assert len(reader.search(text="x")) == 2
            assert reader.refresh()
            assert len(reader.search(text="x")) == 1


def test_an_empty_index(tmp_path: Path) -> None:
    with ws.create(tmp_path / "index") as empty:
        with pytest.raises(UsageError, match=r"the index is empty\. Add media"):
            empty.search(text="x")
        with Writer(tmp_path / "index"):
            being_filled = rf"empty so far: it is being filled by process {os.getpid()} .*Try again in a minute"
            with pytest.raises(UsageError, match=being_filled):
                empty.search(text="x")
        with pytest.raises(UsageError, match=r"the index is empty\. Add media"):
            empty.search(text="x")


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    assert not ws.exists(tmp_path)
    with pytest.raises(IndexNotFoundError, match="wave-search index"):
        ws.open(tmp_path)


@pytest.mark.parametrize("name", ["WAVE-7B", "owner/other", "wave-tiny@0000000"])
def test_another_model_is_refused_with_both_names(index: ws.Index, name: str) -> None:
    with pytest.raises(IndexMismatchError, match=f"made with the model wave-tiny.*not with {name}"):
        ws.open(index.path, model=name)


@pytest.mark.parametrize("name", ["auto", "wave-tiny"])
def test_its_own_model_is_welcome(index: ws.Index, name: str) -> None:
    with ws.open(index.path, model=name) as again:
        assert again.model == tiny().spec
