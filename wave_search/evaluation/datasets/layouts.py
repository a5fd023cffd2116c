"""Read a data set in any of the known layouts.

* mteb: a folder with corpus, queries and qrels
* pairs: a CSV with the columns query, modality, target, relevant
* wave: the JSON of WAVE's published evaluation
* table, questions: other files, by the mapping of a task file
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import DatasetError
from wave_search.evaluation.datasets.dataset import Collector
from wave_search.evaluation.datasets.mteb import read_mteb
from wave_search.evaluation.datasets.tables import read_pairs, read_questions, read_table
from wave_search.evaluation.datasets.tasks import QuestionMapping, TableMapping
from wave_search.evaluation.datasets.wave import read_wave

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wave_search.evaluation.datasets.dataset import Dataset
    from wave_search.evaluation.datasets.rows import BadRow


def read_dataset(
    path: Path,
    *,
    mapping: TableMapping | QuestionMapping | None,
    media: Path | None,
    unpacked: Path,
    split: str,
) -> Dataset:
    """Read a data set.

    Args:
        path: its file or folder.
        mapping: the mapping of columns, for the layouts "table" and "questions".
        media: folder that paths are relative to; None for that of the data set.
        unpacked: folder for media that are embedded in the data set.
        split: name of the split, if there are several.

    Raises:
        DatasetError: it does not exist, cannot be read, has no known layout, or is empty.
    """
    into = Collector(media or (path if path.is_dir() else path.parent), unpacked)
    layout = _read(path, mapping, split, into)
    dataset = into.dataset(layout)
    if not dataset.qrels and not dataset.questions:
        raise DatasetError(
            f"{path}: there is nothing to evaluate in it{_reason(dataset.bad_rows)}",
            "See docs/guide/evaluation.md for the format of rows; paths are relative to the data set's folder, or to "
            "that of --media DIR.",
        )
    return dataset


def _reason(bad_rows: Sequence[BadRow]) -> str:
    if not bad_rows:
        return ""
    rows = f"{len(bad_rows):,} rows" if len(bad_rows) > 1 else "a row"
    return f" ({rows} cannot be used: {bad_rows[0].place}: {bad_rows[0].cause})"


def _read(path: Path, mapping: TableMapping | QuestionMapping | None, split: str, into: Collector) -> str:
    if not path.exists():
        raise DatasetError(f"{path}: there is no such file or folder", "Check the name.")
    if isinstance(mapping, TableMapping):
        read_table(path, mapping, into)
        return "table"
    if isinstance(mapping, QuestionMapping):
        read_questions(path, mapping, into)
        return "questions"
    if path.is_dir():
        read_mteb(path, split, into)
        return "mteb"
    if path.suffix.lower() == ".csv":
        read_pairs(path, into)
        return "pairs"
    if path.suffix.lower() in (".json", ".jsonl"):
        read_wave(path, into)
        return "wave"
    raise DatasetError(
        f"{path}: neither a folder nor a .csv, .json or .jsonl file",
        "Use a folder with corpus, queries and qrels; a CSV; WAVE's JSON; or a --task with a mapping.",
    )
