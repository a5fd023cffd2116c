"""An intact index of vectors, and a decoy of a user's home folder."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from wave_search.ann.rebuild import refresh_shards
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer, create
from wave_search.types import Modality, PartitionKey

DIM = 16
AUDIO = PartitionKey(Modality.AUDIO)
SEGMENTS = 40


def make_index(directory: Path) -> Path:
    """Create an intact index of vectors, with a shard and several versions."""
    spec = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
    create(directory, spec, Settings("10", (Modality.AUDIO,)))
    vectors = np.random.default_rng(0).normal(size=(SEGMENTS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Writer(directory) as writer:
        for number, part in enumerate(np.split(vectors, 4)):
            rows = [NewSegment(Modality.AUDIO, 10.0 * n, 10.0 * n + 10, None, vector) for n, vector in enumerate(part)]
            content_id = writer.put_content(ContentRow(f"{number:032x}", "audio", "wav", 100.0), rows)
            writer.put_file(FileRow(f"/media/{number}.wav".encode(), b"/media", 1, 1, 1, content_id))
            writer.commit()
        refresh_shards(writer, AUDIO, 1)
    return directory


def make_home(folder: Path) -> Path:
    """Create a decoy of a home folder: names that clean-up code may take for its own, and others."""
    folder.mkdir()
    (folder / ".bashrc").write_text("export PS1='$ '\n")
    (folder / "other.db").write_bytes(b"")
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript("CREATE TABLE letters (text TEXT); INSERT INTO letters VALUES ('dear')")
        (folder / "letters.db").write_bytes(database.serialize())
    for name in ("audio/holiday/1.wav", "data/thesis.lance", "_versions/1.manifest", "000000000001.json", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"the content of {name}")
    (folder / "empty").mkdir()
    return folder


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return the mode, the modification time in ns, and the content of all that is in a folder."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }
