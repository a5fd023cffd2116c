"""First stage of a run: threads that feed the decoder processes."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wave_search.batches import clip_bytes
from wave_search.indexer.pipeline.byte_queue import ByteQueue, Closed
from wave_search.indexer.pipeline.process import (
    CHANGED,
    Failed,
    Failure,
    Identified,
    IndexSpec,
    NotMedia,
    decode_file,
    identify_file,
    is_worth_repeating,
    too_long,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wave_search.indexer.scan import FoundFile
    from wave_search.media import DecodedSegment, DecoderPool

QUEUE_BYTES = 256 << 20
"""Maximum size of decoded segments waiting for the model."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file whose content is in the index, or is being embedded for another file."""

    file: FoundFile
    digest: str
    claimed: bool
    """Another file of this run embeds the content."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A segment to embed."""

    found: Identified
    spec: IndexSpec
    segment: DecodedSegment


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a file's segments, with a failure if the file is damaged or has changed."""

    found: Identified
    spec: IndexSpec
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Postponed:
    """A file that is decoded again at the end of the run, because a fault was not its own. Its segments are void."""

    found: Identified


@dataclass(frozen=True, slots=True)
class Fault:
    """An unexpected error in a decoding thread, to be raised in the main thread."""

    error: BaseException


Event = NotMedia | Failed | Copy | Decoded | Ended | Postponed | Fault


class Claims:
    """Decides which file embeds a content: the first file with it, unless the index has it. Thread-safe.

    Args:
        spec: for new contents.
        known: ids of the contents in the index, by digest.
        lacking: instructions with which some of them must still be embedded, by id.
    """

    def __init__(self, spec: IndexSpec, known: Mapping[str, int], lacking: Mapping[int, tuple[str, ...]]) -> None:
        self._spec = spec
        self._known = known
        self._lacking = lacking
        self._claimed: set[str] = set()
        self._waiting: dict[str, list[FoundFile]] = {}
        """Copies of the contents that are being decoded, by digest."""
        self._lock = threading.Lock()

    def claim(self, found: Identified) -> IndexSpec | Copy | None:
        """Return the spec to process a file with.

        Returns:
            `Copy` if the content is in the index, or has been decoded; None while it is being decoded for another file:
            `end` returns this file then.
        """
        digest = found.info.digest
        content_id = self._known.get(digest)
        spec = self._spec
        if content_id is not None:
            spec = replace(spec, instructions=self._lacking.get(content_id, ()))
        if not spec.instructions:
            return Copy(found.file, digest, claimed=False)
        with self._lock:
            if digest in self._waiting:
                self._waiting[digest].append(found.file)
                return None
            if digest in self._claimed:
                return Copy(found.file, digest, claimed=True)
            self._claimed.add(digest)
            self._waiting[digest] = []
        return spec

    def end(self, digest: str, *, release: bool) -> list[FoundFile]:
        """End the decoding of a content, and return the copies that wait for it.

        Args:
            digest: the content.
            release: let it be claimed again, because the fault was that of the file or the machine.
        """
        with self._lock:
            if release:
                self._claimed.discard(digest)
            return self._waiting.pop(digest)


class DecodeStage:
    """Threads that take files in order and put events into a queue.

    A file that fails for a reason that is not its own is tried once more after all others.

    Args:
        files: to process.
        decoders: used from all threads.
        claims: decides which files are decoded.
        workers: number of threads.

    Attributes:
        queue: the events.
    """

    def __init__(self, files: Iterable[FoundFile], decoders: DecoderPool, claims: Claims, workers: int) -> None:
        self.queue: ByteQueue[Event] = ByteQueue(QUEUE_BYTES, workers)
        self._files = iter(files)
        self._again: list[FoundFile] = []
        self._repeated: set[bytes] = set()
        self._decoders = decoders
        self._claims = claims
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"decode-{n}") for n in range(workers)]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask the threads to end. A thread that waits for a decoder ends when the decoders are closed."""
        with self._lock:
            self._files, self._again = iter(()), []
        self.queue.close()

    def join(self) -> None:
        """Wait until all threads have ended."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self) -> None:
        try:
            while (file := self._next()) is not None:
                self._decode(file)
        except Closed:
            pass
        except BaseException as error:
            with suppress(Closed):  # decoders that are closed while in use raise errors of various types
                self.queue.put(Fault(error))
        finally:
            self.queue.leave()

    def _next(self) -> FoundFile | None:
        with self._lock:
            file = next(self._files, None)
            return self._again.pop(0) if file is None and self._again else file

    def _must_wait(self, file: FoundFile, failure: Failure | None) -> bool:
        """Return whether to postpone a file: the fault is not its own, and it is the first one."""
        if failure is None or not is_worth_repeating(failure) or file.path in self._repeated:
            return False
        self._repeated.add(file.path)
        return True

    def _postpone(self, file: FoundFile) -> None:
        with self._lock:
            self._again.append(file)

    def _decode(self, file: FoundFile) -> None:
        found = identify_file(file, self._decoders)
        if not isinstance(found, Identified):
            if isinstance(found, Failed) and self._must_wait(file, found.failure):
                self._postpone(file)
            else:
                self.queue.put(found)
            return
        spec = self._claims.claim(found)
        if isinstance(spec, Copy):
            self.queue.put(spec)
        elif spec is not None:
            self._decode_content(found, spec)

    def _decode_content(self, found: Identified, spec: IndexSpec) -> None:
        failure: Failure | None = None
        if (failed := too_long(found)) is None:
            for item in decode_file(found, spec, self._decoders):
                if isinstance(item, Failure):
                    failure = item
                else:
                    self.queue.put(Decoded(found, spec, item), clip_bytes(item.clip))
        postponed = self._must_wait(found.file, failure)
        release = postponed or failure == CHANGED
        copies = self._claims.end(found.info.digest, release=release)
        self.queue.put(failed or (Postponed(found) if postponed else Ended(found, spec, failure)))
        if postponed:
            self._postpone(found.file)
        for copy in copies:
            if release:
                self._postpone(copy)
            else:
                self.queue.put(Copy(copy, found.info.digest, claimed=True))
