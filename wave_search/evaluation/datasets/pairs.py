"""A CSV that anybody can write: `query,modality,target,relevant`, one relevant thing a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import DatasetError, UsageError
from wave_search.evaluation.datasets.collector import modality_of, text_item
from wave_search.evaluation.datasets.rows import read_rows
from wave_search.types import Modality

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.evaluation.datasets.collector import Collector
    from wave_search.evaluation.datasets.dataset import Item
    from wave_search.evaluation.datasets.rows import Row

COLUMNS = ("query", "modality", "target", "relevant")


def read_pairs(path: Path, into: Collector) -> None:
    """Read such a CSV.

    `query` is a text or a file, and `modality` says how it is perceived. `target` is the modality to look for, and
    `relevant` a text or a file that is a right answer; more of them stand on lines of their own. A line without a query
    and modality adds something to be found that is no answer to any query.

    Raises:
        DatasetError: it cannot be read, or has other columns.
    """
    columns_seen = False

    def item(value: str, modality: Modality) -> Item:
        return text_item(value) if modality is Modality.TEXT else into.medium(value, modality)

    def take(row: Row) -> None:
        nonlocal columns_seen
        if not columns_seen and not set(COLUMNS) <= row.fields.keys():
            raise DatasetError(
                f"{path}: its columns are {', '.join(row.fields):.200}",
                f"They should be {', '.join(COLUMNS)}, with commas between them, in UTF-8.",
            )
        columns_seen = True
        query, modality, target, relevant = (str(row.fields[name]).strip() for name in COLUMNS)
        found = item(relevant, _modality("target", target))
        if query:
            into.pair(item(query, _modality("modality", modality)), found)
        elif modality:
            raise UsageError(f"there is no query, but a modality of it ({modality})")
        else:
            into.offer(found)

    into.each(read_rows(path), take)


def _modality(column: str, name: str) -> Modality:
    try:
        return modality_of(name)
    except UsageError as error:
        raise UsageError(f"in the column {column}: {error.message}") from None
