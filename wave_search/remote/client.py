"""`RemoteIndex`: the part of the interface of `Index` that searches and reads, answered by a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack, overload

from wave_search.arguments import (
    check_flags,
    check_functions,
    check_type,
    check_whole,
    id_of,
    ids_of,
    names_of,
    path_of,
)
from wave_search.errors import UsageError
from wave_search.query import (
    Answer,
    Hits,
    SearchArguments,
    SearchRequest,
    check_count,
    check_request,
    parse_modality,
    read_segments,
    requests_of,
    to_one_request,
)
from wave_search.query.embedder import check_question
from wave_search.query.encode_items import ItemProgress
from wave_search.query.file_details import check_page
from wave_search.query.info import check_values
from wave_search.query.request import check_cosine, check_where, read_columns
from wave_search.remote import results
from wave_search.remote.requests import pack, unpack
from wave_search.remote.segments import RemoteSegments
from wave_search.remote.transport import Transport
from wave_search.reports import Skipped
from wave_search.store import DEFAULT_TIMEOUT_S, SavedTerm, checked_name
from wave_search.types import ColumnInfo, Hit, ListedFile
from wave_search.version import __version__
from wave_search.wire import from_record, to_plain

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from wave_search.models import ModelSpec
    from wave_search.query import FileDetails, FileEntry, IndexInfo, NewMatch, SegmentDetails, SegmentScore
    from wave_search.reports import ProgressCallback
    from wave_search.store import SavedSearch
    from wave_search.types import DuplicateGroup, FileKind, Modality, ModalityName

    StrPath = str | os.PathLike[str]

_PAGE = 1_000
TIMEOUT_S = 300.0
"""Seconds to wait for an answer, unless another time is given."""


def connect(address: str, *, token: str | None = None, timeout_s: float = TIMEOUT_S) -> RemoteIndex:
    """Use the index of a server that `wave-search serve` has started, with the interface of `Index`.

    Args:
        address: "http://127.0.0.1:8765", as the server prints it.
        token: of the server, if it needs one that is not part of the address.
        timeout_s: seconds to wait for each answer.

    Raises:
        UsageError: the address or the token is not valid, or the server has another version of this package.
        WaveSearchError: the server does not answer.
    """
    transport = Transport(address, token, timeout_s)
    theirs = transport.get("health")
    version = theirs.get("version") if isinstance(theirs, dict) else None
    if version != __version__:
        raise UsageError(
            f"the server {transport.address} has version {version} of wave-search, and this is {__version__}",
            "Install the same version on both sides.",
        )
    return RemoteIndex(transport)


class RemoteIndex:
    """An index that a server has open, as returned by `connect`; a context manager.

    Searching and reading is as with `Index`: the same arguments, results and errors. Files of a query are of this
    machine and are sent to the server, at most 256 MiB together. Paths of results are those of the server. The server
    follows new versions of the index by itself. All methods may be called from several threads at once.

    What else `Index` does, such as to change the index, raises UsageError here.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._state = self._call("state")

    def _call(self, method: str, **record: Any) -> Any:
        return self._transport.call(f"remote/{method}", to_plain(record))

    @property
    def path(self) -> Path:
        """The folder of the index, on the machine of the server."""
        return Path(self._state["path"])

    @property
    def model(self) -> ModelSpec:
        """The model that the index is pinned to."""
        return results.model(self._state["model"])

    @property
    def created(self) -> str:
        """When the index was created: UTC, ISO 8601."""
        return str(self._state["created"])

    @property
    def version(self) -> int:
        """Number of the version that the server has open, at the last call of `refresh`."""
        return int(self._state["version"])

    @property
    def next_segment_id(self) -> int:
        """A number above the ids of all segments of `version`; segments that are added later have it or more."""
        return int(self._state["next_segment_id"])

    def refresh(self, *, prepare: bool = False) -> bool:
        """Ask for the version that the server has open; return whether it differs from `version`.

        It looks for a newer one every second, and loads it beside the present one, so that `prepare` changes nothing.
        """
        check_flags(prepare=prepare)
        before = self.version
        self._state = self._call("state")
        return self.version != before

    @overload
    def search(
        self,
        request: SearchRequest,
        /,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
    ) -> Hits: ...
    @overload
    def search(
        self,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **query: Unpack[SearchArguments],
    ) -> Hits: ...
    def search(  # type: ignore[misc] # mypy does not match the keywords of an Unpack
        self,
        request: SearchRequest | None = None,
        /,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **query: Unpack[SearchArguments],
    ) -> Hits:
        """Find the segments most similar to a query, as `Index.search`.

        The server limits some arguments: 10,000 hits, and 10 seconds for a condition. `progress` is not called.

        Raises:
            WaveSearchError: as `Index.search`, or the server does not answer.
        """
        check_functions(progress=progress, warn=warn)
        packed = pack(to_one_request(request, query))
        found = self._transport.call("remote/search", packed.record, packed.files)
        if warn is not None:
            for lost in found["lost"]:
                warn(from_record(Skipped, lost))
        return Hits(from_record(Hit, hit) for hit in found["hits"])

    def search_many(
        self,
        queries: Iterable[str | SearchRequest | SearchArguments],
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **shared: Unpack[SearchArguments],
    ) -> list[Hits]:
        """Search for each of several queries, as `Index.search_many`, but each in the version that is open then."""
        check_functions(progress=progress, warn=warn)
        requests, found = requests_of(queries, shared), []
        with ItemProgress(len(requests), progress) as counter:
            for request in requests:
                found.append(self.search(request, warn=warn))
                counter.reach(len(found))
        return found

    def score_file(self, request: SearchRequest, segment_id: int) -> list[SegmentScore]:
        """Score all segments of one file by a query, as `Index.score_file`."""
        check_request(request)
        packed = pack(request)
        record = {**packed.record, "segment_id": id_of(segment_id)}
        scored = self._transport.call("remote/score_file", record, packed.files)
        return [results.score(record) for record in scored]

    def files(
        self,
        where: str | None = None,
        *,
        skipped: bool = False,
        columns: Iterable[str] = (),
        where_timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Iterator[ListedFile]:
        """List the files of the index, as `Index.files`; all of the same version."""
        check_flags(skipped=skipped)
        check_where(where, where_timeout_s)
        names = read_columns(columns)
        record = {"where": where, "skipped": skipped, "columns": names, "where_timeout_s": where_timeout_s}
        lines = self._transport.lines("remote/files", record)
        first = next(lines, None)  # what is wrong with the request is raised now
        return _listed(first, lines)

    def segments(
        self,
        where: str | None = None,
        *,
        modality: Modality | ModalityName | Iterable[Modality | ModalityName] | None = None,
        where_timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> RemoteSegments:
        """Return segments with their vectors, to iterate over, as `Index.segments`.

        Each iteration reads those of the version that the server has open then.
        """
        check_where(where, where_timeout_s)
        wanted = None if modality is None else [*map(parse_modality, names_of(modality, "modality"))]
        record = {"where": where, "modality": wanted, "where_timeout_s": where_timeout_s}
        return RemoteSegments(self._transport, record)

    def browse(
        self,
        where: str | None = None,
        *,
        columns: Iterable[str] = (),
        offset: int = 0,
        limit: int = 100,
        where_timeout_s: float = DEFAULT_TIMEOUT_S,
        among: Iterable[int] | None = None,
    ) -> list[FileEntry]:
        """List indexed files by path, each with the segment that stands for it, as `Index.browse`."""
        check_page(where, where_timeout_s, offset, limit)
        found: list[FileEntry] = []
        names = names_of(columns, "columns")
        same: dict[str, Any] = {"where": where, "columns": names, "where_timeout_s": where_timeout_s}
        same["among"] = None if among is None else read_segments(among)
        while True:
            page = min(_PAGE, limit - len(found))
            place = {"offset": offset + len(found), "limit": page}
            records = self._call("browse", **same, **place)
            found += map(results.entry, records)
            if len(records) < page or len(found) >= limit:
                return found

    def count_files(self) -> Mapping[tuple[Path, FileKind], int]:
        """Return the number of indexed files by folder and kind, as `Index.count_files`."""
        return {(Path(folder), kind): count for folder, kind, count in self._call("count_files")}

    def segment(self, segment_id: int) -> tuple[SegmentDetails, FileDetails]:
        """Return all that the index knows of a segment and its file, as `Index.segment`."""
        segment, file = self._call("segment", segment_id=id_of(segment_id))
        return results.segment(segment), results.file(file)

    def file(self, path: StrPath) -> FileDetails | None:
        """Return all that the index knows of the file at an absolute path of the server, as `Index.file`."""
        found = self._call("file", path=path_of(path))
        return None if found is None else results.file(found)

    def duplicates(self, threshold: float = 0.98) -> list[DuplicateGroup]:
        """List identical files, and nearly identical segments of different contents, as `Index.duplicates`."""
        check_cosine("threshold", threshold)
        return [results.duplicates(record) for record in self._call("duplicates", threshold=threshold)]

    def ask(self, segment_id: int, question: str, choices: Sequence[str]) -> list[Answer]:
        """Answer a question about a segment by choosing among texts, as `Index.ask`."""
        texts = check_question(question, choices)
        records = self._call("ask", segment_id=id_of(segment_id), question=question, choices=texts)
        return [from_record(Answer, record) for record in records]

    def metadata(self) -> tuple[ColumnInfo, ...]:
        """List the user-defined columns, as `Index.metadata`."""
        return tuple(from_record(ColumnInfo, record) for record in self._call("metadata"))

    def info(self) -> IndexInfo:
        """Describe the contents of the index, as `Index.info`."""
        return results.info(self._call("info"))

    def entries(self, segment_ids: Iterable[int]) -> list[FileEntry]:
        """Return segments with their files, as `Index.entries`."""
        return [results.entry(record) for record in self._call("entries", segment_ids=ids_of(segment_ids))]

    def paths(self, segment_ids: Sequence[int]) -> list[Path]:
        """Return the paths of all files that have one of these segments, as `Index.paths`."""
        return [*map(Path, self._call("paths", segment_ids=ids_of(segment_ids)))]

    def metadata_values(self, column: str, limit: int = 500) -> list[str | float | bool]:
        """Return values that files have in one of the user's own columns, as `Index.metadata_values`."""
        check_values(column, limit)
        found: list[str | float | bool] = self._call("metadata_values", column=column, limit=limit)
        return found

    def saved_searches(self) -> tuple[SavedSearch, ...]:
        """Return the searches that are kept with the index, as `Index.saved_searches`."""
        return tuple(map(results.saved_search, self._call("saved_searches")))

    def saved_request(self, name: str, *, k: int = 10, columns: Iterable[str] = ()) -> SearchRequest:
        """Return a saved search as a request for `search`, as `Index.saved_request`."""
        names = names_of(columns, "columns")
        check_count("k", k)
        return unpack(self._call("saved_request", name=checked_name(name), k=k, columns=names), {})

    def saved_segment(self, term: SavedTerm) -> int | None:
        """Return the id of the segment of a term of a saved search, as `Index.saved_segment`."""
        check_type(term, SavedTerm, "the term", "Use one of a SavedSearch.")
        found: int | None = self._call("saved_segment", term=term)
        return found

    def new_matches(self, request: SearchRequest, first_id: int) -> list[NewMatch]:
        """Search among the segments that were added since, as `Index.new_matches`."""
        check_request(request)
        check_whole(first_id, "first_id")
        packed = pack(request)
        record = {**packed.record, "first_id": int(first_id)}
        return [*map(results.new_match, self._transport.call("remote/new_matches", record, packed.files))]

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """Refuse what `Index` can do and a server does not, such as to change the index."""
        from wave_search.index import Index

        known = vars(Index).get(name)
        if known is None or name.startswith("_"):
            raise AttributeError(f"'RemoteIndex' object has no attribute {name!r}")
        call = "" if isinstance(known, property) else "(...)"
        refusal = UsageError(
            f"{name} is only done where the index is, not by the server {self._transport.address}",
            f"Use it on the machine of the server: wave_search.open({str(self.path)!r}).{name}{call}",
        )
        if not call:
            raise refusal

        def refuse(*_: object, **__: object) -> NoReturn:
            raise refusal

        return refuse

    def __repr__(self) -> str:
        return f"<RemoteIndex {self._transport.address}: version {self.version} of {str(self.path)!r}>"

    def close(self) -> None:
        """Do nothing: each call has a connection of its own, and the server goes on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listed(first: Any, lines: Iterator[Any]) -> Iterator[ListedFile]:
    if first is not None:
        yield from_record(ListedFile, first)
        for line in lines:
            yield from_record(ListedFile, line)
