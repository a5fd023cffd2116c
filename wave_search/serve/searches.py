"""Saved searches as the API shows them, and the web addresses to which their alerts lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field

from wave_search.alerts import AlertBook, parse_webhook, set_alert
from wave_search.errors import SearchNotFoundError, UsageError
from wave_search.serve.errors import ForbiddenError
from wave_search.serve.options import is_loopback
from wave_search.serve.schemas import Model, Result
from wave_search.types import Modality, Target

if TYPE_CHECKING:
    from wave_search.index import Index
    from wave_search.serve.library import Library
    from wave_search.serve.schemas import SearchQuery
    from wave_search.store import SavedSearch, SavedTerm

_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class NameQuery(Model):
    """A name for a search."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Dogs"}]})

    name: Annotated[str, Field(max_length=400)]


class AlertQuery(Model):
    """Where an alert leads. A command can only be set on the command line."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"webhook": "https://example.org/dogs"}]})

    webhook: Annotated[str, Field(max_length=10_000)]
    """Address to which new matches are posted as JSON."""


class SavedTermEntry(Result):
    """A term of a saved search: a text, or a segment."""

    text: str | None
    segment: int | None
    """Id of the segment in the present version; null for a text, or if the index has it no more."""
    modality: Modality | None
    name: str
    """Of the file of the segment when the search was saved."""
    weight: float
    avoid: bool


class SavedSearchEntry(Result):
    """A saved search; see SearchQuery. Without terms it lists files."""

    name: str
    terms: list[SavedTermEntry]
    target: Target
    min_z: float | None
    where: str | None
    moments: bool
    per_file: int | None
    dedupe: float | None
    copies: bool
    instruction: str | None
    rerank: int | None
    alert: str | None
    """Where the alert of the user who runs the server leads: the host, or the program; null for no alert."""


class SearchesAnswer(Result):
    """The saved searches, by name."""

    searches: list[SavedSearchEntry]
    alerts_allowed: bool
    """Whether alerts may be set by a request from where this one comes from."""


class Searches:
    """The saved searches of an index.

    Args:
        library: the index.
        alerts_allowed: whether the server can be reached from its own machine only.
    """

    def __init__(self, library: Library, *, alerts_allowed: bool) -> None:
        self._library, self._alerts_allowed = library, alerts_allowed

    def list(self, request: Any) -> SearchesAnswer:
        """Return all searches. Raises WaveSearchError if they cannot be read."""
        index = self._library.index()
        targets = {one.search.casefold(): str(one.target) for one in AlertBook(index.path).alerts()}
        searches = [_entry(index, one, targets.get(one.name.casefold())) for one in index.saved_searches()]
        return SearchesAnswer(searches=searches, alerts_allowed=self._is_here(request))

    def save(self, name: str, query: SearchQuery, *, replace: bool) -> None:
        """Keep a search. Raises WaveSearchError, see `Index.save_search`."""
        index = self._library.index()
        if any(term.upload is not None for term in query.terms):
            raise UsageError(
                "an uploaded file is not kept, so that a search by it cannot be saved",
                "Index the file, find it, and save a search for more like it.",
            )
        if query.segments is not None:
            raise UsageError(
                "a search among chosen segments cannot be saved, because their ids change", "Narrow it by a condition."
            )
        if query.terms:
            index.save_search(name, self._library.request(query, {}, k=1), replace=replace)
        else:
            index.save_search(name, where=query.where, replace=replace)

    def rename(self, name: str, to: str) -> None:
        """Rename a search, whose alert stays. Raises WaveSearchError."""
        index = self._library.index()
        index.rename_search(name, to)
        AlertBook(index.path).rename(name, to)

    def remove(self, name: str) -> None:
        """Remove a search and its alert. Raises WaveSearchError."""
        index = self._library.index()
        index.remove_search(name)
        AlertBook(index.path).remove(name)

    def set_webhook(self, name: str, webhook: str, request: Any) -> None:
        """Set where the matches of a search are posted.

        Raises:
            ForbiddenError: the request may come from another machine.
            WaveSearchError: there is no such search, or it cannot have an alert.
        """
        self._check_here(request)
        set_alert(self._library.index(), name, parse_webhook(webhook))

    def remove_alert(self, name: str, request: Any) -> None:
        """End the alert of a search. Raises like `set_webhook`."""
        self._check_here(request)
        if not AlertBook(self._library.index().path).remove(name):
            raise SearchNotFoundError(f'"{name}" has no alert', "Load the page again.")

    def _check_here(self, request: Any) -> None:
        if not self._is_here(request):
            raise ForbiddenError(
                "alerts can only be set on the machine of the server, because it may send what they match anywhere",
                "Set it there: `wave-search searches alert NAME --webhook URL`.",
            )

    def _is_here(self, request: Any) -> bool:
        """Return whether a request comes from this machine, and from no proxy on it."""
        if not self._alerts_allowed or any(name in request.headers for name in _OF_PROXIES):
            return False
        return request.client is not None and is_loopback(request.client.host)


def _entry(index: Index, saved: SavedSearch, alert: str | None) -> SavedSearchEntry:
    return SavedSearchEntry(
        name=saved.name,
        terms=[_term(index, term) for term in saved.terms],
        target=saved.target,
        min_z=saved.min_z,
        where=saved.where,
        moments=saved.moments,
        per_file=saved.per_file,
        dedupe=saved.dedupe,
        copies=saved.copies,
        instruction=saved.instruction,
        rerank=saved.rerank,
        alert=alert,
    )


def _term(index: Index, term: SavedTerm) -> SavedTermEntry:
    return SavedTermEntry(
        text=term.text,
        segment=index.saved_segment(term),
        modality=term.modality,
        name=term.name,
        weight=abs(term.weight),
        avoid=term.weight < 0,
    )
