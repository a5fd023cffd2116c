"""The results and the parameters of an evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wave_search.evaluation.datasets.rows import BadRow
    from wave_search.evaluation.datasets.tasks import Task
    from wave_search.evaluation.embedding import Unusable
    from wave_search.evaluation.metrics import Figure
    from wave_search.models import ModelSpec
    from wave_search.types import Dtype, Modality


@dataclass(frozen=True, slots=True)
class DirectionReport:
    """Figures of the queries of one modality with one target modality."""

    query: Modality
    target: Modality
    queries: int
    items: int
    """Number of items of the target modality."""
    exact: tuple[Figure, ...]
    """Figures of the model alone: every query is compared with every item."""
    index: tuple[Figure, ...]
    """Figures of the model with an IVF-PQ shard, built and tuned as in an index with many segments."""
    index_recall: Figure
    """Share of the exact best 10 that the shard finds: the loss of the index, whatever the model."""

    @property
    def name(self) -> str:
        """For example "text -> audio"."""
        return f"{self.query} -> {self.target}"


@dataclass(frozen=True, slots=True)
class QuestionsReport:
    """Figures of the questions about media of one modality."""

    modality: Modality
    questions: int
    chance: float
    """Expected accuracy of guessing."""
    accuracy: Figure

    @property
    def name(self) -> str:
        """For example "questions about audio"."""
        return f"questions about {self.modality}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of `evaluate`."""

    dataset: Path
    layout: str
    task: Task | None
    model: ModelSpec
    dtype: Dtype
    """Precision of the computation; "auto" for that of the stored weights."""
    instruction: str | None
    prompts: dict[str, tuple[str, ...]]
    """Prompts by modality, without those of questions."""
    directions: tuple[DirectionReport, ...]
    questions: tuple[QuestionsReport, ...]
    bad_rows: tuple[BadRow, ...]
    """Unusable rows of the data set."""
    unusable: tuple[Unusable, ...]
    """Media and texts that could not be embedded. They are excluded from queries and items."""
    left_out: int
    """Number of queries and questions left out because they need unusable items."""
    embedded: int
    """Number of vectors computed in this run."""
    reused: int
    """Number of vectors from the cache, or of equal content."""
    media_s: float
    """Seconds of audio and video embedded in this run."""
    elapsed_s: float

    @property
    def complete(self) -> bool:
        """Whether all rows and items could be used."""
        return not self.bad_rows and not self.unusable

    def as_record(self) -> dict[str, Any]:
        """Convert to values that JSON can represent."""
        spec = self.model
        return {
            "dataset": str(self.dataset),
            "layout": self.layout,
            "task": None if self.task is None else {"name": self.task.name, "expected": dict(self.task.expected)},
            "model": {
                "name": spec.name,
                "revision": spec.revision,
                "dim": spec.dim,
                "options": dict(spec.options),
                "quantization": spec.quantization,
                "dtype": self.dtype,
                "notice": spec.notice,
            },
            "sampling": asdict(spec.sampling),
            "instruction": self.instruction,
            "prompts": {modality: list(prompts) for modality, prompts in self.prompts.items()},
            "directions": [
                {
                    "query": direction.query.value,
                    "target": direction.target.value,
                    "queries": direction.queries,
                    "items": direction.items,
                    "exact": _figures(direction.exact),
                    "index": _figures(direction.index),
                    "index_recall": _interval(direction.index_recall),
                }
                for direction in self.directions
            ],
            "questions": [
                {
                    "modality": about.modality.value,
                    "questions": about.questions,
                    "chance": about.chance,
                    "accuracy": _interval(about.accuracy),
                }
                for about in self.questions
            ],
            "bad_rows": [
                {"path": str(row.place.path), "place": str(row.place), "cause": row.cause} for row in self.bad_rows
            ],
            "unusable": [asdict(unusable) for unusable in self.unusable],
            "left_out": self.left_out,
            "embedded": self.embedded,
            "reused": self.reused,
            "media_s": round(self.media_s, 3),
            "elapsed_s": round(self.elapsed_s, 3),
        }


def _figures(figures: Iterable[Figure]) -> dict[str, dict[str, float]]:
    return {figure.name: _interval(figure) for figure in figures}


def _interval(figure: Figure) -> dict[str, float]:
    return {"value": round(figure.value, 6), "low": round(figure.low, 6), "high": round(figure.high, 6)}
