"""Reading of text files, and paragraphs of plain text. `subtitles` parses those with times."""

from __future__ import annotations

import io
import re
import unicodedata
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media.encoding import EncodingError, detect_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

MAX_BYTES = 100_000_000
"""A text is held in memory, up to four times: as bytes, and in as many bytes per character as its widest one needs."""
MAX_CHARACTERS = 1000
"""Maximum length of a segment, independent of the segmentation, because models truncate longer text."""
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def read_text(path: Path, file: BinaryIO) -> str:
    """Read a text file, with line ends as newlines and letters composed (NFC). See `detect_encoding`.

    Raises:
        UnsupportedMediaError: it is too long, or its encoding is not certain.
        BrokenMediaError: it contains NUL characters, or is blank.
    """
    file.seek(0)
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnsupportedMediaError(path, f"a text of more than {MAX_BYTES // 10**6} MB", "Split it.")
    try:
        text = data.decode(detect_encoding(io.BytesIO(data)))
    except EncodingError as error:
        raise UnsupportedMediaError(path, str(error), error.remedy) from error
    if "\0" in text:
        raise BrokenMediaError(path, "not text: it contains NUL characters", "Exclude it.")
    if not text.strip():
        raise BrokenMediaError(path, "contains no text", "Exclude it.")
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def pack_paragraphs(text: str) -> Iterator[str]:
    """Pack paragraphs into segments of at most `MAX_CHARACTERS`; longer paragraphs are split between words."""
    return _split(_BLANK_LINES.sub("\n\n", text.strip()), ("\n\n",), " \n")


def split_words(text: str) -> Iterator[str]:
    """Split a text between words into parts of at most `MAX_CHARACTERS`."""
    return _split(text.strip(), " \n")


def _split(text: str, *breaks: Sequence[str]) -> Iterator[str]:
    """Split a stripped text at the last of some breaks; where there is none, at one of the next."""
    start = 0
    while len(text) - start > MAX_CHARACTERS:
        cuts = (max(text.rfind(end, start, start + MAX_CHARACTERS + len(end)) for end in ends) for ends in breaks)
        cut = next((cut for cut in cuts if cut > start), start + MAX_CHARACTERS)
        yield text[start:cut].rstrip()
        start = cut
        while text[start].isspace():
            start += 1
    if start < len(text):
        yield text[start:]
