"""The alerts of one index: where they lead, which matches wait, and which were delivered.

A file of the user's own for each index, by the real path of its folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from platformdirs import user_state_path

from wave_search.descriptors import lock, open_file
from wave_search.errors import UsageError
from wave_search.files import digest, read_bounded, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_BYTES = 256 << 20
_MAX_URL_CHARS = 2_000
_OWNER_ONLY = 0o700
"""An address may contain a secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where matches are delivered: exactly one of these."""

    webhook: str | None = None
    """Address to which JSON is posted."""
    command: tuple[str, ...] | None = None
    """Program, by its absolute path, and its arguments; it reads JSON from stdin."""

    def __str__(self) -> str:
        if self.command is not None:
            return self.command[0]
        parts = urlsplit(self.webhook or "")
        return f"{parts.scheme}://{parts.netloc}"  # the rest of it may be secret


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of a saved search, and how far it has come."""

    search: str
    """Name of the saved search."""
    id: str
    """Part of the ids of its matches."""
    target: Target
    next_segment_id: Annotated[int, Meta(ge=0)]
    """Segments with this id or a higher one have not been searched yet."""
    version: int = 0
    """Version of the index that was searched last."""
    waiting: tuple[dict[str, Any], ...] = ()
    """Matches that were found and not delivered yet."""
    delivered: tuple[str, ...] = ()
    """Ids of matches that were delivered, the latest last."""


@dataclass(frozen=True, slots=True)
class _Book:
    index: str
    """Real path of the index, for people who look into the file."""
    alerts: tuple[Alert, ...] = ()


class AlertBook:
    """The alerts of an index.

    Args:
        index: folder of the index.
        folder: where the files of all books are; None for the user's own state folder.
    """

    def __init__(self, index: Path, folder: Path | None = None) -> None:
        self._index = os.path.realpath(index)
        self._folder = folder or user_state_path("wave-search") / "alerts"
        self._file = self._folder / f"{digest(os.fsencode(self._index))}.json"

    def alerts(self) -> tuple[Alert, ...]:
        """Return all alerts.

        Raises:
            UsageError: the file cannot be read.
        """
        try:
            data = read_bounded(self._file, _MAX_BYTES)
            return msgspec.json.decode(data, type=_Book).alerts
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(
                f"the alerts in {self._file} cannot be read: {error}", "Delete the file, and set the alerts again."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process change the alerts, or deliver, meanwhile; wait for one that does.

        Raises:
            UsageError: the folder cannot be written.
        """
        with self._writing():
            self._folder.mkdir(_OWNER_ONLY, parents=True, exist_ok=True)
            descriptor = open_file(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)

    def put(self, alert: Alert) -> None:
        """Add an alert, or replace that of its search. Under the lock."""
        self._write((*(one for one in self.alerts() if not _is(one, alert.search)), alert))

    def set(self, search: str, target: Target, next_segment_id: int, version: int) -> None:
        """Set where the matches of a search are delivered: those of segments from `next_segment_id` on.

        An alert that there is keeps what it has found and delivered.

        Raises:
            UsageError: the file cannot be written.
        """
        with self.locked():
            old = next((one for one in self.alerts() if _is(one, search)), None)
            new = Alert(search, secrets.token_hex(8), target, next_segment_id, version)
            self.put(new if old is None else replace(old, target=target))

    def remove(self, search: str) -> bool:
        """Remove the alert of a search, and return whether there was one. Raises UsageError."""
        if not any(_is(one, search) for one in self.alerts()):
            return False
        with self.locked():
            self._write(tuple(one for one in self.alerts() if not _is(one, search)))
        return True

    def rename(self, search: str, to: str) -> None:
        """Let the alert of a search follow its new name. Raises UsageError."""
        if any(_is(one, search) for one in self.alerts()):
            with self.locked():
                others = tuple(one for one in self.alerts() if not _is(one, search) and not _is(one, to))
                renamed = (replace(one, search=to.strip()) for one in self.alerts() if _is(one, search))
                self._write((*others, *renamed))

    def _write(self, alerts: tuple[Alert, ...]) -> None:
        with self._writing():
            write_atomic(self._file, msgspec.json.encode(_Book(self._index, alerts)), durable=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = f"{error.filename or self._file} cannot be written ({error.strerror or error})"
            raise UsageError(cause, "Make room or give yourself access there, or set XDG_STATE_HOME.") from error


def parse_webhook(url: str) -> Target:
    """Return the target of an address.

    Raises:
        UsageError: it is no address of the web.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _MAX_URL_CHARS
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or "@" in parts.netloc:
        raise UsageError(
            f"{url[:_MAX_URL_CHARS]!r} is not an address that matches can be posted to",
            "Write http://HOST/... or https://HOST/..., without a user name.",
        )
    return Target(webhook=url)


def parse_command(arguments: Sequence[str]) -> Target:
    """Return the target of a program with its arguments, which no shell sees.

    Raises:
        UsageError: there is no such program.
    """
    program = shutil.which(arguments[0]) if arguments else None
    if program is None:
        raise UsageError(
            f"there is no program {arguments[0] if arguments else ''!r}",
            "Write its path, and its arguments one by one; a shell is a program, too: sh -c '...'.",
        )
    return Target(command=(str(Path(program).absolute()), *arguments[1:]))


def _is(alert: Alert, search: str) -> bool:
    return alert.search.casefold() == search.casefold()
