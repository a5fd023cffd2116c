"""What the API takes and returns, as documented by its OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wave_search.types import FileKind, FileStatus, Modality, Target

Number = Annotated[float, Field(allow_inf_nan=False)]
Vector = Annotated[list[Number], Field(min_length=1)]
SegmentId = Annotated[int, Field(ge=0, lt=1 << 63)]
MAX_PAGE = 200
"""Largest page of results."""
MAX_DEPTH = 2_000
"""Results that can be reached by turning pages."""
MAX_SEGMENTS = 100_000
"""Segments that a search may be restricted to."""
Playable = Literal["direct", "proxy", "clip", "image", "none"]


class Model(BaseModel):
    """Base of all that is taken: an unknown name is an error, so that a mistyped one does not go unnoticed."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)


class Result(BaseModel):
    """Base of all that is returned."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class Term(Model):
    """A term of a query: exactly one of `text`, `segment`, `vector` and `upload`."""

    text: Annotated[str, Field(max_length=10_000)] | None = None
    segment: SegmentId | None = None
    """Id of a segment of the index."""
    vector: Vector | Annotated[list[Vector], Field(min_length=1)] | None = None
    """A vector of your own by the model of the index, of any norm but 0; or several, of which the best counts."""
    upload: Annotated[str, Field(max_length=100)] | None = None
    """Name of the part of the form that is the file."""
    modality: Modality | None = None
    """Of a segment or an upload: what of it to compare; by default, the segment itself, or all that the file has. Of a
    vector: what was embedded, which its `z` depends on."""
    start_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Beginning of a range of the upload, in seconds."""
    stop_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """End of a range of the upload, in seconds."""
    weight: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)] | None = None
    """Relative to the other terms; by default 1, or 0.5 for a term to avoid."""
    avoid: bool = False
    """Whether results should be unlike the term."""


class SearchQuery(Model):
    """A search. Without terms, files are listed by path."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"terms": [{"text": "a dog barking"}], "target": "audio", "limit": 3},
                {
                    "terms": [{"segment": 95}, {"text": "rain", "weight": 0.5}, {"text": "a cat", "avoid": True}],
                    "where": "kind = 'video' AND duration_s < 60",
                    "min_z": 3.0,
                },
                {"terms": [{"upload": "file0", "modality": "audio"}], "target": "video"},
            ]
        }
    )

    terms: Annotated[list[Term], Field(max_length=16)] = []
    target: Target = "any"
    """Modality of the results; "video" is the picture alone, "av" both tracks."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 24
    offset: Annotated[int, Field(ge=0, le=MAX_DEPTH - MAX_PAGE)] = 0
    min_z: Number | None = None
    """Minimum `z`."""
    where: Annotated[str, Field(max_length=10_000)] | None = None
    """SQL condition on files and segments."""
    segments: Annotated[list[SegmentId], Field(max_length=MAX_SEGMENTS)] | None = None
    """Ids of the only segments that are found, as of a part of the map; without terms, their files are listed."""
    moments: bool = True
    """Whether adjacent segments of a file are merged into one result."""
    per_file: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Maximum number of results of one file."""
    dedupe: Annotated[float, Field(gt=0, le=1)] | None = None
    """Minimum cosine between two results at which only the better one is returned."""
    copies: bool = False
    """Whether each of several files with the same content is a result."""
    instruction: Annotated[str, Field(max_length=2_000)] | None = None
    """Replaces the prompt of the model."""
    rerank: Annotated[int, Field(ge=1, le=200)] | None = None
    """Number of the best segments to embed again with the instruction."""
    columns: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)] = []
    """Columns to return with each result."""


class SearchHit(Result):
    """A result: a moment of a file, or a file in a list."""

    rank: int
    """From 1, over all pages."""
    segment: int
    """Id by which its media and details are asked for."""
    score: float | None
    """Cosine similarity; null in a list."""
    z: float | None
    """Score in standard deviations above unrelated segments; null in a list."""
    kind: FileKind
    """Of the file."""
    modality: Modality
    """Of the segment that matches."""
    matched: list[Modality]
    """All modalities in which the moment matches."""
    copies: int
    """Number of files of the index that have the same content."""
    name: str
    folder: str
    path: str
    start_s: float | None
    """In seconds from the beginning of the file; null for texts, images and whole files."""
    stop_s: float | None
    peak_start_s: float | None
    """Start of the best segment of a moment."""
    peak_stop_s: float | None
    duration_s: float | None
    """Of the whole file."""
    text: str | None
    segments: int
    """Number of segments of the moment."""
    gone: bool
    """Whether there is no such file any more."""
    columns: dict[str, Any]


class SearchAnswer(Result):
    """The results of a search."""

    hits: list[SearchHit]
    more: bool
    """Whether there are further results."""
    took_s: float
    index_version: int
    warnings: list[str]


class SegmentEntry(Result):
    """A segment of a file."""

    segment: int
    modality: Modality
    start_s: float | None
    stop_s: float | None
    text: str | None


class SubtitleCue(Result):
    """A subtitle."""

    start_s: float
    stop_s: float
    text: str


class FileEntry(Result):
    """A file, as it was when it was last indexed, and what browsers play of it."""

    path: str
    name: str
    folder: str
    kind: FileKind
    size_bytes: int
    modified: str | None
    """UTC, ISO 8601."""
    duration_s: float | None
    status: FileStatus
    cause: str
    """What of it is missing, if it is damaged."""
    gone: bool
    columns: dict[str, Any]
    copies: list[str]
    """Other files with the same content."""
    playable: Playable
    """"direct": `/media` is the file itself; "proxy": `/media` is converted once, which takes time; "clip": it is too
    long for that, and only `/clip` plays; "image": `/media` is a picture that moves by itself; "none": it cannot be
    played, because it is text, missing, changed or damaged."""
    width: int | None
    height: int | None
    has_audio: bool
    has_video: bool


class SegmentAnswer(Result):
    """A segment and its file."""

    hit: SearchHit
    file: FileEntry
    moments: list[SegmentEntry]
    """The segments of the file, at most 5,000."""
    subtitles: list[SubtitleCue]
    """Of the subtitles beside the file, the track inside it, or the file itself."""


class Score(Result):
    """The score of a segment."""

    segment: int
    start_s: float | None
    stop_s: float | None
    score: float
    z: float


class Band(Result):
    """The scores of the segments of one modality, by time."""

    modality: Modality
    points: list[Score]


class ScoresAnswer(Result):
    """How well each segment of a file matches a query."""

    bands: list[Band]
    index_version: int


class PeaksAnswer(Result):
    """The loudness of a range."""

    peaks: list[float]
    """Largest absolute sample of each part of the range, from 0 to 1."""
    start_s: float
    stop_s: float


class Folder(Result):
    """A folder with indexed files."""

    name: str
    where: str
    """SQL condition that selects it with all that is below it."""
    files: int


class Column(Result):
    """A column of the user."""

    name: str
    type: str
    filled: int
    """Number of files that have a value."""


class ModelEntry(Result):
    """The model of the index."""

    name: str


class LibraryAnswer(Result):
    """What the index contains."""

    path: str
    model: ModelEntry
    files: dict[str, int]
    """Number of files by kind."""
    segments: dict[str, int]
    """Number of segments by modality."""
    targets: list[str]
    instructions: list[str]
    columns: list[Column]
    folders: list[Folder]
    duration_s: float
    index_version: int
    can_reveal: bool = False
    """Whether `reveal` can show a file in the file manager of the person who asks."""


class RevealAnswer(Result):
    """The file manager shows the file."""

    shown: bool


class FilesAnswer(Result):
    """A part of the list of files."""

    files: list[SearchHit]
    more: bool


class HealthAnswer(Result):
    """Whether the server works."""

    status: Literal["ok"]
    version: str
    index_version: int
    model_loaded: bool


class ErrorText(Result):
    """What is wrong."""

    message: str
    remedy: str


class ErrorAnswer(Result):
    """The answer to a request that cannot be served."""

    error: ErrorText
