"""One evaluation, from a data set to its figures."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import check_faiss
from wave_search.errors import UsageError
from wave_search.evaluation.cache import EmbeddingCache
from wave_search.evaluation.confidence import figure
from wave_search.evaluation.datasets.collector import words_of
from wave_search.evaluation.datasets.dataset import Dataset, Item, Question
from wave_search.evaluation.datasets.layouts import read_dataset
from wave_search.evaluation.datasets.tasks import Task, load_task
from wave_search.evaluation.directions import report_direction, split
from wave_search.evaluation.embedding import Embedded, ItemEmbedder
from wave_search.evaluation.metrics import choice_accuracy
from wave_search.evaluation.report import DirectionReport, Evaluation, QuestionsReport
from wave_search.media import DecoderPool
from wave_search.models import LoadOptions
from wave_search.models.session import ModelSession
from wave_search.reports import Progress
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from wave_search.models import ModelSpec
    from wave_search.reports import ProgressCallback


def evaluate(
    dataset: str | os.PathLike[str],
    model: str = "auto",
    *,
    task: str | None = None,
    media: str | os.PathLike[str] | None = None,
    split: str = "test",
    instruction: str | None = None,
    limit: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    load: LoadOptions | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Measure how well a model finds what belongs together, and what an index loses of it.

    Items are embedded whole, not cut into segments. Rows and media that cannot be used are left out and reported.

    Args:
        dataset: a folder with `corpus`, `queries` and `qrels` as MTEB publishes them; a CSV with the columns query,
            modality, target, relevant; WAVE's JSON; or what `task` has a mapping for.
        model: as for `wave_search.create`.
        task: a name of `known_tasks`, or a task file of your own, for data in another layout.
        media: the folder that paths in the data set are relative to; None for the data set's own.
        split: which part of the data set, where there are several.
        instruction: replaces the prompt of all media, but not that of questions.
        limit: take only the first so many queries and questions.
        cache: folder where embeddings are kept: a run that was interrupted goes on where it was. None for nowhere.
        load: as for `wave_search.create`.
        workers: decoder processes; None for as many as there are cores, at most 4.
        progress: is called with how it goes on, see `wave_search.progress`.

    Raises:
        UsageError: there is no such task, or an argument makes no sense.
        DatasetError: the data set cannot be read, or there is nothing in it.
        CacheError: embeddings cannot be kept.
        ModelError: the model cannot be loaded.
    """
    started_s = time.monotonic()
    check_faiss()
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} makes no sense", "Take at least one query.")
    if instruction is not None:
        instruction = words_of(instruction, "instruction")
    load = load or LoadOptions()
    path = Path(dataset).expanduser()
    read_by = load_task(task) if task else None
    with (
        _folder(cache) as folder,
        EmbeddingCache(folder) as kept,
        closing(ModelSession(model, load)) as engine,
    ):
        read = read_dataset(
            path,
            mapping=read_by.mapping if read_by else None,
            media=None if media is None else Path(media).expanduser(),
            unpacked=folder / "media",
            split=split,
        )
        items = _limited(_instructed(read, instruction), limit)
        loaded = engine.model()
        with DecoderPool(workers or min(4, len(os.sched_getaffinity(0))), loaded.spec.sampling) as decoders:
            embedded = ItemEmbedder(loaded, load.dtype, decoders, kept).embed(_items(items), progress)
    _tell(progress, "shards", embedded)
    directions, used = _directions(items, embedded.vectors, read_by)
    questions = [asked for asked in items.questions if _answerable(asked, embedded.vectors)]
    _tell(progress, "done", embedded)
    return Evaluation(
        dataset=path,
        layout=items.layout,
        task=read_by,
        model=loaded.spec,
        dtype=load.dtype,
        instruction=instruction,
        prompts=_prompts(items, loaded.spec),
        directions=tuple(directions),
        questions=tuple(_about(questions, embedded.vectors)),
        bad_rows=items.bad_rows,
        unusable=tuple(embedded.unusable.values()),
        left_out=len(items.qrels) - used + len(items.questions) - len(questions),
        embedded=embedded.fresh,
        reused=len(embedded.vectors) - embedded.fresh,
        media_s=embedded.media_s,
        elapsed_s=time.monotonic() - started_s,
    )


def _tell(progress: ProgressCallback | None, stage: str, embedded: Embedded) -> None:
    if progress is not None:
        items = len(embedded.vectors) + len(embedded.unusable)
        progress(Progress(stage, items, items, len(embedded.unusable), embedded.fresh, embedded.media_s))


@contextmanager
def _folder(cache: str | os.PathLike[str] | None) -> Iterator[Path]:
    if cache is not None:
        yield Path(cache).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="wave-search-") as folder:
        yield Path(folder)


def _instructed(dataset: Dataset, instruction: str | None) -> Dataset:
    """Give all media the same prompt. Questions keep theirs: they are what is asked."""
    if instruction is None:
        return dataset

    def instructed(items: Mapping[str, Item]) -> dict[str, Item]:
        return {
            name: item if item.modality is Modality.TEXT else replace(item, prompt=instruction)
            for name, item in items.items()
        }

    return replace(dataset, queries=instructed(dataset.queries), corpus=instructed(dataset.corpus))


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    """Keep the first queries and questions. All of the corpus stays, or they would be easier than they are."""
    qrels = dict(islice(dataset.qrels.items(), limit))
    return replace(dataset, qrels=qrels, questions=dataset.questions[:limit])


def _items(dataset: Dataset) -> Iterator[Item]:
    yield from (dataset.queries[name] for name in dataset.qrels)
    if dataset.qrels:
        yield from dataset.corpus.values()
    for question in dataset.questions:
        yield question.asked
        yield from map(Item, question.choices)


def _directions(
    dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]], task: Task | None
) -> tuple[list[DirectionReport], int]:
    """The reports, and how many queries there are in them."""
    reports, used = [], set()
    for (_, target), query_ids in split(dataset, vectors).items():
        used.update(query_ids)
        report = report_direction(dataset, vectors, query_ids, target)
        if task is None or not task.directions or report.name in task.directions:
            reports.append(report)
    return reports, len(used)


def _answerable(question: Question, vectors: Mapping[Item, NDArray[np.float32]]) -> bool:
    return all(item in vectors for item in (question.asked, *map(Item, question.choices)))


def _about(questions: list[Question], vectors: Mapping[Item, NDArray[np.float32]]) -> Iterator[QuestionsReport]:
    by_modality: dict[Modality, list[Question]] = defaultdict(list)
    for question in questions:
        by_modality[question.asked.modality].append(question)
    for modality, asked in sorted(by_modality.items()):
        similarities = [
            np.stack([vectors[Item(choice)] for choice in question.choices]) @ vectors[question.asked]
            for question in asked
        ]
        right = choice_accuracy(similarities, [question.answer for question in asked])
        chance = float(np.mean([1 / len(question.choices) for question in asked]))
        yield QuestionsReport(modality, len(asked), chance, figure("accuracy", right))


def _prompts(dataset: Dataset, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    used: dict[str, set[str]] = defaultdict(set)
    for item in (*(dataset.queries[name] for name in dataset.qrels), *dataset.corpus.values()):
        if item.modality is not Modality.TEXT:
            used[item.modality].add(spec.prompts[item.modality] if item.prompt is None else item.prompt)
    return {str(modality): tuple(sorted(prompts)) for modality, prompts in sorted(used.items())}
