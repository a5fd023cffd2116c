"""The public functions with their arguments, and values that are none of them."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import wave_search as ws
from wave_search.index import check_add
from wave_search.query import SearchArguments

WRONG = object()
"""Of no type that any argument has."""
ODD: dict[str, Any] = {
    "number": 5,
    "negative": -1.5,
    "nan": float("nan"),
    "none": None,
    "bool": True,
    "bytes": b"\xff",
    "text": "nonsense \udcff",
    "nul": "a\0b",
    "list": [[], {}],
    "dict": {"a": 1},
    "class": ws.Hit,
    "array": np.zeros((2, 3)),
    "strings": np.array(["a"]),
    "path": Path("/nowhere/at/all"),
    "function": len,
    "closed": io.BytesIO(b"RIFF"),
}
ODD["closed"].close()

NEVER_VALID = ("nan", "bytes", "list", "array")
"""Odd values for what takes time where one is valid after all."""


@dataclass(frozen=True)
class Function:
    """A public function, and valid values for those of its arguments that need one."""

    name: str
    call: Callable[..., Any]
    valid: Mapping[str, Any] = field(default_factory=dict)
    signature: Any = None
    """That of another function, which `call` passes on."""
    any_value: tuple[str, ...] = ()
    """Arguments that may be anything."""

    def arguments(self) -> Iterator[str]:
        """The names of the arguments; those of a mapping of keywords are the keywords."""
        for name, parameter in inspect.signature(self.signature or self.call).parameters.items():
            if parameter.kind is not parameter.VAR_KEYWORD:
                yield name
            elif self.name == "plan_add":
                yield from inspect.signature(check_add).parameters
            else:
                yield from SearchArguments.__annotations__

    def with_one(self, argument: str, value: Any) -> Any:
        """Call it with a value for one of its arguments."""
        parameter = inspect.signature(self.call).parameters.get(argument)
        given = {**self.valid, argument: value}
        if argument in ("audio", "video", "image", "av", "vector", "like", "similar"):
            given.pop("text", None)
        if parameter is not None and parameter.kind is parameter.POSITIONAL_ONLY:
            return self.call(value)
        return consumed(self.call(**given))


def consumed(found: Any) -> Any:
    if isinstance(found, ws.Index | ws.RemoteIndex | ws.MediaEmbedder):
        found.close()
    return list(found) if isinstance(found, Iterator | ws.Segments) else found


def reading(index: Any, request: ws.SearchRequest, segment_id: int) -> Iterator[Function]:
    """The methods that `Index` and `RemoteIndex` have."""
    question = {"segment_id": segment_id, "question": "What?", "choices": ["a", "b"]}
    valid: dict[str, dict[str, Any]] = {
        "ask": question,
        "browse": {},
        "count_files": {},
        "duplicates": {},
        "entries": {},
        "file": {},
        "files": {},
        "info": {},
        "metadata": {},
        "metadata_values": {"column": "tag"},
        "new_matches": {"request": request, "first_id": 0},
        "paths": {},
        "refresh": {},
        "saved_request": {"name": "a"},
        "saved_searches": {},
        "saved_segment": {},
        "score_file": {"request": request, "segment_id": segment_id},
        "search": {"text": "a"},
        "search_many": {"queries": ["a"]},
        "segment": {},
        "segments": {},
    }
    for name, given in valid.items():
        yield Function(name, getattr(index, name), given)
