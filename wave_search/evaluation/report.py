"""What an evaluation found, and how it was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wave_search.evaluation.confidence import Figure
    from wave_search.evaluation.datasets.dataset import BadRow
    from wave_search.evaluation.datasets.tasks import Task
    from wave_search.evaluation.embedding import Unusable
    from wave_search.models import ModelSpec
    from wave_search.types import Modality


@dataclass(frozen=True, slots=True)
class DirectionReport:
    """Queries of one modality that look for one modality."""

    query: Modality
    target: Modality
    queries: int
    items: int
    """Everything of the target modality that can be found."""
    exact: tuple[Figure, ...]
    """Of the model alone: everything is compared with everything."""
    index: tuple[Figure, ...]
    """The same of the model and an IVF-PQ shard, as indexes have it for many segments."""
    index_recall: Figure
    """Share of the exact best 10 that the shard finds: what the index loses, whatever the model."""

    @property
    def name(self) -> str:
        """For example "text -> audio"."""
        return f"{self.query} -> {self.target}"


@dataclass(frozen=True, slots=True)
class QuestionsReport:
    """Questions about media of one modality."""

    modality: Modality
    questions: int
    chance: float
    """What guessing gives."""
    accuracy: Figure

    @property
    def name(self) -> str:
        """For example "questions about audio"."""
        return f"questions about {self.modality}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that `evaluate` found."""

    dataset: Path
    layout: str
    task: Task | None
    model: ModelSpec
    dtype: str
    """In which the model computed; "auto" for as it is stored."""
    instruction: str | None
    prompts: dict[str, tuple[str, ...]]
    """The prompts that were used, by modality; those of questions are left out."""
    directions: tuple[DirectionReport, ...]
    questions: tuple[QuestionsReport, ...]
    bad_rows: tuple[BadRow, ...]
    """Rows of the data set that cannot be used."""
    unusable: tuple[Unusable, ...]
    """Media and texts that could not be embedded. They are neither queries nor found."""
    left_out: int
    """Queries and questions that lack something unusable and were left out."""
    embedded: int
    """Vectors that were made in this run."""
    reused: int
    """Vectors that were in the cache, or are of equal contents."""
    media_s: float
    """Seconds of sound and video that were embedded in this run."""
    elapsed_s: float

    @property
    def complete(self) -> bool:
        """Whether all of the data set could be used."""
        return not self.bad_rows and not self.unusable

    def as_record(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
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
            "bad_rows": [{**asdict(row), "path": str(row.path)} for row in self.bad_rows],
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
