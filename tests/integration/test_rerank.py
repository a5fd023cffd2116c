"""Queries with an instruction: what it changes, and where it is an error."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import LIBRARY_SEGMENTS, CountingEmbedder, no_decoders, tiny
from tests.media_decoding import KeptDecoders
from tests.media_factory import write_sound
from wave_search.errors import ModelError, UsageError
from wave_search.models import session
from wave_search.store import NewSegment, Writer
from wave_search.types import Clip, Modality

WORDS, ASKED = "rain on a tin roof", 'What\'s heard "here"?'
SOUNDS = LIBRARY_SEGMENTS[Modality.AUDIO]


@pytest.fixture
def index(settled: Path, counted: CountingEmbedder) -> object:
    with ws.open(settled / "index") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(kept: Path, tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> object:
    """An index that is not changed, but for its cache."""
    own = shutil.copytree(kept / "index", tmp_path_factory.mktemp("shared") / "index")
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.open(own) as opened:
            yield opened


@pytest.fixture
def media(settled: Path) -> Path:
    return settled / "media"


def asked_again(hits: list[ws.Hit]) -> dict[int, float]:
    """What the hits should score with the instruction: embedded by another way."""
    (words,) = (vectors[Modality.TEXT] for vectors in tiny().embed([Clip(text=WORDS)]))
    with ws.load_embedder() as other:
        refs = [ws.MediaRef(hit.path, hit.modality, hit.start_s, hit.stop_s) for hit in hits]
        scores = other.encode(refs, instruction=ASKED) @ words
    return {hit.segment_id: float(score) for hit, score in zip(hits, scores, strict=True)}


def test_the_best_are_embedded_again_and_reordered(shared: ws.Index) -> None:
    before = shared.search(moments=False, text=WORDS, target="audio", k=SOUNDS)
    hits = shared.search(moments=False, text=WORDS, target="audio", k=SOUNDS, instruction=ASKED, rerank=4)
    expected = asked_again(before[:4])
    assert [hit.segment_id for hit in hits[:4]] == sorted(expected, key=lambda number: -expected[number])
    assert [hit.score for hit in hits[:4]] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-3)
    assert [hit.segment_id for hit in hits[:4]] != [hit.segment_id for hit in before[:4]]
    assert hits[4:] == before[4:]
    assert [hit.rank for hit in hits] == list(range(1, SOUNDS + 1))


def test_fewer_hits_than_candidates_are_the_best_of_all_of_them(shared: ws.Index) -> None:
    everything = shared.search(moments=False, text=WORDS, target="audio", k=SOUNDS, instruction=ASKED, rerank=SOUNDS)
    assert (
        shared.search(moments=False, text=WORDS, target="audio", k=2, instruction=ASKED, rerank=SOUNDS)
        == everything[:2]
    )
    least = everything[1].z
    best = shared.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS, min_z=least)
    assert best == everything[:2]


def test_z_says_how_far_they_stand_out_together_as_before(shared: ws.Index) -> None:
    before = shared.search(moments=False, text=WORDS, target="video", k=4)
    hits = shared.search(moments=False, text=WORDS, target="video", k=4, instruction=ASKED, rerank=4)
    assert np.mean([hit.z for hit in hits]) == pytest.approx(np.mean([hit.z for hit in before]), abs=1e-4)
    assert [hit.z for hit in hits] == sorted((hit.z for hit in hits), reverse=True)


def test_of_several_parts_each_is_asked_again(shared: ws.Index) -> None:
    asked = {"target": "audio", "k": SOUNDS, "moments": False}
    again = {"instruction": ASKED, "rerank": 4}
    once, twice = (shared.search(text=text, **asked, **again) for text in (WORDS, [WORDS, WORDS]))
    assert [hit.segment_id for hit in twice] == [hit.segment_id for hit in once]
    assert [hit.z for hit in twice] == pytest.approx([hit.z for hit in once], abs=1e-3)
    parts = WORDS, "two people talk"
    before, hits = shared.search(text=parts, **asked), shared.search(text=parts, **asked, **again)
    assert {hit.segment_id for hit in hits[:4]} == {hit.segment_id for hit in before[:4]}
    assert hits[4:] == before[4:]
    first = [hit.z for hit in hits[:4]]
    assert first == sorted(first, reverse=True)
    assert first != pytest.approx([hit.z for hit in before[:4]], abs=1e-3)


def test_of_all_kinds_texts_keep_their_score(shared: ws.Index) -> None:
    before = shared.search(moments=False, text=WORDS, k=30)
    hits = shared.search(moments=False, text=WORDS, k=30, instruction=ASKED, rerank=30)
    assert {hit.segment_id for hit in hits} == {hit.segment_id for hit in before}
    texts = {hit.segment_id: (hit.score, hit.z) for hit in before if hit.modality is Modality.TEXT}
    assert {hit.segment_id: (hit.score, hit.z) for hit in hits if hit.modality is Modality.TEXT} == texts
    others = {hit.segment_id: hit.score for hit in hits if hit.modality is not Modality.TEXT}
    expected = asked_again([hit for hit in before if hit.modality is not Modality.TEXT])
    assert others == pytest.approx(expected, abs=1e-3)


def test_a_second_time_decodes_nothing(
    index: ws.Index, media: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_bytes = index.info().size_bytes
    first = index.search(moments=False, text=WORDS, instruction=ASKED, rerank=30)
    assert index.info().size_bytes > size_bytes
    shutil.move(media, media.with_name("elsewhere"))
    counted.clips.clear()
    monkeypatch.setattr(session.media, "DecoderPool", no_decoders)
    seen: list[ws.Progress] = []
    with ws.open(index.path) as other:
        again = other.search(moments=False, text=WORDS, instruction=ASKED, rerank=30, progress=seen.append)
        assert again == [replace(hit, gone=True) for hit in first]
    assert [clip.text for clip in counted.clips] == [WORDS]
    assert {progress.files_done for progress in seen} == {sum(LIBRARY_SEGMENTS.values()) - 2}


def test_a_media_query_is_embedded_with_the_instruction_too(shared: ws.Index, finished: Path) -> None:
    query = finished / "media" / "sounds" / "500.flac"
    plain = shared.search(moments=False, audio=query, target="audio", k=SOUNDS, instruction=ASKED)
    hits = shared.search(moments=False, audio=query, target="audio", k=SOUNDS, instruction=ASKED, rerank=SOUNDS)
    assert plain[0].score < 0.9999
    assert hits[0].path.name == "500.flac"
    assert hits[0].score == pytest.approx(1, abs=1e-3)


def test_it_goes_on_and_says_how(index: ws.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wave_search.batches.SHORT_BATCH_CLIPS", 3)
    seen: list[ws.Progress] = []
    index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS, progress=seen.append)
    assert seen[0].files_total == SOUNDS
    assert [done for done, total in dict.fromkeys((p.files_done, p.files_total) for p in seen)] == [0, 3, 6, 7]
    assert seen[-1].stage == "done"
    assert seen[-2].media_s > 20
    assert {p.current.suffix for p in seen if p.current} == {".flac", ".mp4"}


def test_what_was_done_before_an_interruption_is_kept(
    index: ws.Index, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.batches.SHORT_BATCH_CLIPS", 3)
    calls: list[int] = []

    def fail(clips: list[Clip]) -> None:
        if clips[0].text is None:
            calls.append(len(clips))
            if len(calls) == 3:
                raise KeyboardInterrupt

    counted.before = fail
    seen: list[ws.Progress] = []
    with pytest.raises(KeyboardInterrupt):
        index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS, progress=seen.append)
    assert seen[-1].stage == "done", "a display ends"
    index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS)
    assert calls == [3, 3, 1, 1]


def test_files_that_are_gone_or_changed_come_last_with_a_warning(index: ws.Index, media: Path) -> None:
    before = index.search(moments=False, text=WORDS, target="audio", k=SOUNDS)
    (media / "sounds" / "500.flac").unlink()
    write_sound(media / "sounds" / "300.flac", 1.5, 350)
    lost = {"300.flac", "500.flac"}
    warnings: list[ws.Skipped] = []
    hits = index.search(
        moments=False, text=WORDS, target="audio", k=SOUNDS, instruction=ASKED, rerank=SOUNDS, warn=warnings.append
    )
    assert {warning.path.name for warning in warnings} == lost
    assert {warning.cause for warning in warnings if warning.path.name == "300.flac"} == {
        "changed since it was indexed"
    }
    others = sorted((hit for hit in before if hit.path.name in lost), key=lambda hit: hit.path.name == "500.flac")
    replaced = [(hit.segment_id, hit.score, hit.z) for hit in others]
    assert [(hit.segment_id, hit.score, hit.z) for hit in hits[-2:]] == replaced
    assert len(hits) == SOUNDS


@pytest.mark.parametrize(
    ("modality", "start_s", "cause"),
    [(Modality.VIDEO, 0.5, "decoded differently than when it was indexed"), (Modality.AUDIO, 5000.0, "begins at 5000")],
)
def test_a_segment_that_its_file_does_not_have_comes_last_with_a_warning(
    index: ws.Index, modality: Modality, start_s: float, cause: str
) -> None:
    """As after a change of the decoders: the file is the same, what is decoded is not."""
    with Writer(index.path) as writer:
        files, paths = writer.snapshot.files(), list(writer.snapshot.files())
        (content_id,) = {files[path].content_id for path in paths if path.endswith(b"500.flac")}
        segment = NewSegment(modality, start_s, start_s + 1, None, np.eye(tiny().spec.dim)[0])
        writer.put_segments(content_id, [segment])
        writer.commit()
    warnings: list[ws.Skipped] = []
    asked = {"text": WORDS, "target": modality, "k": 30, "moments": False}
    with ws.open(index.path) as opened:
        hits = opened.search(**asked, instruction=ASKED, rerank=30, warn=warnings.append)
    assert [warning.path.name for warning in warnings] == ["500.flac"]
    assert cause in warnings[0].cause
    assert len(hits) == LIBRARY_SEGMENTS[modality] + 1
    assert (hits[-1].path.name, hits[-1].start_s) == ("500.flac", start_s)


def test_a_search_that_looks_further_warns_once(index: ws.Index, media: Path) -> None:
    shutil.rmtree(media / "sounds")
    warnings: list[ws.Skipped] = []
    told: list[ws.Progress] = []
    asked = {"text": WORDS, "target": "audio", "k": 4, "instruction": ASKED, "rerank": SOUNDS}
    index.search(**asked, dedupe=0.5, warn=warnings.append, progress=told.append)
    assert sum(progress.stage == "done" for progress in told) > 1
    assert len({warning.path for warning in warnings}) == len(warnings) == 3
    assert (told[-1].files_skipped, told[-1].files_total) == (5, SOUNDS), "segments"


def test_a_copy_elsewhere_stands_in(index: ws.Index, media: Path) -> None:
    shutil.copy(media / "sounds" / "500.flac", media / "zzz.flac")
    index.add([media])
    (media / "sounds" / "500.flac").unlink()
    warnings: list[ws.Skipped] = []
    hits = index.search(
        moments=False,
        text=WORDS,
        target="audio",
        k=30,
        instruction=ASKED,
        rerank=SOUNDS,
        copies=True,
        warn=warnings.append,
    )
    assert warnings == []
    gone, copy = (next(hit for hit in hits if hit.path.name == name) for name in ("500.flac", "zzz.flac"))
    assert gone.score == copy.score


@pytest.mark.parametrize("damage", ["text", "bytes", "table", "folder"])
def test_a_damaged_cache_is_no_cache(index: ws.Index, damage: str) -> None:
    request = {"text": WORDS, "target": "audio", "instruction": ASKED, "rerank": SOUNDS}
    first = index.search(moments=False, **request)  # type: ignore[arg-type]
    cache = index.path / "cache.sqlite3"
    if damage == "text":
        cache.write_text("not a database" * 100)
    elif damage == "bytes":
        with sqlite3.connect(cache) as database:
            database.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
    elif damage == "table":
        with sqlite3.connect(cache) as database:
            database.execute("DROP TABLE vectors")
            database.execute("CREATE TABLE vectors (something)")
    else:
        cache.unlink()
        cache.mkdir()
    assert index.search(moments=False, **request) == first  # type: ignore[arg-type]
    problems = ws.verify(index.path)
    assert [(problem.orphan, "cache.sqlite3 is damaged" in problem.what) for problem in problems] == (
        [] if damage == "bytes" else [(True, True)]
    )


def test_another_index_at_the_same_ids_does_not_use_the_cache(index: ws.Index, media: Path, tmp_path: Path) -> None:
    index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS)
    write_sound(tmp_path / "other" / "a.flac", 1, 1000)
    with ws.create(tmp_path / "second", "wave-tiny") as second:
        second.add([tmp_path / "other"])
        shutil.copy(index.path / "cache.sqlite3", second.path)
        (hit,) = second.search(moments=False, text=WORDS, instruction=ASKED, rerank=1)
        assert hit.segment_id == 0
        assert hit.score == pytest.approx(asked_again([hit])[0], abs=1e-3)


def test_a_cache_that_is_locked_is_done_without(index: ws.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wave_search.query.rerank._CACHE_WAIT_S", 0.0)
    with sqlite3.connect(index.path / "cache.sqlite3") as database:
        database.execute("BEGIN EXCLUSIVE")
        hits = index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS)
    assert index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=SOUNDS) == hits


def test_a_space_of_the_instruction_is_searched_without_embedding_again(
    index: ws.Index, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = index.search(moments=False, text=WORDS, target="audio", k=SOUNDS, instruction=ASKED, rerank=SOUNDS)
    index.add([media], instructions=[ASKED])
    monkeypatch.setattr(session.media, "DecoderPool", no_decoders)
    with ws.open(index.path) as other:
        hits = other.search(moments=False, text=WORDS, target="audio", k=SOUNDS, instruction=ASKED)
        assert [hit.path for hit in hits] == [hit.path for hit in again]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in again], abs=1e-3)
        assert other.search(moments=False, text=WORDS, target="audio", k=SOUNDS, instruction=ASKED, rerank=3) == hits
        assert {hit.modality for hit in other.search(moments=False, text=WORDS, k=30, instruction=ASKED)} == set(
            Modality
        )
        vector = tiny().embed([Clip(text=WORDS)])[0][Modality.TEXT]
        assert other.search(moments=False, vector=vector, target="audio", instruction=ASKED)[0].path == hits[0].path


def test_a_clip_finds_itself_in_the_space_of_the_instruction(index: ws.Index, media: Path) -> None:
    index.add([media / "sounds"], instructions=[ASKED])
    hits = index.search(moments=False, audio=media / "sounds" / "500.flac", target="audio", instruction=ASKED)
    assert hits[0].path.name == "500.flac"
    assert hits[0].score == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        ({"text": WORDS, "instruction": ASKED}, "rerank=50.*wave-search index --instruction"),
        ({"vector": np.ones(64), "instruction": ASKED}, "rerank=50.*wave-search index --instruction"),
        ({"text": WORDS, "rerank": 5}, "rerank needs an instruction"),
        ({"text": WORDS, "instruction": ASKED, "rerank": 0}, "rerank must be at least 1, got 0"),
        ({"text": WORDS, "instruction": ASKED, "target": "text"}, "changes nothing in a search for texts"),
        ({"text": WORDS, "instruction": ASKED, "target": "text", "rerank": 5}, "changes nothing in a search for texts"),
        ({"text": WORDS, "instruction": " ", "rerank": 5}, "the instruction is empty"),
    ],
)
def test_what_would_change_nothing_is_refused(finished: Path, request_: dict[str, object], what: str) -> None:
    counting = CountingEmbedder()
    with pytest.MonkeyPatch.context() as patch, ws.open(finished / "index") as index:
        patch.setattr("wave_search.models.load", counting.load)
        with pytest.raises(UsageError, match=what):
            index.search(moments=False, **request_)  # type: ignore[arg-type]
    assert counting.loads == 0, "before a model is loaded in vain"


def test_a_model_that_fails_is_an_error(index: ws.Index, counted: CountingEmbedder) -> None:
    def fail(clips: list[Clip]) -> None:
        if clips[0].text is None:
            raise ModelError("it gives values that are not finite")

    counted.before = fail
    with pytest.raises(ModelError, match="not finite"):
        index.search(moments=False, text=WORDS, target="audio", instruction=ASKED, rerank=3)
