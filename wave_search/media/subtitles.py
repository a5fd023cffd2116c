"""Subtitles and lyrics: SubRip, WebVTT, SBV, LRC and SubStation Alpha.

FFmpeg and pysubs2 lose text of them, see docs/design/decisions.md.
"""

from __future__ import annotations

import html
import itertools
import operator
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wave_search.media.text import MAX_CHARACTERS, split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
"""Times end at 999:59:59.999, so that no number in a file is too large for what computes with it."""
_BLANK = r"[^\S\n]*"
_BEYOND = re.compile(rf"\n{_BLANK}\d{{4,}}:\d{{1,2}}:\d{{1,2}}\b")
_ARROW = re.compile(rf"\n{_BLANK}{_TIME}{_BLANK}-->{_BLANK}{_TIME}[^\n]*")
_COMMA = re.compile(rf"\n{_BLANK}{_TIME},{_TIME}{_BLANK}(?=\n|$)")
"""Lines of times, with the line end before them: to find it is much faster than to try each character for "^"."""
_LYRICS = re.compile(r"\[(?:(\d{1,3}):(?=\d+:\d+\.))?(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
"""Of three numbers, the first are hours only if the last have a fraction: some write [minutes:seconds:hundredths]."""
_LYRICS_FACT = re.compile(r"\[(offset|length):\s*([+-]?[\d:.]{1,12})\s*\]", re.IGNORECASE)
_LAST_LYRICS_S = 5.0
"""Duration of the last line of lyrics, which has no end."""
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>|<[\d:.]+>|\{\\[^{}\n]*\}")
"""Markup, and times of words."""
_OVERRIDE = re.compile(r"(\{[^{}]*\})")
_DRAWING = re.compile(r"\\p(\d)")
_EVENT = re.compile(rf"\n{_BLANK}(Format|Dialogue):{_BLANK}([^\n]*)")
_EVENT_TIME = re.compile(r"(\d{1,3}):(\d{1,2}):(\d{1,2})[.:,](\d{1,3})")
_EVENT_SHOWN = ("start", "end", "text")
_EVENT_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
"""The fields of an event of SubStation Alpha, where no line names them."""
_PACKET_COMMAS = 8
"""Number of fields before the text of such an event in a packet of a film."""
_ADJACENT_S = 0.1
"""A cue that begins so soon after another one replaces it on the screen."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A subtitle, in seconds from the beginning of the file."""

    start_s: float
    stop_s: float
    text: str


_Timed = tuple[float, float, str]
"""A cue of a million in memory, which takes half of the time and space of an object."""


def parse_cues(text: str, container: str) -> Iterator[Cue]:
    """Parse subtitles into cues that have text, without markup, in order of time.

    A line that stays on the screen in the next cue, as in rolling captions, belongs to the first one only.

    Args:
        text: content of the file, with line ends as newlines.
        container: suffix of the file, one of `CONTAINERS`.
    """
    timed = (cue for cue in CONTAINERS[container](text) if cue[2])
    return _without_repeats(sorted(timed, key=operator.itemgetter(0)))


def lie_beyond(text: str) -> bool:
    """Return whether a line begins with a time of a thousand hours or more, which is no time of a cue."""
    return _BEYOND.search(f"\n{text}") is not None


def packet_cues(packets: Iterable[tuple[float, float, bytes]], codec: str) -> Iterator[Cue]:
    """Parse the packets of a track of subtitles inside a film into cues, as `parse_cues` does.

    Args:
        packets: beginning and end in seconds, and content.
        codec: one of `TRACK_CODECS`.
    """
    timed = ((start_s, stop_s, TRACK_CODECS[codec](data)) for start_s, stop_s, data in packets if start_s < stop_s)
    return _without_repeats(sorted((cue for cue in timed if cue[2]), key=operator.itemgetter(0)))


def group_cues(cues: Iterable[Cue], length_s: float) -> Iterator[Cue]:
    """Merge cues that begin in the same window, up to `MAX_CHARACTERS`.

    Args:
        cues: in order of time.
        length_s: of a window.

    Yields:
        Merged cues, from the beginning of the first to the end of the last.
    """
    for _, window in itertools.groupby(cues, lambda cue: cue.start_s // length_s):
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
    start_s, stop_s = cues[0].start_s, max(cue.stop_s for cue in cues)
    return (Cue(start_s, stop_s, part) for part in split_words("\n".join(cue.text for cue in cues)))


def _without_repeats(cues: Iterable[_Timed]) -> Iterator[Cue]:
    """Drop the lines of a cue with which the one before ended; one of the same lines only continues it."""
    shown = ""
    until_s = 0.0
    kept: Cue | None = None
    for start_s, stop_s, text in cues:
        new = text
        if kept is not None and start_s <= until_s + _ADJACENT_S:
            new = _new_lines(shown, text)
        shown, until_s = text, stop_s
        if kept is None or new:
            if kept is not None:
                yield kept
            kept = Cue(start_s, stop_s, new)
        else:
            kept = replace(kept, stop_s=max(kept.stop_s, stop_s))
    if kept is not None:
        yield kept


def _new_lines(before: str, text: str) -> str:
    """Return a text without the lines with which the one before ended."""
    if text.partition("\n")[0] not in before:
        return text
    shown, lines = before.split("\n"), text.split("\n")
    counts = range(min(len(shown), len(lines)), 0, -1)
    same = next((count for count in counts if shown[-count:] == lines[:count]), 0)
    return "\n".join(lines[same:])


def _subrip(text: str) -> Iterator[_Timed]:
    """Parse SubRip, or WebVTT, which is recognised by its first line: there, an empty line ends a cue."""
    return _between_times(text, _ARROW, is_webvtt=text.startswith("WEBVTT"))


def _sbv(text: str) -> Iterator[_Timed]:
    return _between_times(text, _COMMA)


def _between_times(text: str, times: re.Pattern[str], *, is_webvtt: bool = False) -> Iterator[_Timed]:
    """Parse what follows each line of times, up to the next one and without the number of the next cue."""
    text = f"\n{text}"
    numbered: bool | None = None
    start_s = stop_s = 0.0  # nothing is shown before the first times
    end = 0
    for match in times.finditer(text):
        lines = text[end : match.start()]
        before, _, last = lines.rpartition("\n")
        is_number = last.strip().isdecimal()
        if numbered is None:
            numbered = is_number
        if start_s < stop_s:
            yield start_s, stop_s, _shown(before if numbered and is_number else lines, is_webvtt=is_webvtt)
        parts = match.groups()
        start_s, stop_s, end = _seconds(*parts[:4]), _seconds(*parts[4:]), match.end()
    if start_s < stop_s:
        yield start_s, stop_s, _shown(text[end:], is_webvtt=is_webvtt)


def _shown(lines: str, *, is_webvtt: bool) -> str:
    if is_webvtt:
        lines = lines.partition("\n\n")[0]
    if "<" in lines or "{" in lines:
        lines = _TAG.sub("", lines)
    return _plain(html.unescape(lines))


def _lrc(text: str) -> Iterator[_Timed]:
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
        shown_until_s = stop_s if start_s < stop_s else start_s + _LAST_LYRICS_S
        yield start_s, shown_until_s, _plain("\n".join(lines))


def _substation(text: str) -> Iterator[_Timed]:
    """Parse SubStation Alpha, whose events have the fields that a line before them names."""
    names = [*_EVENT_FIELDS]
    start, stop, shown = map(names.index, _EVENT_SHOWN)
    for match in _EVENT.finditer(f"\n{text}"):
        kind, line = match.groups()
        fields = line.split(",", len(names) - 1)
        if kind == "Format":
            named = [field.strip().lower() for field in line.split(",")]
            if set(_EVENT_SHOWN) <= set(named):  # those of styles are others
                names = named
                start, stop, shown = map(names.index, _EVENT_SHOWN)
        elif len(fields) == len(names):
            start_time, stop_time = (_EVENT_TIME.fullmatch(fields[place].strip()) for place in (start, stop))
            if start_time and stop_time:
                start_s, stop_s = _seconds(*start_time.groups()), _seconds(*stop_time.groups())
                if start_s < stop_s:
                    yield start_s, stop_s, _plain(_without_overrides(fields[shown]))


def _dialogue(data: bytes) -> str:
    """Return the text of a packet of SubStation Alpha."""
    fields = data.decode("utf-8", "replace").split(",", _PACKET_COMMAS)
    return _plain(_without_overrides(fields[-1])) if len(fields) > _PACKET_COMMAS else ""


def _marked(data: bytes) -> str:
    """Return the text of a packet of SubRip or WebVTT."""
    return _shown(data.decode("utf-8", "replace").replace("\r", ""), is_webvtt=False)


def _timed_text(data: bytes) -> str:
    """Return the text of a sample of 3GPP Timed Text: its length in 2 bytes, the text, then styles."""
    text = data[2 : 2 + int.from_bytes(data[:2], "big")]
    utf16 = text.startswith((b"\xfe\xff", b"\xff\xfe"))
    return _shown(text.decode("utf-16" if utf16 else "utf-8", "replace").replace("\r", "\n"), is_webvtt=False)


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
    return "\n".join(filter(None, map(str.strip, text.split("\n"))))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole_s = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole_s + float(f"0.{fraction or 0}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


CONTAINERS: dict[str, Callable[[str], Iterable[_Timed]]] = {
    "srt": _subrip,
    "vtt": _subrip,
    "sbv": _sbv,
    "lrc": _lrc,
    "ass": _substation,
    "ssa": _substation,
}
"""The kinds of subtitles, by suffix."""
TRACK_CODECS: dict[str, Callable[[bytes], str]] = {
    "subrip": _marked,
    "text": _marked,
    "webvtt": _marked,
    "ass": _dialogue,
    "ssa": _dialogue,
    "mov_text": _timed_text,
}
"""The kinds of subtitles inside films that are texts, by FFmpeg's name; the others are pictures."""
