"""Another model for an index: it is built beside the index, which answers until the new one takes its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search import indexer, opening, store
from wave_search.arguments import check_flags, check_functions, path_of
from wave_search.errors import IndexMismatchError, UsageError
from wave_search.index import MIN_SHARD_ROWS
from wave_search.models.session import check_same
from wave_search.reports import MigrateReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.index import Index
    from wave_search.models import Embedder, LoadOptions
    from wave_search.reports import IndexReport, ProgressCallback, Skipped, SlowFile, SlowRun

    StrPath = str | os.PathLike[str]


def migrate(
    path: StrPath,
    model: str = "auto",
    *,
    embedder: Embedder | None = None,
    load: LoadOptions | None = None,
    workers: int | None = None,
    decoder_memory_bytes: int | None = None,
    keep_old: bool = False,
    drop_unreachable: bool = False,
    progress: ProgressCallback | None = None,
    warn: Callable[[SlowFile | SlowRun], None] | None = None,
    skipped: Callable[[Skipped], None] | None = None,
) -> MigrateReport:
    """Index the files of an index again with another model, and put the result in its place.

    The new index is built in a folder beside it, of the same name with ".new"; the same call continues there after an
    interruption. It has the folders, exclusions, metadata, tags, saved searches and settings of the old one, which
    answers until both are exchanged, in one step where the disk can. Open indexes have to be opened again then.

    Args:
        path: the folder of the index.
        model: as for `create`.
        embedder: as for `create`.
        load: as for `create`.
        workers: as for `create`.
        decoder_memory_bytes: as for `create`.
        keep_old: keep the replaced index, in a folder of the same name with ".old".
        drop_unreachable: leave out folders that are missing or empty now, such as an unmounted disk.
        progress: as for `Index.add`.
        warn: as for `Index.add`.
        skipped: as for `Index.add`.

    Raises:
        UsageError: the index has this model already, a folder of it is unreachable, or there is something else in the
            place of the new one.
        IndexNotFoundError: there is no index.
        IndexStateError: another process writes one of both, the disk is full, or one cannot take the other's place.
        ModelError: the model cannot be loaded.
        Interrupted: Ctrl-C was pressed; completed files are kept.
    """
    check_functions(progress=progress, warn=warn, skipped=skipped)
    check_flags(keep_old=keep_old, drop_unreachable=drop_unreachable)
    home = Path(os.path.realpath(path_of(path)))
    new, kept = (home.with_name(home.name + suffix) for suffix in (".new", ".old"))
    store.recover(home)
    old = store.open_snapshot(home)
    if keep_old and os.path.lexists(kept):
        raise UsageError(f"there is something at {kept} already", "Move it away, or delete it.")
    roots = _roots(old, drop=drop_unreachable)  # before the model is loaded
    options: dict[str, Any] = {"embedder": embedder, "load": load, "workers": workers}
    with _built(new, old, model, **options, decoder_memory_bytes=decoder_memory_bytes) as index:
        settings = old.manifest.settings
        instructions = settings.instructions if index.model.prompts else ()

        def bring_up_to_date() -> IndexReport:
            indexer.pass_settings(old, new, instructions)
            recall = indexer.target_recall(old)
            return index.add(roots, recall=recall, progress=progress, warn=warn, skipped=skipped)

        done = bring_up_to_date()
        with store.Writer(home) as writer:  # nobody changes it before it is replaced
            if writer.snapshot.manifest != old.manifest:
                old = writer.snapshot
                roots = _roots(old, drop=drop_unreachable)
                done = bring_up_to_date()
            indexer.pass_metadata(old, new)
            lost = indexer.lost_files(old, store.open_snapshot(new))
            store.exchange(home, new)
        spec = index.model
    left: Path | None = new
    if keep_old:
        new.rename(kept)
        left = kept
    elif store.remove(new):
        left = None
    return MigrateReport(
        spec.name,
        old.manifest.model.name,
        done,
        tuple(lost),
        tuple(modality for modality in settings.modalities if modality not in spec.modalities),
        tuple(text for text in settings.instructions if text not in instructions),
        left,
    )


def _roots(old: store.Snapshot, *, drop: bool) -> list[str]:
    """Return the folders and files of an index that can be read now.

    Raises:
        UsageError: some cannot, and are not to be left out, or all cannot.
    """
    roots = old.manifest.roots
    plan = indexer.plan_add(old.dir, map(Path, roots), indexer.Options(MIN_SHARD_ROWS))
    unreachable = {*map(os.fspath, plan.unreachable)}
    reachable = [root for root in roots if root not in unreachable]
    if not reachable:
        raise UsageError("the index has no files that are there now", "Connect their disk, or make another index.")
    if unreachable and not drop:
        raise UsageError(
            f"missing or empty now: {', '.join(sorted(unreachable))}",
            "Connect the disk, or leave them out (--drop-unreachable, or drop_unreachable=True).",
        )
    return reachable


def _built(new: Path, old: store.Snapshot, model: str, **options: Any) -> Index:
    """Create the new index, or open what an interrupted call has made of it; with options that both have."""
    if not store.exists(new):
        settings, had = old.manifest.settings, old.manifest.model
        made = opening.create(
            new,
            model,
            segment=settings.segmentation,
            audio_track=settings.audio_track,
            modalities=None if {*settings.modalities} == {*had.modalities} else settings.modalities,
            **options,
        )
        try:
            check_same(made.model, had)
        except IndexMismatchError:
            return made
        made.close()
        store.remove(new)
        raise UsageError(f"the index has the model {had.name} already", "`wave-search models` lists the others.")
    try:
        return opening.open(new, model, **options)
    except IndexMismatchError as error:
        raise UsageError(
            f"an unfinished migration is in {new}: {error.message}", "Name its model to continue, or delete the folder."
        ) from error
