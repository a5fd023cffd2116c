"""Weights behind what is typed, and ranks of hits."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import wave_search as ws
from wave_search.commands.results import target_of
from wave_search.commands.terms import read, split, weighted
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("typed", "thing", "weight"),
    [
        ("rain", "rain", None),
        ("rain^0.5", "rain", 0.5),
        ("rain^.5", "rain", 0.5),
        ("rain^2.", "rain", 2.0),
        ("rain ^2", "rain ", 2.0),
        ("2^10^1", "2^10", 1.0),
        ("2^-1", "2", -1.0),
        ("2^1e3", "2^1e3", None),
        ("2^nan", "2^nan", None),
        ("2^", "2^", None),
        ("at 12:30, 0.5 of it", "at 12:30, 0.5 of it", None),
        ("two\nlines^3", "two\nlines", 3.0),
        ("^2", "", 2.0),
        ("clip.mp4@12-20^2", "clip.mp4@12-20", 2.0),
        ("", "", None),
    ],
)
def test_the_last_number_behind_a_caret_is_the_weight(typed: str, thing: str, weight: float | None) -> None:
    assert weighted(typed) == (thing, weight)
    assert weighted(typed, is_path=True) == (thing, weight)


def test_a_file_of_such_a_name_is_meant_before_a_weight(tmp_path: Path) -> None:
    real = tmp_path / "a.wav^2"
    real.touch()
    assert weighted(str(real), is_path=True) == (str(real), None)
    assert weighted(f"{real}^3", is_path=True) == (str(real), 3.0)
    assert weighted(str(real)) == (str(tmp_path / "a.wav"), 2.0)


def test_words_are_one_text_and_media_files_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bark").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    (tmp_path / "dog").write_text("not media")
    (tmp_path / "cat.wav").mkdir()
    typed = ["a", "dog", "./bark", "cat.wav", "clip.mp4@12-20^2", "at", "me@home", "bark^0.5", "@", "", "."]
    assert split(typed) == (["a dog cat.wav at me@home @  ."], ["./bark", "clip.mp4@12-20^2", "bark^0.5"])
    assert split(["a", "dog", "rain^-1", "at", "sea"]) == (["a dog at sea", "rain^-1"], [])
    assert split([]) == ([], [])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("brak.wav", r"brak\.wav: no such file"),
        ("./brak", "brak: no such file"),
        ("~/brak", "brak: no such file"),
        ("../brak/", "brak/?: no such file"),
        ("/brak", "/brak: no such file"),
        ("./folder", "folder is a folder. Name a file in it"),
        ("folder/", "folder is a folder. Name a file in it"),
        ("folder/inner", "folder/inner is a folder. Name a file in it"),
        ("folder/brak", "folder/brak: no such file"),
        ("bark.wav@3", r"a still, which only a video given as an image has. A range is written .*bark\.wav@3-STOP"),
    ],
)
def test_a_mistyped_file_does_not_become_a_text(tmp_path: Path, typed: str, message: str) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "bark.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    texts, files = split(["barking", typed], str(tmp_path))
    with pytest.raises(UsageError) as raised:
        ws.SearchRequest.build(**read({"text": texts, "similar": [str(tmp_path / file) for file in files]}, {}, None))
    assert re.search(message, f"{raised.value.message}. {raised.value.remedy}")
    assert texts == ["barking"]


def test_words_that_look_a_little_like_paths_are_words(tmp_path: Path) -> None:
    (tmp_path / "dogs").mkdir()
    assert split(["AC/DC", "and/or", "dogs", "..."], str(tmp_path)) == (["AC/DC and/or dogs ..."], [])


def test_targets_are_listed_or_repeated() -> None:
    assert target_of(None) == target_of(["any"]) == "any"
    assert target_of(["av"]) == "av"
    assert target_of(["audio, video"]) == target_of(["audio", "video"]) == ("audio", "video")


def test_what_is_typed_becomes_parts() -> None:
    found = read({"text": [" a ", "b^2"], "audio": None, "like": ["2"]}, {"text": ["c", "d^1"]}, (7, 8))
    assert found == {
        "text": [ws.Weighted("a"), ws.Weighted("b", 2), ws.Weighted("c", -0.5), ws.Weighted("d", -1)],
        "like": [ws.Weighted(8)],
    }


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert read({"text": ["caf\udce9"]}, {}, None) == {"text": [ws.Weighted("caf\ufffd")]}


def test_stdin_is_text_without_a_weight_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"x^2\n")))
    assert read({"text": ["-^3", "y"]}, {}, None) == {"text": [ws.Weighted("x^2", 3), ws.Weighted("y")]}
    with pytest.raises(UsageError, match="stdin can be read only once"):
        read({"text": ["-"]}, {"text": ["-^2"]}, None)


@pytest.mark.parametrize("rank", ["0", "-1", "x", "1.5", "", "4", "99999999999999999999"])
def test_ranks_that_are_none(rank: str) -> None:
    with pytest.raises(UsageError, match=r"is not the rank of a hit|there is no hit 4"):
        read({"like": [rank]}, {}, (5, 6, 7))


def test_without_a_query_before_there_is_no_hit() -> None:
    with pytest.raises(UsageError, match="not known"):
        read({"like": ["1"]}, {}, None)
    with pytest.raises(UsageError, match="the last query had 0"):
        read({"like": ["1"]}, {}, ())


def test_a_weight_below_0_makes_a_term_to_avoid() -> None:
    assert read({"text": ["dog^-1"], "audio": ["x.wav@1-2^-.5"]}, {}, None) == {
        "text": [ws.Weighted("dog", -1)],
        "audio": [ws.Weighted("x.wav@1-2", -0.5)],
    }
    with pytest.raises(UsageError, match="must be above 0"):
        read({}, {"text": ["dog^-1"]}, None)


def test_a_weight_of_0_is_refused() -> None:
    with pytest.raises(UsageError, match="a weight must be a finite number other than 0"):
        read({"text": ["a^0"]}, {}, None)
