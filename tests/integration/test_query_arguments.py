"""Arguments of a search that say more than a single value: several targets, and what a vector is of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder, tiny
from tests.media_decoding import KeptDecoders
from wave_search.remote.requests import pack, unpack

AUDIO, VIDEO = ws.Modality.AUDIO, ws.Modality.VIDEO


@pytest.fixture(scope="module")
def index(kept: Path, kept_decoders: KeptDecoders) -> Iterator[ws.Index]:
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.open(kept / "index") as opened:
            yield opened


def test_several_targets_are_merged_by_z(index: ws.Index) -> None:
    each = [hit for target in ("audio", "video") for hit in index.search(text="rain", target=target, moments=False)]
    both = index.search(text="rain", target=["video", "audio"], moments=False)
    assert {hit.modality for hit in both} == {AUDIO, VIDEO}
    expected = sorted(each, key=lambda hit: -hit.z)[:10]
    assert [(hit.segment_id, hit.z) for hit in both] == [(hit.segment_id, hit.z) for hit in expected]
    request = ws.SearchRequest.build(text="rain", target=(ws.Modality.AUDIO, "video", "audio"))
    assert request.target == (AUDIO, VIDEO)
    assert unpack(pack(request).record, {}) == request
    assert ws.SearchRequest.build(text="rain", target=["audio"]) == ws.SearchRequest.build(text="rain", target="audio")
    film = next(index.files("name = 'talking.mp4'")).path
    similar = index.search(similar=film, target=["video", "audio"], moments=False, k=1)
    assert similar == index.search(similar=ws.Video(film), target=["audio", "video"], moments=False, k=1)


@pytest.mark.parametrize("target", ["sound", [], ["audio", "any"], ["sound"], 5, [5], {"audio": 1, "smell": 2}])
def test_what_is_no_target(index: ws.Index, target: object) -> None:
    with pytest.raises(ws.errors.UsageError, match=r"there is no (target|modality)"):
        index.search(text="rain", target=target)  # type: ignore[arg-type]


def test_several_targets_of_which_some_are_held(tmp_path: Path, index: ws.Index) -> None:
    with pytest.raises(ws.errors.UsageError, match="a search with several targets cannot be saved"):
        index.save_search("a", ws.SearchRequest.build(text="rain", target=["audio", "video"]))
    (tmp_path / "a.txt").write_text("rain")
    with ws.create(tmp_path / "index") as small:
        small.add([tmp_path / "a.txt"])
        assert len(small.search(text="rain", target=["text", "audio"])) == 1
        with pytest.raises(ws.errors.UsageError, match=r"the index holds no audio or video\. It holds text"):
            small.search(text="rain", target=["audio", "video"])


def test_a_vector_of_a_known_kind_has_the_z_of_that_kind(index: ws.Index) -> None:
    vector = tiny().embed([ws.Clip(text="rain")])[0][ws.Modality.TEXT]
    expected = index.search(text="rain", target="audio")
    assert index.search(vector=ws.Weighted(vector, modality="text"), target="audio") == expected
    assert index.search(vector=ws.Vector(vector, "text"), target="audio") == expected
    unknown = index.search(vector=vector, target="audio")
    assert [hit.z for hit in unknown] != [hit.z for hit in expected]
    terms = [ws.Weighted(vector, 0.5, "text"), ws.Not(-vector, modality="text")]
    request = ws.SearchRequest.build(vector=terms)
    assert [(term.weight, term.item.modality) for term in request.terms] == [(0.5, "text"), (-0.5, "text")]
    film = next(index.files("name = 'talking.mp4'")).path
    as_sound = ws.SearchRequest.build(similar=ws.Weighted(film, modality="audio"))
    assert as_sound == ws.SearchRequest.build(similar=ws.Audio(film))
    with pytest.raises(ws.errors.UsageError, match="Only a vector and a similar file need it"):
        ws.SearchRequest.build(text=ws.Weighted("rain", modality="text"))


def test_a_pair_of_segments_is_not_a_sound(index: ws.Index) -> None:
    first, second = index.search(text="rain", target="audio", moments=False)[:2]
    pair = index.search(like=[first, second], target="audio")
    assert index.search(like=(first, second.segment_id), target="audio") == pair
    assert index.search(like=(first.segment_id, second.segment_id), target="audio") == pair
    assert repr(ws.SearchRequest.build(image=np.zeros((300, 300)))).count("0") < 20


def test_cosines_of_vectors() -> None:
    assert ws.similarity([2.0, 0.0], [[0.0, 1.0], [3.0, 3.0]]) == pytest.approx(np.array([[0, 0.5**0.5]]))
    with pytest.raises(ws.errors.UsageError, match="vectors of 2 dimensions cannot be compared with those of 3"):
        ws.similarity([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ws.errors.UsageError, match=r"\[0.0, 0.0\] has no similarity. Use finite numbers"):
        ws.similarity([0.0, 0.0], [1.0, 2.0])
