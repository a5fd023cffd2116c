"""One file as a unit of work: identified, decoded, segmented and embedded.

Nothing here depends on the store, other files or other threads, and all inputs and outputs are frozen and can be
pickled. Files can therefore be processed in any order, in other processes or on other machines, and their outcomes
committed in one place. `process_file` is the complete unit; the stages of a run call its steps separately, to overlap
decoding with embedding and to embed segments of several files in one batch.
"""

from __future__ import annotations

import math
import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.batches import batched, clip_bytes
from wave_search.errors import MediaError, ModelError, UsageError
from wave_search.files import as_path, mtime_ns
from wave_search.media import DecodedSegment, MediaInfo, Segmentation, looks_like_media
from wave_search.media.source import RETRY
from wave_search.store import NewSegment
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.indexer.scan import FoundFile
    from wave_search.media import DecoderPool
    from wave_search.models import Embedder


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What the outcome of a file depends on, besides its content and the model (which determines the sampling)."""

    segmentation: Segmentation
    modalities: tuple[Modality, ...]
    """Modalities that the index holds."""
    instructions: tuple[str, ...] = ("",)
    """Instructions that each segment is embedded with; "" is the model's own prompt."""


@dataclass(frozen=True, slots=True)
class Identified:
    """A file whose content is known."""

    file: FoundFile
    info: MediaInfo


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why a file, or the rest of it, cannot be used."""

    cause: str
    remedy: str
    retry: bool = False
    """Whether the cause may disappear without a change of the file, so that the next run retries it."""
    too_long_s: float | None = None
    """Duration of the file, if the cause is that it is longer than the maximum of the run."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A file with all its segments."""

    file: FoundFile
    info: MediaInfo
    segments: tuple[NewSegment, ...]
    damage: Failure | None = None
    """The reason why the segments end before the file does."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A media file that has none of the modalities of the index."""

    file: FoundFile
    info: MediaInfo


@dataclass(frozen=True, slots=True)
class NotMedia:
    """A file that is not media, and was not named by the user."""

    file: FoundFile


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that cannot be indexed."""

    file: FoundFile
    failure: Failure
    digest: str | None = None
    """Digest of its content; None if the content could not be identified."""


Outcome = Indexed | Unsupported | NotMedia | Failed


def process_file(file: FoundFile, spec: IndexSpec, decoders: DecoderPool, embedder: Embedder) -> Outcome:
    """Index one file on its own.

    The result is the same as in a run of `add`, except for the last bits of vectors, which depend on the composition of
    batches. Apart from its vectors, a file of any length is processed in bounded memory.

    Args:
        file: the file as scanned; if its size or modification time has changed since, the outcome is a failure.
        spec: how to process it.
        decoders: decoder processes that sample as `embedder` requires.
        embedder: the model.

    Raises:
        UsageError: the decoders are closed, or segmentation by scenes is requested and PySceneDetect is not installed.
    """
    found = identify_file(file, decoders)
    if not isinstance(found, Identified):
        return found
    if (failed := too_long(found)) is not None:
        return failed
    assembly = Assembly(found, spec)
    end: Failure | None = None
    with closing(decode_file(found, spec, decoders)) as decoded:
        for batch in batched(decoded, _size_bytes):
            segments = [item for item in batch if isinstance(item, DecodedSegment)]
            for embedded in embed_segments(segments, spec, embedder):
                assembly.add(embedded)
            end = next((item for item in batch if isinstance(item, Failure)), None)
            if assembly.has_failed:
                break
    return assembly.finish(end)


def identify_file(file: FoundFile, decoders: DecoderPool) -> Identified | NotMedia | Failed:
    """Identify a file, and compute the digest of its content."""
    path = as_path(file.path)
    try:
        if not file.named and not looks_like_media(path):
            return NotMedia(file)
        info = decoders.identify(path)
    except (MediaError, OSError) as error:
        return Failed(file, _unidentified(file, error))
    return Identified(file, info) if _is_as_found(file) else Failed(file, CHANGED)


def too_long(found: Identified) -> Failed | None:
    """Return the failure of a file that is longer than the maximum; None if it is not, or is a text."""
    info, most_s = found.info, found.file.max_duration_s
    if most_s is None or info.kind not in ("audio", "video") or (info.duration_s or 0.0) <= most_s:
        return None
    cause = f"lasts {info.duration_s:.0f} s, longer than the maximum duration"
    failure = Failure(cause, "Index its folder with a larger --max-duration, or none.", too_long_s=info.duration_s)
    return Failed(found.file, failure, info.digest)


def decode_file(
    found: Identified, spec: IndexSpec, decoders: DecoderPool
) -> Generator[DecodedSegment | Failure, None, None]:
    """Decode the segments of a file lazily, in order of time.

    Yields:
        Segments, followed by a failure if the file cannot be decoded to its end or has changed in the meantime.
    """
    failure: Failure | None = None
    wanted = _wanted(found, spec)
    if wanted:
        try:
            yield from decoders.segments(as_path(found.file.path), found.info, spec.segmentation, wanted)
        except MediaError as error:
            failure = Failure(error.cause, error.remedy, _is_transient(error))
    if not _is_as_found(found.file):
        failure = CHANGED
    if failure is not None:
        yield failure


def embed_segments(
    segments: Sequence[DecodedSegment], spec: IndexSpec, embedder: Embedder
) -> list[tuple[NewSegment, ...] | Failure]:
    """Embed segments, of one file or of several, in one call of the model.

    Returns:
        For each segment, either a row for each of its modalities and instructions, with a (dim,) float16 vector of unit
        norm, or the failure of the model.
    """
    if not segments:
        return []
    instructions = [instruction or None for instruction in spec.instructions]
    try:
        results = embedder.embed_each([segment.clip for segment in segments], instructions, spec.modalities)
    except (ModelError, UsageError) as error:
        if len(segments) == 1:
            return [Failure(error.message, error.remedy, retry=isinstance(error, ModelError))]
        return [embedded for segment in segments for embedded in embed_segments([segment], spec, embedder)]
    return [
        tuple(
            row
            for instruction, vectors in zip(spec.instructions, each, strict=True)
            for row in _rows(segment, instruction, vectors)
        )
        for segment, each in zip(segments, results, strict=True)
    ]


class Assembly:
    """The outcome of one file while its segments are embedded. Used by one thread.

    Args:
        found: the file.
        spec: how it is processed.

    Attributes:
        segments: the rows so far.
    """

    def __init__(self, found: Identified, spec: IndexSpec) -> None:
        self._found = found
        self._supported = bool(_wanted(found, spec))
        self._failure: Failure | None = None
        self.segments: list[NewSegment] = []

    @property
    def has_failed(self) -> bool:
        """Whether a segment could not be embedded, in which case no segment of the file is used."""
        return self._failure is not None

    def add(self, embedded: tuple[NewSegment, ...] | Failure) -> None:
        """Add the result of `embed_segments` for the next segment."""
        if isinstance(embedded, Failure):
            self._failure = self._failure or embedded
        else:
            self.segments += embedded

    def finish(self, end: Failure | None) -> Outcome:
        """Return the outcome.

        Args:
            end: the failure with which `decode_file` ended, if any. Segments decoded before damage are used; those of a
                file that has changed are not.
        """
        file, info = self._found.file, self._found.info
        failure = self._failure or (end if end is not None and (end.retry or not self.segments) else None)
        if failure is None and self._supported and not self.segments:
            failure = Failure("contains nothing that can be embedded", "Check the file with a media player.")
        if failure is not None:
            return Failed(file, failure, info.digest)
        if not self._supported:
            return Unsupported(file, info)
        return Indexed(file, info, tuple(self.segments), _damage(info, self.segments, end))


_COPY_AGAIN = "Its end is missing: copy it again."
CHANGED = Failure("changed while it was read", "The next run reads it again.", retry=True)
"""The failure of a file, but not of its former content, which copies of it may still have."""


def is_worth_repeating(failure: Failure) -> bool:
    """Return whether the same run may try a file again, later: the fault was not the file's, and it has not changed."""
    return failure.retry and failure != CHANGED


def _unidentified(file: FoundFile, error: MediaError | OSError) -> Failure:
    if isinstance(error, OSError):
        return Failure(f"cannot be read ({error.strerror})", RETRY, retry=True)
    if _is_transient(error) or not os.access(file.path, os.R_OK):
        return Failure(error.cause, error.remedy, retry=True)
    return Failure(error.cause, error.remedy) if _is_as_found(file) else CHANGED


def _is_transient(error: MediaError) -> bool:
    """Return whether an error may be transient: all permanent errors have a class of their own."""
    return type(error) is MediaError


def _damage(info: MediaInfo, segments: Sequence[NewSegment], end: Failure | None) -> Failure | None:
    there_s = info.duration_s or 0.0
    whole_s = there_s if info.declared_s in (None, math.inf) else info.declared_s
    if end is not None:
        stop_s = max((segment.stop_s or 0.0 for segment in segments), default=0.0)
        return Failure(f"damaged: {stop_s:.1f} of {whole_s:.1f} s ({end.cause})", end.remedy)
    notes = [note.cause for note in info.notes]
    if info.declared_s is None:
        return Failure("; ".join(notes), " ".join(note.remedy for note in info.notes)) if notes else None
    there = f"cut off after {there_s:.1f} s" if info.declared_s == math.inf else f"{there_s:.1f} of {whole_s:.1f} s"
    return Failure("; ".join([f"damaged: {there}", *notes]), _COPY_AGAIN)


def _is_as_found(file: FoundFile) -> bool:
    try:
        status = as_path(file.path).lstat()
    except OSError:
        return False
    return (status.st_size, mtime_ns(status)) == (file.size_bytes, file.mtime_ns)


def _wanted(found: Identified, spec: IndexSpec) -> tuple[Modality, ...]:
    return tuple(modality for modality in found.info.modalities if modality in spec.modalities)


def _rows(
    segment: DecodedSegment, instruction: str, vectors: Mapping[Modality, NDArray[np.float32]]
) -> list[NewSegment]:
    span, text = segment.span, segment.clip.text
    return [
        NewSegment(
            modality=modality,
            start_s=span.start_s if span else None,
            stop_s=span.stop_s if span else None,
            text=text,
            vector=vector.astype(np.float16),
            instruction=instruction,
        )
        for modality, vector in vectors.items()
        # Text is embedded without instructions, so its vectors would be identical.
        if not (instruction and modality is Modality.TEXT)
    ]


def _size_bytes(item: DecodedSegment | Failure) -> int:
    return clip_bytes(item.clip) if isinstance(item, DecodedSegment) else 0
