"""Folders with `corpus`, `queries` and `qrels`, as MTEB and BEIR publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import DatasetError, UsageError
from wave_search.evaluation.datasets.dataset import text_item
from wave_search.evaluation.datasets.rows import modality_of, read_rows, value_of
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from wave_search.evaluation.datasets.dataset import Collector, Item
    from wave_search.evaluation.datasets.rows import Row

_SUFFIXES = (".jsonl", ".parquet", ".tsv")
_MAX_GRADE = 1_000_000
_MEDIA = (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO)


def read_mteb(folder: Path, split: str, into: Collector) -> None:
    """Read `corpus`, `queries` (or `query`) and `qrels`, each a file or a folder with a file per split.

    Columns of the first two: `_id` or `id`; `text`, to which `title` is prepended; `image`, `audio`, `video`: a path
    relative to the media folder, or the content of the file. `modality` selects among these: "text", "image", "audio",
    "video", "audio,video" (one audio-visual clip, as "av"), or a media modality with ",text" appended, whose text is
    then the prompt. Columns of the last: `query-id`, `corpus-id`, `score`.

    Raises:
        DatasetError: one of the three is missing or cannot be read.
    """

    def corpus(row: Row) -> None:
        into.corpus[_new_id(row, into.corpus)] = _item(row, into)

    def query(row: Row) -> None:
        into.queries[_new_id(row, into.queries)] = _item(row, into)

    def qrel(row: Row) -> None:
        query_id, corpus_id = str(value_of(row, "query-id")), str(value_of(row, "corpus-id"))
        for name, known, wanted in (("query", into.queries, query_id), ("corpus", into.corpus, corpus_id)):
            if wanted not in known:
                raise UsageError(f'the {name} has no usable row with the id "{wanted}"')
        into.judge(query_id, corpus_id, _grade(row))

    for names, take in ((("corpus",), corpus), (("queries", "query"), query), (("qrels",), qrel)):
        for file in _files(folder, names, split):
            into.each(read_rows(file), take)


def _files(folder: Path, names: tuple[str, ...], split: str) -> list[Path]:
    for name in names:
        for suffix in _SUFFIXES:
            if (folder / f"{name}{suffix}").is_file():
                return [folder / f"{name}{suffix}"]
        if (folder / name).is_dir():
            return list(_of_split(folder / name, split))
    raise DatasetError(
        f"{folder}: there is no {' or '.join(names)} in it",
        "Such a folder contains corpus, queries and qrels as .jsonl or .parquet.",
    )


def _of_split(folder: Path, split: str) -> Iterator[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    splits = sorted({path.stem.split("-")[0] for path in files})
    if not files:
        raise DatasetError(f"{folder}: there is no .jsonl, .parquet or .tsv file in it", "Check the download.")
    if split not in splits and len(splits) > 1:
        raise DatasetError(f"{folder}: there is no split {split}", f"Choose one with --split: {', '.join(splits)}.")
    chosen = split if split in splits else splits[0]
    return (path for path in files if path.stem.split("-")[0] == chosen)


def _new_id(row: Row, known: Container[str]) -> str:
    name = str(value_of(row, "_id", "id"))
    if name in known:
        raise UsageError(f'the id "{name}" is a duplicate')
    return name


def _item(row: Row, into: Collector) -> Item:
    named = row.fields.get("modality")
    if named is None:
        media = [modality for modality in _MEDIA if row.fields.get(modality)]
        has_text = bool(row.fields.get("text"))
        if len(media) + has_text != 1:
            raise UsageError(
                "it must have exactly one of text, image, audio and video, or a modality that selects among them"
            )
        return into.media_file(row.fields[media[0]], media[0]) if media else _text(row)
    parts = {part.strip() for part in str(named).replace("+", ",").split(",")}
    if parts == {Modality.TEXT}:
        return _text(row)
    prompt = value_of(row, "text") if Modality.TEXT in parts else None
    media_parts = parts - {Modality.TEXT}
    if media_parts in ({"audio", "video"}, {"av"}):
        return into.media_file(value_of(row, "av", "video"), Modality.AV, prompt)
    if len(media_parts) != 1:
        raise UsageError(f'"{named}" cannot be embedded as one clip')
    modality = modality_of(next(iter(media_parts)))
    return into.media_file(value_of(row, modality), modality, prompt)


def _text(row: Row) -> Item:
    title, text = row.fields.get("title") or "", row.fields.get("text") or ""
    return text_item(f"{title} {text}" if isinstance(text, str) else text)


def _grade(row: Row) -> int:
    score = value_of(row, "score")
    try:
        grade = float(score)
    except (TypeError, ValueError, OverflowError):
        grade = float("nan")
    if not grade.is_integer() or abs(grade) > _MAX_GRADE:
        raise UsageError(f'the score "{score!s:.40}" is not a whole number of up to {_MAX_GRADE:,}')
    return int(grade)
