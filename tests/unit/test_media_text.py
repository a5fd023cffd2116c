"""Text files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media.text import MAX_BYTES, MAX_CHARACTERS, Cue, group_cues, pack_paragraphs, parse_cues, read_text
from wave_search.types import Span

SUBRIP = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there,

2
00:00:09,000 --> 00:00:11,000
{\\an8}second &amp; last

00:01:00,000 --> 00:00:59,000
ends before it begins
"""
WEBVTT = """WEBVTT - title

NOTE 00:01.000 is a comment

intro
00:01.000 --> 00:04.500 align:start
<v Roger>Bears are <b>watching</b>.

1:00:00.000 --> 1:00:01.5
An hour later
"""


def read(data: bytes) -> str:
    return read_text(Path("x.txt"), io.BytesIO(data))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    assert read("Größe\r\n日本".encode(encoding)) == "Größe\n日本"


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        (b"caf\xe9", BrokenMediaError, "UTF-8"),
        (b"a\x00b", BrokenMediaError, "NUL"),
        (b" \n\t", BrokenMediaError, "no text"),
        (b"x" * (MAX_BYTES + 1), UnsupportedMediaError, "more than 10 MB"),
    ],
)
def test_what_cannot_be_read(data: bytes, error: type[Exception], cause: str) -> None:
    with pytest.raises(error, match=cause):
        read(data)


def test_paragraphs_are_packed() -> None:
    text = "\n\n".join(["a" * 400, "b" * 400, "c" * 400])
    assert [len(piece) for piece in pack_paragraphs(text)] == [802, 400]


def test_long_paragraphs_are_split_between_words() -> None:
    words = [f"word{number}" for number in range(500)]
    pieces = list(pack_paragraphs(" ".join(words)))
    assert max(map(len, pieces)) <= MAX_CHARACTERS
    assert " ".join(pieces).split() == words


def test_a_text_without_spaces_is_split_all_the_same() -> None:
    assert [len(piece) for piece in pack_paragraphs("x" * 2500)] == [1000, 1000, 500]


def test_subrip() -> None:
    assert parse_cues(SUBRIP) == [
        Cue(Span(1.0, 2.5), "Hello there,"),
        Cue(Span(9.0, 11.0), "second & last"),
    ]


def test_webvtt() -> None:
    assert parse_cues(WEBVTT) == [
        Cue(Span(1.0, 4.5), "Bears are watching."),
        Cue(Span(3600.0, 3601.5), "An hour later"),
    ]


def test_cues_are_joined_by_windows() -> None:
    cues = [Cue(Span(start, start + 3), f"at {start}") for start in (0.0, 4.0, 9.0, 12.0, 35.0)]
    assert list(group_cues(cues, 10.0)) == [
        Cue(Span(0.0, 12.0), "at 0.0\nat 4.0\nat 9.0"),
        Cue(Span(12.0, 15.0), "at 12.0"),
        Cue(Span(35.0, 38.0), "at 35.0"),
    ]


def test_joined_cues_stay_short() -> None:
    cues = [Cue(Span(number, number + 1), "x" * 300) for number in range(8)] + [Cue(Span(8, 9), "y" * 1500)]
    joined = list(group_cues(cues, 10.0))
    assert max(len(cue.text) for cue in joined) <= MAX_CHARACTERS
    assert sum(cue.text.count("x") for cue in joined) == 2400
    assert sum(cue.text.count("y") for cue in joined) == 1500
