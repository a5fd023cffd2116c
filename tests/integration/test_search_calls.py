"""How a search runs: through few calls, over enough candidates, and in several threads at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder, make_library
from wave_search.ann import shard_set
from wave_search.ann.rebuild import refresh_shards
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.query.fusion import Query
from wave_search.query.partition import Candidates, PartitionSearch
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer, create
from wave_search.types import Modality, PartitionKey

DIM, COUNT = 32, 400
AUDIO = PartitionKey(Modality.AUDIO)
PACKAGE = str(Path(ws.__file__).parent)
VECTORS = np.random.default_rng(0).normal(size=(2 * COUNT, DIM))


def put(writer: Writer, name: str, vectors: np.ndarray) -> None:
    segments = [NewSegment(Modality.AUDIO, None, None, None, vector / np.linalg.norm(vector)) for vector in vectors]
    content_id = writer.put_content(ContentRow(name, "audio", "wav", 10.0), segments)
    writer.put_file(FileRow(f"/media/{name}".encode(), b"/media", 1, 1, 1, content_id))


def filled(folder: Path, shards: int) -> Path:
    """An index of vectors: in none, one or two shards and, if there is one, some in no shard."""
    create(folder, ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {}), Settings("10", tuple(Modality)))
    with Writer(folder) as writer:
        for number in range(max(shards, 1)):
            # A shard is joined with one before it that is no larger.
            put(writer, f"{number}.wav", VECTORS[number * COUNT :][: COUNT // (number + 1)])
            writer.commit()
            if shards:
                refresh_shards(writer, AUDIO, 1)
        if shards:
            put(writer, "new.wav", -VECTORS[:20])
        snapshot = writer.commit()
    assert len(snapshot.shards(AUDIO)) == shards
    return folder


def chains(index: ws.Index, **request: Any) -> list[list[str]]:
    """The functions of the package that are active at each search of faiss."""
    found = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or "search" not in frame.f_code.co_name or "faiss" not in frame.f_code.co_filename:
            return
        caller, names = frame.f_back, []
        while caller is not None:
            if caller.f_code.co_filename.startswith(PACKAGE):
                names.append(caller.f_code.co_qualname)
            caller = caller.f_back
        found.append(names[::-1])

    index.search(**request)  # opens what it needs
    sys.setprofile(watch)
    try:
        index.search(**request)
    finally:
        sys.setprofile(None)
    return found


@pytest.fixture(scope="module", params=[0, 1, 2])
def sharded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An index that is not changed, and how many shards it has."""
    return filled(tmp_path_factory.mktemp("sharded") / "index", request.param), request.param


@pytest.mark.parametrize("by_codes", [True, False])
def test_a_search_passes_six_functions_at_most_before_faiss(
    sharded: tuple[Path, int], monkeypatch: pytest.MonkeyPatch, by_codes: bool
) -> None:
    folder, shards = sharded
    if by_codes:  # small as they are, the shards would otherwise be searched exactly
        monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
        monkeypatch.setattr(shard_set, "_CODE_COST", 0)
    with ws.open(folder) as index:
        for terms in ({"vector": VECTORS[0]}, {"vector": VECTORS[:2]}, {"vector": VECTORS[0], "like": 3}):
            for where in (None, "name != '0.wav'", "duration_s > 0"):
                found = chains(index, target="audio", where=where, **terms)
                assert found or where == "name != '0.wav'"
                assert all(names[0] == "Index.search" and len(names) <= 6 for names in found), found
        assert any("ShardSet.search" in names for names in found) is bool(shards)


def test_queries_that_search_the_same_are_searched_together(
    sharded: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same hits as each alone, wherever the segments are."""
    monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
    monkeypatch.setattr(shard_set, "_CODE_COST", 0)
    calls, search = [], PartitionSearch.search

    def recorded(self: PartitionSearch, queries: Sequence[Query], *rest: Any) -> list[Candidates]:
        calls.append(len(queries))
        return search(self, queries, *rest)

    with ws.open(sharded[0]) as index:
        alone = [index.search(vector=row, target="audio", k=5) for row in VECTORS[:70]]
        few = index.search(vector=VECTORS[0], target="audio", where="start_s IS NULL", k=2)
        monkeypatch.setattr(PartitionSearch, "search", recorded)
        queries: list[Any] = [{"vector": row} for row in VECTORS[:70]]
        assert index.search_many(queries, target="audio", k=5) == alone
        assert calls == [64, 6]
        calls.clear()
        found = index.search_many(
            [*queries[:3], {"vector": VECTORS[0], "where": "start_s IS NULL", "k": 2}], target="audio", k=5
        )
        assert found == [*alone[:3], few]
        assert calls == [3, 1]


def test_candidates_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    search = PartitionSearch.search

    def recorded(
        self: PartitionSearch, queries: Sequence[Query], k: int, overfetch: int, *rest: Any
    ) -> list[Candidates]:
        asked.append((k, overfetch))
        return search(self, queries, k, overfetch, *rest)

    monkeypatch.setattr(PartitionSearch, "search", recorded)
    with ws.open(filled(tmp_path / "index", 0)) as index:

        def widths(**request: Any) -> list[tuple[int, int]]:
            asked.clear()
            index.search(vector=VECTORS[0], target="audio", **request)
            return [*asked]

        assert widths(k=3, moments=False) == [(3, 61)], "files may be gone"
        assert widths(k=3) == [(3, 61)], "several may be one moment"
        assert widths(k=100) == [(100, 300)]
        assert widths(k=100, moments=False) == [(100, 0)]
        assert widths(k=1, moments=False, where="duration_s > 1") == [(1, 63)]
        assert widths(k=2, per_file=1) == [(2, 62), (256, 0), (1024, 0)], "wider, until all are found"


def test_candidates_of_several_terms_go_deeper_than_the_hits(tmp_path: Path) -> None:
    """What matches one of two terms closely is nearer to their sum than what matches both."""
    create(tmp_path / "index", ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {}), Settings("10", tuple(Modality)))
    one, other, rest = np.eye(3, DIM)
    noise = VECTORS[:COUNT] * np.r_[0.5, 0.5, np.ones(DIM - 2)]
    with Writer(tmp_path / "index") as writer:
        put(writer, "noise.wav", noise)
        put(writer, "one.wav", np.tile(one, (150, 1)) + 0.01 * VECTORS[:150])
        put(writer, "both.wav", (0.45 * one + 0.45 * other + 0.77 * rest)[None])
        writer.commit()
    with ws.open(tmp_path / "index") as index:
        by_sum = index.search(vector=one + other, target="audio", k=100, moments=False)
        assert "both.wav" not in {hit.path.name for hit in by_sum}
        terms = {"vector": ws.Weighted(one), "like": index_of(index, tmp_path, other)}
        assert index.search(**terms, target="audio", k=1, moments=False)[0].path.name == "both.wav"


def index_of(index: ws.Index, folder: Path, vector: np.ndarray) -> int:
    """The segment of an image with this vector, which is added to the index."""
    with Writer(folder / "index") as writer:
        segment = NewSegment(Modality.IMAGE, None, None, None, vector)
        content_id = writer.put_content(ContentRow("image", "image", "png"), [segment])
        writer.put_file(FileRow(b"/media/image.png", b"/media", 1, 1, 1, content_id))
        snapshot = writer.commit()
    assert index.refresh()
    return int(snapshot.partition(PartitionKey(Modality.IMAGE)).ids[0])


def test_searches_in_eight_threads_while_another_adds_and_refreshes(tmp_path: Path, counted: CountingEmbedder) -> None:
    media = make_library(tmp_path / "media")
    texts = [f"sentence {number}" for number in range(2)]
    sound = media / "sounds" / "500.flac"
    ended, begun = Event(), [Event() for _ in range(8)]

    with ws.load_embedder("wave-tiny") as embedder:
        vector = embedder.encode(ws.Audio(sound))

    def searching(number: int, index: ws.Index) -> int:
        try:
            return searched(number, index)
        finally:
            begun[number].set()

    def searched(number: int, index: ws.Index) -> int:
        rounds, same = 0, {"audio": sound} if number < 2 else {"vector": vector}
        while not ended.wait(0.1) or not rounds:  # leaves the other thread some time
            names = {hit.path.name for hit in index.search(text="x", target="text", k=100, moments=False)}
            added = len(names) - 2
            assert names == {"note0.txt", "note1.txt", *(f"{n}.txt" for n in range(added))}, "a committed version"
            hits = index.search(**same, target="audio", where="kind = 'audio'", columns=["duration_s"])
            assert hits[0].path == sound.resolve()
            assert hits[0].score == pytest.approx(1, abs=1e-3)
            assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
            assert all(hit.columns == {"duration_s": hit.duration_s} for hit in hits)
            like = hits[rounds % len(hits)].segment_id
            assert like not in {hit.segment_id for hit in index.search(like=like, k=100)}
            rounds += 1
            begun[number].set()
        return rounds

    with ws.create(tmp_path / "index", workers=2) as index, ThreadPoolExecutor(9) as pool:
        index.add([media])
        searches = [pool.submit(searching, number, index) for number in range(8)]
        try:
            for number, text in enumerate(texts):
                (media / "texts" / f"{number}.txt").write_text(text)
                if number % 2:
                    index.add([media])
                else:
                    with ws.open(tmp_path / "index", workers=1) as other:
                        other.add([media])
                    index.refresh()
            assert all(event.wait(300) for event in begun)
        finally:
            ended.set()
        assert all(search.result() for search in searches)
        assert len(index.search(text="x", target="text", k=100)) == 2 + len(texts)
