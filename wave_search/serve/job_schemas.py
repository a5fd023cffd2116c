"""What the API takes and returns about runs of `index`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from wave_search.reports import Stage
from wave_search.serve.schemas import Model, Result

JobState = Literal["running", "paused", "cancelling", "done", "cancelled", "failed"]
"""The last three are final."""


class JobRequest(Model):
    """A run of `index` to start."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"paths": ["/home/me/Videos"], "exclude": ["*.tmp.mp4"]}]}
    )

    paths: Annotated[list[Annotated[str, Field(max_length=4_096)]], Field(min_length=1, max_length=100)] | None = None
    """Folders and files: folders of the index as it lists them, or absolute paths; null for all folders of the
    index."""
    exclude: Annotated[tuple[Annotated[str, Field(max_length=1_000)], ...], Field(max_length=100)] | None = None
    """Globs of file names to skip, or, with a slash in them, of paths below a folder; null for those of an earlier run
    of these folders, empty to forget them."""
    retry: bool = False
    """Whether to retry unchanged files that could not be used before."""
    max_duration_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Longer audio and video is skipped; null for the limit of an earlier run of these folders."""


class SkippedEntry(Result):
    """A file that cannot be used, or only in part."""

    path: str
    cause: str
    remedy: str


class JobProgress(Result):
    """How far a run is."""

    stage: Stage
    files_total: int
    """0 while unknown."""
    files_done: int
    """Files indexed, reused, unchanged or skipped."""
    files_begun: float
    """The embedded parts of files that are not done, in files."""
    files_skipped: int
    segments: int
    """Segments embedded."""
    media_s: float
    """Seconds of audio and video embedded."""
    current: str | None
    """Path of the current file."""
    current_segments: int
    current_segments_total: int
    """Segments that it is expected to have; 0 for texts and images, or while unknown."""
    elapsed_s: float
    """Without pauses, like the following."""
    files_per_s: float | None
    """Of the last minute."""
    left_s: float | None
    """Time that the files left will take at this rate."""


class AlertEntry(Result):
    """What the alert of a saved search has done after a run."""

    search: str
    """Name of the saved search; "*" for all, if the alerts cannot be read."""
    target: str
    """Where it leads, without what may be secret."""
    found: int
    """Matches that are new."""
    delivered: int
    waiting: int
    """Matches to be delivered by a later run."""
    failure: str | None


class JobReport(Result):
    """What a run has done."""

    indexed: int
    """Files embedded."""
    reused: int
    """Files whose content was indexed already: moved, renamed or copied."""
    unchanged: int
    removed: int
    """Files that no longer exist in their folder."""
    ignored: int
    """Media files of a modality that the index does not hold."""
    not_media: dict[str, int]
    """Number of files that are neither media nor text, by suffix."""
    skipped: int
    """Files that cannot be used, or only in part, of this run and of earlier ones."""
    unreachable: list[str]
    """Folders that are missing or empty, such as an unmounted disk. Their files stay indexed."""
    segments: dict[str, int]
    """Segments embedded, by modality."""
    media_s: float
    elapsed_s: float
    """Without pauses."""
    alerts: list[AlertEntry]
    """Of the alerts that have found, delivered or failed at something."""


class JobError(Result):
    """Why a run has failed."""

    message: str
    remedy: str


class JobAnswer(Result):
    """A run of `index`."""

    id: str
    state: JobState
    paths: list[str]
    exclude: list[str] | None
    retry: bool
    max_duration_s: float | None
    began: str
    """UTC, ISO 8601."""
    ended: str | None
    skipped: int
    """Files that this run has found to be unusable, or usable only in part."""
    progress: JobProgress | None
    report: JobReport | None
    """Of a run that is done or cancelled."""
    error: JobError | None


class JobsAnswer(Result):
    """The runs since the server was started, the newest first."""

    jobs: list[JobAnswer]


class IndexedFolder(Result):
    """A folder that was indexed."""

    path: str
    files: int
    """Files indexed."""
    skipped: int
    """Files that cannot be used, or only in part."""
    exclude: list[str]
    """Globs of what runs of this folder leave out."""
    max_duration_s: float | None
    """Runs of this folder skip longer audio and video."""


class IndexAnswer(Result):
    """The folders of the index, and what may be indexed."""

    folders: list[IndexedFolder]
    allowed: list[str] | None
    """Further folders that may be indexed, with all that is below them; null for any."""
    index_version: int


class SkippedGroup(Result):
    """Files that cannot be used for the same reason."""

    cause: str
    """Of the first; those of the others may differ in numbers."""
    remedy: str
    count: int
    files: list[SkippedEntry]
    """The first of them, by path."""


class SkippedAnswer(Result):
    """What earlier runs could not use, or only in part, the most frequent causes first."""

    groups: list[SkippedGroup]
    index_version: int
