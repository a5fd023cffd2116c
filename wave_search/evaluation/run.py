"""One evaluation, from a data set to its figures."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import check_faiss
from wave_search.arguments import check_functions, check_type, path_of
from wave_search.evaluation.datasets.dataset import Dataset, Item, Question
from wave_search.evaluation.datasets.layouts import read_dataset
from wave_search.evaluation.datasets.rows import checked_text
from wave_search.evaluation.datasets.tasks import Task, load_task
from wave_search.evaluation.embedding import Embedded, ItemEmbedder
from wave_search.evaluation.metrics import choice_accuracy, figure
from wave_search.evaluation.ranking import report_direction, split
from wave_search.evaluation.report import DirectionReport, Evaluation, QuestionsReport
from wave_search.media import DecoderPool, default_workers
from wave_search.models import LoadOptions
from wave_search.models.session import ModelSession
from wave_search.query import check_count
from wave_search.reports import Progress
from wave_search.store import EmbeddingCache
from wave_search.types import Modality

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from wave_search.models import ModelSpec
    from wave_search.reports import ProgressCallback, Stage


CACHE_FILE = "embeddings.sqlite3"


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Options of an evaluation: the part of the data set, and how to read and embed it."""

    task: str | None = None
    """Name of a bundled task (see `known_tasks`) or path of another task file, for data in other layouts."""
    media: str | os.PathLike[str] | None = None
    """Folder that paths in the data set are relative to; None for the data set's own."""
    split: str = "test"
    """Name of the split, if there are several."""
    instruction: str | None = None
    """Replaces the prompt of all media, but not that of questions."""
    limit: int | None = None
    """Maximum number of queries and of questions, starting with the first; None for all."""


def evaluate(
    dataset: str | os.PathLike[str],
    model: str = "auto",
    *,
    options: EvaluationOptions = EvaluationOptions(),
    load: LoadOptions = LoadOptions(),  # noqa: B008 - frozen
    cache: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Measure how well a model finds the relevant items of a data set, and the loss caused by an index.

    The index is built and tuned as `Index.add` does, so that its figures are those that users get. Items are embedded
    whole, not cut into segments. Rows and media that cannot be used are left out and reported.

    Args:
        dataset: a folder with `corpus`, `queries` and `qrels` as MTEB publishes them; a CSV with the columns query,
            modality, target, relevant; WAVE's JSON; or a file that the task of `options` has a mapping for.
        model: as for `wave_search.create`.
        options: the part of the data set, and how to read and embed it.
        load: how to load the model.
        cache: folder for embeddings, with which an interrupted run resumes; None for a temporary one.
        workers: decoder processes; None for the number of cores, at most 4.
        progress: called with the progress, see `wave_search.progress`.

    Raises:
        UsageError: there is no such task, the limit or `workers` is less than 1, or the instruction is empty.
        DatasetError: the data set cannot be read, or is empty.
        CacheError: embeddings cannot be written.
        ModelError: the model cannot be loaded.
    """
    started_s = time.monotonic()
    check_faiss()
    check_type(options, EvaluationOptions, "options", "Use EvaluationOptions.")
    check_type(options.split, str, "the split")
    check_type(load, LoadOptions, "load", "Use LoadOptions.")
    check_functions(progress=progress)
    for name, count in (("the limit", options.limit), ("workers", workers)):
        if count is not None:
            check_count(name, count)
    instruction = None if options.instruction is None else checked_text(options.instruction, "instruction")
    path = path_of(dataset).expanduser()
    task = None if options.task is None else load_task(options.task)
    with (
        _folder(cache) as folder,
        closing(ModelSession.of(model, load, None)) as session,
    ):
        kept = EmbeddingCache(folder / CACHE_FILE)
        kept.create()
        read = read_dataset(
            path,
            mapping=task.mapping if task else None,
            media=None if options.media is None else path_of(options.media).expanduser(),
            unpacked=folder / "media",
            split=options.split,
        )
        items = _limited(_instructed(read, instruction), options.limit)
        loaded = session.model()
        with DecoderPool(workers or default_workers(), loaded.spec.sampling) as decoders:
            if loaded.spec.has_roles:
                items = _with_roles(items)
            embedded = ItemEmbedder(loaded, load.dtype, decoders, kept).embed(_items(items), progress)
    _report_progress(progress, "shards", embedded)
    directions, used = _directions(items, embedded.vectors, task)
    questions = [asked for asked in items.questions if _answerable(asked, embedded.vectors)]
    _report_progress(progress, "done", embedded)
    return Evaluation(
        dataset=path,
        layout=items.layout,
        task=task,
        model=loaded.spec,
        dtype=load.dtype,
        instruction=instruction,
        prompts=_prompts(items, loaded.spec),
        directions=tuple(directions),
        questions=tuple(_question_reports(questions, embedded.vectors)),
        bad_rows=items.bad_rows,
        unusable=tuple(embedded.unusable.values()),
        left_out=len(items.qrels) - used + len(items.questions) - len(questions),
        embedded=embedded.fresh,
        reused=len(embedded.vectors) - embedded.fresh,
        media_s=embedded.media_s,
        elapsed_s=time.monotonic() - started_s,
    )


def _report_progress(progress: ProgressCallback | None, stage: Stage, embedded: Embedded) -> None:
    if progress is not None:
        items = len(embedded.vectors) + len(embedded.unusable)
        progress(Progress(stage, items, items, len(embedded.unusable), embedded.fresh, embedded.media_s))


@contextmanager
def _folder(cache: str | os.PathLike[str] | None) -> Iterator[Path]:
    if cache is not None:
        yield path_of(cache).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="wave-search-") as folder:
        yield Path(folder)


def _instructed(dataset: Dataset, instruction: str | None) -> Dataset:
    """Set the prompt of all media. Questions keep theirs."""
    if instruction is None:
        return dataset

    def instructed(items: Mapping[str, Item]) -> dict[str, Item]:
        return {
            name: item if item.modality is Modality.TEXT else replace(item, prompt=instruction)
            for name, item in items.items()
        }

    return replace(dataset, queries=instructed(dataset.queries), corpus=instructed(dataset.corpus))


def _with_roles(dataset: Dataset) -> Dataset:
    """Set the role of all queries, and of the clips of questions; choices are what is searched."""
    queries = {name: replace(item, role="query") for name, item in dataset.queries.items()}
    questions = tuple(replace(asked, clip=replace(asked.clip, role="query")) for asked in dataset.questions)
    return replace(dataset, queries=queries, questions=questions)


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    """Keep the first queries and questions, but the complete corpus: a smaller one would be easier to search."""
    qrels = dict(islice(dataset.qrels.items(), limit))
    return replace(dataset, qrels=qrels, questions=dataset.questions[:limit])


def _items(dataset: Dataset) -> Iterator[Item]:
    yield from (dataset.queries[name] for name in dataset.qrels)
    if dataset.qrels:
        yield from dataset.corpus.values()
    for question in dataset.questions:
        yield question.clip
        yield from map(Item, question.choices)


def _directions(
    dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]], task: Task | None
) -> tuple[list[DirectionReport], int]:
    """Return the reports, and the number of queries in them."""
    reports, used = [], set()
    for (_, target), query_ids in split(dataset, vectors).items():
        used.update(query_ids)
        report = report_direction(dataset, vectors, query_ids, target)
        if task is None or not task.directions or report.name in task.directions:
            reports.append(report)
    return reports, len(used)


def _answerable(question: Question, vectors: Mapping[Item, NDArray[np.float32]]) -> bool:
    return all(item in vectors for item in (question.clip, *map(Item, question.choices)))


def _question_reports(
    questions: list[Question], vectors: Mapping[Item, NDArray[np.float32]]
) -> Iterator[QuestionsReport]:
    by_modality: dict[Modality, list[Question]] = defaultdict(list)
    for question in questions:
        by_modality[question.clip.modality].append(question)
    for modality, asked in sorted(by_modality.items()):
        similarities = [
            np.stack([vectors[Item(choice)] for choice in question.choices]) @ vectors[question.clip]
            for question in asked
        ]
        right = choice_accuracy(similarities, [question.answer for question in asked])
        chance = float(np.mean([1 / len(question.choices) for question in asked]))
        yield QuestionsReport(modality, len(asked), chance, figure("accuracy", right))


def _prompts(dataset: Dataset, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    used: dict[str, set[str]] = defaultdict(set)
    for item in (*(dataset.queries[name] for name in dataset.qrels), *dataset.corpus.values()):
        if item.modality is not Modality.TEXT:
            used[item.modality].add(spec.prompts.get(item.modality, "") if item.prompt is None else item.prompt)
    return {str(modality): tuple(sorted(prompts)) for modality, prompts in sorted(used.items())}
