"""Task files: the mapping of a published data set, and the published figures of WAVE-7B to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from wave_search.arguments import check_type
from wave_search.errors import UsageError
from wave_search.files import read_toml
from wave_search.types import Modality

_TASKS = Path(__file__).parent / "tasks"
_REMEDY = "See docs/design/reproduce-paper.md."


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mapping from the columns of a row to one side of a pair."""

    modality: Modality
    values: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Templates of texts or paths with {column} placeholders; an empty result counts as missing."""


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mapping of a row to pairs: each value of one side with each of the other, in both directions."""

    query: Side
    target: Side
    columns: tuple[str, ...] | None = None
    """Column names, if the file has no header."""
    keep: tuple[str, str] | None = None
    """Use only rows with this value in this column, for example ("split", "test")."""


class QuestionMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mapping of a row to a question about a media file. `answer` is a choice, or its letter or number (from 0)."""

    modality: Modality
    media_file: str
    """Template of the path with {field} placeholders."""
    choices: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("choices",)
    """The field with the list of choices, or several fields with one choice each."""
    prompt: str = "{question}"
    """Template of the question with {field} placeholders, and {options} for the lettered choices, one per line."""
    letters: bool = False
    """Whether the embedded answers are the letters of the choices instead of their texts."""


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a task file."""

    name: str = ""
    """Name of the task, that of the file."""
    title: str
    source: str
    """Source of the data."""
    directions: tuple[str, ...] = ()
    """Directions of the published figures, such as "text -> audio"; all if empty."""
    expected: dict[str, float] = {}
    """Published figures of WAVE-7B by name, from 0 to 1."""
    notes: tuple[str, ...] = ()
    """Caveats of the comparison."""
    table: TableMapping | None = None
    questions: QuestionMapping | None = None

    @property
    def mapping(self) -> TableMapping | QuestionMapping | None:
        """The mapping of rows; None if the layout of the data is recognised without one."""
        return self.table or self.questions


def known_tasks() -> list[str]:
    """List the names of the bundled task files."""
    return sorted(path.stem for path in _TASKS.glob("*.toml"))


def load_task(name: str) -> Task:
    """Read a task file.

    Args:
        name: name of a bundled task file, or the path of another one.

    Raises:
        UsageError: there is no such file, or it is not valid; the message names the key.
    """
    check_type(name, str, "the task", "Use the name of a task or of a .toml file.")
    path = Path(name) if name.endswith(".toml") else _TASKS / f"{name}.toml"
    if not name.endswith(".toml") and name not in known_tasks():
        raise UsageError(f'there is no task "{name}"', f"Choose from {', '.join(known_tasks())}, or use a .toml file.")
    return msgspec.structs.replace(read_toml(path, Task, _REMEDY), name=path.stem)
