"""What a run of `add` has to do: a scan, compared with the index. Nothing is written."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search import store
from wave_search.files import as_name, as_path
from wave_search.indexer import diff, scan
from wave_search.indexer.choices import Rules, remember
from wave_search.indexer.mounts import is_lost, unmounted
from wave_search.media import looks_like_media
from wave_search.reports import IndexPlan, Skipped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from wave_search.indexer.run import Options
    from wave_search.store import FileRow, FolderChoices


@dataclass(frozen=True, slots=True)
class Comparison:
    """The files of some folders, and how they differ from the index."""

    found: scan.Scan
    changes: diff.ChangePlan
    roots: tuple[bytes, ...]
    """The folders of the index after the run."""
    lost: tuple[bytes, ...]
    """Folders that are missing or empty, as their disk is not mounted."""


def compare(
    index_dir: Path,
    areas: Sequence[scan.Area],
    options: Options,
    *,
    choices: Iterable[FolderChoices],
    known: Mapping[bytes, FileRow],
    old_roots: Sequence[bytes] = (),
    lacking: Collection[int] = (),
) -> Comparison:
    """Scan areas, and compare their files with the index.

    Args:
        index_dir: the index; it need not exist.
        areas: folders and files.
        options: of the run.
        choices: for folders, with those of this run.
        known: the files of the index by path.
        old_roots: its folders.
        lacking: ids of contents that must be embedded again.
    """
    roots = scan.join_roots(old_roots, areas)
    folders = [area.path for area in areas if area.is_folder]
    lost = [folder for folder in {*folders, *old_roots, *roots} if is_lost(folder, known.values())]
    rules = Rules(as_name(os.path.realpath(index_dir)), choices, roots)
    found = scan.scan(areas, roots, rules, options.exclude or (), options.max_duration_s)
    kept_roots = sorted({*roots, *set(lost).intersection(old_roots)})
    present = {**found.files, **{path: one.file for path, one in found.unusable.items()}}
    lost += unmounted(present, known, folders, [*lost, *found.unreadable])
    for path in options.unfinished:
        found.files.pop(path, None)
    protected = [*lost, *found.unreadable, *options.unfinished]
    changes = diff.compare(
        found.files,
        known.values(),
        folders,
        protected,
        lacking,
        unusable=found.unusable,
        retry=options.retry,
    )
    return Comparison(found, changes, tuple(kept_roots), tuple(lost))


def plan_add(index_dir: Path, paths: Iterable[str | os.PathLike[str]], options: Options) -> IndexPlan:
    """Return what `add` would do, without a model. An index need not exist.

    Raises:
        UsageError: as for `add`.
        IndexStateError: the index cannot be read.
    """
    if not store.exists(index_dir):
        areas = scan.resolve(paths, index_dir)
        return _plan(compare(index_dir, areas, options, choices=_choices((), areas, options), known={}), {})
    snapshot = store.open_snapshot(index_dir)
    try:
        known, settings = snapshot.files(), snapshot.manifest.settings
        areas = scan.resolve(paths, index_dir, known)
        comparison = compare(
            index_dir,
            areas,
            options,
            choices=_choices(settings.folders, areas, options),
            known=known,
            old_roots=list(map(os.fsencode, snapshot.manifest.roots)),
            lacking=snapshot.lacking((*settings.instructions, *options.instructions)),
        )
        return _plan(comparison, known)
    finally:
        snapshot.close()


def _choices(known: Iterable[FolderChoices], areas: Iterable[scan.Area], options: Options) -> tuple[FolderChoices, ...]:
    folders = [area.path for area in areas if area.is_folder]
    return remember(known, folders, options.exclude, options.max_duration_s)


def _plan(comparison: Comparison, known: Mapping[bytes, FileRow]) -> IndexPlan:
    changes = comparison.changes
    media = [file for file in changes.fresh if file.named or looks_like_media(as_path(file.path))]
    is_media = {file.path for file in media}
    others = Counter(as_path(file.path).suffix.lower() for file in changes.fresh if file.path not in is_media)
    others.update(as_path(link).suffix.lower() for link in comparison.found.not_media)
    gone = {(known[path].size_bytes, known[path].mtime_ns) for path in changes.removed}
    new = [file for file in media if file.path not in known]
    skipped = [
        *comparison.found.skipped,
        *(one.why for one in changes.unusable),
        *map(known_skipped, (*changes.known_skipped, *changes.known_damaged)),
    ]
    return IndexPlan(
        new=tuple(as_path(file.path) for file in new),
        changed=tuple(as_path(file.path) for file in media if file.path in known),
        removed=tuple(map(as_path, changes.removed)),
        moved=sum((file.size_bytes, file.mtime_ns) in gone for file in new),
        unchanged=changes.unchanged,
        not_media=dict(others.most_common()),
        skipped=tuple(sorted(skipped, key=lambda one: one.path)),
        unreachable=tuple(map(as_path, sorted(comparison.lost))),
    )


def known_skipped(row: FileRow) -> Skipped:
    """Return why an earlier run could not use a file, or a part of it."""
    return Skipped(as_path(row.path), row.cause, row.remedy, known=True)
