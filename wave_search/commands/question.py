"""What a query asks of an index, as a value: for an index that is opened here, or one that a server has open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import wave_search as ws
from wave_search.commands import terms
from wave_search.commands.output import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from wave_search.commands.output import Output
    from wave_search.query.request import Targets
    from wave_search.reports import ProgressCallback

_MEDIA = ("audio", "video", "image", "av", "similar")


@dataclass(frozen=True, slots=True)
class Question:
    """The options of a query."""

    wanted: Mapping[str, Sequence[str]]
    """Terms to find as typed, by argument of `Index.search`."""
    avoided: Mapping[str, Sequence[str]]
    """Terms to avoid."""
    arguments: Mapping[str, Any]
    """The other arguments of `Index.search`."""
    output: Output
    index: Path
    model: str
    load: Mapping[str, Any]
    """How to load the model: arguments of `LoadOptions`."""
    quiet: bool
    lists: bool
    """Whether files are listed: there is a condition, and no term."""
    save: str | None
    """Name under which the search is kept."""
    replace: bool
    """Whether it may take the place of another of that name."""

    @property
    def has_files(self) -> bool:
        """Whether a term is a file."""
        return any(side[name] for side in (self.wanted, self.avoided) for name in _MEDIA)

    @property
    def reads_stdin(self) -> bool:
        """Whether a term is what stdin has."""
        return any(terms.is_stdin(typed) for side in (self.wanted, self.avoided) for typed in side["text"])

    def files(self, index: ws.Index) -> Iterator[ws.ListedFile]:
        """Return the files to list. Raises UsageError."""
        names = ("where", "columns", "where_timeout_s")
        return index.files(**{name: self.arguments[name] for name in names})

    def request(self, kept: Sequence[int] | None) -> ws.SearchRequest:
        """Return the search; `kept` are the hits of the last one, for --like. Raises UsageError."""
        given: dict[str, Any] = {**terms.read(self.wanted, self.avoided, kept), **self.arguments}
        return ws.SearchRequest.build(**given)

    def find(self, index: ws.Index, request: ws.SearchRequest, progress: ProgressCallback | None) -> Found:
        """Search. Raises WaveSearchError like `Index.search`."""
        lost: list[ws.Skipped] = []
        hits = index.search(request, progress=progress, warn=lost.append)
        instruction, target = self.arguments["instruction"], self.arguments["target"]
        coverage = None if instruction is None else _coverage(index.info(), instruction, target)
        return Found(hits, lost, index.created, coverage)


def _coverage(info: ws.IndexInfo, instruction: str, target: Targets) -> float:
    """Return the share of the media segments of a target that are indexed with an instruction, from 0 to 1."""
    counts = {(one.modality, one.instruction): one.segments for one in info.partitions}
    wanted = [target] if isinstance(target, str) else target
    media = [modality for modality, _ in counts if modality != "text" and ("any" in wanted or modality in wanted)]
    instructed = sum(counts.get((modality, instruction), 0) for modality in {*media})
    return instructed / max(1, sum(counts.get((modality, ""), 0) for modality in {*media}))
