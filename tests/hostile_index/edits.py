"""Changes of an index that the builders of hostile ones have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wave_search.store import manifest

Builder = Callable[[Path, Path], None]
"""Changes an index, given its folder and that of a decoy beside it."""
DEEP = b"[" * 200_000 + b"]" * 200_000
FAR = "../../../../home/"


def newest_manifest(index: Path) -> Path:
    """Return the file of the newest version."""
    return max((index / "manifest").glob("*.json"))


def edit_manifest(index: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of the newest manifest and sign it again, as anyone can."""
    path = newest_manifest(index)
    content = json.loads(path.read_bytes())
    del content["digest"]
    change(content)
    path.write_bytes(manifest.signed(content))


def with_entries(**entries: Any) -> Builder:
    return lambda index, _home: edit_manifest(index, lambda content: content.update(entries))


def added_link(name: str, target: str = "") -> Builder:
    def build(index: Path, home: Path) -> None:
        (index / name).parent.mkdir(parents=True, exist_ok=True)
        (index / name).symlink_to(home / target)

    return build


def content(name: str, data: bytes) -> Builder:
    return lambda index, _home: found(index, name).write_bytes(data) and None


def found(index: Path, pattern: str) -> Path:
    """Return the last match of a pattern, or the path itself."""
    return max(index.glob(pattern), default=index / pattern)
