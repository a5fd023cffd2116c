"""Results as values of JSON and back, for programs that ask a server of the same version.

Numbers keep all digits. A file name that is not UTF-8 keeps its bytes as lone surrogates, which JSON in ASCII carries.
"""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Made = TypeVar("Made")
_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {"path": Path, "current": Path, "modality": Modality}
"""Fields that are not JSON themselves, in all of the results."""


def to_record(result: Any) -> dict[str, Any]:
    """Return the fields of a frozen result, such as a `Hit`, as JSON can carry them."""
    return {field.name: _plain(getattr(result, field.name)) for field in fields(result)}


def from_record(made: type[Made], record: Mapping[str, Any]) -> Made:
    """Return the result that `to_record` was given: a `Hit`, a `ListedFile`, or another one without parts."""
    texts = {name: _FROM_TEXT[name](record[name]) for name in _FROM_TEXT.keys() & record if record[name] is not None}
    return made(**{**record, **texts})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, StrEnum):
        return value.value
    return value
