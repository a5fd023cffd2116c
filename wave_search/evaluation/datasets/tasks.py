"""Task files: how a published data set is read, and the published figures of WAVE-7B to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from wave_search.errors import UsageError
from wave_search.files import read_toml
from wave_search.types import Modality

_TASKS = Path(__file__).parent / "tasks"
_REMEDY = "See docs/design/reproduce-paper.md."


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one side of a pair is made from the columns of a row."""

    modality: Modality
    values: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Texts or paths with {column} in them; an empty one counts as missing."""


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row is a pair, or several: each value of one side with each of the other, in both directions."""

    query: Side
    target: Side
    columns: tuple[str, ...] | None = None
    """Names, if the file has no header."""
    keep: tuple[str, str] | None = None
    """Only rows that have this value in this column, for example ("split", "test")."""


class QuestionMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row is a question about a medium. Its `answer` is a choice, or the letter or number (from 0) of one."""

    modality: Modality
    medium: str
    """Path with {field} in it."""
    choices: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("choices",)
    """The field with the list of choices; or several fields, with a choice each."""
    prompt: str = "{question}"
    """The question: fields, and {options} for the choices with letters, one per line."""
    letters: bool = False
    """Whether the answers are the letters of the choices, and not their texts."""


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a task file."""

    name: str = ""
    """That of the file."""
    title: str
    source: str
    """Where the data are from."""
    directions: tuple[str, ...] = ()
    """Those of the published figure, as "text -> audio"; all if empty."""
    expected: dict[str, float] = {}
    """Published figures of WAVE-7B by the name of the figure, from 0 to 1."""
    notes: tuple[str, ...] = ()
    """To be known before comparing."""
    table: TableMapping | None = None
    questions: QuestionMapping | None = None

    @property
    def mapping(self) -> TableMapping | QuestionMapping | None:
        """How the rows are read; None if the layout of the data is recognised."""
        return self.table or self.questions


def known_tasks() -> list[str]:
    """List the names of the task files of the package."""
    return sorted(path.stem for path in _TASKS.glob("*.toml"))


def load_task(name: str) -> Task:
    """Read a task file.

    Args:
        name: of one in the package, or the path of another one.

    Raises:
        UsageError: there is none, or it is not a task file; the message names the key.
    """
    path = Path(name) if name.endswith(".toml") else _TASKS / f"{name}.toml"
    if not name.endswith(".toml") and name not in known_tasks():
        raise UsageError(f'there is no task "{name}"', f"Choose from {', '.join(known_tasks())}, or give a .toml file.")
    return msgspec.structs.replace(read_toml(path, Task, _REMEDY), name=path.stem)
