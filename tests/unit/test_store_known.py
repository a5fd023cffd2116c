from __future__ import annotations

import pyarrow as pa
import pytest

from wave_search.store import FileRow, file_table, schema, tables
from wave_search.store.file_table import ContentIds, FileTable
from wave_search.store.overlay import Overlay

ROWS = [
    FileRow(b"/media/b", b"/media", 1, 2, 3, 7),
    FileRow(b"/media/\xff", b"/media", 4, 5, 6, None, "skipped", "damaged", "Copy it again."),
    FileRow(b"/other/a", b"/other", 2**40, 2**60, 2**63, 7, cause="damaged after 3 s"),
]


def known_files(rows: list[FileRow]) -> FileTable:
    return FileTable(schema.file_table(rows, tables.schemas(8)["files"]))


@pytest.fixture(params=[False, True], ids=["", "all keys collide"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(file_table, "hash", lambda key: 7, raising=False)


@pytest.mark.usefixtures("hashed")
def test_files_are_found_by_path() -> None:
    files = known_files(ROWS)
    assert dict(files) == {row.path: row for row in ROWS}
    assert list(files.values()) == list(files.values()) == ROWS
    assert (len(files), list(files)) == (3, [row.path for row in ROWS])
    assert b"/media/a" not in files
    assert files.content_ids.tolist() == [7, -1, 7]
    assert [files.place(row.path) for row in ROWS] == [0, 1, 2]


@pytest.mark.usefixtures("hashed")
def test_contents_are_found_by_digest() -> None:
    contents = ContentIds(pa.table({"digest": ["b", "a"], "content_id": [3, 1]}))
    assert dict(contents) == {"b": 3, "a": 1}
    assert "c" not in contents
    assert [contents.digest_at(place) for place in (0, 1)] == ["b", "a"]


def test_nothing_is_known_of_an_empty_index() -> None:
    assert dict(known_files([])) == {}
    assert (
        dict(ContentIds(pa.table({"digest": pa.array([], pa.string()), "content_id": pa.array([], pa.int64())}))) == {}
    )


def test_changes_lie_in_two_layers_on_what_was_read() -> None:
    changes = Overlay({"a": 1, "b": 2})
    changes.put("a", None)
    changes.put("c", 3)
    assert [changes.get(key) for key in "abcd"] == [None, 2, 3, None]
    assert [changes.is_stored(key) for key in "abcd"] == [True, True, False, False]
    changes.settle()
    changes.put("c", None)
    changes.put("a", 4)
    assert [changes.get(key) for key in "abcd"] == [4, 2, None, None]
    assert [changes.is_stored(key) for key in "abcd"] == [False, True, True, False]
    assert changes.all() == {"a": 4, "c": None}


def test_small_batches_are_read_as_few_large_ones():
    batches = [pa.record_batch({"segment_id": list(range(start, start + 3))}) for start in range(0, 21, 3)]
    joined = list(schema.joined(iter(batches), 6))
    assert [len(batch) for batch in joined] == [6, 6, 6, 3]
    assert [one for batch in joined for one in schema.ids(batch, "segment_id").tolist()] == list(range(21))
    assert list(schema.joined(iter(()), 6)) == []
