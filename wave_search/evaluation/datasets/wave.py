r"""The JSON in which WAVE's training and evaluation data are published: conversations about media.

    {"video": "a.mp4", "audio": "a.wav", "conversations": [
        {"from": "human", "value": "<image>\nPlease describe the video."}, {"from": "gpt", "value": "a dog barks"}]}

Source: https://github.com/TCL606/WAVE, scripts/ret_av2t.json, ret_mc.json and ret_v2a.json, and their reader
qwenvl/data/data_qwen.py. An entry is about a `video`, `audio` or `image`, or a video and its audio in two files;
`timestamps` is a range in seconds. The human turn is the prompt. The entry is

* a question, if it has `neg_text`: the reply is the right answer, `neg_text` the list of wrong ones;
* a pair of two media files, if it has `pos_image`;
* otherwise a pair of a media file and a text, the reply.

Evaluation and fine-tuning both use this parser, so that they agree on what an entry means:

* The marker `<image>`, `<video>` or `<audio>` is the place of the media and not part of the prompt. The published code
  removes it only if a line break follows, and passes the text alone to the model otherwise.
* If there is no question, the model's own prompt is used.
* Every `type` that contains "sft" trains text generation and is rejected, as the published code makes no label of it.
* Several turns of one speaker are rejected, because it is not defined which of them is the prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.dataset import Item, Question
from wave_search.evaluation.datasets.rows import checked_text, read_rows
from wave_search.types import MediaRef, Modality, Span

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wave_search.evaluation.datasets.dataset import Collector
    from wave_search.evaluation.datasets.rows import Row

_MARKER = re.compile(r"<(image|video|audio)>\n?")
_MEDIA = (Modality.IMAGE, Modality.VIDEO, Modality.AUDIO)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A media file of an entry. Its existence is not checked."""

    modality: Modality
    path: str
    sound: str | None = None
    """The audio of an audio-visual clip, if it is in a separate file."""
    span: Span | None = None
    """None for the whole file."""
    prompt: str | None = None
    """None for the model's own prompt."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A media file and its counterpart: a text, or another media file."""

    media_file: MediaFile
    answer: str | None
    """None if `other` is given."""
    wrong: tuple[str, ...] = ()
    """Wrong answers, which make the entry a question."""
    other: MediaFile | None = None


def parse_entry(fields: Mapping[str, Any]) -> Entry:
    """Parse an entry.

    Raises:
        UsageError: it cannot be used for embeddings; the message gives the reason.
    """
    if "sft" in str(fields.get("type", "")):
        raise UsageError(f"an entry of the type {fields['type']}, which trains text generation and not embeddings")
    prompt, answer = _conversation(fields)
    media_file = _media_file(fields, prompt)
    wrong = _wrong_answers(fields)
    if "pos_image" in fields:
        if wrong:
            raise UsageError("both neg_text and pos_image")
        inner = fields["pos_image"]
        if not isinstance(inner, dict):
            raise UsageError("pos_image is not an entry")
        return Entry(media_file, None, other=_media_file(inner, _conversation(inner)[0]))
    text = checked_text(answer, "answer")
    if text in wrong:
        raise UsageError("the right answer is among neg_text")
    return Entry(media_file, text, wrong)


def _conversation(fields: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Return the prompt without the media marker, and the answer, which is not checked."""
    turns = fields.get("conversations")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UsageError("there are no conversations")
    human, gpt = ([turn.get("value") for turn in turns if turn.get("from") == name] for name in ("human", "gpt"))
    if len(human) != 1 or len(gpt) > 1:
        raise UsageError("not one question (from human) and one answer (from gpt)")
    if not isinstance(human[0], str):
        raise UsageError("the question is not a string")
    prompt = _MARKER.sub("", human[0])
    return checked_text(prompt, "question") if prompt.strip() else None, gpt[0] if gpt else None


def _media_file(fields: Mapping[str, Any], prompt: str | None) -> MediaFile:
    if "frame_dir" in fields:
        raise UsageError("frame_dir: folders of frames are not read; use the video")
    paths = {modality: _path(fields, modality) for modality in _MEDIA if fields.get(modality) is not None}
    span = _span(fields)
    match list(paths):
        case [Modality.VIDEO, Modality.AUDIO]:
            path, sound = paths.values()
            return MediaFile(Modality.AV, path, None if sound == path else sound, span, prompt)
        case [Modality.IMAGE]:
            return MediaFile(Modality.IMAGE, paths[Modality.IMAGE], prompt=prompt)
        case [modality]:
            return MediaFile(modality, paths[modality], span=span, prompt=prompt)
        case _:
            named = " and ".join(paths) or "no media file"
            raise UsageError(f"an entry about {named} cannot be embedded as one clip")


def _path(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if isinstance(value, list):
        if len(value) != 1:
            raise UsageError(f"an entry about {len(value)} files of {name} cannot be embedded as one clip")
        value = value[0]
    return checked_text(value, f"path of the {name}")


def _span(fields: Mapping[str, Any]) -> Span | None:
    given = fields.get("timestamps")
    if given is None:
        return None
    try:
        start_s, stop_s = (float(second) for second in given if not isinstance(second, str | bool))
        if len(given) != 2:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"the timestamps {given!s:.40} are not two numbers of seconds") from None
    if not 0 <= start_s < stop_s:
        raise UsageError(f"the timestamps {given!s:.40} are not a range of seconds")
    return Span(start_s, stop_s)


def _wrong_answers(fields: Mapping[str, Any]) -> tuple[str, ...]:
    if "neg_text" not in fields:
        return ()
    given = fields["neg_text"]
    if not isinstance(given, list) or not given:
        raise UsageError("neg_text is not a list of wrong answers")
    return tuple(checked_text(text, "text of neg_text") for text in given)


def read_wave(path: Path, into: Collector) -> None:
    """Read a JSON or JSON Lines file of entries for evaluation. Pairs are evaluated in both directions.

    Raises:
        DatasetError: it cannot be read as JSON.
    """

    def take(row: Row) -> None:
        entry = parse_entry(row.fields)
        media_file = _item(entry.media_file, into)
        if entry.wrong:
            into.ask(Question(media_file, (str(entry.answer), *entry.wrong), 0))
        else:
            other = Item(str(entry.answer)) if entry.other is None else _item(entry.other, into)
            into.pair(other, media_file)
            into.pair(media_file, other)

    into.each(read_rows(path), take)


def _item(file: MediaFile, into: Collector) -> Item:
    item = into.media_file(file.path, file.modality, file.prompt, span=file.span)
    sound = None if file.sound is None else into.media_file(file.sound, Modality.AUDIO, span=file.span).content
    return item if not isinstance(sound, MediaRef) else Item(item.content, item.prompt, sound)
