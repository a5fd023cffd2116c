"""The JSON that WAVE's published code is evaluated with: a list of conversations about media.

Source: https://github.com/TCL606/WAVE, scripts/ret_av2t.json, ret_mc.json and ret_v2a.json. An entry is about a
`video`, `audio` or `image`, or a video and its sound in two files. What the human says is the prompt. The entry is

* a question, if it has `neg_text`: the reply is the right answer, `neg_text` has the wrong ones;
* a pair of two media, if it has `pos_image`;
* else a pair of a medium and a text, the reply.

Pairs are evaluated in both directions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.collector import text_item, value_of
from wave_search.evaluation.datasets.dataset import Item, Question
from wave_search.evaluation.datasets.rows import Row, read_rows
from wave_search.types import MediaRef, Modality

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.evaluation.datasets.collector import Collector

_MARKERS = ("<image>\n", "<video>\n", "<audio>\n")


def read_wave(path: Path, into: Collector) -> None:
    """Read a JSON or JSON Lines file of entries.

    Raises:
        DatasetError: it cannot be read as JSON.
    """

    def take(row: Row) -> None:
        if row.fields.get("type", "retrieval") == "sft":
            raise UsageError("an entry to write an answer, not to embed")
        medium = _medium(row, into)
        if "neg_text" in row.fields:
            into.ask(_question(row, medium))
        elif "pos_image" in row.fields:
            other = _medium(_inner(row, "pos_image"), into)
            into.pair(other, medium)
            into.pair(medium, other)
        else:
            text = text_item(_said(row, "gpt"))
            into.pair(text, medium)
            into.pair(medium, text)

    into.each(read_rows(path), take)


def _medium(row: Row, into: Collector) -> Item:
    if "frame_dir" in row.fields:
        raise UsageError("folders of frames are not read, give the video")
    prompt = _said(row, "human")
    for marker in _MARKERS:
        prompt = prompt.replace(marker, "")
    present = [modality for modality in (Modality.IMAGE, Modality.VIDEO, Modality.AUDIO) if row.fields.get(modality)]
    if present == [Modality.VIDEO, Modality.AUDIO]:
        seen = into.medium(_single(row, "video"), Modality.AV, prompt.strip())
        heard = into.medium(_single(row, "audio"), Modality.AUDIO).content
        return _within(row, replace(seen, sound=heard if isinstance(heard, MediaRef) else None))
    if len(present) != 1:
        raise UsageError(f"an entry about {' and '.join(present) or 'a text alone'} cannot be embedded as one clip")
    return _within(row, into.medium(_single(row, present[0]), present[0], prompt.strip()))


def _single(row: Row, name: str) -> Any:
    value = row.fields[name]
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise UsageError(f"an entry about {len(value)} files of {name} cannot be embedded as one clip")
    return value[0]


def _within(row: Row, item: Item) -> Item:
    """Confine a medium to the `timestamps` [start, stop] of its entry, in seconds."""
    timestamps = row.fields.get("timestamps")
    if timestamps is None or not isinstance(item.content, MediaRef):
        return item
    try:
        start_s, stop_s = (float(second) for second in timestamps)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"the timestamps {timestamps!s:.40} are not two numbers of seconds") from None
    if not 0 <= start_s < stop_s:
        raise UsageError(f"the timestamps {timestamps} are not a range")
    sound = item.sound and replace(item.sound, start_s=start_s, stop_s=stop_s)
    return replace(item, content=replace(item.content, start_s=start_s, stop_s=stop_s), sound=sound)


def _question(row: Row, medium: Item) -> Question:
    wrong = row.fields["neg_text"]
    if not isinstance(wrong, list) or not wrong:
        raise UsageError("neg_text is not a list of wrong answers")
    return Question(medium, tuple(str(text_item(text).content) for text in (_said(row, "gpt"), *wrong)), 0)


def _inner(row: Row, name: str) -> Row:
    fields = row.fields[name]
    if not isinstance(fields, dict):
        raise UsageError(f"{name} is not an entry")
    return Row(row.path, row.place, fields)


def _said(row: Row, speaker: str) -> str:
    turns = value_of(row, "conversations")
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, dict) and turn.get("from") == speaker and isinstance(turn.get("value"), str):
            return str(turn["value"])
    raise UsageError(f"nobody says anything as {speaker} in the conversation")
