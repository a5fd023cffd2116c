r"""Subtitles and lyrics: SubRip, WebVTT, SBV and LRC by their lines of times, SubStation Alpha through FFmpeg.

FFmpeg and pysubs2 lose text of the first four. FFmpeg stops at a WebVTT block without times, and takes "[Music]" in SBV
for a header. pysubs2 takes word times of WebVTT for a new cue, misreads times above 99 hours, and has no SBV and LRC.
"""

from __future__ import annotations

import html
import io
import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wave_search.media.text import MAX_CHARACTERS, split_words
from wave_search.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
"""Times end at 999:59:59.999, so that no number in a file is too large for what computes with it."""
_ARROW = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_COMMA = re.compile(rf"\s*{_TIME},{_TIME}\s*$")
_LYRICS = re.compile(r"\[(?:(\d{1,3}):(?=\d+:\d+\.))?(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
"""Of three numbers, the first are hours only if the last have a fraction: some write [minutes:seconds:hundredths]."""
_LYRICS_FACT = re.compile(r"\[(offset|length):\s*([+-]?[\d:.]{1,12})\s*\]", re.IGNORECASE)
_LAST_LYRICS_S = 5.0
"""Duration of the last line of lyrics, which has no end."""
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>|<[\d:.]+>|\{\\[^{}\n]*\}")
"""Markup, and times of words."""
_OVERRIDE = re.compile(r"(\{[^{}]*\})")
_DRAWING = re.compile(r"\\p(\d)")
_ASS_COMMAS = 8
"""Number of fields before the text in a line of SubStation Alpha, as FFmpeg passes it on."""
_ADJACENT_S = 0.1
"""A cue that begins so soon after another one replaces it on the screen."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A subtitle."""

    span: Span
    text: str


def parse_cues(text: str, container: str) -> list[Cue]:
    """Parse subtitles into cues that have text, without markup, in order of time.

    A line that stays on the screen in the next cue, as in rolling captions, belongs to the first one only.

    Args:
        text: content of the file, with line ends as newlines.
        container: suffix of the file, one of `CONTAINERS`.
    """
    cues = (cue for cue in CONTAINERS[container](text) if cue.text)
    return list(_without_repeats(sorted(cues, key=lambda cue: cue.span.start_s)))


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
        length = 0
        for cue in window:
            if group and length + len(cue.text) > MAX_CHARACTERS:
                yield from _joined(group)
                group, length = [], 0
            group.append(cue)
            length += len(cue.text) + 1
        yield from _joined(group)


def _joined(cues: list[Cue]) -> Iterator[Cue]:
    span = Span(cues[0].span.start_s, max(cue.span.stop_s for cue in cues))
    return (Cue(span, part) for part in split_words("\n".join(cue.text for cue in cues)))


def _without_repeats(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Drop the lines of a cue with which the one before ended; one of the same lines only continues it."""
    shown: list[str] = []
    until_s = 0.0
    kept: Cue | None = None
    for cue in cues:
        lines = cue.text.split("\n")
        same = 0
        if kept is not None and cue.span.start_s <= until_s + _ADJACENT_S:
            counts = range(min(len(shown), len(lines)), 0, -1)
            same = next((count for count in counts if shown[-count:] == lines[:count]), 0)
        shown, until_s = lines, cue.span.stop_s
        if kept is None or same < len(lines):
            if kept is not None:
                yield kept
            kept = Cue(cue.span, "\n".join(lines[same:]))
        else:
            kept = replace(kept, span=Span(kept.span.start_s, max(kept.span.stop_s, cue.span.stop_s)))
    if kept is not None:
        yield kept


def _subrip(text: str) -> Iterator[Cue]:
    """Parse SubRip, or WebVTT, which is recognised by its first line: there, an empty line ends a cue."""
    return _between_times(text, _ARROW, is_webvtt=text.startswith("WEBVTT"))


def _sbv(text: str) -> Iterator[Cue]:
    return _between_times(text, _COMMA)


def _between_times(text: str, times: re.Pattern[str], *, is_webvtt: bool = False) -> Iterator[Cue]:
    """Parse what follows each line of times, up to the next one and without the number of the next cue."""
    span: Span | None = None
    lines: list[str] = []
    numbered: bool | None = None
    for line in text.split("\n"):
        match = times.match(line)
        if match is None:
            if is_webvtt and not line:
                yield from _cue(span, lines)
                span, lines = None, []
            else:
                lines.append(line)
            continue
        if numbered is None:
            numbered = _is_number(lines)
        if span is not None and numbered and _is_number(lines):
            lines.pop()
        yield from _cue(span, lines)
        span, lines = _span(_seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])), []
    yield from _cue(span, lines)


def _is_number(lines: list[str]) -> bool:
    return bool(lines) and lines[-1].strip().isdecimal()


def _cue(span: Span | None, lines: list[str]) -> Iterator[Cue]:
    if span is not None:
        yield Cue(span, _plain(html.unescape(_TAG.sub("", "\n".join(lines)))))


def _lrc(text: str) -> Iterator[Cue]:
    """Parse lyrics: a line is sung at one or more times, until the next line."""
    facts = {match[1].lower(): match[2] for match in _LYRICS_FACT.finditer(text)}
    offset_s = _number(facts.get("offset", "")) / 1000
    sung: list[tuple[float, str]] = []
    for line in text.split("\n"):
        words = line.lstrip()
        starts_s: list[float] = []
        while match := _LYRICS.match(words):
            starts_s.append(max(0.0, _seconds(*match.groups()) - offset_s))
            words = words[match.end() :].lstrip()
        sung += [(start_s, _plain(_TAG.sub("", words))) for start_s in starts_s]
    sung.sort(key=lambda item: item[0])
    length = re.fullmatch(_TIME, facts.get("length", ""))
    end_s = _seconds(*length.groups()) if length else 0.0
    together = [
        (start_s, [words for _, words in group]) for start_s, group in itertools.groupby(sung, lambda at: at[0])
    ]
    for (start_s, lines), (stop_s, _) in itertools.pairwise([*together, (end_s, [])]):
        span = _span(start_s, stop_s) or Span(start_s, start_s + _LAST_LYRICS_S)
        yield Cue(span, _plain("\n".join(lines)))


def _substation(text: str) -> Iterator[Cue]:
    import av

    options = {"protocol_whitelist": "none", "format_whitelist": "ass"}
    try:
        container = av.open(io.BytesIO(text.encode()), format="ass", options=options)
    except av.FFmpegError:
        return
    with container:
        for packet in container.demux(subtitles=0):
            fields = bytes(packet).decode("utf-8", "replace").split(",", _ASS_COMMAS)
            if packet.pts is None or packet.duration is None or len(fields) <= _ASS_COMMAS:
                continue
            span = _span(*(float(at * packet.time_base) for at in (packet.pts, packet.pts + packet.duration)))
            if span is not None:
                yield Cue(span, _plain(_without_overrides(fields[-1])))


def _without_overrides(text: str) -> str:
    """Remove styles in braces and drawings, and replace codes of spaces and line ends."""
    kept: list[str] = []
    draws = False
    for part in _OVERRIDE.split(text):
        if part.startswith("{") and part.endswith("}"):
            modes: list[str] = _DRAWING.findall(part)
            draws = modes[-1] != "0" if modes else draws
        elif not draws:
            kept.append(part)
    return "".join(kept).replace(r"\h", " ").replace(r"\N", "\n").replace(r"\n", "\n")


def _plain(text: str) -> str:
    """Remove blank lines, and blanks around lines."""
    return "\n".join(line for line in map(str.strip, text.split("\n")) if line)


def _span(start_s: float, stop_s: float) -> Span | None:
    return Span(start_s, stop_s) if 0 <= start_s < stop_s else None


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole_s = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole_s + int((fraction or "0").ljust(3, "0")) / 1000


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


CONTAINERS: dict[str, Callable[[str], Iterable[Cue]]] = {
    "srt": _subrip,
    "vtt": _subrip,
    "sbv": _sbv,
    "lrc": _lrc,
    "ass": _substation,
    "ssa": _substation,
}
"""The kinds of subtitles, by suffix."""
