"""Tables: a simple CSV for users' own data, and published tables and lists, read by a mapping of their columns.

The CSV has the columns `query,modality,target,relevant`, with one relevant item per line. For mappings see `tasks`.
"""

from __future__ import annotations

import ast
import string
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.dataset import Question, text_item
from wave_search.evaluation.datasets.rows import Columns, modality_of, read_rows, value_of
from wave_search.types import Modality

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.evaluation.datasets.dataset import Collector, Item
    from wave_search.evaluation.datasets.rows import Row
    from wave_search.evaluation.datasets.tasks import QuestionMapping, Side, TableMapping

_COLUMNS = ("query", "modality", "target", "relevant")


def read_pairs(path: Path, into: Collector) -> None:
    """Read a CSV with the columns `query,modality,target,relevant`.

    `query` is a text or a file, and `modality` the modality to embed it as. `target` is the modality to search, and
    `relevant` a relevant text or file; further ones are on separate lines. A line without query and modality adds an
    item that is not relevant to any query.

    Raises:
        DatasetError: it cannot be read, or a column is missing.
    """

    def item(value: str, modality: Modality) -> Item:
        return text_item(value) if modality is Modality.TEXT else into.media_file(value, modality)

    def take(row: Row) -> None:
        query, modality, target, relevant = (str(row.fields[name]).strip() for name in _COLUMNS)
        found = item(relevant, _modality("target", target))
        if query:
            into.pair(item(query, _modality("modality", modality)), found)
        elif modality:
            raise UsageError(f"there is no query, but a modality of it ({modality})")
        else:
            into.offer(found)

    into.each(read_rows(path, columns=Columns(_COLUMNS)), take)


def _modality(column: str, name: str) -> Modality:
    try:
        return modality_of(name)
    except UsageError as error:
        raise UsageError(f"in the column {column}: {error.message}") from None


def read_table(path: Path, mapping: TableMapping, into: Collector) -> None:
    """Read a CSV, TSV, parquet or JSON file of pairs.

    Raises:
        DatasetError: it cannot be read.
    """

    def side(row: Row, of: Side) -> list[Item]:
        values = [value for value in (_filled(template, row) for template in of.values) if value.strip()]
        if not values:
            raise UsageError(f"there is no {of.modality}")
        return [
            text_item(value) if of.modality is Modality.TEXT else into.media_file(value, of.modality)
            for value in values
        ]

    def take(row: Row) -> None:
        if mapping.keep is not None and str(row.fields.get(mapping.keep[0])) != mapping.keep[1]:
            return
        targets = side(row, mapping.target)
        for query in side(row, mapping.query):
            for target in targets:
                into.pair(query, target)
                into.pair(target, query)

    into.each(read_rows(path, mapping.columns), take)


def read_questions(path: Path, mapping: QuestionMapping, into: Collector) -> None:
    """Read a JSON, JSON Lines or parquet file of multiple-choice questions.

    Raises:
        DatasetError: it cannot be read.
    """

    def take(row: Row) -> None:
        choices = _choices(row, mapping.choices)
        answer = _answer(str(value_of(row, "answer")).strip(), choices)
        prompt = _filled(mapping.prompt, row, options="\n".join(map(_option, string.ascii_uppercase, choices)))
        clip = into.media_file(_filled(mapping.media_file, row), mapping.modality, prompt)
        offered = tuple(string.ascii_uppercase[: len(choices)]) if mapping.letters else tuple(choices)
        into.ask(Question(clip, offered, answer))

    into.each(read_rows(path), take)


def _choices(row: Row, fields: tuple[str, ...]) -> list[str]:
    choices = [value_of(row, name) for name in fields]
    if len(fields) == 1:
        (choices,) = choices
    if isinstance(choices, str):  # some parquet copies contain the list as its Python representation
        try:
            choices = ast.literal_eval(choices)
        except (ValueError, SyntaxError):
            raise UsageError("the choices are not a list") from None
    if not isinstance(choices, list) or not 2 <= len(choices) <= len(string.ascii_uppercase):
        raise UsageError("the choices are not a list of 2 to 26 answers")
    return [str(text_item(choice).content) for choice in choices]


def _answer(answer: str, choices: list[str]) -> int:
    if answer in choices:
        return choices.index(answer)
    letter = string.ascii_uppercase.find(answer) if len(answer) == 1 else -1
    place = int(answer) if answer.isdecimal() else letter
    if not 0 <= place < len(choices):
        raise UsageError(f'the answer "{answer}" is not one of the choices')
    return place


def _option(letter: str, choice: str) -> str:
    return choice if choice.startswith(f"{letter}. ") else f"{letter}. {choice}"


def _filled(template: str, row: Row, **more: str) -> str:
    try:
        # A missing value is None in parquet and JSON, and an empty string in CSV.
        fields = {name: "" if value is None else value for name, value in row.fields.items()}
        return template.format_map({**fields, **more})
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(f"{template} cannot be built from the row ({error!r})") from None
