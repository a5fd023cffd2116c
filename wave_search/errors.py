"""The exception hierarchy of the package.

* WaveSearchError
    * UsageError: the request is not valid
        * SearchNotFoundError: there is no saved search of this name
        * NameTakenError: there is one already
    * MediaError: one file cannot be used
        * UnsupportedMediaError: the format of the file is not supported
        * BrokenMediaError: damaged, truncated or empty
        * DecodeLimitError: a decoder crashed, hung or needed too much memory
        * ChangedMediaError: it is not the file that was indexed
    * ModelError: the model cannot be used
        * ModelNotFoundError: there is no such name, directory or hub id, or the hub cannot be reached
            * ModelDownloadError: it is not on this machine, and nobody has agreed to download it
        * CheckpointError: the files are not a complete checkpoint
    * IndexStateError: the index cannot be used
        * IndexNotFoundError: there is no index in the folder
        * IndexLockedError: another process is writing to it
        * IndexMismatchError: it was made with another model, format or settings
        * IndexCorruptError: it is damaged on disk
    * DatasetError: a data set is missing, cannot be read, or is empty
    * CacheError: the cache of embeddings cannot be written

Every error names what is wrong and, where there is one, the remedy. Only the command line catches the base class.
"""

import copyreg
import shlex
from pathlib import Path, PurePath
from typing import Any

_MAX_CHARS = 8_000
"""Of a message; the longest path fits. Messages of libraries may quote a value of a file, which may have megabytes."""


_SHOWN_CHARS = 100
_SHOWN_ITEMS = 5


def shown(value: object) -> str:
    """Return how a message refers to a value that a caller gave: a short one itself, others by type and shape."""
    if value is None or isinstance(value, bool | int | float | complex | str | PurePath) or not _shape(value):
        text = repr(str(value) if isinstance(value, PurePath) else value)
        return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 4]} ..."
    return _shape(value)


def _shape(value: object) -> str:
    """Return a description of a value without its content, empty for a number of numpy or a few short values."""
    kind, shape = type(value), getattr(value, "shape", None)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(shape, tuple):
        return f"an array of shape {tuple(shape)} and type {getattr(value, 'dtype', '?')}" if shape else ""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{name} of length {len(value):,}"
    if isinstance(value, list | tuple | set | frozenset | dict):
        plain = all(isinstance(one, bool | int | float | str | None) for one in value)
        if plain and len(value) <= _SHOWN_ITEMS and not isinstance(value, dict):
            return ""
        return f"a {name} of length {len(value):,}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name} object"


class WaveSearchError(Exception):
    """Base class of all errors that the package raises.

    Attributes:
        message: what is wrong, in one sentence without a full stop.
        remedy: what to do about it, or an empty string.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        if len(message) > _MAX_CHARS:
            message = f"{message[: _MAX_CHARS // 2]} ... {message[-_MAX_CHARS // 2 :]}"
        super().__init__(f"{message}. {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # Some classes are initialised with something else than a message.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class UsageError(WaveSearchError):
    """The request is not valid."""


class SearchNotFoundError(UsageError):
    """There is no saved search of this name."""


class NameTakenError(UsageError):
    """There is a saved search of this name already."""


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


class UnsupportedMediaError(MediaError):
    """The format of the file is not supported."""


class BrokenMediaError(MediaError):
    """The file is damaged, truncated or empty."""


class DecodeLimitError(MediaError):
    """A decoder crashed, hung or needed more memory than its limit."""


class ChangedMediaError(MediaError):
    """There is no such file any more, or another one in its place than the one that was indexed."""


class ModelError(WaveSearchError):
    """The model cannot be used."""


class ModelNotFoundError(ModelError):
    """There is no model of this name, directory or hub id, or the hub cannot be reached."""


class ModelDownloadError(ModelNotFoundError):
    """The model is not on this machine, and nobody has agreed to download it.

    Attributes:
        name: of the model, with which it can be downloaded.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the model {name} is not on this machine, and an index does not make it download one",
            f"If you trust the origin of the index, name the model to download it: --model {shlex.quote(name)}, "
            f"or wave_search.open(..., model={name!r}).",
        )
        self.name = name


class CheckpointError(ModelError):
    """The files are not a complete checkpoint."""


class IndexStateError(WaveSearchError):
    """The index cannot be used."""


class IndexNotFoundError(IndexStateError):
    """There is no index in the folder."""


class IndexLockedError(IndexStateError):
    """Another process is writing to the index."""


class IndexMismatchError(IndexStateError):
    """The index was made with another model, format or settings."""


class IndexCorruptError(IndexStateError):
    """The index is damaged on disk."""


class DatasetError(WaveSearchError):
    """A data set is missing, cannot be read, or is empty."""


class CacheError(WaveSearchError):
    """The cache of embeddings cannot be written."""


def is_panic(error: BaseException) -> bool:
    """Return whether a library in Rust has panicked, which reaches Python as a BaseException of a type of its own."""
    return type(error).__name__ == "PanicException"
