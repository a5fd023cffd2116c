"""Index folders as a stranger may send them: each builder changes a copy of an intact index, which has a shard.

A builder gets the index and a decoy of a user's home folder beside it, which no command may change.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.hostile_index.caches import CACHES
from tests.hostile_index.edits import edit_manifest
from tests.hostile_index.intact import DIM, make_home, make_index, state_of
from tests.hostile_index.links import FOREIGN, LINKS, SPECIAL_FILES
from tests.hostile_index.manifests import MANIFESTS
from tests.hostile_index.structures import STRUCTURES
from tests.hostile_index.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ABSURD",
    "DIM",
    "FOREIGN",
    "HOSTILE",
    "LINKS",
    "SPECIAL_FILES",
    "TABLES",
    "build",
    "edit_manifest",
    "make_home",
    "make_index",
    "state_of",
]

ABSURD = {**MANIFESTS, **STRUCTURES, **CACHES, **TABLES}
"""Indexes with a number, a name or a structure that cannot be meant."""
HOSTILE = {**LINKS, **FOREIGN, **SPECIAL_FILES, **ABSURD}


def build(name: str, intact: Path, folder: Path) -> tuple[Path, Path]:
    """Copy an intact index into a folder, make it hostile, and return it with the decoy beside it."""
    home = make_home(folder / "home")
    index = folder / "index"
    shutil.copytree(intact, index)
    HOSTILE[name](index, home)
    return index, home
