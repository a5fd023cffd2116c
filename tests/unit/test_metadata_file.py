"""A user's table as typed values."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from wave_search.errors import UsageError
from wave_search.indexer import metadata_file
from wave_search.indexer.metadata_file import MAX_COLUMNS, MAX_LISTED, MAX_ROW_CHARS, MetadataTable
from wave_search.store import Column


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table"


def read(file: Path, known: Iterable[Column] = ()) -> MetadataTable:
    """Read a table of which each file is indexed."""
    return metadata_file.read(file, known, lambda path, _encoding: os.fsencode(path))


def types(sheet: object) -> dict[str, str]:
    return {column.name: column.type for column in sheet.columns}


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-2.5", "1e3"], "number", [1, -2.5, 1000.0]),
        (["true", "False", ""], "bool", [True, False, None]),
        (["2026-01-02", "2026-01-02T03:04:05+02:00"], "timestamp", ["2026-01-02T00:00:00", "2026-01-02T01:04:05"]),
        (["007", "8", "9"], "text", ["007", "8", "9"]),
        (["9007199254740993", "1", ""], "text", ["9007199254740993", "1", None]),
        (["1", "nan", "inf"], "text", ["1", "nan", "inf"]),
        (["1", "0" * 5000], "text", ["1", "0" * 5000]),
        (["1", "0." + "3" * 5000], "number", [1, 1 / 3]),
        (["0001-01-01", "9999-12-31T23:59:59"], "timestamp", ["0001-01-01T00:00:00", "9999-12-31T23:59:59"]),
        (["1", "true", "x"], "text", ["1", "true", "x"]),
        (["", "", ""], "text", [None, None, None]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_types_are_inferred(file: Path, cells: list[str], kind: str, values: list[object], delimiter: str) -> None:
    file.write_text(
        "".join(
            delimiter.join(row) + "\r\n"
            for row in [("path", "x"), *((str(number), cell) for number, cell in enumerate(cells))]
        )
    )
    sheet = read(file)
    found = [row.get("x") for row in sheet.values.values()]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]
    assert types(sheet) == {"x": kind} if any(cells) else types(sheet) == {}


def test_json_lines_have_types_of_their_own(file: Path) -> None:
    file.write_text(
        '{"path": "a", "year": 2020, "code": "7", "tags": ["x", "y"], "ok": true, "none": null}\n\n'
        '{"path": "b", "year": 1.5, "code": "8", "tags": "z", "when": "2026-01-02"}\n'
    )
    sheet = read(file)
    assert types(sheet) == {
        "year": "number", "code": "number", "tags": "texts", "ok": "bool", "when": "timestamp",
    }  # fmt: skip
    assert sheet.values[b"a"] == {"year": 2020, "code": 7, "tags": ["x", "y"], "ok": True}
    assert sheet.values[b"b"]["tags"] == ["z"]


def test_what_is_text_stays_text(file: Path) -> None:
    file.write_text("path,code\na,7\n")
    assert read(file, [Column("code", "text")]).values == {b"a": {"code": "7"}}
    with pytest.raises(UsageError, match=r"has the type bool in the index, but number in"):
        read(file, [Column("code", "bool")])


def test_quotes_newlines_and_names_that_are_not_utf8(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfpath,note\n"a,\xe9.wav","two\nlines"\n')
    assert read(file).values == {b"a,\xe9.wav": {"note": "two\nlines"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column"),
        ("name,x\na,1\n", "no column"),
        ("path,x,x\n", "two of the same name"),
        ("path,x\na\n", "line 2: the row has 1 cells"),
        ('path,x\na,"b', "line 2: a quotation mark is not closed"),
        ('path,"x\na,b', "line 1: a quotation mark is not closed"),
        ('path,x\na,"b"c', "line 2: not valid CSV"),
        ("path,x\n,1\n", "line 2: no valid path"),
        ('{"path": 3}\n', "line 1: no valid path"),
        ('{"path": "\\ud800"}\n', "line 1: no valid path"),
        ('{"path"\n[1]\n', "line 1: not valid JSON"),
        ('{"path": "a"\n', "line 1: not valid JSON"),
        ('{"path": "a", "x": {"y": 1}}\n', "not a string, a finite number"),
        ('{"path": "a", "x": NaN}\n', "not a string, a finite number"),
    ],
)
def test_malformed_tables_are_refused_with_the_line(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read(file)


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("[1]", "not a JSON object"),
        ('{"path": 3}', "no valid path"),
        ('{"path": "b", "x": "\\ud800"}', "half of a surrogate pair"),
        ('{"path": "b", "\\udc80": "y"}', "half of a surrogate pair"),
        ('{"path": "b", "x": ' + "[" * 100_000, "nested too deeply"),
        ('{"path": "b", "x": ' + "1" * 4_301 + "}", "a number of more than 1,000 digits"),
        ('{"path": "b", "x": [' + "1" * 4_301 + "]}", "a number of more than 1,000 digits"),
        ('{"path": "b", "x": -1e400}', "not a string, a finite number"),
        ('{"path": "b", "x": "9999-12-31T23:00:00-02:00"}', "after 9999"),
        ('{"path": "b", "x": "0001-01-01T00:00:00+02:00"}', "before the year 1"),
    ],
)
def test_a_malformed_row_is_reported_and_the_others_are_read(file: Path, row: str, cause: str) -> None:
    file.write_text(f'{{"path": "a", "x": "good"}}\n{row}\n{{"path": "c", "x": "better"}}\n')
    table = read(file)
    assert table.values == {b"a": {"x": "good"}, b"c": {"x": "better"}}
    (malformed,) = table.malformed.listed
    assert malformed.startswith("line 2: ")
    assert cause in malformed


@pytest.mark.parametrize(
    ("rows", "lines", "cause"),
    [
        ("b," + "9" * 4_301, "line 2", "a number of more than 1,000 digits"),
        ("b,-" + "9" * 1_001, "line 2", "a number of more than 1,000 digits"),
        ("b,9999-12-31T23:00:00-02:00", "line 2", "after 9999"),
        ("b,0001-01-01T00:00:00+02:00", "line 2", "before the year 1"),
        ('b,"x"y', "line 2", "not valid CSV"),
        ('b,"two\nlines"x', "lines 2 to 3", "not valid CSV"),
        ("b", "line 2", "the row has 1 cells, the header 2"),
        ('"b,x\n', "lines 2 to 4", "not valid CSV"),
    ],
)
def test_a_malformed_row_of_csv_is_reported_with_its_lines(file: Path, rows: str, lines: str, cause: str) -> None:
    file.write_text(f'path,x\n{rows}\nc,"better"\nd,"best"\n')
    table = read(file)
    assert table.values[b"d"] == {"x": "best"}
    (malformed,) = table.malformed.listed
    assert malformed.startswith(f"{lines}: ")
    assert cause in malformed


def test_rows_after_a_quotation_mark_that_is_not_closed_are_reported_as_lost(file: Path) -> None:
    file.write_text('path,x\na,good\nb,"5 inch\nc,lost\n')
    table = read(file)
    assert table.values == {b"a": {"x": "good"}}
    assert table.malformed.listed == ("lines 3 to 4: a quotation mark is not closed",)


@pytest.mark.parametrize("row", ["b," + "x" * MAX_ROW_CHARS, '{"path": "b", "x": "' + "x" * MAX_ROW_CHARS + '"}'])
def test_a_row_that_is_too_long_is_reported(file: Path, row: str) -> None:
    first, last = ("path,x", "c,good") if row.startswith("b") else ('{"path": "a"}', '{"path": "c", "x": "good"}')
    file.write_text(f"{first}\n{row}\n{last}\n")
    table = read(file)
    assert table.values[b"c"] == {"x": "good"}
    assert table.malformed.listed == ("line 2: longer than 10 million characters",)


def test_columns_are_bounded(file: Path) -> None:
    file.write_text("".join(f'{{"path": "a", "{number}": 1}}\n' for number in range(MAX_COLUMNS + 1)))
    with pytest.raises(UsageError, match="line 10001: more than 10,000 columns"):
        read(file)


@pytest.mark.parametrize("row", ["not indexed.wav,1", 'not indexed.wav,"1" '])
def test_memory_is_that_of_indexed_files(file: Path, row: str) -> None:
    count = 25_000
    file.write_text("path,x\n" + f"{row}\n" * count + "a.wav,2\n")
    indexed = {"a.wav": b"/a.wav"}
    tracemalloc.start()
    table = metadata_file.read(file, (), lambda path, _encoding: indexed.get(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000, "a list of the rows takes twice as much"
    assert table.values == {b"/a.wav": {"x": 2}}
    assert max(table.unknown.count, table.malformed.count) == count
    assert max(len(table.unknown.listed), len(table.malformed.listed)) == MAX_LISTED


def test_a_pipe_is_read(file: Path) -> None:
    os.mkfifo(file)
    writer = threading.Thread(target=file.write_bytes, args=(GERMAN.encode("utf-16"),))
    writer.start()
    values = read(file).values
    writer.join()
    assert values == {"straße.wav".encode(): {"note": "Der Löwe brüllt über die große Wiese; später schläft er"}}


GERMAN = "path,note\nstraße.wav,Der Löwe brüllt über die große Wiese; später schläft er\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
def test_tables_in_other_encodings_are_read(file: Path, encoding: str) -> None:
    file.write_bytes(GERMAN.encode(encoding))
    (row,) = read(file).values.values()
    assert row == {"note": "Der Löwe brüllt über die große Wiese; später schläft er"}


def test_a_table_of_an_uncertain_encoding_is_refused_with_the_likely_ones(file: Path) -> None:
    file.write_bytes(b"path,note\na.wav,\xe5r\n")
    with pytest.raises(UsageError, match=r"table: not text in UTF-8; perhaps in cp1252 or .*iconv"):
        read(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_table_that_is_cut_within_a_character_is_refused_with_its_encoding(file: Path, encoding: str) -> None:
    file.write_bytes(GERMAN.encode(encoding)[:-1])
    with pytest.raises(UsageError, match=f"table: not valid {encoding.upper()}, which its byte order mark declares"):
        read(file)


def test_rare_letters_far_into_a_long_table_are_right(file: Path) -> None:
    file.write_bytes(("path,note\n" + "a.wav,un café\n" * 3000 + "b.wav,el señor\n").encode("cp1252"))
    assert read(file).values[b"b.wav"] == {"note": "el señor"}


def test_cells_may_be_of_any_length_and_letters_are_composed(file: Path) -> None:
    file.write_text(f"path,note,e\u0301\na,{'x' * 200_000},o\u0308\n", encoding="utf-8")
    assert read(file).values == {b"a": {"note": "x" * 200_000, "\u00e9": "\u00f6"}}
