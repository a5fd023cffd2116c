from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wave_search.errors import BrokenMediaError, ModelDownloadError, UsageError, WaveSearchError
from wave_search.query import Not, SearchRequest, Weighted
from wave_search.query.request import MAX_INSTRUCTION_CHARS, check_instruction, check_instructions
from wave_search.query.terms import AudioVideoPair, SegmentRef, SimilarFile
from wave_search.types import Clip, Frames, Hit, MediaRef, Modality, PartitionKey, Waveform

HIT = Hit(1, 0.5, 2.0, Path("a.wav"), Modality.AUDIO, 0.0, 1.0, 42, 1.0, "audio")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.wav"
    file.touch()
    return file


def terms(**given: Any) -> tuple[Weighted, ...]:
    return SearchRequest.build(**given).terms


def test_a_text_is_taken_as_it_is() -> None:
    assert terms(text=" two ^2 words ") == (Weighted(" two ^2 words "),)


def test_a_file_becomes_a_reference(path: Path) -> None:
    assert terms(audio=f"{path}@1-2", video=None) == (Weighted(MediaRef(path, Modality.AUDIO, 1, 2)),)


def test_several_things_with_and_without_a_weight(path: Path) -> None:
    parts = terms(text=["a", Weighted("b", 0.3), Not("c")], audio=[path, Not(path, 2)])
    sound = MediaRef(path, Modality.AUDIO)
    assert parts == (Weighted("a"), Weighted("b", 0.3), Weighted("c", -0.5), Weighted(sound), Weighted(sound, -2))


@pytest.mark.parametrize("given", [HIT, 42, np.int64(42), [HIT], (number for number in [42])])
def test_a_hit_or_its_number_is_a_stored_segment(given: object) -> None:
    assert terms(like=given) == (Weighted(SegmentRef(42)),)


def test_something_similar(path: Path) -> None:
    assert terms(similar=f"{path}@1-") == (Weighted(SimilarFile(path, None, 1, None)),)
    ref = MediaRef(path, Modality.VIDEO, 3, 4)
    assert terms(similar=[ref]) == (Weighted(SimilarFile(path, Modality.VIDEO, 3, 4)),)


def test_one_sound_and_one_picture_belong_together(path: Path) -> None:
    sound, picture = MediaRef(path, Modality.AUDIO), MediaRef(path, Modality.VIDEO, 1, 2)
    found = terms(text="red", audio=Weighted(path, 2), video=Weighted(picture, 2))
    assert found == (Weighted(AudioVideoPair(sound, picture), 2), Weighted("red"))


def test_what_need_not_belong_together_is_not_paired(path: Path) -> None:
    sound, picture = MediaRef(path, Modality.AUDIO), MediaRef(path, Modality.VIDEO)
    still = MediaRef(path, Modality.IMAGE)
    for media in (
        {"audio": path, "video": Weighted(path, 0.5)},
        {"audio": [path, path], "video": path},
        {"audio": path, "video": Not(path)},
        {"audio": path, "image": path},
    ):
        assert {type(part.item) for part in terms(**media)} == {MediaRef}
    assert terms(audio=[path, Not(path)], video=path, image=path) == (
        Weighted(AudioVideoPair(sound, picture)),
        Weighted(sound, -0.5),
        Weighted(still),
    )


@pytest.mark.parametrize("vector", [[3.0, 4.0], [[3.0, 4.0]], np.array([3, 4], np.float16), Weighted([3.0, 4.0], 1)])
def test_a_vector_gets_unit_norm(vector: object) -> None:
    (part,) = terms(vector=vector)
    assert part.item.rows.dtype == np.float32
    np.testing.assert_allclose(part.item.rows, [[0.6, 0.8]])


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], np.empty((0, 2)), np.ones((2, 2, 2)), ["a", "b"], [1, 2j]]
)
def test_what_is_no_vector_is_refused(vector: object) -> None:
    with pytest.raises(UsageError, match="vector"):
        terms(vector=vector)


def test_something_is_asked() -> None:
    for nothing in ({}, {"text": []}, {"audio": None}):
        with pytest.raises(UsageError, match="there is no query"):
            terms(**nothing)
    with pytest.raises(UsageError, match="only terms to avoid"):
        terms(text=Not("a"), like=Not(3))


@pytest.mark.parametrize("weight", [0.0, float("nan"), float("inf"), "2", None, True])
def test_what_is_no_weight_is_refused(weight: Any) -> None:
    with pytest.raises(UsageError, match="must be a finite number other than 0, got"):
        Weighted("a", weight)
    with pytest.raises(UsageError, match=r"must be (above 0|a finite number)"):
        Not("a", weight)
    with pytest.raises(UsageError, match=r"must be (above 0|a finite number)"):
        Not("a", -1.0)


@pytest.mark.parametrize(
    "given",
    [
        {"text": 3},
        {"text": [b"a"]},
        {"like": "three"},
        {"like": replace},
        {"like": True},
        {"like": 1 << 63},
        {"audio": 3},
        {"audio": ""},
        {"similar": "no/such/file"},
        {"similar": ["no/such/file"]},
    ],
)
def test_what_is_not_what_it_should_be_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        terms(**given)


def test_the_defaults_of_a_request() -> None:
    assert SearchRequest.build(text="a") == SearchRequest(
        (Weighted("a"),), "any", 10, None, None, (), True, None, None, None, None
    )


def test_a_request_holds_what_it_is_built_from() -> None:
    given: dict[str, Any] = {
        "target": "audio",
        "k": 3,
        "min_z": -1.0,
        "where": "fps > 1",
        "moments": False,
        "per_file": 1,
        "dedupe": 1.0,
        "instruction": "What?",
        "rerank": 1,
    }
    request = SearchRequest.build(text="a", columns=iter(["fps", "artist"]), **given)
    assert {name: getattr(request, name) for name in given} == given
    assert request.columns == ("fps", "artist")
    assert SearchRequest.build(text="a", columns="fps").columns == ("fps",), "a single name, not its letters"
    assert replace(request, k=4).k == 4


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SearchRequest.build(text="a").k = 3


def test_a_keyword_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="min_score"):
        SearchRequest.build(text="a", min_score=1.0)


@pytest.mark.parametrize("target", ["any", *Modality, "text", Modality.AUDIO])
def test_targets(target: Any) -> None:
    assert SearchRequest.build(text="a", target=target).target == target


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "smell"}, 'no target "smell". Choose one of any, text, image, audio, video, av'),
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"per_file": 0}, "per_file must be at least 1, got 0"),
        ({"rerank": 0, "instruction": "What?"}, "rerank must be at least 1, got 0"),
        ({"k": 2.5}, "k must be an integer, got 2.5"),
        ({"k": "5"}, "k must be an integer, got '5'"),
        ({"k": True}, "k must be an integer, got True"),
        ({"k": None}, "k must be an integer, got None"),
        ({"k": float("nan")}, "k must be an integer, got nan"),
        ({"k": 10**30}, "k must be at most 2,147,483,647, got 1"),
        ({"per_file": 1.5}, "per_file must be an integer, got 1.5"),
        ({"where": 5}, "where must be a text, got 5"),
        ({"moments": "no"}, "moments must be True or False, got 'no'"),
        ({"columns": (5,)}, "columns must be names"),
        ({"columns": None}, "columns must be names"),
        ({"min_z": float("nan")}, "min_z must be a number"),
        ({"min_z": "3"}, "min_z must be a number"),
        ({"dedupe": "0.9"}, "dedupe must be a cosine"),
        ({"dedupe": 0.0}, "dedupe must be a cosine above 0 and at most 1, got 0"),
        ({"dedupe": 1.01}, "dedupe must be a cosine above 0 and at most 1, got 1.01"),
        ({"dedupe": float("nan")}, "dedupe must be a cosine"),
        ({"rerank": 5}, "rerank needs an instruction"),
        ({"instruction": " "}, "the instruction is empty"),
    ],
)
def test_a_request_that_is_not_valid(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SearchRequest.build(text="a", **given)
    with pytest.raises(UsageError, match=message):
        SearchRequest((Weighted("a"),), **given)


def test_a_request_has_a_term_to_find() -> None:
    for terms_ in ((), (Not("a"),), "a", ("a",), Weighted("a")):
        with pytest.raises(UsageError, match=r"there is no query|only terms to avoid|terms of a query are not"):
            SearchRequest(terms_)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"text": "a"}, {"vector": [[1.0, 2.0], [3.0, 4.0]], "columns": ["fps"]}])
def test_equal_requests_are_equal_after_a_journey_too(given: dict[str, Any]) -> None:
    request = SearchRequest.build(**given)
    assert request == SearchRequest.build(**given) == pickle.loads(pickle.dumps(request))  # noqa: S301
    assert len({request, SearchRequest.build(**given)}) == 1
    assert request != SearchRequest.build(vector=[[1.0, 2.0], [3.0, 5.0]], columns=["fps"])


def test_numbers_of_numpy() -> None:
    request = SearchRequest.build(
        text=Weighted("a", np.float32(0.5)), k=np.int64(3), min_z=np.float32(1), dedupe=np.float64(0.9)
    )
    assert (request.k, request.min_z, request.dedupe) == (3, 1.0, 0.9)


@pytest.mark.parametrize(
    ("given", "drops"),
    [
        ({"moments": False}, False),
        ({}, True),
        ({"moments": False, "per_file": 2}, True),
        ({"moments": False, "dedupe": 0.9}, True),
        ({"moments": False, "where": "fps > 1"}, True),
    ],
)
def test_what_drops_segments(given: dict[str, Any], drops: bool) -> None:
    assert SearchRequest.build(text="a", **given).drops_segments is drops


TEXT, SOUND, ASKED = PartitionKey(Modality.TEXT), PartitionKey(Modality.AUDIO), PartitionKey(Modality.AUDIO, "What?")


@pytest.mark.parametrize(
    ("keys", "query_takes_it", "rerank"),
    [
        ([SOUND], True, None),
        ([SOUND], False, 5),
        ([ASKED], False, None),
        ([TEXT, ASKED], False, None),
        ([TEXT, SOUND], False, 5),
        ([TEXT], True, None),
    ],
)
def test_an_instruction_that_changes_something(
    keys: list[PartitionKey], query_takes_it: bool, rerank: int | None
) -> None:
    SearchRequest.build(text="a", instruction="What?", rerank=rerank).check_effect(keys, query_takes_it=query_takes_it)


@pytest.mark.parametrize(
    ("keys", "query_takes_it", "rerank", "message"),
    [
        ([TEXT], False, None, "in a search for texts"),
        ([TEXT], True, 5, "in a search for texts"),
        ([SOUND], False, None, "nothing was indexed with this instruction.*--instruction 'What.'"),
        ([TEXT, SOUND], False, None, "nothing was indexed with this instruction"),
    ],
)
def test_an_instruction_that_changes_nothing(
    keys: list[PartitionKey], query_takes_it: bool, rerank: int | None, message: str
) -> None:
    request = SearchRequest.build(text="a", instruction="What?", rerank=rerank)
    with pytest.raises(UsageError, match=message):
        request.check_effect(keys, query_takes_it=query_takes_it)


def test_without_an_instruction_nothing_has_to_change() -> None:
    SearchRequest.build(text="a").check_effect([TEXT, SOUND], query_takes_it=False)


def test_instructions() -> None:
    longest = "a" * MAX_INSTRUCTION_CHARS
    assert check_instructions(["What?", longest]) == ("What?", longest)
    assert check_instructions("What?") == ("What?",)
    for wrong in ("", "\n", longest + "a", "caf\udce9", 3):
        with pytest.raises(UsageError, match="instruction"):
            check_instruction(wrong)


def copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301


def test_what_holds_arrays_is_compared_by_content() -> None:
    sound, other = np.zeros(4, np.float32), np.ones(4, np.float32)
    for kind in (Weighted, lambda array: Waveform(array, 16_000), lambda array: Clip(frames=Frames(array, 1.0))):
        assert kind(sound) == kind(sound.copy()) != kind(other)
        assert len({kind(sound), kind(sound.copy()), kind(other)}) == 2
        assert copied(kind(sound)) == kind(sound)
    assert Weighted((sound, 16_000)) == Weighted((sound.copy(), 16_000)) != Weighted((sound, 8_000))
    assert Weighted("a", np.float64(0.5)) == Weighted("a", 0.5)


@pytest.mark.parametrize(
    "error", [BrokenMediaError("a.wav", "it is empty", "b"), ModelDownloadError("m"), UsageError("a", "b")]
)
def test_errors_are_pickled_whole(error: WaveSearchError) -> None:
    same = copied(error)
    assert (type(same), str(same), vars(same)) == (type(error), str(error), vars(error))
