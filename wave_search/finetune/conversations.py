r"""Pairs in the format that WAVE's training data are published in: JSON records with media and a conversation.

    {"video": "a.mp4", "audio": "a.wav", "conversations": [
        {"from": "human", "value": "<image>\nPlease describe the video."}, {"from": "gpt", "value": "a dog barks"}]}

`neg_text` has wrong answers, `timestamps` a range in seconds, and `pos_image` media as the other side of the pair.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.finetune.rows import Pair, Place, Rejected, RowError, Side, filled, span_of, text_side
from wave_search.types import Modality, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MARKER = re.compile(r"<(image|video|audio)>\n?")
_SPACE = re.compile(r"\s*")
_REMEDY = "The file must be an array of records; in .jsonl each line is one."


def read_array(path: Path, content: str) -> Iterator[Pair | Rejected]:
    """Read an array of records.

    Args:
        path: of the file; media are looked for from its folder.
        content: of the file.

    Raises:
        UsageError: it is not JSON, or not an array.
    """
    for line, record in _elements(path, content):
        yield _row(Place(path, line), record)


def read_lines(path: Path, content: str) -> Iterator[Pair | Rejected]:
    """Read a record from each line; a line that is not JSON is one bad row."""
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        place = Place(path, number)
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Rejected(place, f"not JSON ({error})")
            continue
        yield _row(place, record)


def _elements(path: Path, content: str) -> Iterator[tuple[int, Any]]:
    """Each element of an array, with the line that it begins in: the decoder alone would not tell."""
    decoder = json.JSONDecoder()
    at, line, counted = _past_space(content, 0), 1, 0
    try:
        if content[at : at + 1] != "[":
            raise json.JSONDecodeError("an array must begin here", content, at)
        at = _past_space(content, at + 1)
        while content[at : at + 1] != "]":
            line, counted = line + content.count("\n", counted, at), at
            record, at = decoder.raw_decode(content, at)
            yield line, record
            at = _past_space(content, at)
            if content[at : at + 1] not in (",", "]"):
                raise json.JSONDecodeError("a comma or a closing bracket must follow", content, at)
            if content[at] == ",":
                at = _past_space(content, at + 1)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error})", _REMEDY) from error


def _past_space(content: str, at: int) -> int:
    found = _SPACE.match(content, at)
    return found.end() if found else at


def _row(place: Place, record: Any) -> Pair | Rejected:
    try:
        return _pair(place, record)
    except RowError as error:
        return Rejected(place, str(error))


def _pair(place: Place, record: Any) -> Pair:
    if not isinstance(record, dict):
        raise RowError("not a record")
    if "sft" in str(record.get("type", "")):
        raise RowError("of the type sft, which trains text generation and no embeddings")
    prompt, label = _conversation(record)
    query = _media(place, record, prompt)
    wrong = _wrong(record)
    if "pos_image" in record:
        if wrong:
            raise RowError("both neg_text and pos_image")
        return Pair(place, query, _positive(place, record["pos_image"]))
    target = text_side(label, "the answer")
    if target.text in wrong:
        raise RowError("the right answer is among neg_text")
    return Pair(place, query, target, wrong)


def _positive(place: Place, record: Any) -> Side:
    if not isinstance(record, dict):
        raise RowError("pos_image is not a record")
    prompt, _ = _conversation(record)
    return _media(place, record, prompt)


def _conversation(record: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Prompt without the marker of the media, and answer."""
    turns = record.get("conversations")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("no conversations")
    said = {
        speaker: [turn.get("value") for turn in turns if turn.get("from") == speaker] for speaker in ("human", "gpt")
    }
    if len(said["human"]) != 1 or len(said["gpt"]) > 1:
        raise RowError("not one question (from human) and one answer (from gpt)")
    asked = said["human"][0]
    if not isinstance(asked, str):
        raise RowError("the question is not a text")
    prompt = _MARKER.sub("", asked)
    return filled(prompt, "the question") if prompt.strip() else None, said["gpt"][0] if said["gpt"] else None


def _media(place: Place, record: Mapping[str, Any], prompt: str | None) -> Side:
    if "frame_dir" in record:
        raise RowError("frame_dir: folders of frames are not read; make a video of it")
    paths = {
        kind: place.file.parent / _name(record[kind], kind) for kind in ("image", "video", "audio") if kind in record
    }
    span = _span(record)
    match paths:
        case {"image": path, **others}:
            if others:
                raise RowError("an image together with other media")
            return Side(Modality.IMAGE, path=path, prompt=prompt)
        case {"video": path, "audio": sound}:
            return Side(Modality.AV, path=path, sound=None if sound == path else sound, span=span, prompt=prompt)
        case {"video": path}:
            return Side(Modality.VIDEO, path=path, span=span, prompt=prompt)
        case {"audio": path}:
            return Side(Modality.AUDIO, path=path, span=span, prompt=prompt)
        case _:
            raise RowError("no video, audio or image")


def _name(value: Any, kind: str) -> str:
    if isinstance(value, list):
        if len(value) != 1:
            raise RowError(f"{len(value)} files as {kind}; one is supported")
        value = value[0]
    return filled(value, kind)


def _span(record: Mapping[str, Any]) -> Span | None:
    given = record.get("timestamps")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 2 or not all(isinstance(value, int | float) for value in given):
        raise RowError("timestamps are not two numbers of seconds")
    try:
        return span_of(float(given[0]), float(given[1]))
    except OverflowError as error:
        raise RowError("timestamps beyond all files") from error


def _wrong(record: Mapping[str, Any]) -> tuple[str, ...]:
    given = record.get("neg_text", [])
    if not isinstance(given, list):
        raise RowError("neg_text is not a list")
    return tuple(filled(text, "one of neg_text") for text in given)
