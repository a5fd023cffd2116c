"""Task files: how a published set of data is read, and what figures to expect of WAVE-7B."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.mapped import QuestionMapping, Side, TableMapping
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TASKS = Path(__file__).parent / "tasks"
_KEYS = {"title", "source", "directions", "expected", "notes", "table", "questions"}


@dataclass(frozen=True, slots=True)
class Task:
    """What a task file says."""

    name: str
    title: str
    source: str
    """Where the data are from."""
    mapping: TableMapping | QuestionMapping | None
    """How its rows are read; None if it is published in a layout that is recognised."""
    directions: tuple[str, ...]
    """Those that the published figure is about, as "text -> audio"; all if empty."""
    expected: Mapping[str, float]
    """Published figures of WAVE-7B by the name of the figure, from 0 to 1."""
    notes: tuple[str, ...]
    """What to know before comparing."""


def known_tasks() -> list[str]:
    """Names of the task files of the package."""
    return sorted(path.stem for path in _TASKS.glob("*.toml"))


def load_task(name: str) -> Task:
    """Read a task file.

    Args:
        name: of one in the package, or the path of one of your own.

    Raises:
        UsageError: there is none, or it is not a task file.
    """
    path = Path(name) if name.endswith(".toml") else _TASKS / f"{name}.toml"
    if not name.endswith(".toml") and name not in known_tasks():
        raise UsageError(f'there is no task "{name}"', f"Choose from {', '.join(known_tasks())}, or give a .toml file.")
    try:
        return _task(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})", "Check the name.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: not a task file ({error!r})", "See docs/reproduce-paper.md.") from error


def _task(name: str, content: dict[str, Any]) -> Task:
    if unknown := content.keys() - _KEYS:
        raise ValueError(f"it does not take {', '.join(sorted(unknown))}")
    mapping: TableMapping | QuestionMapping | None = None
    if "table" in content:
        mapping = _table(content["table"])
    elif "questions" in content:
        mapping = _questions(content["questions"])
    return Task(
        name,
        str(content["title"]),
        str(content["source"]),
        mapping,
        _strings(content.get("directions", ())),
        {str(figure): float(value) for figure, value in content.get("expected", {}).items()},
        _strings(content.get("notes", ())),
    )


def _table(content: dict[str, Any]) -> TableMapping:
    columns = _strings(content["columns"]) if "columns" in content else None
    keep = None
    if "keep" in content:
        column, value = _strings(content["keep"])
        keep = column, value
    return TableMapping(_side(content["query"]), _side(content["target"]), columns, keep)


def _questions(content: dict[str, Any]) -> QuestionMapping:
    given = {**content, "modality": Modality(content["modality"])}
    if "choices" in given:
        given["choices"] = _strings(given["choices"])
    return QuestionMapping(**given)


def _side(content: dict[str, Any]) -> Side:
    return Side(Modality(content["modality"]), _strings(content["values"]))


def _strings(value: str | Sequence[object]) -> tuple[str, ...]:
    """A single one may stand for a list of it."""
    return (value,) if isinstance(value, str) else tuple(map(str, value))
