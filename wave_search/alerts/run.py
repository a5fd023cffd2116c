"""One run of the alerts of an index: find what is new, remember it, deliver it, remember that."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wave_search.alerts.book import AlertBook
from wave_search.alerts.deliver import deliver
from wave_search.errors import UsageError, WaveSearchError
from wave_search.files import digest

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.alerts.book import Alert, Target
    from wave_search.index import Index
    from wave_search.query import NewMatch

MAX_MATCHES = 10_000
"""That one search finds, and that wait."""
_BATCH = 100
"""Matches in one message."""
_KEPT_IDS = 20_000
_MAX_TEXT_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class AlertReport:
    """What one alert did in a run."""

    search: str
    """Name of the saved search."""
    target: str
    """Where it leads, without what may be secret."""
    found: int
    """Matches that are new."""
    delivered: int
    """Matches that were delivered, of this run or of earlier ones."""
    waiting: int
    """Matches to be delivered by a later run."""
    failure: str | None = None
    """Why not all were found, or delivered."""

    def __str__(self) -> str:
        new = f"{self.found:,} new {'match' if self.found == 1 else 'matches'}"
        to = f", {self.delivered:,} delivered to {self.target}" if self.delivered else ""
        waiting = f", {self.waiting:,} to be delivered by the next run" if self.waiting else ""
        return f'alert "{self.search}": {new}{to}{waiting}' + (f"; {self.failure}" if self.failure else "")


def set_alert(index: Index, search: str, target: Target, folder: Path | None = None) -> str:
    """Deliver what a saved search finds among segments that are indexed from now on. Return the name of the search.

    Args:
        index: the index.
        search: name of the saved search, in any case.
        target: where to.
        folder: as for `run_alerts`.

    Raises:
        UsageError: there is no such search, it has no minimum z or no terms, or the alert cannot be stored.
    """
    saved = next((one for one in index.saved_searches() if one.name.casefold() == search.casefold()), None)
    if saved is None or saved.min_z is None or not saved.terms:
        index.saved_request(search)  # raises if it cannot be used
        raise UsageError(
            f'"{search}" has no minimum z, without which everything would match', "Save it with one, such as --min-z 4."
        )
    AlertBook(index.path, folder).set(saved.name, target, index.next_segment_id, index.version)
    return saved.name


def run_alerts(index: Index, folder: Path | None = None) -> tuple[AlertReport, ...]:
    """Search what is new since the last run, and deliver what was found and what waits.

    Each match is remembered before it is delivered, and forgotten after: if this process is killed in between, it is
    delivered again, with the same id. A failure of one alert is reported, and does not keep others from working.

    Args:
        index: the index, in the version to search.
        folder: of the alerts; None for the user's own.

    Returns:
        One for each alert that has found, delivered or failed at something; one for all, named "*", if the alerts
        cannot be read or written.
    """
    book = AlertBook(index.path, folder)
    reports: list[AlertReport] = []
    try:
        if not book.alerts():
            return ()
        with book.locked():
            for alert in book.alerts():
                reports.append(_Run(index, book, alert).report())  # noqa: PERF401 - those before a failure are kept
    except UsageError as error:
        reports.append(AlertReport("*", str(index.path), 0, 0, 0, str(error)))
    return tuple(one for one in reports if one.found or one.delivered or one.waiting or one.failure)


def follow_index(index: Index, folder: Path | None = None) -> None:
    """Let alerts begin behind the segments of an index that has taken the place of another: none of them is new.

    Raises:
        UsageError: the alerts cannot be read or written.
    """
    book = AlertBook(index.path, folder)
    if not book.alerts():
        return
    with book.locked():
        for alert in book.alerts():
            book.put(replace(alert, next_segment_id=index.next_segment_id, version=index.version))


class _Run:
    def __init__(self, index: Index, book: AlertBook, alert: Alert) -> None:
        self._index, self._book, self._alert = index, book, alert

    def report(self) -> AlertReport:
        """Search and deliver."""
        waited, failure = len(self._alert.waiting), None
        try:
            self._search()
        except WaveSearchError as error:
            failure = str(error)
        found = len(self._alert.waiting) - waited
        delivered, undelivered = self._deliver()
        alert = self._alert
        return AlertReport(
            alert.search, str(alert.target), found, delivered, len(alert.waiting), failure or undelivered
        )

    def _search(self) -> None:
        alert, stop_id, version = self._alert, self._index.next_segment_id, self._index.version
        # An index that was made anew in the same place has begun to count again.
        first_id = 0 if stop_id < alert.next_segment_id or version < alert.version else alert.next_segment_id
        if first_id == stop_id:
            return
        room = MAX_MATCHES - len(alert.waiting)
        if room <= 0:
            raise UsageError(f"{MAX_MATCHES:,} matches wait, and no more are searched for", "See why they wait.")
        request = self._index.saved_request(alert.search, k=room)
        if request.min_z is None:
            raise UsageError("the search has no minimum z any more", "Save it with one, such as --min-z 4.")
        found = self._index.new_matches(request, first_id)
        known = {*alert.delivered, *(match["id"] for match in alert.waiting)}
        matches: dict[str, NewMatch] = {}
        for match in found:
            matches.setdefault(self._id(match), match)
        new = tuple(_record(key, match) for key, match in matches.items() if key not in known)
        self._keep(replace(alert, next_segment_id=stop_id, version=version, waiting=(*alert.waiting, *new)))
        if len(found) == room:
            raise UsageError(f"there may be more than the {room:,} matches that were kept", "Save it with a higher z.")

    def _deliver(self) -> tuple[int, str | None]:
        delivered = 0
        while batch := self._alert.waiting[:_BATCH]:
            message = {"search": self._alert.search, "index": str(self._index.path), "matches": batch}
            failure = deliver(self._alert.target, json.dumps(message).encode("ascii"))
            if failure is not None:
                return delivered, f"{self._alert.target}: {failure}"
            ids = tuple(match["id"] for match in batch)
            rest, kept = self._alert.waiting[len(batch) :], (*self._alert.delivered, *ids)[-_KEPT_IDS:]
            self._keep(replace(self._alert, waiting=rest, delivered=kept))
            delivered += len(batch)
        return delivered, None

    def _keep(self, alert: Alert) -> None:
        self._book.put(alert)
        self._alert = alert

    def _id(self, match: NewMatch) -> str:
        """Return what a match is recognised by: not its file, which may be moved, copied or indexed again."""
        hit = match.hit
        parts = (self._alert.id, match.digest, hit.modality, str(hit.peak_start_s), hit.text or "")
        return digest(" ".join(parts).encode("utf-8", "replace"))


def _record(key: str, match: NewMatch) -> dict[str, Any]:
    hit = match.hit
    return {
        "id": key,
        "path": os.fsencode(hit.path).decode("utf-8", "replace"),
        "modality": hit.modality.value,
        "start_s": hit.start_s,
        "stop_s": hit.stop_s,
        "z": round(hit.z, 4),
        "score": round(hit.score, 6),
        "segment": hit.segment_id,
        "text": None if hit.text is None else hit.text[:_MAX_TEXT_CHARS],
    }
