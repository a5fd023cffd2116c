"""From files to decoded segments: threads that keep the decoder processes busy."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from wave_search.errors import MediaError
from wave_search.indexer.pipeline.byte_queue import Channel, Closed
from wave_search.indexer.scan import FoundFile, as_path
from wave_search.media import Segmentation, looks_like_media

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wave_search.media import DecodedSegment, DecoderPool, MediaInfo
    from wave_search.store import NewSegment, Settings
    from wave_search.types import Modality

QUEUE_BYTES = 256 << 20
"""Decoded segments that wait for the model."""


@dataclass(slots=True)
class Work:
    """A content that is being embedded. A reader makes it; what changes in it belongs to the main thread."""

    file: FoundFile
    info: MediaInfo
    wanted: tuple[Modality, ...]
    """Empty: a kind of media that this index does not hold."""
    instructions: tuple[str, ...]
    """With which it is to be embedded; "" for the model's own prompt."""
    known: bool
    """It is in the index, but not with these instructions."""
    copies: list[FoundFile] = field(default_factory=list)
    """Files of the same content that came up meanwhile."""
    segments: list[NewSegment] = field(default_factory=list)
    media_s: float = 0.0
    problem: MediaError | None = None
    """Why it is not, or not completely, in the index."""
    retry: bool = False
    """The problem may go away without a change of the file."""
    state: Literal["open", "indexed", "failed"] = "open"


@dataclass(frozen=True, slots=True)
class Ignored:
    """The file is not media."""

    file: FoundFile


@dataclass(frozen=True, slots=True)
class Copy:
    """The file has a content that is in the index already, or is just being embedded as `work`."""

    file: FoundFile
    digest: str
    work: Work | None


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece to embed."""

    work: Work
    decoded: DecodedSegment


@dataclass(frozen=True, slots=True)
class Ended:
    """All segments of a content have been handed over; with an error if the rest of the file is damaged."""

    work: Work
    error: MediaError | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """The file cannot be indexed."""

    file: FoundFile
    cause: str
    remedy: str
    remember: bool = True
    """False: the cause may go away without a change of the file, so the next run tries again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake of ours in a reading thread, to be raised in the main one."""

    error: BaseException


Event = Ignored | Copy | Segment | Ended | Unusable | Fault


class DecodeStage:
    """Threads that pull files in order and put what comes of them into a channel.

    Args:
        files: to read.
        decoders: is called from all threads.
        known: the contents that are in the index, by digest.
        lacking: the instructions that some of them still lack.
        settings: which modalities and instructions the index holds, and how it cuts.
        workers: how many threads.
    """

    def __init__(
        self,
        files: Iterable[FoundFile],
        decoders: DecoderPool,
        *,
        known: Mapping[str, int],
        lacking: Mapping[int, tuple[str, ...]],
        settings: Settings,
        workers: int,
    ) -> None:
        self.channel: Channel[Event] = Channel(QUEUE_BYTES, workers)
        self._files = iter(files)
        self._decoders = decoders
        self._known = known
        self._lacking = lacking
        self._segmenting = Segmentation.parse(settings.segmenting)
        self._modalities = settings.modalities
        self._instructions = ("", *settings.instructions)
        self._claims: dict[str, Work] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"reader-{n}") for n in range(workers)]

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask for an end. What a decoder is busy with ends when the decoders are closed."""
        with self._lock:
            self._files = iter(())
        self.channel.close()

    def join(self) -> None:
        """Wait until all threads are gone."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self) -> None:
        try:
            while (file := self._next()) is not None:
                self._read(file)
        except Closed:
            pass
        except BaseException as error:
            self._report_fault(error)
        finally:
            self.channel.leave()

    def _report_fault(self, error: BaseException) -> None:
        with suppress(Closed):  # decoders that are closed under a reader fail in their own ways
            self.channel.put(Fault(error))

    def _next(self) -> FoundFile | None:
        with self._lock:
            return next(self._files, None)

    def _read(self, file: FoundFile) -> None:
        path = as_path(file.path)
        try:
            if not file.named and not looks_like_media(path):
                self.channel.put(Ignored(file))
                return
            info = self._decoders.identify(path)
        except (MediaError, OSError) as error:
            self._put_unusable(file, error)
            return
        if not _is_as_seen(file):
            self._put_changed(file)
            return
        wanted = tuple(modality for modality in info.modalities if modality in self._modalities)
        content_id = self._known.get(info.digest)
        instructions = self._instructions if content_id is None else self._lacking.get(content_id, ())
        work = Work(file, info, wanted, instructions, known=content_id is not None)
        with self._lock:
            claimed = not instructions or self._claims.setdefault(info.digest, work) is not work
        if claimed:
            self.channel.put(Copy(file, info.digest, self._claims.get(info.digest)))
        else:
            self._decode(work)

    def _decode(self, work: Work) -> None:
        problem: MediaError | None = None
        if work.wanted:
            try:
                path = as_path(work.file.path)
                for decoded in self._decoders.segments(path, work.info, self._segmenting, work.wanted):
                    self.channel.put(Segment(work, decoded), _size_bytes(decoded))
            except MediaError as error:
                problem = error
        if not _is_as_seen(work.file):
            problem = changed_error(work.file)
        self.channel.put(Ended(work, problem))

    def _put_unusable(self, file: FoundFile, error: MediaError | OSError) -> None:
        if isinstance(error, MediaError) and os.access(file.path, os.R_OK):
            if _is_as_seen(file):
                self.channel.put(Unusable(file, error.cause, error.remedy))
            else:
                self._put_changed(file)
            return
        cause = error.cause if isinstance(error, MediaError) else f"cannot be read ({error.strerror})"
        self.channel.put(Unusable(file, cause, getattr(error, "remedy", ""), remember=False))

    def _put_changed(self, file: FoundFile) -> None:
        error = changed_error(file)
        self.channel.put(Unusable(file, error.cause, error.remedy, remember=False))


class ChangedError(MediaError):
    """The file was written to, or vanished, while it was read. What was made of it is of no use."""


def changed_error(file: FoundFile) -> ChangedError:
    """Say that a file changed while it was read."""
    return ChangedError(as_path(file.path), "changed while it was read", "It is left for the next run.")


def _is_as_seen(file: FoundFile) -> bool:
    try:
        status = as_path(file.path).lstat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size_bytes, file.mtime_ns)


def _size_bytes(decoded: DecodedSegment) -> int:
    clip = decoded.clip
    pixels = clip.frames.pixels if clip.frames else None
    samples = clip.waveform.samples if clip.waveform else None
    return sum(array.nbytes for array in (clip.image, pixels, samples) if array is not None)
