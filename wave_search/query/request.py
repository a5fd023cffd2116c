"""A search request as a value, which the command line, the library and servers pass to `Index.search`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypedDict, get_args

from wave_search.arguments import check_flags, check_type, is_number, items_of
from wave_search.errors import UsageError, shown
from wave_search.models import check_text
from wave_search.query.terms import check_terms, read_terms
from wave_search.store import DEFAULT_TIMEOUT_S
from wave_search.types import Hit, Modality, Target, parse_modality

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Unpack

    from numpy.typing import ArrayLike

    from wave_search.query.in_memory import InMemory
    from wave_search.query.terms import QueryVectors, Weighted
    from wave_search.types import MediaRef, ModalityName, PartitionKey

    StrPath = str | os.PathLike[str]
    Texts = str | Weighted | Iterable[str | Weighted]
    Medium = StrPath | MediaRef | InMemory
    Media = Medium | Weighted | Iterable[Medium | Weighted]
    Vectors = ArrayLike | QueryVectors | Weighted | Sequence[QueryVectors | Weighted]
    Targets = Target | Modality | Iterable[ModalityName | Modality]
    Segments = Hit | int | Weighted | Iterable[Hit | int | Weighted]

MAX_COUNT = 2**31 - 1
"""More hits than any index has segments."""
MAX_INSTRUCTION_CHARS = 2_000
"""Maximum length of an instruction. A longer one would leave the model no room for the media."""


class SearchArguments(TypedDict, total=False):
    """The keywords of `SearchRequest.build` and of `Index.search`, which documents them."""

    text: Texts | None
    audio: Media | None
    video: Media | None
    image: Media | None
    av: Media | None
    vector: Vectors | None
    like: Segments | None
    similar: Media | None
    target: Targets
    k: int
    min_z: float | None
    where: str | None
    where_timeout_s: float
    among: Iterable[Hit | int] | None
    columns: Iterable[str]
    moments: bool
    per_file: int | None
    dedupe: float | None
    copies: bool
    instruction: str | None
    rerank: int | None


_TARGETS = get_args(Target)
_NAME_CHARS = 50
_TERMS = ("text", "audio", "video", "image", "av", "vector", "like", "similar")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search request: query terms, target, and which hits to return. Create one with `SearchRequest.build`.

    Raises:
        UsageError: it is not valid for any index.
    """

    terms: tuple[Weighted, ...]
    """Terms to find and to avoid, as parsed by `build`."""
    target: Target | Modality | tuple[Modality, ...] = "any"
    """The modality of the hits, or several."""
    k: int = 10
    """Maximum number of hits."""
    min_z: float | None = None
    """Minimum z of a hit: a threshold on `Hit.z`, not on the cosine `Hit.score`."""
    where: str | None = None
    """SQL condition on files and segments, see `wave_search.store.SqlFilter`."""
    columns: tuple[str, ...] = ()
    """Columns to return in `Hit.columns`."""
    moments: bool = True
    """Whether adjacent segments of a file are merged into one hit."""
    per_file: int | None = None
    """Maximum number of hits of one file."""
    dedupe: float | None = None
    """Minimum cosine between two hits at which only the better one is returned."""
    instruction: str | None = None
    """Replaces the prompt of the model."""
    rerank: int | None = None
    """Number of the best segments to embed again with the instruction, for reordering."""
    where_timeout_s: float = DEFAULT_TIMEOUT_S
    """Seconds that the condition may take."""
    among: frozenset[int] | None = None
    """Ids of the only segments that are found."""
    copies: bool = False
    """Whether each of several files with the same content is a hit, and not just one of them."""

    @classmethod
    def build(cls, **arguments: Unpack[SearchArguments]) -> SearchRequest:
        """Build a request from the keywords of `Index.search`. Files must exist.

        Raises:
            UsageError: the request is not valid, or there is no such file.
            TypeError: there is no such keyword.
        """
        given: dict[str, Any] = {**arguments}
        terms = read_terms({name: given.pop(name) for name in _TERMS if name in given})
        columns = given.pop("columns", ())
        if given.get("among") is not None:
            given["among"] = read_segments(given["among"])
        if "target" in given:
            given["target"] = read_target(given["target"])
        return cls(terms, columns=read_columns(columns), **given)

    def __post_init__(self) -> None:
        check_terms(self.terms)
        check_target(self.target)
        check_count("k", self.k)
        for name in ("per_file", "rerank"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        if self.min_z is not None:
            check_min_z(self.min_z)
        check_where(self.where, self.where_timeout_s)
        check_columns(self.columns)
        check_flags(moments=self.moments, copies=self.copies)
        if self.among is not None and not (isinstance(self.among, frozenset) and all(map(_is_whole, self.among))):
            raise UsageError(f"among must not be {shown(self.among)}", "Make a request with SearchRequest.build.")
        if self.dedupe is not None:
            check_cosine("dedupe", self.dedupe)
        if self.instruction is not None:
            check_instruction(self.instruction)
        elif self.rerank is not None:
            raise UsageError(
                "rerank needs an instruction: without one the segments would get the vectors that they have",
                "Add an instruction, or leave rerank out.",
            )

    @property
    def drops_segments(self) -> bool:
        """Whether several segments may become one hit, or none, so that more segments than hits must be found."""
        return self.moments or self.per_file is not None or self.dedupe is not None or self.where is not None

    def check_effect(self, keys: Sequence[PartitionKey], *, query_takes_it: bool) -> None:
        """Check that the instruction has an effect on a search of some partitions.

        Args:
            keys: the partitions.
            query_takes_it: whether the query contains media, which are embedded with the instruction.

        Raises:
            UsageError: it has no effect.
        """
        if self.instruction is None:
            return
        only_text = all(key.modality is Modality.TEXT for key in keys)
        if only_text and (self.rerank is not None or not query_takes_it):
            raise UsageError(
                "an instruction changes nothing in a search for texts, which are embedded without one",
                "Leave it out, or search for audio, video or images.",
            )
        if query_takes_it or self.rerank is not None or any(key.instruction for key in keys):
            return
        raise UsageError(
            "the instruction changes nothing: the query is not media, and nothing was indexed with this instruction",
            "Embed the best segments again with it (--rerank 50, or rerank=50), or index everything with it once "
            f"(`wave-search index --instruction {shlex.quote(self.instruction)} PATH`).",
        )


def check_count(name: str, value: int) -> None:
    """Check a number of items.

    Raises:
        UsageError: it is no integer, below 1 or too large.
    """
    if not _is_whole(value):
        raise UsageError(f"{name} must be an integer, got {shown(value)}")
    if not 1 <= value <= MAX_COUNT:
        bound = "at least 1" if value < 1 else f"at most {MAX_COUNT:,}"
        raise UsageError(f"{name} must be {bound}, got {value}")


def to_one_request(request: SearchRequest | None, keywords: SearchArguments) -> SearchRequest:
    """Return the request of a call of `search`, which takes a request or the keywords of one.

    Raises:
        UsageError: both are given, or the request is not valid.
    """
    if request is not None and keywords:
        raise UsageError("a search takes a request or keywords, not both", f"Leave out {', '.join(keywords)}.")
    if not isinstance(request, SearchRequest | None):
        raise UsageError(f"{shown(request)} is not a SearchRequest", 'Name what you give: search(text="a dog").')
    return SearchRequest.build(**keywords) if request is None else request


def requests_of(queries: Iterable[Any], shared: SearchArguments) -> list[SearchRequest]:
    """Return requests for texts, mappings of keywords, and requests; `shared` are keywords of all but the latter.

    Raises:
        UsageError: one is not valid.
    """
    if isinstance(queries, str):
        raise UsageError("search_many takes several queries", "Use search for a single one.")
    found: list[SearchRequest] = []
    query: Any
    of_all: dict[str, Any] = {**shared}
    for query in items_of(queries, "the queries"):
        match query:
            case SearchRequest():
                found.append(query)
            case str():
                if "text" in of_all:
                    raise UsageError(
                        "a query is a text, and text is given as well", "Name all terms of the query in a dict."
                    )
                found.append(SearchRequest.build(**of_all, text=query))
            case Mapping():
                unknown = query.keys() - SearchArguments.__annotations__.keys()
                if unknown:
                    raise UsageError(f"a search has no keyword {shown(unknown.pop())}", "See Index.search.")
                found.append(SearchRequest.build(**{**of_all, **query}))
            case _:
                raise UsageError(f"{shown(query)} is not a query", "Use a text, a SearchRequest or a dict of keywords.")
    return found


def check_request(request: Any) -> None:
    """Raise UsageError if a value is no `SearchRequest`."""
    check_type(request, SearchRequest, "the request", "Make one with SearchRequest.build.")


def read_target(target: Any) -> Target | Modality | tuple[Modality, ...]:
    """Return a target, or several modalities.

    Raises:
        UsageError: there is no such modality.
    """
    if isinstance(target, str) or not isinstance(target, Iterable):
        check_target(target)
        only: Any = target
        return only  # type: ignore[no-any-return]
    several = tuple(dict.fromkeys(map(parse_modality, items_of(target, "target"))))
    if not several:
        raise UsageError("there is no target", f"Choose one or more of {', '.join(Modality)}.")
    return several if len(several) > 1 else several[0]


def check_target(target: Any) -> None:
    """Check a target as it is in a request. Raises UsageError."""
    several = isinstance(target, tuple) and target and all(isinstance(one, Modality) for one in target)
    if not several and not (isinstance(target, str) and target in _TARGETS):
        given = f'"{target}"' if isinstance(target, str) and len(target) < _NAME_CHARS else shown(target)
        raise UsageError(f"there is no target {given}", f"Choose one of {', '.join(_TARGETS)}.")


def check_where(where: str | None, timeout_s: float) -> None:
    """Check the type of a condition, and its time limit.

    Raises:
        UsageError: one of them is not valid.
    """
    if where is not None and not isinstance(where, str):
        raise UsageError(f"where must be a text, got {shown(where)}", "Write an SQL condition.")
    try:
        (where or "").encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"where must be a text, got {where!r}, which has surrogates", "Write an SQL condition."
        ) from None
    if not is_number(timeout_s) or not 0 < timeout_s < math.inf:
        raise UsageError(f"where_timeout_s must be a number of seconds above 0, got {shown(timeout_s)}")


def read_segments(segments: Iterable[Hit | int]) -> frozenset[int]:
    """Return the ids of segments, which may be those of hits.

    Raises:
        UsageError: they are neither.
    """
    several: list[Any] = items_of(segments, "among")
    ids = [one.segment_id if isinstance(one, Hit) else one for one in several]
    if wrong := [one for one in ids if not _is_whole(one)]:
        raise UsageError(f"among must be hits or their segment_id, got {shown(wrong[0])}")
    return frozenset(map(int, ids))


def _is_whole(value: object) -> bool:
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def read_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return names of columns; a single name is one of them.

    Raises:
        UsageError: they are no names.
    """
    several = isinstance(columns, Iterable) and not isinstance(columns, str | bytes)
    names: tuple[Any, ...] = tuple(items_of(columns, "columns")) if several else (columns,)
    check_columns(names)
    return names


def check_columns(columns: tuple[str, ...]) -> None:
    """Check that columns are names. Raises UsageError."""
    if not isinstance(columns, tuple) or not all(isinstance(name, str) for name in columns):
        raise UsageError(f"columns must be names, got {shown(columns)}", 'Write for example ["fps", "artist"].')


def check_min_z(value: float) -> None:
    """Check the least z of a result.

    Raises:
        UsageError: it is no number.
    """
    if not is_number(value) or math.isnan(value):
        raise UsageError(f"min_z must be a number of standard deviations, got {shown(value)}")


def check_cosine(name: str, value: float) -> None:
    """Check the minimum cosine of near-duplicates.

    Raises:
        UsageError: it is not a number above 0 and at most 1.
    """
    if not is_number(value) or not 0 < value <= 1:
        raise UsageError(f"{name} must be a cosine above 0 and at most 1, got {shown(value)}", "Try 0.98.")


def check_instruction(text: str) -> str:
    """Return the instruction.

    Raises:
        UsageError: it is empty, too long, or not valid Unicode.
    """
    if not isinstance(text, str):
        raise UsageError(f"{shown(text)} is not an instruction", "It must be a string.")
    check_text(text, "instruction", 'Write what to find, for example "What animal is heard?"')
    if len(text) > MAX_INSTRUCTION_CHARS:
        raise UsageError(
            f"the instruction has {len(text):,} characters, more than {MAX_INSTRUCTION_CHARS:,}", "Shorten it."
        )
    return text


def check_instructions(texts: str | Iterable[str]) -> tuple[str, ...]:
    """Check several instructions, or a single one. Raises like `check_instruction`."""
    return tuple(
        check_instruction(text) for text in ([texts] if isinstance(texts, str) else items_of(texts, "instructions"))
    )
