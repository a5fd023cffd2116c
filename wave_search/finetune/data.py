"""Training data: matching pairs of clips, read from files, and their batches.

Files are WAVE's JSON (`.json`, `.jsonl`), read as in evaluations, or a table (`.csv`) with the columns
`path,start_s,stop_s,text` and optionally `modality`, `question` and `choices`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import DatasetError, UsageError
from wave_search.evaluation.datasets.rows import BadRow, Columns, checked_text, parse_rows, read_rows
from wave_search.evaluation.datasets.wave import parse_entry
from wave_search.files import digest
from wave_search.finetune.settings import QUESTIONS
from wave_search.types import Modality, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.evaluation.datasets.rows import Place, Row
    from wave_search.evaluation.datasets.wave import MediaFile

_MEDIA = (Modality.AUDIO, Modality.VIDEO, Modality.AV, Modality.IMAGE)
_ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO, Modality.AV)
_COLUMNS = Columns(("path", "text"), ("start_s", "stop_s", "modality", "question", "choices"))
_CHOICE_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a pair: a text, or a range of a file. Equal sides have equal embeddings."""

    modality: Modality | None
    """None for everything that the file offers together, such as audio and frames of a video with both."""
    text: str = ""
    """The text, if the side is one."""
    path: Path | None = None
    sound: Path | None = None
    """The audio of an AV side, if it is in a separate file."""
    span: Span | None = None
    """None for the whole file."""
    prompt: str | None = None
    """The instruction for media; None for the model's own prompt."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two matching sides."""

    place: Place
    query: Side
    """Media."""
    target: Side
    """A text (the right answer, if there is `wrong`), or media."""
    wrong: tuple[str, ...] = ()
    """Wrong answers."""

    @property
    def task(self) -> str:
        """Name of the task that the pair trains. Each batch holds one task."""
        if self.wrong:
            return QUESTIONS
        modalities = [side.modality for side in (self.query, self.target) if side.modality is not None]
        return "_".join(sorted(modalities, key=_ORDER.index))


@dataclass(frozen=True, slots=True)
class Data:
    """The content of the data files."""

    pairs: tuple[Pair, ...]
    rejected: tuple[BadRow, ...]
    digest: str
    """Digest of the content of the files."""


def read_data(files: Iterable[Path]) -> Data:
    """Read files of pairs. Media are not opened yet.

    Raises:
        DatasetError: a file cannot be read at all.
    """
    parsers: dict[str, tuple[Callable[[Row], Pair], Columns | None]] = {
        ".json": (_entry_pair, None),
        ".jsonl": (_entry_pair, None),
        ".csv": (_table_pair, _COLUMNS),
    }
    contents: list[bytes] = []
    pairs: list[Pair] = []
    rejected: list[BadRow] = []
    for path in files:
        if path.suffix.lower() not in parsers:
            raise DatasetError(f"{path}: not a file of pairs", f"Use {', '.join(parsers)}.")
        parse, columns = parsers[path.suffix.lower()]
        for row in parse_rows(read_rows(path, columns=columns), parse):
            if isinstance(row, Pair):
                pairs.append(row)
            else:
                rejected.append(row)
        contents += (path.name.encode(errors="surrogateescape"), b"\0", path.read_bytes(), b"\0")
    return Data(tuple(pairs), tuple(rejected), digest(contents))


def _entry_pair(row: Row) -> Pair:
    """Convert an entry of WAVE's JSON to a pair."""
    entry = parse_entry(row.fields)
    query = _media_side(row.place, entry.media_file)
    if entry.other is not None:
        return Pair(row.place, query, _media_side(row.place, entry.other))
    return Pair(row.place, query, Side(Modality.TEXT, str(entry.answer)), entry.wrong)


def _media_side(place: Place, media_file: MediaFile) -> Side:
    folder = place.path.parent
    sound = None if media_file.sound is None else folder / media_file.sound
    return Side(media_file.modality, "", folder / media_file.path, sound, media_file.span, media_file.prompt)


def _table_pair(row: Row) -> Pair:
    """Convert a row of a table to a pair."""
    given = {name: field.strip() for name, field in row.fields.items()}
    text, question, choices = (given.get(name, "") for name in ("text", "question", "choices"))
    wrong = tuple(checked_text(choice, "choice") for choice in choices.split(_CHOICE_SEPARATOR)) if choices else ()
    if wrong and not question:
        raise UsageError("choices without a question")
    if text in wrong:
        raise UsageError("the right answer is among the wrong choices")
    query = Side(
        _modality(given.get("modality", "")),
        path=row.place.path.parent / checked_text(given["path"], "path"),
        span=_span(given),
        prompt=checked_text(question, "question") if question else None,
    )
    return Pair(row.place, query, Side(Modality.TEXT, checked_text(text, "text")), wrong)


def _modality(name: str) -> Modality | None:
    if name and name not in _MEDIA:
        raise UsageError(f"there is no modality {name!r}, only {', '.join(_MEDIA)}")
    return Modality(name) if name else None


def _span(given: Mapping[str, str]) -> Span | None:
    start_s, stop_s = (_seconds(given, name) for name in ("start_s", "stop_s"))
    if start_s is None and stop_s is None:
        return None
    try:
        return Span(start_s or 0.0, math.inf if stop_s is None else stop_s)
    except ValueError as error:
        raise UsageError(f"start_s {start_s} and stop_s {stop_s} are not a range of seconds") from error


def _seconds(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} is {text!r}, not a number of seconds")
    return value


def by_task(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Group pairs by task, in alphabetical order."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.task].append(pair)
    return dict(sorted(found.items()))


def select_tasks(tasks: dict[str, list[Pair]], wanted: Sequence[str]) -> dict[str, list[Pair]]:
    """Select tasks by name; all if no names are given.

    Raises:
        UsageError: the data have no pairs for one of them.
    """
    missing = [name for name in wanted if name not in tasks]
    if missing:
        raise UsageError(f"no pairs for the task {missing[0]}", f"There are {', '.join(tasks) or 'no pairs at all'}.")
    return {name: pairs for name, pairs in tasks.items() if not wanted or name in wanted}


@dataclass(frozen=True, slots=True)
class Batch:
    """The pairs of one step."""

    task: str
    pairs: tuple[Pair, ...]


class Plan:
    """The batches of a run, with one task each and every pair once per epoch. Deterministic, for resuming.

    The last batch of a task in an epoch is padded with the first pairs of that epoch.

    Args:
        tasks: name -> pairs.
        size: pairs per batch.
        processes: number of processes; must divide `size`.
        seed: seed for the order of pairs.

    Raises:
        UsageError: a task has too few pairs.
    """

    def __init__(self, tasks: dict[str, list[Pair]], size: int, processes: int, seed: int) -> None:
        if size % processes:
            raise UsageError(
                f"a batch of {size} cannot be divided among {processes} processes",
                f"Set batch to a multiple of {processes}.",
            )
        self._tasks, self._seed = tasks, seed
        self._sizes = {name: min(size, len(pairs) // processes * processes) for name, pairs in tasks.items()}
        for name, pairs in tasks.items():
            least = processes if name == QUESTIONS else max(2, processes)
            if len(pairs) < least:
                raise UsageError(
                    f"the task {name} has {len(pairs)} pairs, but needs at least {least}",
                    "Add pairs, or list the other tasks under tasks.",
                )
        self._epoch = lru_cache(1)(self._batches_of)

    @property
    def epoch_steps(self) -> int:
        """Number of steps of an epoch, in which each pair is used once."""
        return sum(-(-len(pairs) // self._sizes[name]) for name, pairs in self._tasks.items())

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        epoch, place = divmod(step, self.epoch_steps)
        return self._epoch(epoch)[place]

    def _batches_of(self, epoch: int) -> list[Batch]:
        rng = np.random.default_rng((self._seed, epoch))
        batches = [
            batch for name, pairs in self._tasks.items() for batch in self._cut(name, rng.permutation(len(pairs)))
        ]
        return [batches[place] for place in rng.permutation(len(batches))]

    def _cut(self, name: str, order: NDArray[np.int64]) -> list[Batch]:
        size, pairs = self._sizes[name], self._tasks[name]
        filled = np.concatenate([order, order[: -len(order) % size]])
        return [Batch(name, tuple(pairs[place] for place in part)) for part in filled.reshape(-1, size)]
