"""A moved folder of media: its paths in an index are rewritten, without reading all files again."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.files import as_name, as_path, blocks, composed, digest, is_under, mtime_ns, open_regular
from wave_search.indexer.scan import lineage, outermost
from wave_search.reports import RelocateReport, Skipped
from wave_search.store import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wave_search.store import FileRow, Snapshot

_SAMPLE = 20
"""Files with another time of modification that are read, to be compared by their digests."""
_SAME_TIME_NS = 2_000_000_000
"""Some file systems store times in steps of two seconds."""


def relocate(index_dir: Path, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> RelocateReport:
    """Rewrite the paths of the files at or below `old`, in one commit.

    A file is moved if a file of its size is at the new place, and its time of modification is the same but for two
    seconds. Of those with another time, a sample is read, and stays where digests differ. If any file is the same,
    those that were not read are moved, too, but keep the time that the index has, so that the next run of `add` reads
    them.

    Raises:
        UsageError: the index has no file there, there is nothing at `new`, or no file there is one of the index.
        IndexLockedError: another process is writing to the index.
        IndexStateError: the disk is full or read-only, or the index is damaged.
    """
    target = as_name(os.path.realpath(os.fsencode(new)))
    if not os.path.lexists(target):
        raise UsageError(f"{os.fspath(new)}: No such file or directory", "Name the place to which it was moved.")
    with Writer(index_dir) as writer:
        snapshot = writer.snapshot
        source = _source(os.fsencode(old), snapshot.files())
        if source is None:
            raise UsageError(f"no file of the index is in {os.fspath(old)}", "`wave-search info` lists its folders.")
        if source == target:
            raise UsageError(f"{os.fspath(old)} and {os.fspath(new)} are the same place", "Name the new one second.")
        rows = [row for row in snapshot.files().values() if is_under(row.path, source)]
        found = _find(snapshot, rows, source, target)
        if not found.moved:
            cause = f"none of the {len(rows):,} files of the index is in {os.fspath(new)}"
            raise UsageError(
                f"{cause}, such as {_shown(rows[0].path, source)}", "Name the folder that was moved there."
            )
        _write(writer, found, source, target)
    return RelocateReport(len(found.moved), found.unread, tuple(found.left))


@dataclass(slots=True)
class _Found:
    moved: dict[bytes, FileRow] = field(default_factory=dict)
    """New rows by their old paths; the root is that of the old one."""
    left: list[Skipped] = field(default_factory=list)
    unread: int = 0


def _source(old: bytes, files: Iterable[bytes]) -> bytes | None:
    """Return the place in the index that is meant by a path, None if there is none.

    There may be a link to the new place now. Where nothing is of this name, its letters may be composed differently.
    """
    absolute = as_name(os.path.abspath(old))  # noqa: PTH100 - a link is not followed
    folder, _, name = absolute.rpartition(b"/")
    unlinked, real = map(as_name, (os.path.realpath(folder or b"/"), os.path.realpath(old)))
    meant = (absolute, unlinked.rstrip(b"/") + b"/" + name, real)
    held = {place for path in files for place in lineage(path) if place in meant}
    if held:
        return next(place for place in meant if place in held)
    alike = {*map(composed, meant)}
    return next((place for path in files for place in lineage(path) if composed(place) in alike), None)


def _find(snapshot: Snapshot, rows: Iterable[FileRow], source: bytes, target: bytes) -> _Found:
    """Compare files with what is at the new place."""
    found = _Found()
    retimed: list[tuple[FileRow, FileRow]] = []
    for row in rows:
        new = replace(row, path=_moved(row.path, source, target))
        try:
            status = os.lstat(new.path)
        except OSError as error:
            found.left.append(_left(row, f"{os.fsdecode(new.path)}: {error.strerror}"))
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_size != row.size_bytes:
            found.left.append(_left(row, f"{os.fsdecode(new.path)} is another file, of another size"))
            continue
        new = replace(new, device=status.st_dev)
        timed = replace(new, mtime_ns=mtime_ns(status))
        if abs(timed.mtime_ns - row.mtime_ns) <= _SAME_TIME_NS:
            found.moved[row.path] = timed
        else:
            retimed.append((row, timed))
    _add_retimed(snapshot, found, retimed)
    return found


def _add_retimed(snapshot: Snapshot, found: _Found, retimed: Sequence[tuple[FileRow, FileRow]]) -> None:
    known = [(row, new) for row, new in retimed if row.content_id is not None]
    sample = known[:: max(1, len(known) // _SAMPLE)][:_SAMPLE]
    contents = snapshot.contents([row.content_id for row, _ in sample if row.content_id is not None])
    compared = {row.path: _digest(new.path) == contents[row.content_id or 0].digest for row, new in sample}
    is_the_folder = bool(found.moved) or any(compared.values())
    for row, new in retimed:
        if compared.get(row.path):
            found.moved[row.path] = new
        elif row.path in compared or not is_the_folder:
            found.left.append(_left(row, f"{os.fsdecode(new.path)} is another file, of another content"))
        else:
            found.moved[row.path] = replace(new, mtime_ns=row.mtime_ns)
            found.unread += 1


def _digest(path: bytes) -> str | None:
    """Return the digest of a file, None if it cannot be read."""
    try:
        with open_regular(as_path(path)) as file:
            return digest(blocks(file, as_path(path)))
    except OSError:
        return None


def _left(row: FileRow, cause: str) -> Skipped:
    return Skipped(
        as_path(row.path), cause, "`wave-search index` reads what is there, `wave-search remove` forgets the old path."
    )


def _write(writer: Writer, found: _Found, source: bytes, target: bytes) -> None:
    snapshot = writer.snapshot
    files, settings, metadata = snapshot.files(), snapshot.manifest.settings, snapshot.metadata()
    roots = _roots(list(map(os.fsencode, snapshot.manifest.roots)), found, source, target)
    writer.remove_files(found.moved)
    for row in found.moved.values():
        if row.path not in files or is_under(row.path, source):  # or it was indexed there meanwhile
            root = next(root for root in roots if is_under(row.path, root))
            writer.put_file(replace(row, root=root))
    writer.set_roots(map(os.fsdecode, roots))
    moved = [
        replace(one, folder=os.fsdecode(_moved(os.fsencode(one.folder), source, target))) for one in settings.folders
    ]
    chosen = {one.folder: one for one in (*moved, *settings.folders) if not is_under(os.fsencode(one.folder), source)}
    writer.set_folder_choices(one for _, one in sorted(chosen.items()))
    rows = {row.path: row for row in metadata.rows.values() if row.path not in found.moved}
    for old, new in found.moved.items():
        if old in metadata.rows:
            rows.setdefault(new.path, replace(metadata.rows[old], path=new.path))
    if rows != metadata.rows:
        writer.set_metadata(metadata.columns, rows.values())
    writer.commit()


def _roots(roots: Sequence[bytes], found: _Found, source: bytes, target: bytes) -> list[bytes]:
    """Return the folders of the index after the move. One of which files are left stays."""
    left = [os.fsencode(one.path) for one in found.left]
    kept = (root for root in roots if not is_under(root, source) or any(is_under(path, root) for path in left))
    moved = outermost([*kept, *(_moved(root, source, target) for root in roots)])
    if any(is_under(target, root) for root in moved):
        return moved
    return outermost([*moved, target if as_path(target).is_dir() else bytes(as_path(target).parent)])


def _moved(path: bytes, source: bytes, target: bytes) -> bytes:
    """Return the new path of what is at or below the source; that of all else stays."""
    return target + path[len(source) :] if is_under(path, source) else path


def _shown(path: bytes, source: bytes) -> str:
    return os.fsdecode(path[len(source) :].lstrip(b"/") or path)
