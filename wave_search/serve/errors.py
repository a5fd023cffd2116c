"""Errors of requests, each with an HTTP status of its own: see `app`."""

from __future__ import annotations

from wave_search.errors import UsageError, WaveSearchError


class BusyError(WaveSearchError):
    """Too much runs at once."""


class TooLateError(WaveSearchError):
    """A search takes too long."""


class GoneError(UsageError):
    """A segment is not in the index, or not any more."""


class ConflictError(UsageError):
    """The state of a job does not allow that."""


class ForbiddenError(UsageError):
    """Something is allowed only to those who sit at this machine, or only for certain folders."""


class UploadError(UsageError):
    """An uploaded file cannot be used."""
