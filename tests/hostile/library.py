"""Index a folder of hostile files, search it, and judge what became of each."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import wave_search as ws
from tests.hostile.entries import Entry
from tests.hostile.sandbox import Watch
from wave_search.errors import WaveSearchError
from wave_search.media.sniff import MEDIA_SUFFIXES, TEXT_SUFFIXES
from wave_search.media.source import REPLACE
from wave_search.render import export
from wave_search.render.records import report_record, to_json
from wave_search.reports import IndexReport, Progress
from wave_search.store import FileRow, open_snapshot
from wave_search.types import Hit

EXPORTS = (".csv", ".jsonl", ".m3u8", ".otio")
BLAME = re.compile(r"Traceback|(fault|bug) in wave-search|[Pp]lease report|unexpected \w+(Error|Exception)")
"""What no message about an input may contain."""


@dataclass(frozen=True)
class Judgement:
    """What became of an input."""

    number: int
    what: str
    outcome: str
    """"indexed", "indexed in part", "left out", or the class of the cause for which it was refused."""
    violations: tuple[str, ...] = ()


@dataclass(frozen=True)
class LibraryRun:
    """A run over several inputs."""

    judgements: tuple[Judgement, ...]
    violations: tuple[str, ...]
    """Those that belong to no input."""
    peak_bytes: int


def run_library(root: Path, entries: dict[int, Entry], watch: Watch, chance: Random) -> LibraryRun:
    """Index a folder, in which each input has a folder with its number, then search, export, index again and optimize.

    Args:
        root: has the folder `library`.
        entries: the inputs by number.
        watch: is told of progress.
        chance: chooses what to search with.
    """
    library, violations = root / "library", []
    mischief = [entry.mischief for entry in entries.values() if entry.mischief is not None]

    def follow(progress: Progress) -> None:
        watch.beat()
        while mischief and (progress.files_done >= 4 or progress.stage == "shards"):
            mischief.pop()()

    with ws.create(root / "index", "wave-tiny", workers=min(2, len(os.sched_getaffinity(0)))) as index:
        watch.beat()
        report = index.add([library], progress=follow)
        watch.beat()
        judgements = judge_all(root, entries, report)
        to_json(report_record(report))
        again = index.add([library], progress=lambda _: watch.beat())
        if again.indexed and not any(entry.mischief for entry in entries.values()):
            violations.append(f"a second run without changes embedded {again.indexed} files")
        violations += search(index, watch)
        for path in chance.sample(regular_files(library), min(3, len(regular_files(library)))):
            search_with(index, path, watch)
        index.optimize(keep_versions_for_s=0)
        watch.beat()
    violations += [f"verify: {problem}" for problem in ws.verify(root / "index")]
    return LibraryRun(judgements, tuple(violations), report.peak_memory_bytes)


def judge_all(root: Path, entries: dict[int, Entry], report: IndexReport) -> tuple[Judgement, ...]:
    rows = open_snapshot(root / "index").files()
    named = {os.fsencode(skipped.path): (skipped.cause, skipped.remedy) for skipped in report.skipped}
    return tuple(
        judge(number, entry, files_below(root / "library" / str(number)), rows, named)
        for number, entry in entries.items()
    )


def judge(
    number: int,
    entry: Entry,
    files: Sequence[bytes],
    rows: dict[bytes, FileRow],
    named: dict[bytes, tuple[str, str]],
) -> Judgement:
    """Judge an input by what the index and the report say of its files."""
    outcomes, violations = [], []
    prefix = b"/%d/" % number
    said = {path: messages for path, messages in named.items() if prefix in path}
    for cause, remedy in said.values():
        if not cause or not remedy or BLAME.search(f"{cause} {remedy}"):
            violations.append(f"no cause and remedy for a user: {cause!r}, {remedy!r}")
        if entry.expected == "whole" and remedy == REPLACE:
            violations.append("an intact file is to be replaced")
    for path in files:
        row = rows.get(path)
        outcome = "left out"
        if path in said:
            outcome = cause_class(said[path][0])
        if row is not None and row.content_id is not None:
            outcome = "indexed in part" if row.cause else "indexed"
        if entry.expected == "whole" and outcome != "indexed":
            violations.append(f"an intact file is not indexed in full: {said.get(path, outcome)}")
        elif entry.expected == "named" and outcome == "left out" and has_media_suffix(path):
            violations.append("a file is neither indexed nor named")
        outcomes.append(outcome)
    outcomes += [cause_class(said[path][0]) for path in said.keys() - set(files)]
    return Judgement(number, entry.what, max(outcomes, default="left out", key=outcomes.count), tuple(violations))


def has_media_suffix(path: bytes) -> bool:
    return Path(os.fsdecode(path)).suffix.lower() in MEDIA_SUFFIXES | TEXT_SUFFIXES


def cause_class(cause: str) -> str:
    """A cause without what differs from file to file."""
    cause = re.sub(r"\([^)]*:.*|'[^']*'|\"[^\"]*\"", "...", cause)
    cause = re.sub(r"-?\d[\d.,]*(e[+-]?\d+)?|\b(nan|inf)\b", "N", cause)
    return cause.split("; ")[0].strip()[:80]


def files_below(folder: Path) -> list[bytes]:
    """The files of an input, without hidden ones, which are not indexed."""
    return [
        os.path.join(parent, name)  # noqa: PTH118
        for parent, folders, names in os.walk(os.path.realpath(os.fsencode(folder)))
        for name in names
        if not name.startswith(b".") and b"/." not in parent
    ]


def regular_files(folder: Path) -> list[Path]:
    found = []
    for path in map(os.fsdecode, sorted(files_below(folder))):
        with suppress(OSError):  # its name is too long
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 24:
                found.append(Path(path))
    return found


def search(index: ws.Index, watch: Watch) -> list[str]:
    """Search, filter and export what was indexed; return what is wrong with it."""
    violations = []
    if not index.info().partitions:
        return []
    hits: list[Hit] = index.search(text="a dog barks", k=1000, columns=["fps"])
    watch.beat()
    if [hit.rank for hit in hits] != list(range(1, len(hits) + 1)):
        violations.append("ranks are not in order")
    violations += [
        f"a hit from {hit.start_s} to {hit.stop_s} s: {hit.path}"
        for hit in hits
        if hit.start_s is not None and hit.stop_s is not None and not 0 <= hit.start_s < hit.stop_s
    ]
    for suffix in EXPORTS:
        export.format_of(Path(f"hits{suffix}")).write([export.excerpt_of(hit) for hit in hits], "hits")
        watch.beat()
    index.search(text="rain", where="duration_s > 1 OR width > 0 OR modified < now()", k=10)
    index.duplicates()
    watch.beat()
    return violations


def search_with(index: ws.Index, path: Path, watch: Watch) -> None:
    """Search with a file, in and out of the index, as each kind of medium."""
    if not index.info().partitions:
        return
    for query in ({"similar": [path]}, {"audio": [path]}, {"image": [path]}, {"video": [f"{path}@0.5-1.5"]}):
        try:
            index.search(**query, k=3)
        except WaveSearchError as error:
            if BLAME.search(str(error)):
                raise
        watch.beat()
