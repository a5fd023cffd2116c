"""What the tools take and return. The descriptions here are what a language model reads."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from wave_search.serve.schemas import Column, Folder, Model, Number, Result, SegmentId, SubtitleCue
from wave_search.types import FileKind, Modality, Target

MAX_HITS = 50
MAX_SIDE = 1_568
"""Pixels; a larger picture is made smaller by the clients."""
MAX_LISTEN_S = 60.0
"""Longest sound of `listen`."""


def _unwrapped(value: object) -> object:
    """Return a list or an object that a client has sent as a text, as some do."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


Unwrapped = BeforeValidator(_unwrapped)
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Words = Annotated[str, Field(max_length=2_000)]
Name = Annotated[str, Field(max_length=200)]


class TextTerm(Model):
    """A further term of a search."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    weight: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)] | None = None
    """Relative to the other terms; 1 by default, 0.5 for a term to avoid."""
    avoid: bool = False
    """Whether results should be unlike it."""


class Filters(Model):
    """What limits a search."""

    also: Annotated[tuple[TextTerm, ...], Field(max_length=15), Unwrapped] = ()
    """Further terms that results should match too, or avoid."""
    target: Target = "any"
    """What has to match: "audio" (heard), "video" (seen), "av" (both together), "image", "text"; "any" for all."""
    limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 10
    offset: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Number of results to skip, for the next page."""
    min_z: Number | None = None
    """Leave out results with a smaller z: 5 keeps clear matches only, 3 possible ones."""
    kind: FileKind | None = None
    """Only files of this kind."""
    folder: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None
    """Only files below this folder: a whole path, or the name of a folder on the way."""
    where: Annotated[str, Field(max_length=10_000)] | None = None
    """SQL condition on files, as `duration_s < 60 AND modified > '2026-01-01'`. `library` lists the columns."""
    per_file: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Maximum number of results of one file; 1 for different files."""
    columns: Annotated[tuple[Name, ...], Field(max_length=50), Unwrapped] = ()
    """Columns to return with each result; `library` lists them."""


class SearchArguments(Filters):
    """Arguments of `search`."""

    query: Words = ""
    """What is seen, heard or read there, in a few words: "a dog barking". Empty to list files by path."""
    instruction: Words | None = None
    """Replaces the prompt of the model; `library` lists those that the index has vectors for."""
    rerank: Annotated[int, Field(ge=1, le=100)] | None = None
    """Embed this many of the best again with the instruction. Slow."""


class SimilarArguments(Filters):
    """Arguments of `similar`."""

    segment: SegmentId
    """Id of a segment, from a result."""
    by: Literal["whole", "sound", "picture"] = "whole"
    """What of it to compare: all of it, what is heard, or what is seen."""


class LookArguments(Model):
    """Arguments of `look`."""

    segment: SegmentId
    """Id of a segment of a video or an image, from a result."""
    frames: Annotated[int, Field(ge=1, le=16)] = 1
    """1: the middle of the range; more: a contact sheet of frames with their times, as 6 to see what happens."""
    start_s: Seconds | None = None
    """Beginning of the range of the video; by default, that of the segment. It may be anywhere in the file."""
    stop_s: Seconds | None = None
    """End of the range."""
    max_side: Annotated[int, Field(ge=64, le=MAX_SIDE)] = 1_024
    """Largest width and height of the picture, in pixels."""


class ListenArguments(Model):
    """Arguments of `listen`."""

    segment: SegmentId
    """Id of a segment of audio or video, from a result."""
    start_s: Seconds | None = None
    """Beginning of the range; by default, that of the segment. It may be anywhere in the file."""
    stop_s: Seconds | None = None
    """End of the range. At most 60 seconds are returned."""


class AskArguments(Model):
    """Arguments of `ask`."""

    segment: SegmentId
    """Id of a segment of audio, video or an image, from a result."""
    question: Annotated[str, Field(min_length=1, max_length=2_000)]
    """As "What animal is heard?"."""
    choices: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=2_000)]], Field(min_length=2, max_length=50), Unwrapped
    ]
    """Possible answers, all different, as "a dog", "a cat", "something else"."""


class LibraryArguments(Model):
    """Arguments of `library`: none."""


class Moment(Result):
    """A result: a moment of a file, or a file in a list."""

    rank: int
    segment: int
    """Id for `look`, `listen`, `ask` and `similar`: of the best segment of the moment."""
    uri: str
    """Resource with all that is known of it."""
    path: str
    kind: FileKind
    modality: Modality
    """What matches: "audio" was heard, "video" seen, "av" both."""
    start_s: float | None
    """Seconds from the beginning of the file; null for texts, images and whole files."""
    stop_s: float | None
    time: str
    """The same as a clock shows it."""
    peak_start_s: float | None
    """Start of the best segment of the moment."""
    duration_s: float | None
    """Of the whole file."""
    z: float | None
    """Standard deviations above unrelated segments; null in a list."""
    match: str
    """z in words."""
    text: str | None
    columns: dict[str, Any]
    gone: bool
    """Whether the file has disappeared since it was indexed."""


class SearchResult(Result):
    """Results, best first."""

    moments: list[Moment]
    more: bool
    """Whether there are further results, for a larger `offset`."""
    note: str
    """What to make of the results."""
    index_version: int


class LookResult(Result):
    """What a picture shows."""

    segment: int
    path: str
    kind: FileKind
    times_s: list[float]
    """Of the frames, row by row; empty for an image."""
    subtitles: list[SubtitleCue]
    """Within the range."""


class ListenResult(Result):
    """What a sound is."""

    segment: int
    path: str
    start_s: float
    stop_s: float
    cut: bool
    """Whether more was asked for than is returned at once."""
    subtitles: list[SubtitleCue]
    """Within the range."""


class Choice(Result):
    """A possible answer."""

    answer: str
    score: float
    """Cosine similarity, not a probability."""


class AskResult(Result):
    """The choices, best first."""

    choices: list[Choice]
    margin: float
    """Score of the first above the second; the smaller, the less certain."""


class LibraryResult(Result):
    """What the index contains."""

    index: str
    model: str
    files: dict[str, int]
    """Number of files by kind."""
    segments: dict[str, int]
    """Number of segments by modality."""
    duration_s: float
    """Of all audio and video."""
    targets: list[str]
    instructions: list[str]
    """That the index has vectors for, besides the prompt of the model."""
    folders: list[Folder]
    more_folders: int
    """Number of further ones that are not listed."""
    columns: list[Column]
    """Columns of the user."""
    built_in_columns: list[str]
    conditions: list[str]
    """Examples for `where`."""
    index_version: int
