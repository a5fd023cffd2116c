"""What can go wrong, as one tree.

* WaveSearchError
    * UsageError: the request makes no sense as it was given
    * MediaError: one file cannot be used; the others can
        * UnsupportedMediaError: not a kind of file that is searched
        * BrokenMediaError: damaged, truncated or empty
        * DecodeLimitError: a decoder crashed, hung or wanted too much memory
    * ModelError: no usable model
        * ModelNotFoundError: no such name, directory or hub id, or the hub is out of reach
        * CheckpointError: the files are there, but are not a WAVE checkpoint
    * IndexStateError: no usable index
        * IndexNotFoundError: there is none at this place
        * IndexLockedError: another process is writing to it
        * IndexMismatchError: made with another model, format or settings
        * IndexCorruptError: damaged on disk
    * DatasetError: what is to be evaluated on is not there, or cannot be read
    * CacheError: embeddings cannot be kept where they should be

Every error says what is wrong and, where there is one, the remedy. Nothing below the command line catches the root.
"""

from pathlib import Path


class WaveSearchError(Exception):
    """Root of all errors that this package raises on purpose.

    Attributes:
        message: what is wrong, in one sentence without a full stop.
        remedy: what to do about it, or an empty string.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}. {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class UsageError(WaveSearchError):
    """The request makes no sense as it was given."""


class MediaError(WaveSearchError):
    """One file cannot be used.

    Attributes:
        path: the file.
        cause: why, without the path.
    """

    def __init__(self, path: str | Path, cause: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {cause}", remedy)
        self.path = Path(path)
        self.cause = cause

    def __reduce__(self) -> tuple[type["MediaError"], tuple[str, str, str]]:
        return type(self), (str(self.path), self.cause, self.remedy)


class UnsupportedMediaError(MediaError):
    """The file is not of a kind that is searched."""


class BrokenMediaError(MediaError):
    """The file is damaged, truncated or empty."""


class DecodeLimitError(MediaError):
    """A decoder crashed, hung or wanted more memory than it is given."""


class ModelError(WaveSearchError):
    """No usable model."""


class ModelNotFoundError(ModelError):
    """There is no model of that name, directory or hub id, or the hub is out of reach."""


class CheckpointError(ModelError):
    """The files are there, but are not a complete WAVE checkpoint."""


class IndexStateError(WaveSearchError):
    """No usable index."""


class IndexNotFoundError(IndexStateError):
    """There is no index at this place."""


class IndexLockedError(IndexStateError):
    """Another process is writing to the index."""


class IndexMismatchError(IndexStateError):
    """The index was made with another model, format or settings."""


class IndexCorruptError(IndexStateError):
    """The index is damaged on disk."""


class DatasetError(WaveSearchError):
    """What is to be evaluated on is not there, cannot be read, or has nothing in it."""


class CacheError(WaveSearchError):
    """Embeddings cannot be kept where they should be."""
