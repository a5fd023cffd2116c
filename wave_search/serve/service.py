"""What the routes share: the index, its previews, and the threads that work for requests, which are limited."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from wave_search.errors import MediaError, UsageError, WaveSearchError
from wave_search.media.sniff import MEDIA_SUFFIXES, TEXT_SUFFIXES
from wave_search.serve.disk_cache import DiskCache
from wave_search.serve.duplicates import Comparisons
from wave_search.serve.edits import Edits
from wave_search.serve.errors import BusyError, TooLateError, UploadError
from wave_search.serve.folders import Folders
from wave_search.serve.jobs import Jobs
from wave_search.serve.library import Library
from wave_search.serve.maps import Maps
from wave_search.serve.options import is_loopback
from wave_search.serve.previews import Previews
from wave_search.serve.schemas import SearchQuery
from wave_search.serve.searches import Searches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from wave_search.index import Index
    from wave_search.serve.options import ServeOptions

Done = TypeVar("Done")
_MAX_PARTS = 17
"""Of a form: a file for each term, and the request."""
_WAITING_EDITS = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was sent."""

    query: SearchQuery
    uploads: dict[str, Path] = field(default_factory=dict)
    """Files by the name of their part of the form."""
    names: dict[str, str] = field(default_factory=dict)
    """What messages call them: path -> the name that the user knows."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it was sent."""

    text: bytes | str
    """What should be JSON."""
    uploads: dict[str, Path] = field(default_factory=dict)
    """As in `Asked`."""
    names: dict[str, str] = field(default_factory=dict)
    """As in `Asked`."""


class Lane:
    """A few threads for one kind of work, so that it does not keep other work waiting; more than can queue is refused.

    Args:
        name: of the work, in messages.
        threads: how many work at once.
        queue: how many more may wait.

    Attributes:
        refused: how many have been refused.
    """

    def __init__(self, name: str, threads: int, queue: int = 0) -> None:
        self._name, self._at_once, self._most = name, threads, threads + queue
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = Lock()
        self._there = self.refused = 0

    @property
    def running(self) -> int:
        """How many work now."""
        return min(self._there, self._at_once)

    @property
    def waiting(self) -> int:
        """How many wait for one of them to end."""
        return self._there - self.running

    async def run(self, work: Callable[[], Done]) -> Done:
        """Do some work, and wait for it. What is cancelled goes on in its thread, which counts until it ends.

        Raises:
            BusyError: there is too much of it already.
        """
        with self._lock:
            if self._there == self._most:
                self.refused += 1
                raise BusyError(f"there are {self._most} {self._name} already", "Try again in a second.")
            self._there += 1
        future = self._threads.submit(work)
        future.add_done_callback(self._end)
        return await asyncio.wrap_future(future)

    def _end(self, _: object) -> None:
        with self._lock:
            self._there -= 1

    def close(self) -> None:
        """Forget what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Service:
    """The state behind the routes.

    Args:
        index: an open index; not closed here.
        options: limits.
        cache: folder of the previews and maps.
    """

    def __init__(self, index: Index, options: ServeOptions, cache: Path) -> None:
        self.library = Library(index, options.limits)
        kept = DiskCache(cache, options.cache_bytes)
        self.previews = Previews(kept, index.model.sampling, index.path, options.limits)
        self.maps = Maps(self.library.index, kept)
        self.folders = Folders(self.library)
        self.jobs = Jobs(index, options)
        self.limits = options.limits
        # Behind a reverse proxy, all requests come from this machine.
        self._is_desktop = options.desktop and options.is_local and not options.names
        self.searches = Lane("searches", options.limits.searches, options.limits.waiting)
        self.conversions = Lane("conversions", 1, options.limits.conversions - 1)
        self.writes = Lane("edits", 1, _WAITING_EDITS)
        self.edits = Edits(self.library)
        self.saved = Searches(self.library, alerts_allowed=options.is_local and not options.names)
        self.duplicates = Comparisons()
        self.comparisons = Lane("comparisons", 1, 7)
        self.exports = Lane("exports", 2, 6)
        self.zips = BoundedSemaphore(2)
        """ZIP files that are written at the same time."""

    def close(self) -> None:
        """Stop the decoders, the run of `index` and the maps, and forget the searches that have not begun."""
        self.jobs.close()
        self.maps.close()
        self.library.close()
        self.previews.close()
        self.searches.close()
        self.conversions.close()
        self.writes.close()
        self.comparisons.close()
        self.exports.close()

    def can_reveal(self, request: Request) -> bool:
        """Return whether a file can be shown on the desktop of the person who asks."""
        return self._is_desktop and request.client is not None and is_loopback(request.client.host)

    async def search(self, asked: Asked, work: Callable[[], Done]) -> Done:
        """Do a search in a thread of its own.

        Raises:
            BusyError: too many run already.
            TooLateError: it takes too long.
            WaveSearchError: whatever `work` raises, with the names of uploads instead of their paths here.
        """
        try:
            return await asyncio.wait_for(self.searches.run(work), self.limits.query_s)
        except TimeoutError:
            limit = f"the search takes longer than {self.limits.query_s:g} s"
            raise TooLateError(limit, "Search with a shorter range of the file, or rerank fewer results.") from None
        except WaveSearchError as error:
            message, remedy = error.message, error.remedy
            for path, name in asked.names.items():
                message, remedy = message.replace(path, name), remedy.replace(path, name)
            if isinstance(error, MediaError) or message != error.message:
                raise UploadError(message, remedy) from error
            raise

    @asynccontextmanager
    async def asked(self, request: Request) -> AsyncIterator[Asked]:
        """Read a search from JSON, or from a form with files, which are deleted at the end.

        Raises:
            RequestValidationError: it is not a valid search.
            UsageError: it is a form that has no valid search, or too many parts.
        """
        async with self.received(request) as received:
            yield Asked(_parsed(received.text), received.uploads, received.names)

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Received]:
        """Read a request, whatever it is, from JSON or from a form with files, which are deleted at the end.

        Raises:
            UsageError: it is a form that has no request, or too many parts.
        """
        if not request.headers.get("content-type", "").casefold().startswith("multipart/form-data"):
            yield Received(await request.body())
            return
        async with request.form(
            max_files=_MAX_PARTS, max_fields=_MAX_PARTS, max_part_size=self.limits.json_bytes
        ) as form:
            parts = form.multi_items()
            written = [value for name, value in parts if name == "request" and isinstance(value, str)]
            files = [(name, value) for name, value in parts if isinstance(value, UploadFile)]
            if len(written) != 1 or len({name for name, _ in files}) < len(files):
                raise UsageError(
                    "a form needs one part named request, and other names for its files",
                    "Send -F request='{\"terms\": ...}'.",
                )
            folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="wave-search-"))
            try:
                uploads, names = {}, {}
                for number, (name, file) in enumerate(files):
                    path = folder / f"upload-{number}{_suffix(file.filename)}"
                    await run_in_threadpool(_copy, file, path)
                    uploads[name] = path
                    names[str(path)] = Path(file.filename or name).name
                yield Received(written[0], uploads, names)
            finally:
                await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


def _parsed(body: bytes | str) -> SearchQuery:
    try:
        return SearchQuery.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False, include_input=False)) from error


def _suffix(filename: str | None) -> str:
    """Return the suffix of an uploaded file, by which texts are recognised, if it is one of media."""
    suffix = Path(filename or "").suffix.lower()
    return suffix if suffix in MEDIA_SUFFIXES | TEXT_SUFFIXES else ""


def _copy(upload: UploadFile, path: Path) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(upload.file, file)


def service_of(request: Any) -> Service:
    """Return the state behind the routes."""
    service: Service = request.app.state.service
    return service
