"""Text files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media.text import MAX_BYTES, MAX_CHARACTERS, pack_paragraphs, read_text


def read(data: bytes) -> str:
    return read_text(Path("x.txt"), io.BytesIO(data))


def test_line_ends_become_newlines_and_letters_composed() -> None:
    assert read("Gro\u0308ße\r\n日本\rende".encode()) == "Größe\n日本\nende"


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        ("a\0b".encode("utf-16"), BrokenMediaError, "NUL"),
        (b"a\x00b", UnsupportedMediaError, "not text in UTF-8"),
        ("år".encode("cp1252"), UnsupportedMediaError, "perhaps in cp1252"),
        (b" \n\t", BrokenMediaError, "no text"),
        (b"x" * (MAX_BYTES + 1), UnsupportedMediaError, "more than 100 MB"),
    ],
)
def test_what_cannot_be_read(data: bytes, error: type[Exception], cause: str) -> None:
    with pytest.raises(error, match=cause):
        read(data)


def test_paragraphs_are_packed() -> None:
    text = "\n\n".join(["a" * 400, "b" * 400, "c" * 400])
    assert [len(piece) for piece in pack_paragraphs(text)] == [802, 400]


def test_blank_lines_may_contain_blanks() -> None:
    assert list(pack_paragraphs("\n a\n \t\n\n  b\nc\n ")) == ["a\n\nb\nc"]


def test_long_paragraphs_are_split_between_words() -> None:
    words = [f"word{number}" for number in range(500)]
    pieces = list(pack_paragraphs(" ".join(words)))
    assert max(map(len, pieces)) <= MAX_CHARACTERS
    assert " ".join(pieces).split() == words


def test_a_text_without_spaces_is_split_all_the_same() -> None:
    assert [len(piece) for piece in pack_paragraphs("x" * 2500)] == [1000, 1000, 500]


@pytest.mark.parametrize(
    "text", ["word " * 1_000_000, "x" * 5_000_000, "a\n\n" * 1_000_000, "a" + "\n" * 5_000_000 + "b"]
)
def test_the_time_to_split_is_proportional_to_the_length(text: str) -> None:
    # Work that grew with the square of the length would take hours here.
    assert "".join("".join(pack_paragraphs(text)).split()) == "".join(text.split())
