"""Pairs as a table: CSV with `path,start_s,stop_s,text`, and if wanted `modality`, `question` and `choices`."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.finetune.rows import Pair, Place, Rejected, RowError, Side, filled, span_of, text_side
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NEEDED = ("path", "text")
_KNOWN = ("path", "start_s", "stop_s", "text", "modality", "question", "choices")
_MODALITIES = (Modality.AUDIO, Modality.VIDEO, Modality.AV, Modality.IMAGE)
CHOICE_SEPARATOR = "|"


def read(path: Path, content: str) -> Iterator[Pair | Rejected]:
    """Read a table with a header.

    Args:
        path: of the file; media are looked for from its folder.
        content: of the file.

    Raises:
        UsageError: the header is not as it must be, or it is not CSV.
    """
    rows = _numbered(path, content)
    _, names = next(rows, (1, []))
    _check_header(path, names)
    for line, fields in rows:
        place = Place(path, line)
        try:
            yield _pair(place, names, fields)
        except RowError as error:
            yield Rejected(place, str(error))


def _numbered(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line that it begins in."""
    rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    line = 1
    try:
        for fields in rows:
            if fields:
                yield line, fields
            line = rows.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}, line {line}: not CSV ({error})", "Put texts with quotes in quotes.") from error


def _check_header(path: Path, names: list[str]) -> None:
    faults = [f"no column {name!r}" for name in _NEEDED if name not in names]
    faults += [f"an unknown column {name!r}" for name in names if name not in _KNOWN]
    faults += [f"two columns {name!r}" for name in names if names.count(name) > 1]
    if faults:
        raise UsageError(f"{path}: {faults[0]}", f"The first line names the columns: {','.join(_KNOWN)}.")


def _pair(place: Place, names: list[str], fields: list[str]) -> Pair:
    if len(fields) > len(names):
        raise RowError("more fields than columns; put texts with commas in quotes")
    if len(fields) < len(names):
        raise RowError("fewer fields than columns")
    given = {name: field.strip() for name, field in zip(names, fields, strict=True)}
    question, choices = given.get("question", ""), given.get("choices", "")
    wrong = tuple(choice.strip() for choice in choices.split(CHOICE_SEPARATOR)) if choices else ()
    if not all(wrong):
        raise RowError("one of the choices is empty")
    if wrong and not question:
        raise RowError("choices without a question")
    if given["text"] in wrong:
        raise RowError("the right answer is among the wrong choices")
    query = Side(
        _modality(given.get("modality", "")),
        path=place.file.parent / filled(given["path"], "path"),
        span=span_of(_seconds(given, "start_s"), _seconds(given, "stop_s")),
        prompt=question or None,
    )
    return Pair(place, query, text_side(given["text"], "text"), wrong)


def _modality(name: str) -> Modality | None:
    if name and name not in _MODALITIES:
        raise RowError(f"there is no modality {name!r}, only {', '.join(_MODALITIES)}")
    return Modality(name) if name else None


def _seconds(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RowError(f"{name} is {text!r}, not a number of seconds")
    return value
