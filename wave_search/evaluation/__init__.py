"""How good a model is on a set of data, and what an index loses of it."""

from wave_search.evaluation.confidence import Figure
from wave_search.evaluation.datasets.dataset import BadRow
from wave_search.evaluation.datasets.tasks import Task, known_tasks
from wave_search.evaluation.embedding import Unusable
from wave_search.evaluation.report import DirectionReport, Evaluation, QuestionsReport
from wave_search.evaluation.run import evaluate

__all__ = [
    "BadRow",
    "DirectionReport",
    "Evaluation",
    "Figure",
    "QuestionsReport",
    "Task",
    "Unusable",
    "evaluate",
    "known_tasks",
]
