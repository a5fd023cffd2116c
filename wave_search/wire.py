"""Results as values of JSON and back, for programs that ask a server of the same version.

Numbers keep all digits. A file name that is not UTF-8 keeps its bytes as lone surrogates, which JSON in ASCII carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")
_FROM_TEXT: Mapping[str, Callable[[Any], Any]] = {
    "path": Path,
    "current": Path,
    "modality": Modality,
    "matched": lambda names: tuple(map(Modality, names)),
}
"""Fields that are not JSON themselves, in all of the results."""


def to_record(result: Any) -> dict[str, Any]:
    """Return the fields of a frozen result, such as a `Hit`, as JSON can carry them."""
    return {field.name: to_plain(getattr(result, field.name)) for field in fields(result)}


def from_record(made: type[Made], record: Mapping[str, Any], **parts: Any) -> Made:
    """Return the result that `to_record` was given; `parts` are the fields that are results themselves."""
    texts = {name: _FROM_TEXT[name](record[name]) for name in _FROM_TEXT.keys() & record if record[name] is not None}
    return made(**{**record, **texts, **parts})


def to_plain(value: Any) -> Any:
    """Return a value of a result as JSON can carry it."""
    if hasattr(value, "dtype") and value.shape == ():  # a number of numpy
        value = value.item()
    match value:
        case StrEnum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Path():
            return str(value)
        case Mapping():
            return {to_plain(key): to_plain(each) for key, each in value.items()}
        case list() | tuple() | frozenset():
            return [to_plain(each) for each in (sorted(value) if isinstance(value, frozenset) else value)]
    if is_dataclass(value):
        return to_record(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
