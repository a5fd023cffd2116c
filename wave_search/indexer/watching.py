"""Changes in folders, each reported when nothing has happened to the file for some time."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.errors import UsageError, WaveSearchError
from wave_search.files import as_name, as_path, is_under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TICK_S = 1.0
"""Most time between two looks at what has settled, and whether a folder is still the same."""
_EVERYTHING_S = 3600.0
"""Time after which everything counts as changed: events may be lost, and there are none of disks that are mounted."""
_WATCH_REMEDY = "Raise the limit, such as with `sysctl fs.inotify.max_user_watches=1048576`, or use --poll."


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed in the watched folders."""

    folders: tuple[bytes, ...] = ()
    """Watched folders in which something has changed and settled."""
    paths: tuple[bytes, ...] = ()
    """What has changed there and settled; not all of it at the first report, and after events were lost."""
    unfinished: tuple[bytes, ...] = ()
    """Files that are being written."""
    missing: tuple[bytes, ...] = ()
    """Watched folders that do not exist now."""


class Settling:
    """Paths that have changed, until nothing has happened to them for some time.

    Args:
        settle_s: that time.
        now_s: returns the time in seconds, from any moment on.
    """

    def __init__(self, settle_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._settle_s, self._now_s = settle_s, now_s
        self._changed: dict[bytes, tuple[tuple[int, int] | None, float]] = {}
        """Size and time of modification of a file, and since when it has had them."""

    def note(self, path: bytes) -> None:
        """Note that something has happened to a path."""
        self._changed[path] = _state(path), self._now_s()

    def note_once(self, path: bytes) -> None:
        """The same, unless it is waited for already."""
        if path not in self._changed:
            self.note(path)

    def settled(self) -> list[bytes]:
        """Return the paths to which nothing has happened for the time, and forget them."""
        now_s, settled = self._now_s(), []
        for path, (state, since_s) in [*self._changed.items()]:
            # Not all systems report each write, and none those of other machines.
            if state != (current := _state(path)):
                self._changed[path] = current, now_s
            elif now_s - since_s >= self._settle_s:
                settled.append(path)
                del self._changed[path]
        return sorted(settled)

    @property
    def unfinished(self) -> list[bytes]:
        """The files that are waited for."""
        return sorted(path for path, (state, _) in self._changed.items() if state is not None)


def watch_folders(
    folders: Sequence[bytes],
    leave_out: Callable[[bytes], bool],
    *,
    settle_s: float,
    poll_s: float | None = None,
) -> Iterator[Changes]:
    """Watch folders for ever.

    Args:
        folders: absolute paths without symbolic links. They need not exist all the time.
        leave_out: returns whether changes of a path are not reported.
        settle_s: time for which nothing may have happened to a file.
        poll_s: time between two looks at all files; None to have the system report changes.

    Yields:
        Once a second or more often, what has settled since, if anything; first, after `settle_s`, all folders.

    Raises:
        UsageError: the name of a folder is not UTF-8.
        WaveSearchError: the system cannot watch them.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    for folder in folders:
        try:
            folder.decode()
        except UnicodeDecodeError:
            cause = f"{as_path(folder)}: it cannot be watched, as its name is not UTF-8"
            raise UsageError(cause, "Rename the folder.") from None
    settling = Settling(settle_s)
    while True:
        for folder in folders:
            settling.note_once(folder)
        began_s, identities = time.monotonic(), {folder: _identity(folder) for folder in folders}
        for changed in _changes(folders, min(_TICK_S, settle_s / 4), poll_s):
            for path in changed:
                if not leave_out(path):
                    settling.note(path)
            now = {folder: _identity(folder) for folder in folders}
            yield _reported(settling, folders, [folder for folder in folders if now[folder] is None])
            if now != identities or time.monotonic() - began_s >= _EVERYTHING_S:
                break


def _reported(settling: Settling, folders: Sequence[bytes], missing: Sequence[bytes]) -> Changes:
    settled = settling.settled()
    changed = [
        folder for folder in folders if folder not in missing and any(is_under(path, folder) for path in settled)
    ]
    paths = (path for path in settled if path not in folders)
    return Changes(tuple(changed), tuple(paths), tuple(settling.unfinished), tuple(missing))


def _changes(folders: Sequence[bytes], tick_s: float, poll_s: float | None) -> Iterator[list[bytes]]:
    """Yield the paths of events at least once in a tick, until events are lost."""
    from watchfiles import watch

    tick_ms, has_begun = max(1, int(tick_s * 1000)), False
    there = [os.fsdecode(folder) for folder in folders if _identity(folder)]
    try:
        for changes in watch(
            *there,
            watch_filter=None,
            debounce=tick_ms,
            step=max(1, tick_ms // 4),
            rust_timeout=tick_ms,
            yield_on_timeout=True,
            force_polling=poll_s is not None,
            poll_delay_ms=int((poll_s or 1.0) * 1000),
            ignore_permission_denied=True,
        ):
            has_begun = True
            yield [as_name(path) for _, path in changes]
    except (OSError, RuntimeError) as error:
        if not has_begun:
            raise WaveSearchError(f"the folders cannot be watched ({error})", _WATCH_REMEDY) from error
        # The name of a changed file is not UTF-8, or there are more folders than can be watched.
        yield []


def _state(path: bytes) -> tuple[int, int] | None:
    """Return the size and the time of modification of a regular file; None for all else."""
    with suppress(OSError):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            return status.st_size, status.st_mtime_ns
    return None


def _identity(folder: bytes) -> tuple[int, int] | None:
    """Return what distinguishes a folder from another one in its place; None if there is none."""
    with suppress(OSError):
        status = os.stat(folder)  # noqa: PTH116
        if stat.S_ISDIR(status.st_mode):
            return status.st_dev, status.st_ino
    return None
