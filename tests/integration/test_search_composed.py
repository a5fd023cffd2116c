"""Queries of several parts, of earlier hits and of files that are indexed; with the real small model."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder, make_library, no_decoders, tiny
from tests.media_decoding import KeptDecoders
from tests.media_factory import write_sound
from wave_search.errors import UsageError
from wave_search.query.encode_items import encode_items
from wave_search.types import Modality, PartitionKey


@pytest.fixture(scope="module", autouse=True)
def model(kept_decoders: KeptDecoders) -> object:
    """Counts what is embedded."""
    counting = CountingEmbedder()
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", counting.load)
        yield counting


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def index(media: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    with ws.create(tmp_path_factory.mktemp("index"), workers=2) as made:
        made.add([media])
        yield made


@pytest.fixture
def fresh(index: ws.Index, model: CountingEmbedder) -> object:
    """The index, with no model loaded yet."""
    model.loads = 0
    with ws.open(index.path) as opened:
        yield opened


def scores_of(hits: list[ws.Hit]) -> dict[int, float]:
    return {hit.segment_id: hit.score for hit in hits}


def vector(text: str) -> np.ndarray:
    return tiny().embed([ws.Clip(text=text)])[0][Modality.TEXT]


def expected(index: ws.Index, modality: Modality, query: np.ndarray) -> dict[int, float]:
    ids = index._snapshot.partition(PartitionKey(modality)).ids
    vectors = index._snapshot.vectors(PartitionKey(modality), ids).astype(np.float32)
    return dict(zip(ids.tolist(), (vectors @ (query / np.linalg.norm(query))).tolist(), strict=True))


@pytest.mark.parametrize(("on_disk", "given"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_of_files_may_be_composed_or_not(
    fresh: ws.Index, media: Path, tmp_path: Path, on_disk: str, given: str
) -> None:
    sound = media / "sounds" / "700.flac"
    shutil.copy(sound, tmp_path / unicodedata.normalize(on_disk, "größe é.flac"))
    name = tmp_path / unicodedata.normalize(given, "größe é.flac")
    assert scores_of(fresh.search(similar=name, target="audio")) == scores_of(
        fresh.search(similar=sound, target="audio")
    )
    fresh.search(audio=f"{name}@0-1", target="audio")


def test_texts_are_added_by_weight_and_taken_away(index: ws.Index) -> None:
    hits = index.search(text=["a dog", ws.Weighted("rain", 0.5), ws.Not("music")], target="audio", k=100, moments=False)
    query = vector("a dog") + 0.5 * vector("rain") - 0.5 * vector("music")
    assert scores_of(hits) == pytest.approx(expected(index, Modality.AUDIO, query), abs=1e-5)
    assert [hit.z for hit in hits] == sorted((hit.z for hit in hits), reverse=True)


def test_kinds_may_be_mixed(index: ws.Index, media: Path) -> None:
    picture = media / "pictures" / "1.png"
    hits = index.search(text="a dog", image=picture, target="video", k=100, moments=False)
    (image,) = encode_items(index._encoder, [ws.Image(picture)]).vectors
    assert scores_of(hits) == pytest.approx(expected(index, Modality.VIDEO, vector("a dog") + image), abs=1e-5)


def test_the_best_combination_of_segments_decides(index: ws.Index, media: Path) -> None:
    sound = media / "sounds" / "700.flac"
    hits = scores_of(index.search(text="a dog", audio=sound, target="audio", k=100, moments=False))
    parts = [
        scores_of(index.search(text="a dog", audio=f"{sound}@{range_s}", target="audio", k=100, moments=False))
        for range_s in ("0-10", "10-20", "20-21")
    ]
    assert hits == pytest.approx({number: max(part[number] for part in parts) for number in hits}, abs=1e-5)


def test_sound_and_picture_together_are_one_clip(index: ws.Index, media: Path) -> None:
    clip = media / "videos" / "talking.mp4"
    both = index.search(audio=clip, video=clip, target="av", k=10, moments=False)
    assert scores_of(both) == pytest.approx(
        scores_of(index.search(av=clip, target="av", k=10, moments=False)), abs=1e-5
    )
    assert {hit.score > 0.999 for hit in both} == {True}
    apart = index.search(audio=ws.Weighted(clip, 0.9), video=clip, target="av", k=10, moments=False)
    assert scores_of(apart) != pytest.approx(scores_of(both), abs=1e-3)


@pytest.mark.parametrize(("sound", "clips"), [("300.flac", 2), ("700.flac", 3)])
def test_the_shorter_of_sound_and_picture_starts_again(
    index: ws.Index, media: Path, model: CountingEmbedder, sound: str, clips: int
) -> None:
    model.clips.clear()
    index.search(audio=media / "sounds" / sound, video=media / "videos" / "silent.mp4", target="av")
    assert len(model.clips) == clips
    assert all(set(clip.modalities) == {"audio", "video", "av"} for clip in model.clips)
    frames = [clip.frames.pixels for clip in model.clips if clip.frames]
    assert len(frames[0]) > len(frames[1]), "10 s, then 2 s"
    assert clips == 2 or np.array_equal(frames[0], frames[2])


def test_an_instruction_is_for_the_media_of_a_query(index: ws.Index, media: Path) -> None:
    asked = {"text": "a dog", "audio": media / "sounds" / "300.flac", "target": "audio"}
    plain, told = index.search(**asked), index.search(**asked, instruction="What animal is heard?")
    assert scores_of(plain) != pytest.approx(scores_of(told), abs=1e-4)


def test_each_part_is_measured_as_a_query_of_its_kind(index: ws.Index, media: Path) -> None:
    def z_of(**query: object) -> dict[int, float]:
        return {hit.segment_id: hit.z for hit in index.search(**query, target="audio", k=100, moments=False)}

    sound = media / "sounds" / "300.flac"
    both, text, heard = z_of(text="a", audio=sound), z_of(text="a"), z_of(audio=sound)
    usual = [np.mean(list(one.values())) for one in (text, heard)]
    for number, z in both.items():
        above = [one[number] - mean for one, mean in zip((text, heard), usual, strict=True)]
        met = np.exp(np.mean([-np.log1p(np.exp(-one / 2)) for one in above]))
        assert z == pytest.approx(np.mean(usual) + 2 * np.log(met / (1 - met)), abs=1e-3)


def stored(index: ws.Index, modality: Modality, path: Path, starts_s: list[float]) -> np.ndarray:
    """The vectors of some segments of a file, from the index."""
    hits = index.search(text="x", target=modality, k=100, moments=False)
    ids = {hit.start_s: hit.segment_id for hit in hits if hit.path == path.resolve()}
    wanted = np.array([ids[start_s] for start_s in starts_s])
    return index._snapshot.vectors(PartitionKey(modality), wanted).astype(np.float32)


def test_a_hit_is_the_next_query_without_a_model(
    fresh: ws.Index, model: CountingEmbedder, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = fresh.search(similar=media / "sounds" / "700.flac", target="audio")[0]
    monkeypatch.setattr(fresh._encoder, "decoders", no_decoders)
    by_hit = fresh.search(like=hit, target="image")
    assert by_hit == fresh.search(like=hit.segment_id, target="image")
    assert hit.segment_id not in scores_of(fresh.search(like=hit, k=100))
    assert model.loads == 0
    (vector_of_hit,) = stored(fresh, Modality.AUDIO, hit.path, [hit.start_s])
    assert scores_of(by_hit) == pytest.approx(expected(fresh, Modality.IMAGE, vector_of_hit), abs=1e-4)


def test_hits_compose(index: ws.Index) -> None:
    first, second = index._snapshot.partition(PartitionKey(Modality.AUDIO)).ids[:2].tolist()
    a, b = index._snapshot.vectors(PartitionKey(Modality.AUDIO), np.array([first, second])).astype(np.float32)
    hits = index.search(like=[first, ws.Not(second)], target="image")
    assert scores_of(hits) == pytest.approx(expected(index, Modality.IMAGE, a - 0.5 * b), abs=1e-4)
    assert (
        not {first, second}
        & scores_of(index.search(like=[first, ws.Not(second)], target="audio", k=100, moments=False)).keys()
    )


def test_an_instruction_of_the_index_holds_for_stored_vectors(
    media: Path, tmp_path: Path, model: CountingEmbedder
) -> None:
    asked = "What animal is heard?"
    sounds = [media / "sounds" / "300.flac", media / "sounds" / "500.flac"]
    with ws.create(tmp_path / "index", modalities=["audio"]) as made:
        made.add(sounds, instructions=[asked])
    model.loads = 0
    with ws.open(tmp_path / "index") as index:
        for instruction in (None, asked):
            key = PartitionKey(Modality.AUDIO, instruction or "")
            ids = index._snapshot.partition(key).ids
            a, b = index._snapshot.vectors(key, ids).astype(np.float32)
            (by_file,) = index.search(similar=sounds[0], instruction=instruction)
            assert by_file.segment_id in ids
            assert by_file.score == pytest.approx(float(a @ b), abs=1e-4)
            (by_hit,) = index.search(like=by_file, instruction=instruction)
            assert (by_hit.path, by_hit.score) == (sounds[0].resolve(), pytest.approx(by_file.score, abs=1e-4))
            (crossed,) = index.search(like=by_file, instruction=None if instruction else asked)
            assert crossed.path == sounds[0].resolve()
            assert crossed.score != pytest.approx(by_file.score, abs=1e-3)
    assert model.loads == 0


def test_a_hit_that_has_gone(media: Path, tmp_path: Path) -> None:
    with ws.create(tmp_path / "index") as index:
        index.add([media / "texts"])
        hit = index.search(text="x", k=1)[0]
        index.remove([hit.path])
        with pytest.raises(UsageError, match="no longer in the index"):
            index.search(like=hit)


@pytest.mark.parametrize(
    ("target", "range_", "seconds", "modality"),
    [
        ("any", "", [(0, 10), (10, 12)], "av"),
        ("audio", "", [(0, 10), (10, 12)], "audio"),
        ("image", "", [(0, 10), (10, 12)], "av"),
        ("video", "@2-8", [(0, 10)], "video"),
        ("video", "@9-11", [(0, 10), (10, 12)], "video"),
        ("video", "@9.5-12", [(10, 12)], "video"),
        ("av", "@11.5-", [(10, 12)], "av"),
    ],
)
def test_what_is_indexed_needs_no_model(
    *,
    fresh: ws.Index,
    index: ws.Index,
    media: Path,
    model: CountingEmbedder,
    target: str,
    range_: str,
    seconds: list[tuple[float, float]],
    modality: str,
) -> None:
    clip = media / "videos" / "talking.mp4"
    hits = fresh.search(similar=f"{clip}{range_}", target=target, k=100)
    own = [hit for hit in hits if hit.path == clip.resolve()]
    assert not {(hit.start_s, hit.stop_s) for hit in own} & set(seconds), "the moment itself, in any modality"
    assert model.loads == 0
    rows = stored(index, Modality(modality), clip, [start_s for start_s, _ in seconds])
    for hit in hits:
        vector_of_hit = index._snapshot.vectors(PartitionKey(hit.modality), np.array([hit.segment_id]))[0]
        assert hit.score == pytest.approx(float((rows @ vector_of_hit.astype(np.float32)).max()), abs=1e-4)


def test_a_reference_says_what_of_a_file_counts(
    fresh: ws.Index, index: ws.Index, media: Path, model: CountingEmbedder
) -> None:
    clip = media / "videos" / "talking.mp4"
    hits = fresh.search(similar=ws.Audio(clip, 0, 10), target="image")
    assert model.loads == 0
    (row,) = stored(index, Modality.AUDIO, clip, [0])
    assert scores_of(hits) == pytest.approx(expected(fresh, Modality.IMAGE, row), abs=1e-4)


def test_a_copy_of_an_indexed_file_needs_no_model(
    fresh: ws.Index, media: Path, model: CountingEmbedder, tmp_path: Path
) -> None:
    copy = shutil.copy(media / "pictures" / "1.png", tmp_path / "copy.png")
    hits = fresh.search(similar=copy, target="image", k=100)
    assert {hit.path.name for hit in hits} == {"0.png", "2.png"}
    assert model.loads == 0


def test_what_is_not_indexed_is_embedded(fresh: ws.Index, model: CountingEmbedder, tmp_path: Path) -> None:
    new = write_sound(tmp_path / "new.wav", 1.5, 432)
    hits = fresh.search(similar=new, target="audio", k=100)
    assert model.loads == 1
    assert scores_of(hits) == pytest.approx(scores_of(fresh.search(audio=new, target="audio", k=100)))


def test_what_is_not_indexed_as_asked_is_embedded(fresh: ws.Index, model: CountingEmbedder, media: Path) -> None:
    with pytest.raises(UsageError, match="It can be used as audio"):
        fresh.search(similar=ws.Video(media / "sounds" / "300.flac"))
    assert model.loads == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"similar": "pictures/0.png@1-2"}, "has no duration, so it has no range"),
        ({"similar": "sounds/300.flac@5-6"}, "the range begins after the end"),
        ({"similar": "no/such/file"}, "no such file"),
        ({"like": 10**6}, "segment 1000000 is no longer in the index"),
        ({}, "there is no query"),
    ],
)
def test_requests_that_make_no_sense(index: ws.Index, media: Path, query: dict[str, object], message: str) -> None:
    asked = {name: str(media / value) if isinstance(value, str) else value for name, value in query.items()}
    with pytest.raises(UsageError, match=message):
        index.search(**asked)
