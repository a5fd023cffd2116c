"""What an index passes on to one that takes its place: all but the vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.files import as_path, is_gone
from wave_search.reports import Skipped
from wave_search.store import Writer, saved_searches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wave_search.store import Snapshot


def pass_settings(old: Snapshot, new_dir: Path, instructions: Iterable[str]) -> None:
    """Write the folders of an index with the choices for them, and instructions, into another one, in one commit.

    Raises:
        IndexStateError: the other one is being written, the disk is full, or it is damaged.
    """
    with Writer(new_dir) as writer:
        writer.set_roots(old.manifest.roots)
        writer.set_folder_choices(old.manifest.settings.folders)
        writer.add_instructions(instructions)
        writer.commit(drop_dead=False)


def pass_metadata(old: Snapshot, new_dir: Path) -> None:
    """Write the columns and tags of an index, and its saved searches, into another one. Raises like `pass_settings`."""
    metadata = old.metadata()
    with Writer(new_dir) as writer:
        writer.set_metadata(metadata.columns, metadata.rows.values())
        writer.commit(drop_dead=False)
        for search in saved_searches.read_all(old.store):
            saved_searches.write(writer.snapshot.store, search, replace=True)


def target_recall(old: Snapshot) -> float | None:
    """Return the target recall@10 of the shards of an index, None if it has none."""
    return max((tuning.target for tuning in old.manifest.tunings), default=None)


def lost_files(old: Snapshot, new: Snapshot) -> list[Skipped]:
    """Return the indexed files of an index that another one has not, each with the reason."""
    lost: list[Skipped] = []
    found = new.files()
    for name, row in old.files().items():
        now = found.get(name)
        if row.content_id is None or (now is not None and now.content_id is not None):
            continue
        path = as_path(name)
        if now is not None:
            lost.append(Skipped(path, now.cause, now.remedy))
        elif is_gone(path):
            lost.append(Skipped(path, "no such file", ""))
        else:
            lost.append(Skipped(path, "it has nothing that the model embeds, or is left out now", ""))
    return lost
