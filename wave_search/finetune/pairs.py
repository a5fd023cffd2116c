"""Training data as users write it: pairs of what belongs together, and rows that cannot be used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.finetune import conversations, table
from wave_search.finetune.rows import Pair, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_READERS: dict[str, Callable[[Path, str], Iterator[Pair | Rejected]]] = {
    ".json": conversations.read_array,
    ".jsonl": conversations.read_lines,
    ".csv": table.read,
}


@dataclass(frozen=True, slots=True)
class Data:
    """What some files hold."""

    pairs: tuple[Pair, ...]
    rejected: tuple[Rejected, ...]
    digest: str
    """Of the content of the files."""


def read(files: Iterable[Path]) -> Data:
    """Read files of pairs. Media are not looked at yet.

    Raises:
        UsageError: a file is not readable as a whole.
    """
    digest = hashlib.blake2b(digest_size=16)
    pairs: list[Pair] = []
    rejected: list[Rejected] = []
    for path in files:
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise UsageError(f"{path}: not a file of pairs", f"Give {', '.join(_READERS)}.")
        content = _content(path)
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not text in UTF-8", "Convert it, for example with iconv.") from error
        for row in reader(path, text):
            if isinstance(row, Pair):
                pairs.append(row)
            else:
                rejected.append(row)
    return Data(tuple(pairs), tuple(rejected), digest.hexdigest())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "Name the files of pairs in the configuration.") from error
