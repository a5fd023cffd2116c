"""The terms of a query, to find or to avoid, each with a weight, and their parsing from user input."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.arguments import check_span, is_number
from wave_search.errors import UsageError, shown
from wave_search.files import on_disk
from wave_search.query.in_memory import MemoryMedia, is_in_memory, read_memory
from wave_search.types import ByContent, Hit, MediaRef, Modality, ModalityName, parse_modality
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    StrPath = str | os.PathLike[str]

AVOIDED = 0.5
"""Default weight of a term to avoid, compared with 1 for a term to find. For the measurement, see
docs/design/queries.md."""
_STILL = re.compile(r"(?P<path>.+)@(?P<at>[\d:.]+)", re.DOTALL)
_RANGE = re.compile(r"(?P<path>.+)@(?P<start>[\d:.]*)-(?P<stop>[\d:.]*)", re.DOTALL)
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_SPELLING = "Check the spelling; a range is written FILE@START-STOP, and a still of a video --image FILE@SECONDS."
_MEDIA = (Modality.AUDIO, Modality.VIDEO, Modality.IMAGE, Modality.AV)


@dataclass(frozen=True, slots=True, eq=False)
class Weighted(ByContent):
    """A query term with a weight. See also `Not`.

    Raises:
        UsageError: the weight is 0, not finite or no number.
    """

    item: Any
    """The unweighted item: anything that the argument of `Index.search` accepts, such as a text, a file or a hit."""
    weight: float = 1.0
    """Weight relative to the other terms. If negative, hits should be unlike the item."""
    modality: Modality | ModalityName | None = None
    """Of vectors: what was embedded, so that scores are standardised like those of such queries. Of `similar`: what to
    take the file as. None otherwise, and if it is unknown."""

    def __post_init__(self) -> None:
        if not is_number(self.weight) or not math.isfinite(self.weight) or self.weight == 0:
            raise UsageError(
                f"a weight must be a finite number other than 0, got {shown(self.weight)}",
                "Use a weight above 0 for what to find, below 0 for what to avoid.",
            )
        if self.modality is not None:
            object.__setattr__(self, "modality", parse_modality(self.modality))


def Not(  # noqa: N802 - reads as a type where it is used
    item: Any, weight: float = AVOIDED, modality: Modality | ModalityName | None = None
) -> Weighted:
    """Create a query term to avoid, with a positive weight. Raises UsageError."""
    if not is_number(weight) or not weight > 0:
        raise UsageError(f"the weight of a term to avoid must be above 0, got {shown(weight)}")
    return Weighted(item, -weight, modality)


@dataclass(frozen=True, slots=True, eq=False)
class QueryVectors(ByContent):
    """Vectors of the user's own."""

    rows: NDArray[np.float32]
    """(q, dim) of unit norm."""
    modality: Modality | None = None
    """Modality of what was embedded; None if unknown."""


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """A segment of the index, searched for by its stored vector."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class SimilarFile:
    """A file or a range of it, searched for by the vectors that the index has of it, if any."""

    path: Path
    modality: Modality | None = None
    """None to choose by the target."""
    start_s: float | None = None
    stop_s: float | None = None


@dataclass(frozen=True, slots=True)
class AudioVideoPair:
    """The audio of one file and the frames of another, to be embedded as one audio-visual clip."""

    sound: MediaRef | MemoryMedia
    picture: MediaRef | MemoryMedia


def Audio(path: StrPath, start_s: float | None = None, stop_s: float | None = None) -> MediaRef:  # noqa: N802 - reads as a type where it is used
    """Refer to the audio of a file, or of its range [start_s, stop_s) in seconds. Raises UsageError."""
    return media_ref(path, Modality.AUDIO, start_s, stop_s)


def Video(path: StrPath, start_s: float | None = None, stop_s: float | None = None) -> MediaRef:  # noqa: N802
    """Refer to the frames of a file, or of its range [start_s, stop_s) in seconds. Raises UsageError."""
    return media_ref(path, Modality.VIDEO, start_s, stop_s)


def AV(path: StrPath, start_s: float | None = None, stop_s: float | None = None) -> MediaRef:  # noqa: N802
    """Refer to audio and frames of a file, or of its range [start_s, stop_s) in seconds. Raises UsageError."""
    return media_ref(path, Modality.AV, start_s, stop_s)


def Image(path: StrPath, at_s: float | None = None) -> MediaRef:  # noqa: N802
    """Refer to an image file, or to the still of a video at a time in seconds. Raises UsageError."""
    return media_ref(path, Modality.IMAGE, at_s, None)


def Vector(rows: ArrayLike, modality: Modality | ModalityName | None = None) -> QueryVectors:  # noqa: N802
    """Describe vectors of your own, made by the model of the index.

    Args:
        rows: (dim,) or (rows, dim), finite and not all 0, of any norm.
        modality: of what was embedded: "text", "image", "audio", "video" or "av". With it, scores and the effort of the
            search are those of such queries; None if it is unknown.

    Raises:
        UsageError: they cannot be searched for, or there is no such modality.
    """
    return QueryVectors(_unit_rows(rows).rows, None if modality is None else parse_modality(modality))


def media_ref(path: StrPath, modality: Modality, start_s: float | None, stop_s: float | None) -> MediaRef:
    """Create a reference to a file or a range of it, and check it.

    Raises:
        UsageError: there is no such file, or the range is empty.
    """
    check_range(path, start_s, stop_s)
    return MediaRef(Path(path), modality, start_s, stop_s)


def check_range(path: StrPath, start_s: float | None, stop_s: float | None) -> None:
    """Check that a file exists and that a range of it is not empty.

    Raises:
        UsageError: there is no such file, or the range is empty or begins before 0.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{shown(path)} is not a file name")
    # pathlib raises where a folder must not be entered
    if not any(os.path.isfile(name) for name in (path, on_disk(Path(path)))):  # noqa: PTH113
        raise _missing(path)
    check_span(start_s, stop_s, os.fspath(path))


def _missing(path: StrPath) -> UsageError:
    """Return what is wrong with a name that is not that of a file."""
    name = os.fspath(path)
    if os.path.isdir(name):  # noqa: PTH112
        return UsageError(f"{name} is a folder", "Name a file in it, or several.")
    still = _STILL.fullmatch(name)
    if still is not None and os.path.isfile(still["path"]):  # noqa: PTH113
        whole, at = still["path"], still["at"]
        return UsageError(
            f"{name}: a single time is that of a still, which only a video given as an image has",
            f"A range is written {whole}@{at}-STOP.",
        )
    return UsageError(f"{name}: no such file", _SPELLING)


def parse_seconds(text: str) -> float:
    """Parse "12.5", "1:30" or "1:02:03.5" as seconds.

    Raises:
        UsageError: it is none of these.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(f'"{text}" is not a time', "Write seconds (12.5) or h:mm:ss (1:02:03.5).")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def parse_media(item: StrPath | MediaRef, modality: Modality) -> MediaRef:
    """Parse a file name with an optional range: `clip.mp4@12.5-20`, `@1:30-` to the end, `@-20` from the beginning.

    As an image, `film.mp4@3` is the still of a video at 3 seconds. If a file with the complete name exists, the name
    refers to that file and not to a range.

    Raises:
        UsageError: there is no such file, or the range is empty.
    """
    if isinstance(item, MediaRef):
        if item.modality != modality:
            raise UsageError(f"{item.path} is given as {modality}, but the reference is to its {item.modality}")
        return media_ref(item.path, modality, item.start_s, item.stop_s)
    path, start_s, stop_s = split_range(item)
    if modality is Modality.IMAGE:
        if (still := None if os.path.lexists(path) else _STILL.fullmatch(os.fspath(path))) is not None:
            return media_ref(still["path"], modality, parse_seconds(still["at"]), None)
        if start_s is not None or stop_s is not None:
            raise UsageError(f"{os.fspath(item)}: an image has no range", "A still of a video is written FILE@SECONDS.")
    return media_ref(path, modality, start_s, stop_s)


def split_range(item: StrPath) -> tuple[Path, float | None, float | None]:
    """Split a file name into the name and its range, as `parse_media` does. Start and stop are None if not given.

    Raises:
        UsageError: it is not a file name, or a time of the range cannot be read.
    """
    if not isinstance(item, str | os.PathLike):
        raise UsageError(f"{shown(item)} is not a file name")
    name = os.fspath(item)
    if not name:
        raise UsageError("the name of a file is empty")
    match = None if os.path.lexists(name) else _RANGE.fullmatch(name)
    if match is None or not (match["start"] or match["stop"]):
        return Path(name), None, None
    start_s = parse_seconds(match["start"]) if match["start"] else None
    return Path(match["path"]), start_s, parse_seconds(match["stop"]) if match["stop"] else None


def read_terms(given: Mapping[str, Any]) -> tuple[Weighted, ...]:
    """Check the terms of a query.

    Args:
        given: the arguments "text", "audio", "video", "image", "av", "vector", "like" and "similar" of `Index.search`,
            as far as they are given: each is None, one item, a `Weighted` of one, or several of either.

    Returns:
        One term for each item: a text, a `MediaRef`, `MemoryMedia`, `QueryVectors`, a `SegmentRef`, a `SimilarFile`, or
        one `AudioVideoPair` in place of an audio and a video term if there is exactly one of each, with equal weights.

    Raises:
        UsageError: there is no such file, or an item has the wrong type.
    """
    terms: list[Weighted] = []
    for name, read in _READERS.items():
        if (value := given.get(name)) is None:
            continue
        if name == "vector" and not _are_terms(value):
            terms.append(Weighted(read(value)))  # the rows of a matrix are one term, not several
        else:
            terms += _each(value, read)
    return tuple(_paired(terms))


def check_terms(terms: Sequence[Weighted]) -> None:
    """Check that there is a term to find.

    Raises:
        UsageError: there is none, or one is not a `Weighted`.
    """
    if not isinstance(terms, list | tuple) or not all(isinstance(term, Weighted) for term in terms):
        raise UsageError(f"the terms of a query are not {shown(terms)}", "Make a request with SearchRequest.build.")
    if not terms:
        raise UsageError("there is no query", "Add a text, audio, video, image, av, vector, like or similar.")
    if all(term.weight < 0 for term in terms):
        raise UsageError("the query has only terms to avoid", "Add a term to find.")


def modality_of(item: Any) -> Modality | None:
    """Return what the item of a term has to be embedded as; None if it is a vector, or may be one of the index."""
    match item:
        case str():
            return Modality.TEXT
        case MediaRef() | MemoryMedia():
            return item.modality
        case AudioVideoPair():
            return Modality.AV
    return None


def takes_instruction(terms: Sequence[Weighted]) -> bool:
    """Return whether a term is media, which are embedded with the instruction of the query."""
    return any(isinstance(term.item, MediaRef | MemoryMedia | AudioVideoPair) for term in terms)


def _each(given: Any, read: Callable[[Any], Any]) -> Iterator[Weighted]:
    several = isinstance(given, Iterable) and not isinstance(given, str | os.PathLike) and not is_in_memory(given)
    for one in given if several else [given]:
        term = one if isinstance(one, Weighted) else Weighted(one)
        item = read(term.item)
        yield Weighted(item if term.modality is None else _of_modality(item, Modality(term.modality)), term.weight)


def _of_modality(item: Any, modality: Modality) -> Any:
    """Return the item of a term that states its modality."""
    match item:
        case QueryVectors() | SimilarFile() | MemoryMedia(modality=None):
            return replace(item, modality=modality)
    raise UsageError(f"the modality {modality} is given for {shown(item)}", "Only a vector and a similar file need it.")


def _are_terms(value: Any) -> bool:
    several = value if isinstance(value, list | tuple) else [value]
    return bool(several) and all(isinstance(one, Weighted | QueryVectors) for one in several)


def _text(item: Any) -> str:
    if not isinstance(item, str):
        raise UsageError(f"{shown(item)} is not a text")
    return item


def _media(item: Any, modality: Modality) -> MediaRef | MemoryMedia:
    return read_memory(item, modality) if is_in_memory(item) else parse_media(item, modality)


def _segment_ref(item: Any) -> SegmentRef:
    if isinstance(item, Hit):
        return SegmentRef(item.segment_id)
    if isinstance(item, int | np.integer) and not isinstance(item, bool) and abs(int(item)) < 1 << 63:
        return SegmentRef(int(item))
    raise UsageError(f"{shown(item)} is not a segment of the index", "Use a hit of a search, or its segment_id.")


def _similar_file(item: Any) -> SimilarFile | MemoryMedia:
    if is_in_memory(item):
        return read_memory(item)
    if isinstance(item, MediaRef):
        path, modality, start_s, stop_s = item.path, item.modality, item.start_s, item.stop_s
    else:
        (path, start_s, stop_s), modality = split_range(item), None
    check_range(path, start_s, stop_s)
    return SimilarFile(path, modality, start_s, stop_s)


def _unit_rows(vector: Any) -> QueryVectors:
    if isinstance(vector, QueryVectors):
        return vector
    try:
        given = np.asarray(vector)
        if given.dtype.kind == "c":
            raise TypeError(vector)
        with np.errstate(over="ignore"):  # infinite numbers are refused below
            rows = np.atleast_2d(given.astype(np.float32, copy=False))
        if rows.ndim != 2 or not len(rows):
            raise ValueError(rows.shape)
        return QueryVectors(normalize(rows))
    except (TypeError, ValueError):
        raise UsageError(
            f"the vector cannot be searched for: {shown(vector)}",
            "Use finite numbers, not all 0, of shape (dim,) or (rows, dim).",
        ) from None


def separated(terms: Sequence[Weighted]) -> tuple[Weighted, ...]:
    """Return terms with each audio-visual pair as two terms, for a model that does not embed both together."""
    found: list[Weighted] = []
    for term in terms:
        pair = term.item
        items = [pair.sound, pair.picture] if isinstance(pair, AudioVideoPair) else [pair]
        found += (Weighted(item, term.weight) for item in items)
    return tuple(found)


def _paired(terms: list[Weighted]) -> list[Weighted]:
    """Merge an audio and a video term into an audio-visual one, if there is exactly one of each, of equal weight."""
    if len(terms) < 2:
        return terms
    found: dict[Modality, list[Weighted]] = {Modality.AUDIO: [], Modality.VIDEO: []}
    for term in terms:
        if isinstance(term.item, MediaRef | MemoryMedia) and term.weight > 0 and term.item.modality in (*found,):
            found[term.item.modality].append(term)
    sounds, pictures = found.values()
    if len(sounds) != 1 or len(pictures) != 1 or sounds[0].weight != pictures[0].weight:
        return terms
    (sound,), (picture,) = sounds, pictures
    others = [term for term in terms if term is not sound and term is not picture]
    return [Weighted(AudioVideoPair(sound.item, picture.item), sound.weight), *others]


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    **{modality.value: partial(_media, modality=modality) for modality in _MEDIA},
    "vector": _unit_rows,
    "like": _segment_ref,
    "similar": _similar_file,
}
