"""The index as the API shows it. Follows new versions by itself; safe to use from several threads."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.errors import UsageError, WaveSearchError
from wave_search.files import composed, is_gone, is_unchanged
from wave_search.query import AV, Audio, Image, Not, SearchRequest, Vector, Video, Weighted
from wave_search.serve import schemas
from wave_search.serve.errors import GoneError
from wave_search.types import MediaRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from wave_search.index import Index
    from wave_search.query import Answer, FileDetails, FileEntry, SegmentDetails
    from wave_search.reports import Skipped
    from wave_search.serve.options import Limits
    from wave_search.serve.schemas import SearchHit, SearchQuery, Term
    from wave_search.types import FileKind, Hit, Modality

REFRESH_S = 1.0
"""Time between two looks for a new version."""
MAX_MOMENTS = 5_000
_MAX_FOLDERS = 500
_KEPT_SEGMENTS = 100
_MAX_TEXT_CHARS = 4_000
_SUBTITLES = (".srt", ".vtt", ".ass", ".ssa", ".sbv", ".lrc")
_UPLOAD_TERMS = {"audio": Audio, "video": Video, "av": AV}


@dataclass(frozen=True, slots=True)
class Found:
    """The results of a search, before they are cut into a page."""

    hits: list[SearchHit]
    index_version: int
    warnings: list[str]


class Library:
    """An open index for the API.

    Args:
        index: the index; it is not closed here.
        limits: what one search may cost.
    """

    def __init__(self, index: Index, limits: Limits) -> None:
        self._index, self._limits = index, limits
        self._looked_s = time.monotonic()
        self._described: tuple[int, schemas.LibraryAnswer] | None = None
        self._segments: dict[tuple[int, int], tuple[SegmentDetails, FileDetails]] = {}
        """The newest answers: a page asks for the picture, the peaks and the media of the same few segments."""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._follower: threading.Thread | None = None
        self.model_loaded = False

    def follow(self) -> None:
        """Look for new versions in a thread of its own from now on, until `close`, and not when a request comes.

        The last version answers while the new one is loaded.
        """
        self._follower = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._follower.start()

    def _follow(self) -> None:
        while not self._ended.wait(REFRESH_S):
            with suppress(WaveSearchError):  # the version that is open goes on answering
                self._index.refresh(prepare=True)

    def close(self) -> None:
        """Look for new versions no more."""
        self._ended.set()
        if self._follower is not None:
            self._follower.join()

    def index(self) -> Index:
        """Return the index, in its newest version at most `REFRESH_S` ago, and the time that loading it takes."""
        if self._follower is not None and self._follower.is_alive():
            return self._index
        with self._lock:
            now_s = time.monotonic()
            due = now_s - self._looked_s >= REFRESH_S
            if due:
                self._looked_s = now_s
        if due:
            self._index.refresh()
        return self._index

    def warm_up(self) -> str | None:
        """Load the model and what a search reads, so that the first search is as fast as the others.

        Returns:
            Why searches will fail, None if they will not.
        """
        try:
            self._index.search(vector=[1.0] * self._index.model.dim, k=1)  # needs no model
            self._index.search(text="warm up", k=1)
        except WaveSearchError as error:
            return str(error)
        self.model_loaded = True
        return None

    def search(self, query: SearchQuery, uploads: Mapping[str, Path]) -> Found:
        """Find the hits of a page and one more, if there is one.

        Raises:
            WaveSearchError: see `Index.search`.
        """
        index, wanted = self.index(), query.offset + query.limit + 1
        if not query.terms:
            listed = index.browse(
                query.where,
                columns=query.columns,
                offset=query.offset,
                limit=query.limit + 1,
                among=query.segments,
                where_timeout_s=self._limits.where_s,
            )
            return Found(
                [_entry_hit(rank, entry) for rank, entry in enumerate(listed, query.offset + 1)], index.version, []
            )
        lost: list[Skipped] = []
        request = self.request(query, uploads, k=wanted)
        version = index.version
        found = index.search(request, warn=lost.append)
        if any(term.text is not None or term.upload is not None for term in query.terms):
            self.model_loaded = True
        hits = [_search_hit(hit, query.columns) for hit in found[query.offset :]]
        return Found(hits, version, [f"{shown(file.path)}: {file.cause}; it was moved to the end" for file in lost])

    def request(self, query: SearchQuery, uploads: Mapping[str, Path], k: int) -> SearchRequest:
        """Return a query of the API as a request to the index. Raises UsageError."""
        arguments: dict[str, list[Any]] = {}
        for term in query.terms:
            name, item = self._term(term, uploads)
            weight = 1.0 if term.weight is None else term.weight
            if term.avoid:
                weighted = Not(item) if term.weight is None else Not(item, term.weight)
            else:
                weighted = Weighted(item, weight)
            arguments.setdefault(name, []).append(weighted)
        return SearchRequest.build(
            **arguments,
            target=query.target,
            k=k,
            min_z=query.min_z,
            where=query.where,
            where_timeout_s=self._limits.where_s,
            among=query.segments,
            columns=query.columns,
            moments=query.moments,
            per_file=query.per_file,
            dedupe=query.dedupe,
            copies=query.copies,
            instruction=query.instruction,
            rerank=query.rerank,
        )

    def _term(self, term: Term, uploads: Mapping[str, Path]) -> tuple[str, Any]:
        if [term.text, term.segment, term.vector, term.upload].count(None) != 3:
            cause = "a term needs exactly one of text, segment, vector and upload"
            raise UsageError(cause, "Send the others as further terms.")
        if term.text is not None:
            return "text", term.text
        if term.segment is not None:
            return "like", self._same_time(term.segment, term.modality)
        if term.vector is not None:
            return "vector", Vector(term.vector, term.modality)
        name = term.upload or ""
        if name not in uploads:
            raise UsageError(f"no part of the request is named {name!r}", "Send the file as multipart/form-data.")
        return _upload(term, uploads[name])

    def _same_time(self, segment_id: int, modality: str | None) -> int:
        """Return the segment of another modality of the same file that shares most of the time of a segment."""
        if modality is None:
            return segment_id
        this, file = self.segment(segment_id)
        others = [one for one in file.segments if one.modality == modality]
        if not others:
            raise UsageError(f"the file of segment {segment_id} has no {modality} in the index", "Leave modality out.")
        return max(others, key=lambda one: _overlap_s(one, this)).segment_id

    def score_file(self, query: SearchQuery, uploads: Mapping[str, Path], segment_id: int) -> schemas.ScoresAnswer:
        """Return the score of each segment of the file of a segment, by modality. Raises WaveSearchError."""
        index = self.index()
        version = index.version
        self.segment(segment_id)
        bands: dict[Modality, list[schemas.Score]] = {}
        for one in index.score_file(self.request(query, uploads, k=1), segment_id):
            segment = one.segment
            point = schemas.Score(
                segment=segment.segment_id,
                start_s=segment.start_s,
                stop_s=segment.stop_s,
                score=round(one.score, 6),
                z=round(one.z, 4),
            )
            bands.setdefault(segment.modality, []).append(point)
        curves = [schemas.Band(modality=modality, points=points) for modality, points in bands.items()]
        return schemas.ScoresAnswer(bands=curves, index_version=version)

    def ask(self, segment_id: int, question: str, choices: Sequence[str]) -> list[Answer]:
        """Answer a question about a segment. Raises WaveSearchError: see `Index.ask`."""
        answers = self.index().ask(segment_id, question, choices)
        self.model_loaded = True
        return answers

    def segment(self, segment_id: int) -> tuple[SegmentDetails, FileDetails]:
        """Return a segment and its file.

        Raises:
            GoneError: the segment is not in the index.
        """
        index = self.index()
        key = index.version, segment_id
        if (known := self._segments.get(key)) is not None:
            file = known[1]
            if not file.copies or is_unchanged(file.path, file.size_bytes, file.mtime_ns):
                return known
        try:
            found = index.segment(segment_id)
        except UsageError as error:
            raise GoneError(error.message, error.remedy) from error
        with self._lock:
            self._segments[key] = found
            if len(self._segments) > _KEPT_SEGMENTS:
                del self._segments[next(iter(self._segments))]
        return found

    def hits(self, segment_ids: Sequence[int]) -> list[SearchHit | None]:
        """Return segments as hits without scores, in the order of the ids; None for one that is not in the index."""
        hits = {
            one.segment.segment_id: segment_hit(one.path, one.kind, one.duration_s, one.segment)
            for one in self.index().entries(segment_ids)
        }
        return [hits.get(number) for number in segment_ids]

    def subtitles_beside(self, file: FileDetails) -> FileDetails | None:
        """Return the indexed subtitles of the same name in the folder of a file, the first by name."""
        try:
            names = sorted(os.listdir(file.path.parent))  # noqa: PTH208 - half the time of Path.iterdir
        except OSError:
            return None
        start = f"{file.path.stem}."
        candidates = (name for name in names if name.startswith(start) and name.lower().endswith(_SUBTITLES))
        found = map(self._index.file, (file.path.with_name(name) for name in candidates))
        return next((one for one in found if one is not None and one.kind == "text"), None)

    def describe(self) -> schemas.LibraryAnswer:
        """Return what the index contains. Computed once for each version."""
        index = self.index()
        version = index.version
        if self._described is None or self._described[0] != version:
            self._described = version, _described(index)
        return self._described[1]


def _upload(term: Term, path: Path) -> tuple[str, Any]:
    if term.modality == "image":
        return "image", Image(path)
    if term.modality == "text":
        return "similar", MediaRef(path, term.modality, term.start_s, term.stop_s)
    make = _UPLOAD_TERMS.get(term.modality or "")
    if make is not None:
        return term.modality or "", make(path, term.start_s, term.stop_s)
    if term.start_s is None and term.stop_s is None:
        return "similar", path
    stop = "" if term.stop_s is None else f"{term.stop_s:.6f}"
    return "similar", f"{path}@{term.start_s or 0.0:.6f}-{stop}"


def _described(index: Index) -> schemas.LibraryAnswer:
    info = index.info()
    kinds: Counter[str] = Counter()
    folders: Counter[str] = Counter()
    roots = [_text(root) for root in info.roots]
    for (folder, kind), count in index.count_files().items():
        kinds[kind] += count
        name = _text(folder)
        root = next((root for root in roots if _is_under(name, root)), name)
        folders[root] += count
        below = name[len(root) :].strip("/").partition("/")[0]
        if below:
            folders[f"{root.rstrip('/')}/{below}"] += count
    segments = {str(one.modality): one.segments for one in info.partitions if not one.instruction}
    return schemas.LibraryAnswer(
        path=shown(info.path),
        model=schemas.ModelEntry(name=info.model.name),
        files=dict(kinds),
        segments=segments,
        targets=["any", *segments],
        instructions=list(info.instructions),
        columns=[
            schemas.Column(name=column.name, type=column.type, filled=column.filled) for column in index.metadata()
        ],
        folders=[_folder(name, count) for name, count in sorted(folders.items())[:_MAX_FOLDERS]],
        duration_s=round(info.media_s, 3),
        index_version=info.version,
    )


def _folder(name: str, count: int) -> schemas.Folder:
    return schemas.Folder(name=name, where=in_folder(name), files=count)


def in_folder(name: str) -> str:
    """Return the condition that selects a folder, by its absolute name, with all that is below it."""
    quoted = name.rstrip("/").replace("'", "''")
    return f"starts_with(path, '{quoted}/')"


def _search_hit(hit: Hit, columns: list[str]) -> SearchHit:
    return schemas.SearchHit(
        rank=hit.rank,
        segment=hit.segment_id,
        score=round(hit.score, 6),
        z=round(hit.z, 4),
        kind=hit.kind,
        modality=hit.modality,
        matched=list(hit.matched or (hit.modality,)),
        copies=hit.copies,
        **_place(hit.path),
        start_s=hit.start_s,
        stop_s=hit.stop_s,
        peak_start_s=hit.peak_start_s,
        peak_stop_s=hit.peak_stop_s,
        duration_s=hit.duration_s,
        text=None if hit.text is None else hit.text[:_MAX_TEXT_CHARS],
        segments=hit.segments,
        columns={name: hit.columns[name] for name in columns},
    )


def _entry_hit(rank: int, entry: FileEntry) -> SearchHit:
    hit = segment_hit(entry.path, entry.kind, entry.duration_s, entry.segment)
    return hit.model_copy(update={"rank": rank, "start_s": None, "stop_s": None, "columns": dict(entry.columns)})


def segment_hit(path: Path, kind: FileKind, duration_s: float | None, segment: SegmentDetails) -> SearchHit:
    """Return a segment without a score as a hit."""
    return schemas.SearchHit(
        rank=1,
        segment=segment.segment_id,
        score=None,
        z=None,
        kind=kind,
        modality=segment.modality,
        matched=[segment.modality],
        copies=1,
        **_place(path),
        start_s=segment.start_s,
        stop_s=segment.stop_s,
        peak_start_s=segment.start_s,
        peak_stop_s=segment.stop_s,
        duration_s=duration_s,
        text=None if segment.text is None else segment.text[:_MAX_TEXT_CHARS],
        segments=1,
        columns={},
    )


def _place(path: Path) -> dict[str, Any]:
    """Return what a hit shows of the path of its file."""
    text = shown(path)
    name, folder = os.path.basename(text), os.path.dirname(text)  # noqa: PTH119, PTH120 - text, not a file
    return {"name": name, "folder": folder, "path": text, "gone": is_gone(path)}


def _overlap_s(one: SegmentDetails, other: SegmentDetails) -> float:
    if None in (one.start_s, one.stop_s, other.start_s, other.stop_s):
        return 0.0
    return min(one.stop_s or 0.0, other.stop_s or 0.0) - max(one.start_s or 0.0, other.start_s or 0.0)


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _text(path: Path) -> str:
    """Return a path as SQL conditions compare it."""
    return composed(os.fsencode(path)).decode("utf-8", "replace")


def shown(path: Path) -> str:
    """Return a path as text, with a replacement character for each byte that is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")
