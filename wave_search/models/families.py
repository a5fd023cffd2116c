"""Model families: implementations, each of which recognizes the directories of its models by their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wave_search.models.base import Embedder, LoadOptions


@dataclass(frozen=True, slots=True)
class Source:
    """A model on the local machine."""

    name: str
    """A name that resolves to the same model again."""
    revision: str
    """Commit on the hub, or digest of the files."""
    directory: Path
    notice: str = ""
    """Notice to the user about the model."""


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share an implementation."""

    name: str
    claims: Callable[[Path], bool]
    """Whether the files of a directory are those of a model of the family, even if some are missing."""
    files: Callable[[Path], Iterable[Path]]
    """Returns all files of a directory on which the vectors depend; raises CheckpointError if one is missing."""
    load: Callable[[Source, LoadOptions], Embedder]
    """Loads a model; raises like `wave_search.models.load`."""


_REGISTERED: list[Family] = []


def register(family: Family) -> None:
    """Add a family, replacing one of the same name. The family registered last is consulted first, ours at the end."""
    _REGISTERED[:] = [family, *(other for other in _REGISTERED if other.name != family.name)]


def family_of(directory: Path) -> Family:
    """Return the family of the model in a directory; WAVE if no other claims it: its errors name what is missing."""
    from wave_search.models.sentence_transformers import FAMILY as SENTENCE_TRANSFORMERS
    from wave_search.models.wave import FAMILY as WAVE

    others = (*_REGISTERED, SENTENCE_TRANSFORMERS)
    return next((family for family in others if family.claims(directory)), WAVE)
