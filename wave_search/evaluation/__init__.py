"""Evaluation of the quality of a model on a data set, and of the loss caused by an index."""

from wave_search.evaluation.datasets.rows import BadRow, Place
from wave_search.evaluation.datasets.tasks import Task, known_tasks
from wave_search.evaluation.embedding import Unusable
from wave_search.evaluation.metrics import Figure
from wave_search.evaluation.report import DirectionReport, Evaluation, QuestionsReport
from wave_search.evaluation.run import EvaluationOptions, evaluate

__all__ = [
    "BadRow",
    "DirectionReport",
    "Evaluation",
    "EvaluationOptions",
    "Figure",
    "Place",
    "QuestionsReport",
    "Task",
    "Unusable",
    "evaluate",
    "known_tasks",
]
