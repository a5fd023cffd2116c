from __future__ import annotations

from dataclasses import is_dataclass

import pyarrow as pa
import pytest

from wave_search.store import (
    Column,
    FileRow,
    MetadataRow,
    checksums,
    columns,
    file_table,
    manifest,
    rows,
    schema,
    shards,
)
from wave_search.store.file_table import ContentIds, FileTable, Metadata
from wave_search.store.overlay import Overlay, dead_contents

ROWS = [
    FileRow(b"/media/b", b"/media", 1, 2, 3, 7),
    FileRow(b"/media/\xff", b"/media", 4, 5, 6, None, "skipped", "damaged", "Copy it again."),
    FileRow(b"/other/a", b"/other", 2**40, 2**60, 2**63, 7, cause="damaged after 3 s"),
]


def table_of(rows: list[FileRow]) -> FileTable:
    return FileTable(schema.file_table(rows, schema.schemas(8)["files"]))


@pytest.fixture(params=[False, True], ids=["", "all keys collide"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(file_table, "hash", lambda key: 7, raising=False)


@pytest.mark.usefixtures("hashed")
def test_files_are_found_by_path() -> None:
    files = table_of(ROWS)
    assert dict(files) == {row.path: row for row in ROWS}
    assert list(files.values()) == list(files.values()) == ROWS
    assert (len(files), list(files)) == (3, [row.path for row in ROWS])
    assert b"/media/a" not in files
    assert files.content_ids.tolist() == [7, -1, 7]
    assert [files.position(row.path) for row in ROWS] == [0, 1, 2]


def test_files_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_table, "_BATCH_ROWS", 2)
    files = table_of(ROWS)
    assert list(files) == [row.path for row in ROWS]
    assert list(files.values()) == ROWS
    assert dict(files) == {row.path: row for row in ROWS}


def test_what_is_recorded_twice_counts_once_among_the_distinct() -> None:
    assert (table_of(ROWS).distinct(), table_of([*ROWS, ROWS[0]]).distinct()) == (3, 3)
    assert ContentIds(pa.table({"digest": ["b", "a", "b"], "content_id": [3, 1, 2]})).distinct() == 2


def test_contents_that_no_file_has_are_dead() -> None:
    contents = pa.table({"digest": ["a", "b", "c"], "content_id": [7, 8, 9]})
    known, ids = table_of(ROWS), ContentIds(contents)
    files, content_ids = Overlay(known), Overlay(ids)
    assert dead_contents(files, content_ids, known, ids) == {"b": 8, "c": 9}
    files.put(b"/new", FileRow(b"/new", b"/", 1, 1, 1, 8))
    files.put(b"/media/b", None)
    content_ids.put("d", 10)
    content_ids.put("e", 11)
    files.put(b"/newer", FileRow(b"/newer", b"/", 1, 1, 1, 11))
    assert dead_contents(files, content_ids, known, ids) == {"c": 9, "d": 10}
    files.put(b"/other/a", None)
    assert dead_contents(files, content_ids, known, ids) == {"a": 7, "c": 9, "d": 10}
    content_ids.put("c", None)
    assert dead_contents(files, content_ids, known, ids) == {"a": 7, "d": 10}


def test_values_of_the_users_columns_follow_a_content() -> None:
    rows = [
        MetadataRow(b"/a", "1", {"x": 1}),
        MetadataRow(b"/b", "2", {"x": 2}),
        MetadataRow(b"/b", "3", {"x": 3}),
    ]
    metadata = Metadata((Column("x", "number"),), rows)
    assert metadata.of(b"/a", "9") == {"x": 1}, "edited in place"
    assert metadata.of(b"/moved", "1") == {"x": 1}
    assert metadata.of(b"/b", "2") == {"x": 3}, "the latest row of a path"
    assert metadata.of(b"/c", "2") == {}, "of a row that was replaced"


@pytest.mark.usefixtures("hashed")
def test_contents_are_found_by_digest() -> None:
    contents = ContentIds(pa.table({"digest": ["b", "a"], "content_id": [3, 1]}))
    assert dict(contents) == {"b": 3, "a": 1}
    assert "c" not in contents
    assert [contents.digest_at(position) for position in (0, 1)] == ["b", "a"]


def test_nothing_is_known_of_an_empty_index() -> None:
    assert dict(table_of([])) == {}
    assert (
        dict(ContentIds(pa.table({"digest": pa.array([], pa.string()), "content_id": pa.array([], pa.int64())}))) == {}
    )


def test_changes_lie_in_two_layers_on_what_was_read() -> None:
    changes = Overlay({"a": 1, "b": 2})
    changes.put("a", None)
    changes.put("c", 3)
    assert [changes.get(key) for key in "abcd"] == [None, 2, 3, None]
    assert [changes.is_stored(key) for key in "abcd"] == [True, True, False, False]
    changes.mark_committed()
    changes.put("c", None)
    changes.put("a", 4)
    assert [changes.get(key) for key in "abcd"] == [4, 2, None, None]
    assert [changes.is_stored(key) for key in "abcd"] == [False, True, True, False]
    assert changes.all() == {"a": 4, "c": None}


def test_small_batches_are_read_as_few_large_ones():
    batches = [pa.record_batch({"segment_id": list(range(start, start + 3))}) for start in range(0, 21, 3)]
    joined = list(schema.merged(iter(batches), 6))
    assert [len(batch) for batch in joined] == [6, 6, 6, 3]
    assert [one for batch in joined for one in schema.ids(batch, "segment_id").tolist()] == list(range(21))
    assert list(schema.merged(iter(()), 6)) == []


def test_the_records_of_the_store_are_frozen() -> None:
    modules = (checksums, columns, manifest, rows, shards)
    records = [
        kind for module in modules for kind in vars(module).values() if is_dataclass(kind) and isinstance(kind, type)
    ]
    assert {"Manifest", "Listing", "Meta", "SegmentColumns", "FileRow"} <= {kind.__name__ for kind in records}
    for kind in records:
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]
        assert "__slots__" in vars(kind), kind
