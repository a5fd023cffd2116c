"""Reading of text files: paragraphs of plain text, and subtitles with their times."""

from __future__ import annotations

import codecs
import html
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

MAX_BYTES = 10_000_000
MAX_CHARACTERS = 1000
"""Maximum length of a segment, independent of the segmentation, because models truncate longer text."""

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[,.](\d{1,3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_TAG = re.compile(r"<[^<>\n]*>|\{\\[^{}\n]*\}")


@dataclass(frozen=True, slots=True)
class Cue:
    """A subtitle."""

    span: Span
    text: str


def read_text(path: Path, file: BinaryIO) -> str:
    """Read a text file: UTF-8, or UTF-16 if it begins with a byte order mark.

    Other encodings are refused, because a wrong guess silently changes letters.

    Raises:
        UnsupportedMediaError: it is too long.
        BrokenMediaError: it is not text in one of these encodings, or is blank.
    """
    file.seek(0)
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnsupportedMediaError(path, f"a text of more than {MAX_BYTES // 10**6} MB", "Split it.")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenMediaError(path, "not text in UTF-8", "Convert it to UTF-8, for example with iconv.") from error
    if "\0" in text:
        raise BrokenMediaError(path, "not text: it contains NUL characters", "Exclude it.")
    if not text.strip():
        raise BrokenMediaError(path, "contains no text", "Exclude it.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def pack_paragraphs(text: str) -> Iterator[str]:
    """Pack paragraphs into segments of at most `MAX_CHARACTERS`; longer paragraphs are split between words."""
    packed = ""
    for paragraph in re.split(r"\n\s*\n", text):
        for part in _split(paragraph.strip()):
            if packed and len(packed) + 2 + len(part) > MAX_CHARACTERS:
                yield packed
                packed = ""
            packed = f"{packed}\n\n{part}" if packed else part
    if packed:
        yield packed


def parse_cues(text: str) -> list[Cue]:
    """Parse SubRip or WebVTT into the cues that have text, without markup, in order of time.

    Other blocks (headers, notes, styles) are skipped.
    """
    cues = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.split("\n")
        number = next((number for number, line in enumerate(lines[:3]) if _TIMING.match(line)), None)
        match = None if number is None else _TIMING.match(lines[number])
        if number is None or match is None:
            continue
        start_s, stop_s = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
        content = html.unescape(_TAG.sub("", "\n".join(lines[number + 1 :]))).strip()
        if content and start_s < stop_s:
            cues.append(Cue(Span(start_s, stop_s), content))
    return sorted(cues, key=lambda cue: cue.span.start_s)


def group_cues(cues: list[Cue], length_s: float) -> Iterator[Cue]:
    """Merge cues that begin in the same window, up to `MAX_CHARACTERS`.

    Args:
        cues: in order of time.
        length_s: of a window.

    Yields:
        Merged cues, from the beginning of the first to the end of the last.
    """
    for _, window in itertools.groupby(cues, lambda cue: cue.span.start_s // length_s):
        group: list[Cue] = []
        for cue in window:
            if group and sum(len(member.text) + 1 for member in group) + len(cue.text) > MAX_CHARACTERS:
                yield from _joined(group)
                group = []
            group.append(cue)
        yield from _joined(group)


def _joined(cues: list[Cue]) -> Iterator[Cue]:
    span = Span(cues[0].span.start_s, max(cue.span.stop_s for cue in cues))
    return (Cue(span, part) for part in _split("\n".join(cue.text for cue in cues)))


def _split(paragraph: str) -> Iterator[str]:
    while len(paragraph) > MAX_CHARACTERS:
        cut = max(paragraph.rfind(space, 0, MAX_CHARACTERS + 1) for space in " \n")
        cut = cut if cut > 0 else MAX_CHARACTERS
        yield paragraph[:cut]
        paragraph = paragraph[cut:].lstrip()
    if paragraph:
        yield paragraph


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
