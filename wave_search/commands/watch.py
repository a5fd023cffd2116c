"""Keep an index up to date with folders."""

import os
import shlex
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.indexing import (
    AudioTrack,
    DecoderMemory,
    Exclude,
    Instructions,
    MaxDuration,
    MinShardRows,
    Modalities,
    Segment,
    decoder_bytes,
    each,
    opened_or_created,
    run_options,
)
from wave_search.commands.options import (
    DEFAULT_INDEX,
    Device,
    Dtype,
    IndexDir,
    Model,
    Quantization,
    Quiet,
    Recall,
    TokenBudget,
    Workers,
)
from wave_search.commands.usage import epilog
from wave_search.errors import IndexLockedError, UsageError
from wave_search.files import as_path
from wave_search.render.run_log import FILE_EVERY_S, RunLog
from wave_search.render.text import skipped_line, slow_line, stamped, update_sentence

if TYPE_CHECKING:
    from wave_search.indexer.watching import Changes
    from wave_search.render.terminal import Terminal
    from wave_search.reports import Skipped

EPILOG = epilog(
    "Brings the index up to date as `wave-search index` does, then again after each change, until Ctrl-C. A file is "
    "indexed when nothing has been written to it for some time. Searches go on meanwhile; while another process writes "
    "to the index, it waits.",
    "watch ~/Videos ~/Sounds",
)


@reported
def watch(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders.")],
    *,
    settle: Annotated[
        float,
        typer.Option(min=0.01, metavar="SECONDS", help="Index a file when nothing was written to it for this long."),
    ] = 5.0,
    poll: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            metavar="SECONDS",
            help="Compare all files this often, for network disks, of which the system reports no changes.",
        ),
    ] = None,
    index: IndexDir = DEFAULT_INDEX,
    model: Model = "auto",
    modalities: Modalities = None,
    segment: Segment = None,
    audio_track: AudioTrack = None,
    instruction: Instructions = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    exclude: Exclude = None,
    min_shard_rows: MinShardRows = None,
    recall: Recall = None,
    workers: Workers = None,
    decoder_memory: DecoderMemory = None,
    max_duration: MaxDuration = None,
    token_budget: TokenBudget = None,
    json: Annotated[bool, typer.Option("--json", help="Print events as JSON Lines.")] = False,
    quiet: Quiet = False,
) -> int:
    """Keep the index up to date with folders as they change."""
    from wave_search.index import check_add
    from wave_search.indexer.choices import Rules, remember
    from wave_search.indexer.scan import join_roots, outermost, resolve
    from wave_search.indexer.watching import watch_folders

    terminal = terminal_of(ctx, quiet)
    options = run_options(instruction, exclude, min_shard_rows, recall, max_duration)
    check_add(**options)
    for path in paths:
        if path.is_file():
            raise UsageError(f"{path} is a file, and only folders are watched", "Name the folder that contains it.")
    with opened_or_created(
        index,
        paths,
        modalities,
        segment,
        audio_track,
        model=model,
        load=ws.LoadOptions(device=device, dtype=dtype, quantization=quantization, token_budget=token_budget),
        workers=workers,
        terminal=terminal,
        decoder_memory_bytes=decoder_bytes(decoder_memory),
    ) as opened:
        info = opened.info()
        roots = list(map(os.fsencode, info.roots))
        areas = resolve(paths, opened.path, roots)
        folders = outermost(area.path for area in areas)
        choices = remember(info.folders, folders, options["exclude"], options["max_duration_s"])
        rules = Rules(os.fsencode(os.path.realpath(opened.path)), choices, join_roots(roots, areas))
        updates = _Updates(opened, options, terminal, RunLog(_printed(terminal) if json else _nothing, FILE_EVERY_S))
        with suppress(KeyboardInterrupt):
            for changes in watch_folders(folders, rules.leave_out, settle_s=settle, poll_s=poll):
                updates.take(changes)
    terminal.message("stopped; what is complete is in the index")
    return DONE


def _printed(terminal: "Terminal") -> Callable[[str], None]:
    return lambda line: terminal.lines([line])


def _nothing(_: str) -> None:
    """Write no events."""


class _Updates:
    """The runs of `index` after changes, and what is printed of them.

    Args:
        index: is kept up to date. Its model is loaded once.
        options: arguments of `Index.add`.
        terminal: for lines with the time.
        events: is told the same.
    """

    def __init__(self, index: "ws.Index", options: dict[str, Any], terminal: "Terminal", events: RunLog) -> None:
        self._index, self._options, self._terminal, self._events = index, options, terminal, events
        self._folders: set[bytes] = set()
        """To be brought up to date."""
        self._paths: set[bytes] = set()
        """That have changed in these folders."""
        self._announced: set[Skipped] = set()
        self._lost: set[Path] = set()
        """Folders that the newest update has found missing or empty."""
        self._warned_of: set[Path] = set()
        self._is_waiting, self._is_first = False, True

    def take(self, changes: "Changes") -> None:
        """Bring the folders up to date in which something has changed, unless another process writes.

        Raises:
            WaveSearchError: the index cannot be updated.
            KeyboardInterrupt: Ctrl-C was pressed; completed files are in the index.
        """
        self._folders = (self._folders | {*changes.folders}) - {*changes.missing}
        self._paths.update(changes.paths)
        if self._folders:
            try:
                done = self._run(list(map(as_path, changes.unfinished)))
            except IndexLockedError as error:
                self._wait(error)
                return
            except ws.Interrupted as interrupted:
                self._report(interrupted.report)
                raise
            self._report(done)
            self._lost = set(done.unreachable)
            self._begin_to_watch()
            self._folders, self._paths, self._is_waiting = set(), set(), False
        self._warn_of(self._lost | set(map(as_path, changes.missing)))

    def _run(self, unfinished: list[Path]) -> "ws.IndexReport":
        shown = self._terminal.progress()
        return self._index.add(
            list(map(as_path, sorted(self._folders))),
            **self._options,
            unfinished=unfinished,
            warn=each(lambda slow: self._terminal.warning(stamped(slow_line(slow))), self._events.slow),
            # It is not entered, which would show a bar at each attempt while another process writes.
            progress=None if isinstance(shown, nullcontext) else shown,
        )

    def _warn_of(self, unreachable: set[Path]) -> None:
        """Warn once of folders that are missing or empty, until they are back."""
        for folder in sorted(unreachable - self._warned_of):
            quoted = shlex.quote(os.fspath(folder))
            cause = f"{folder}: missing or empty, possibly an unmounted disk; its files stay in the index"
            self._terminal.warning(stamped(f"{cause}. If they were deleted, run `wave-search remove {quoted}`"))
        self._warned_of = unreachable

    def _begin_to_watch(self) -> None:
        if self._is_first:
            self._is_first = False
            folders = [as_path(folder) for folder in sorted(self._folders)]
            self._events.watching(folders)
            self._terminal.message(stamped(f"watching {', '.join(map(str, folders))}"))

    def _wait(self, error: IndexLockedError) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._events.waiting(error.message)
            self._terminal.message(stamped(f"waiting: {error.message}"))

    def _report(self, done: "ws.IndexReport") -> None:
        """Print what an update has done, and deliver alerts."""
        from wave_search.alerts import run_alerts

        paths = [as_path(path) for path in sorted(self._paths)]
        self._announced -= {one for one in self._announced if one.path in paths}
        skipped = tuple(one for one in done.skipped if not one.known and one not in self._announced)
        self._announced.update(skipped)
        done = replace(done, skipped=skipped)
        sentence = update_sentence(done, [] if self._is_first else [path for path in paths if not path.is_dir()])
        alerts = () if done.interrupted else run_alerts(self._index)
        if sentence:
            self._terminal.message(stamped(sentence))
        for one in skipped:
            self._terminal.warning(stamped(f"skipped {skipped_line(one)}"))
        for alert in alerts:
            (self._terminal.warning if alert.failure else self._terminal.message)(stamped(str(alert)))
        if sentence or skipped or alerts or self._is_first:
            self._events.report(done, [asdict(one) for one in alerts])
