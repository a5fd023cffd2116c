from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wave_search.errors import UsageError
from wave_search.query import Not, Weighted, read_parts
from wave_search.query.parts import AudioVideoPair, SegmentRef, SimilarFile
from wave_search.types import Hit, MediaRef, Modality

HIT = Hit(1, 0.5, 2.0, Path("a.wav"), Modality.AUDIO, 0.0, 1.0, 42, 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.wav"
    file.touch()
    return file


def test_a_text_is_taken_as_it_is() -> None:
    assert read_parts(text=" two ^2 words ") == (Weighted(" two ^2 words "),)


def test_a_file_becomes_a_reference(path: Path) -> None:
    media = {Modality.AUDIO: f"{path}@1-2", Modality.VIDEO: None}
    assert read_parts(media=media) == (Weighted(MediaRef(path, Modality.AUDIO, 1, 2)),)


def test_several_things_with_and_without_a_weight(path: Path) -> None:
    parts = read_parts(text=["a", Weighted("b", 0.3), Not("c")], media={Modality.AUDIO: [path, Not(path, 2)]})
    sound = MediaRef(path, Modality.AUDIO)
    assert parts == (Weighted("a"), Weighted("b", 0.3), Weighted("c", -0.5), Weighted(sound), Weighted(sound, -2))


@pytest.mark.parametrize("given", [HIT, 42, np.int64(42), [HIT], (number for number in [42])])
def test_a_hit_or_its_number_is_a_stored_segment(given: object) -> None:
    assert read_parts(like=given) == (Weighted(SegmentRef(42)),)


def test_something_similar(path: Path) -> None:
    assert read_parts(similar=f"{path}@1-") == (Weighted(SimilarFile(path, None, 1, None)),)
    ref = MediaRef(path, Modality.VIDEO, 3, 4)
    assert read_parts(similar=[ref]) == (Weighted(SimilarFile(path, Modality.VIDEO, 3, 4)),)


def test_one_sound_and_one_picture_belong_together(path: Path) -> None:
    sound, picture = MediaRef(path, Modality.AUDIO), MediaRef(path, Modality.VIDEO, 1, 2)
    media = {Modality.AUDIO: Weighted(path, 2), Modality.VIDEO: Weighted(picture, 2)}
    assert read_parts(text="red", media=media) == (Weighted(AudioVideoPair(sound, picture), 2), Weighted("red"))


def test_what_need_not_belong_together_is_not_paired(path: Path) -> None:
    sound, picture = MediaRef(path, Modality.AUDIO), MediaRef(path, Modality.VIDEO)
    still = MediaRef(path, Modality.IMAGE)
    for media in (
        {Modality.AUDIO: path, Modality.VIDEO: Weighted(path, 0.5)},
        {Modality.AUDIO: [path, path], Modality.VIDEO: path},
        {Modality.AUDIO: path, Modality.VIDEO: Not(path)},
        {Modality.AUDIO: path, Modality.IMAGE: path},
    ):
        assert {type(part.item) for part in read_parts(media=media)} == {MediaRef}
    media = {Modality.AUDIO: [path, Not(path)], Modality.VIDEO: path, Modality.IMAGE: path}
    assert read_parts(media=media) == (Weighted(AudioVideoPair(sound, picture)), Weighted(sound, -0.5), Weighted(still))


@pytest.mark.parametrize("vector", [[3.0, 4.0], [[3.0, 4.0]], np.array([3, 4], np.float16), Weighted([3.0, 4.0], 1)])
def test_a_vector_gets_unit_norm(vector: object) -> None:
    (part,) = read_parts(vector=vector)
    assert part.item.dtype == np.float32
    np.testing.assert_allclose(part.item, [[0.6, 0.8]])


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], np.empty((0, 2)), np.ones((2, 2, 2)), ["a", "b"]]
)
def test_what_is_no_vector_is_refused(vector: object) -> None:
    with pytest.raises(UsageError, match="vector"):
        read_parts(vector=vector)


def test_something_is_asked() -> None:
    for nothing in ({}, {"text": []}, {"media": {Modality.AUDIO: None}}):
        with pytest.raises(UsageError, match="there is no query"):
            read_parts(**nothing)
    with pytest.raises(UsageError, match="nothing to look for"):
        read_parts(text=Not("a"), like=Not(3))


@pytest.mark.parametrize("weight", [0.0, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(UsageError, match="is no weight"):
        Weighted("a", weight)
    with pytest.raises(UsageError, match="is no weight"):
        Not("a", weight)
    with pytest.raises(UsageError, match="is no weight"):
        Not("a", -1.0)


@pytest.mark.parametrize(
    "given",
    [
        {"text": 3},
        {"text": [b"a"]},
        {"like": "three"},
        {"like": replace},
        {"media": {Modality.AUDIO: 3}},
        {"similar": "no/such/file"},
        {"similar": ["no/such/file"]},
    ],
)
def test_what_is_not_what_it_should_be_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        read_parts(**given)
