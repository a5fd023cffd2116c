"""Conditions on files and segments, and columns of one's own, over plain vectors."""

from __future__ import annotations

import errno
import functools
import os
import resource
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from wave_search.ann import covered, exact_search
from wave_search.ann.rebuild import refresh_shards
from wave_search.errors import UsageError
from wave_search.indexer import import_metadata, put_columns, remove_columns
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.query.fusion import Query
from wave_search.query.partition import PartitionSearch
from wave_search.store import (
    Column,
    ContentRow,
    FileRow,
    MetadataRow,
    NewSegment,
    Settings,
    Snapshot,
    Writer,
    create,
    open_snapshot,
    sql_worker,
    verify,
)
from wave_search.types import Modality, PartitionKey

DIM = 16
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
AUDIO = PartitionKey(Modality.AUDIO)
DAY_NS = 86_400 * 10**9


def put(writer: Writer, path: Path | bytes, number: int, segments: int = 2, *, content: str = "") -> None:
    rng = np.random.default_rng(number)
    vectors = rng.normal(size=(segments, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [NewSegment(Modality.AUDIO, 10.0 * n, 10.0 * n + 10, None, vectors[n]) for n in range(segments)]
    row = ContentRow(content or f"digest {number}", "audio", "wav", 10.0 * segments, sample_rate_hz=8000 + number)
    content_id = writer.put_content(row, rows)
    name = os.fsencode(path)
    writer.put_file(FileRow(name, b"/media", 100 * number, number * DAY_NS, 1, content_id))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of four sounds and a copy in `media` next to it, where they are not; made in a folder `here`."""
    folder = tmp_path_factory.mktemp("where").resolve() / "here"
    media = folder / "media"
    folder.mkdir()
    create(folder / "index", SPEC, Settings("10", (Modality.AUDIO,)))
    with Writer(folder / "index") as writer:
        writer.set_roots([str(media)])
        for number in range(4):
            put(writer, media / f"{number}.wav", number)
        put(writer, media / "sub" / "copy of 1.wav", 1)
        put(writer, os.fsencode(media) + b"/\xe9.wav", 7)
        writer.commit()
    return folder.rename(folder.with_name("original"))


@pytest.fixture
def tmp_path(original: Path) -> Path:
    """One folder for all tests, as the index knows its place; emptied but for the index."""
    folder = original.with_name("here")
    if folder.exists():
        shutil.rmtree(folder)
    return Path(shutil.copytree(original, folder))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture(scope="module")
def opened(original: Path) -> Iterator[ws.Index]:
    """The index, with one process for all conditions."""
    with ws.open(original / "index") as opened:
        yield opened


def names(opened: ws.Index, where: str, **options: object) -> list[str]:
    hits = opened.search(vector=np.ones(DIM), where=where, k=100, copies=True, **options)
    return sorted({hit.path.name for hit in hits})


@pytest.mark.parametrize(
    ("where", "kind", "numbers"),
    [
        ("size_bytes >= 100 AND folder LIKE '%/sub'", "segments", {"file_number": 1}),
        ("start_s >= 10", "segments", {"segment_id": 5}),
        ("start_s >= 10 AND folder LIKE '%/sub'", "segments", {"segment_id": 1, "file_number": 1}),
        ("folder LIKE '%/sub'", "files", {"file_number": 1}),
        ("start_s >= 10", "files", {"file_number": 6}),
    ],
)
def test_files_and_segments_are_joined_only_for_a_condition_on_both(
    opened: ws.Index, where: str, kind: sql_worker.Kind, numbers: dict[str, int]
) -> None:
    answer = opened._snapshot.sql_filter()._evaluate(kind, where, 30)
    assert {name: len(rows) for name, rows in answer.items()} == numbers


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("size_bytes BETWEEN 100 AND 200", ["1.wav", "2.wav", "copy of 1.wav"]),
        ("name = '2.wav'", ["2.wav"]),
        ("folder LIKE '%/sub'", ["copy of 1.wav"]),
        ("PATH NOT LIKE '%/sub/%' AND sample_rate_hz = 8001", ["1.wav"]),
        ("modified >= '1970-01-03' AND kind = 'audio' AND fps IS NULL", ["2.wav", "3.wav", "\udce9.wav"]),
        ("year(modified) = 1971", []),
        ("path = 'x' OR name = '3.wav' -- a comment", ["3.wav"]),
    ],
)  # fmt: skip
def test_files_are_chosen_by_what_is_known_of_them(opened: ws.Index, where: str, found: list[str]) -> None:
    assert names(opened, where) == found


def test_segments_are_chosen_by_their_time(opened: ws.Index) -> None:
    hits = opened.search(vector=np.ones(DIM), where="start_s >= 10 AND modality = 'audio'", k=100, copies=True)
    assert {hit.start_s for hit in hits} == {10.0}
    assert len(hits) == 6


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nope = 1", 'there is no column "nope". Use one of path, name, .*text'),
        ("size_bytes >", "syntax error .* Write one SQL condition, for example: kind = 'video'"),
        ("", "it is empty"),
        ("size_bytes = 'a'", "Could not convert string 'a'"),
        ("size_bytes = 'Referenced column \"a\"'", "cannot be used: Could not convert string 'Referenced column"),
        ("1 = 1; DROP TABLE files", "cannot be used"),
        ("1 = 1) UNION SELECT 1, 2 --", "syntax error"),
        ("count(*) > 1", "aggregates"),
        ("EXISTS (SELECT * FROM read_csv('/etc/passwd'))", "disabled by configuration"),
        ("EXISTS (SELECT * FROM os)", "Table with name os does not exist"),
        ("name IN (SELECT getenv('HOME'))", "getenv"),
    ],
)
def test_a_condition_that_makes_no_sense_is_explained(opened: ws.Index, where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        opened.search(vector=np.ones(DIM), where=where)


@pytest.mark.usefixtures("fresh_workers")
@pytest.mark.parametrize(
    ("where", "timeout_s", "message"),
    [
        ("length(repeat(name, 200000000)) > 1", 60, "needs more than 0.25 GiB of memory"),
        ("list_sum(range(1000000000)) > 1", 60, "needs more than 0.25 GiB of memory"),
        ("levenshtein(repeat(name, 100000), repeat('ab', 500000)) > 3", 0.2, "takes longer than 0.2 s"),
    ],
)
def test_a_condition_beyond_its_limits_ends_and_nothing_of_it_goes_on(
    index: Path, monkeypatch: pytest.MonkeyPatch, where: str, timeout_s: float, message: str
) -> None:
    """DuckDB cannot interrupt these: they are one call of a function each."""
    monkeypatch.setattr("wave_search.store.sql_filter._MEMORY_BYTES", 1 << 28)
    before = processes()
    with ws.open(index) as opened:
        assert opened.search(vector=np.ones(DIM), where="size_bytes > 100", k=1)
        assert len(processes() - before) == 1
        with pytest.raises(UsageError, match=f"{message}. Simplify it"):
            opened.search(vector=np.ones(DIM), where=where, where_timeout_s=timeout_s)
        assert processes() == before
        (hit,) = opened.search(vector=np.ones(DIM), where="name = '3.wav'", k=1)
        assert hit.path.name == "3.wav"
    assert processes() == before


def test_a_condition_may_take_any_time(opened: ws.Index) -> None:
    assert names(opened, "name = '3.wav' AND true", where_timeout_s=1e300) == ["3.wav"]


def test_a_copy_of_the_process_evaluates_for_itself(index: Path) -> None:
    """It shares the connection, so that each would get the answers of the other."""
    sql_filter = open_snapshot(index).sql_filter()
    sql_filter.select("size_bytes > 100")
    mine = sql_filter._process
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wave_search.store.sql_filter.os.getpid", lambda: -1)
        assert len(sql_filter.select("name = '3.wav'").segment_ids) == 2
        assert sql_filter._process is not mine
        sql_filter.close()
    assert mine is not None
    mine.kill()


@pytest.mark.usefixtures("fresh_workers")
def test_a_process_that_cannot_be_started_is_no_fault_of_the_condition(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object, **_options: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with ws.open(index) as opened:
        with monkeypatch.context() as patch:
            patch.setattr("subprocess.Popen", too_many)
            with pytest.raises(ws.WaveSearchError, match=r"cannot be started .* Close other programs") as caught:
                opened.search(vector=np.ones(DIM), where="name = '3.wav'")
        assert not isinstance(caught.value, UsageError)
        assert opened.search(vector=np.ones(DIM), where="name = '3.wav'")


@pytest.mark.usefixtures("fresh_workers")
def test_a_limit_of_the_system_that_is_lower_already_is_kept(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = (1 << 30, 1 << 30)
    started = functools.partial(subprocess.Popen, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, lower))
    monkeypatch.setattr("subprocess.Popen", started)
    with ws.open(index) as opened:
        assert opened.search(vector=np.ones(DIM), where="name = '3.wav'")


def processes() -> set[str]:
    """The ids of the processes that this one has started."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_columns_are_checked_before_a_model_is_loaded(opened: ws.Index) -> None:
    with pytest.raises(UsageError, match='there is no column "nope"'):
        opened.search(text="the model of this index cannot be loaded", columns=["nope"])


def test_columns_of_hits_are_read_for_the_hits_alone(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that is known of files, only the columns that are asked for are made, and no table for conditions."""
    monkeypatch.setattr(Snapshot, "sql_filter", None)
    with ws.open(index) as opened:
        columns = ["size_bytes", "Name", "stop_s", "modality", "text"]
        hits = opened.search(vector=np.ones(DIM), columns=columns, copies=True, k=20, moments=False)
        assert {tuple(hit.columns.values()) for hit in hits if hit.path.name == "2.wav"} == {
            (200, "2.wav", 10, "audio", None), (200, "2.wav", 20, "audio", None),
        }  # fmt: skip
        assert {*opened._snapshot.file_columns()._made} == {"size_bytes", "path", "name"}


def test_columns_are_said_of_each_hit(opened: ws.Index) -> None:
    hits = opened.search(
        vector=np.ones(DIM), where="name = '3.wav'", columns=["size_bytes", "Modified", "fps", "segments"]
    )
    assert hits[0].columns == {
        "size_bytes": 300, "Modified": "1970-01-04T00:00:00", "fps": None, "segments": hits[0].segments,
    }  # fmt: skip
    with pytest.raises(UsageError, match='no column "artist"'):
        opened.search(vector=np.ones(DIM), columns=["artist"])


def imported(index: Path, folder: Path, text: str) -> object:
    file = folder / "table"
    file.write_bytes(os.fsencode(text))
    return import_metadata(index, file)


def test_a_table_becomes_columns(index: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    report = imported(
        index,
        tmp_path,
        f"path,artist,Year of it,when\n{media}/0.wav,Ann,1999,2026-01-02\n1.wav,Bob,2001,\nmedia/2.wav,Ann,,\n"
        "../media/3.wav,O'Hara,2001,2026-03-04T05:06:07Z\nnot/there.wav,X,1,\n\udce9.wav,Eve,5,\n",
    )
    assert report == ws.MetadataReport(
        {"artist": "text", "Year of it": "number", "when": "timestamp"}, 5, ("not/there.wav",), unknown_rows=1
    )
    with ws.open(index) as opened:
        assert names(opened, "artist = 'Ann'") == ["0.wav", "2.wav"]
        assert names(opened, "\"Year of it\" = 2001 AND artist LIKE 'O''%'") == ["3.wav"]
        assert names(opened, "\"when\" > '2026-02-01'") == ["3.wav"]
        assert names(opened, "artist = 'Eve'") == ["\udce9.wav"]
    assert verify(index) == ()
    with ws.open(index) as opened:
        listed = [(column.name, column.type, column.filled) for column in opened.metadata()]
        assert listed == [("artist", "text", 6), ("Year of it", "number", 5), ("when", "timestamp", 2)]
        (hit,) = opened.search(vector=np.ones(DIM), where="name = '3.wav'", columns=["year OF it"], k=1)
        assert hit.columns == {"year OF it": 2001}


def test_paths_in_a_table_may_have_links(index: Path, media: Path, tmp_path: Path) -> None:
    media.mkdir()
    (tmp_path / "library").symlink_to(media)
    (media / "alias.wav").symlink_to(media / "3.wav")
    report = imported(
        index, tmp_path, f"path,n\n{tmp_path}/library/0.wav,0\nalias.wav,3\n{tmp_path}/library/sub/../2.wav,2\n"
    )
    assert (report.files, report.unknown) == (3, ())
    with ws.open(index) as opened:
        for number in (0, 2, 3):
            assert names(opened, f"n = {number}") == [f"{number}.wav"]


def test_a_later_table_replaces_what_it_says_and_nothing_else(index: Path, tmp_path: Path) -> None:
    imported(index, tmp_path, "path,a,b\n0.wav,1,x\n2.wav,2,y\n")
    imported(index, tmp_path, "path,b,c\n0.wav,,true\n3.wav,z,false\n")
    with ws.open(index) as opened:
        assert names(opened, "a = 1 AND b IS NULL AND c") == ["0.wav"]
        assert names(opened, "a = 2 AND b = 'y' AND c IS NULL") == ["2.wav"]
    remove_columns(index, ["a", "c"])
    assert [column.name for column in open_snapshot(index).manifest.columns] == ["b"]
    with ws.open(index) as opened:
        assert names(opened, "b IS NOT NULL") == ["2.wav", "3.wav"]
    with pytest.raises(UsageError, match=r'no column "a" was added to this index. Columns that were added: b'):
        remove_columns(index, ["a"])
    remove_columns(index, ["b"])
    assert not open_snapshot(index).metadata().rows
    assert verify(index) == ()


@pytest.mark.parametrize("table", ["path,a,never\n0.wav,,\n", '{"path": "0.wav", "a": null, "never": ""}\n'])
def test_a_table_can_take_the_last_value_of_a_column(index: Path, tmp_path: Path, table: str) -> None:
    imported(index, tmp_path, "path,a,b\n0.wav,1,x\n")
    assert imported(index, tmp_path, table) == ws.MetadataReport({"a": "number"}, 1, ())
    with ws.open(index) as opened:
        assert names(opened, "a IS NULL AND b = 'x'") == ["0.wav"]
        assert [(column.name, column.filled) for column in opened.metadata()] == [("a", 0), ("b", 1)]


@pytest.mark.parametrize("name", ["instruction", "number", "files"])
def test_a_column_may_have_the_name_of_what_is_only_inside(index: Path, tmp_path: Path, name: str) -> None:
    imported(index, tmp_path, f"path,{name}\n0.wav,x\n")
    with ws.open(index) as opened:
        assert names(opened, f"{name} = 'x'") == ["0.wav"]
        assert names(opened, "name = '1.wav'") == ["1.wav"]


def test_metadata_stay_with_the_path_and_follow_the_content(index: Path, media: Path, tmp_path: Path) -> None:
    imported(index, tmp_path, "path,a\n0.wav,zero\n1.wav,one\nsub/copy of 1.wav,copy\n2.wav,two\n")
    with Writer(index) as writer:
        writer.remove_files([os.fsencode(media / "0.wav")])
        put(writer, media / "moved.wav", 0)
        put(writer, media / "2.wav", 99)  # edited in place
        writer.commit()
    with ws.open(index) as opened:
        assert names(opened, "a = 'zero'") == ["moved.wav"]
        assert names(opened, "a = 'one'") == ["1.wav"]
        assert names(opened, "a = 'copy'") == ["copy of 1.wav"]
        assert names(opened, "a = 'two'") == ["2.wav"]
    imported(index, tmp_path, "path,b\nmoved.wav,1\n")
    with ws.open(index) as opened:
        assert names(opened, "a = 'zero' AND b = 1") == ["moved.wav"]


@pytest.mark.parametrize("name", ["duration_s", "Path", "score", "segment_id", "peak_start_s"])
def test_a_column_that_an_index_has_anyway_is_refused(index: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f'the column name "{name}" is reserved'):
        imported(index, tmp_path, f"path,{name}\n0.wav,1\n")


def test_columns_that_differ_in_capitals_are_refused(index: Path, tmp_path: Path) -> None:
    imported(index, tmp_path, "path,artist\n0.wav,x\n")
    with pytest.raises(UsageError, match='"artist" and "Artist"'):
        imported(index, tmp_path, "path,Artist\n0.wav,x\n")


def test_a_failed_import_changes_nothing(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(index, tmp_path, "path,a\n0.wav,old\n")
    with monkeypatch.context() as patch:
        patch.setattr("os.link", lambda *_, **_options: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(ws.WaveSearchError, match="full"):
            imported(index, tmp_path, "path,a\n0.wav,new\n")
    with ws.open(index) as opened:
        assert names(opened, "a = 'old'") == ["0.wav"]
    imported(index, tmp_path, "path,b\n0.wav,1\n")
    with ws.open(index) as opened:
        assert names(opened, "a = 'old' AND b = 1") == ["0.wav"]
    assert all(problem.orphan for problem in verify(index))
    with ws.open(index) as opened:
        opened.optimize(keep_versions_for_s=0)
    assert verify(index) == ()
    with ws.open(index) as opened:
        assert names(opened, "a = 'old' AND b = 1") == ["0.wav"]


def test_metadata_of_no_column_are_a_problem(index: Path) -> None:
    with Writer(index) as writer:
        writer.set_metadata([], [MetadataRow(b"/a", "d", {"lost": 1})])
        writer.commit()
    (problem,) = verify(index)
    assert problem.what == "metadata belong to a column that does not exist, for example lost"


def test_lists_are_searched_in(index: Path, media: Path) -> None:
    values = {os.fsencode(media / "0.wav"): {"tags": ["dog", "rain"]}, os.fsencode(media / "2.wav"): {"tags": ["rain"]}}
    put_columns(index, [Column("tags", "texts")], values)
    with ws.open(index) as opened:
        assert names(opened, "list_contains(tags, 'rain')") == ["0.wav", "2.wav"]
        assert names(opened, "'dog' IN tags") == ["0.wav"]
    put_columns(index, [Column("tags", "texts")], {os.fsencode(media / "3.wav"): {"tags": ["dog"]}})
    with ws.open(index) as opened:
        assert names(opened, "len(tags) > 0") == ["3.wav"]


def test_an_answer_is_kept_for_its_version(index: Path, media: Path) -> None:
    with ws.open(index) as opened:
        sql_filter = opened._snapshot.sql_filter()
        assert sql_filter.select("size_bytes > 100") is sql_filter.select("size_bytes > 100")
        with Writer(index) as writer:
            put(writer, media / "9.wav", 9)
            writer.commit()
        assert "9.wav" not in {hit.path.name for hit in opened.search(vector=np.ones(DIM), where="size_bytes > 100")}
        opened.refresh()
        hits = opened.search(vector=np.ones(DIM), where="size_bytes > 100", k=100)
        assert "9.wav" in {hit.path.name for hit in hits}


def test_a_filter_reaches_into_shards(tmp_path: Path) -> None:
    """1 % of the segments, among them some in a shard and some in none: the same as an exact scan of them."""
    folder, count = tmp_path / "large", 3000
    create(folder, SPEC, Settings("10", (Modality.AUDIO,)))
    with Writer(folder) as writer:
        for number in range(count - 500):
            put(writer, Path(f"/media/{number}.wav"), number, segments=1)
        writer.commit()
        refresh_shards(writer, AUDIO, 1)
        for number in range(count - 500, count):
            put(writer, Path(f"/media/{number}.wav"), number, segments=1)
        snapshot = writer.commit()
    assert 0 < covered(snapshot.partition(AUDIO).ids, snapshot.shards(AUDIO)).sum() < count
    chosen = snapshot.sql_filter().select("size_bytes % 10000 = 700").segment_ids
    assert len(chosen) == count // 100
    partition, vectors = PartitionSearch(snapshot, AUDIO), snapshot.vectors(AUDIO, chosen)
    found, queries = 0, np.random.default_rng(1).normal(size=(20, DIM)).astype(np.float32)
    for query in queries / np.linalg.norm(queries, axis=1, keepdims=True):
        scores, best = exact_search(vectors, chosen, query, 10)
        result = partition.search([Query.of_vectors(query[None])], 10, allowed_ids=chosen)[0]
        found += len(set(result.ids.tolist()) & set(best.tolist()))
        if result.ids.tolist() == best.tolist():
            assert result.scores.tolist() == scores.tolist()
    assert found >= 0.99 * 10 * len(queries)


def test_duplicates_are_files_of_the_same_bytes_and_segments_that_are_alike(
    index: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writer(index) as writer:
        for number in (0, 3):  # one of them has the first segment id
            put(writer, media / f"{number} encoded again.wav", number, content=f"other bytes {number}")
        twice = NewSegment(Modality.AUDIO, 0.0, 10.0, None, np.eye(DIM)[0])
        still = writer.put_content(ContentRow("still", "audio", "wav", 20.0), [twice, twice])
        writer.put_file(FileRow(os.fsencode(media / "still.wav"), b"/media", 1, 1, 1, still))
        for name in ("one", "other"):  # alike, and next to each other
            put(writer, media / f"{name}.wav", 8, segments=1, content=name)
        writer.commit()
    with ws.open(index) as opened:
        same, *alike = opened.duplicates()
        assert [member.path.name for member in same.members] == ["1.wav", "copy of 1.wav"]
        assert (same.kind, same.modality, same.members[0].segment_id) == ("identical", None, None)
        found = [[(member.path.name, member.start_s) for member in group.members] for group in alike]
        expected = [[(f"{n} encoded again.wav", at), (f"{n}.wav", at)] for n in (0, 3) for at in (0.0, 10.0)]
        expected.append([("one.wav", 0.0), ("other.wav", 0.0)])
        assert sorted(found) == sorted(expected), "not a file with itself"
        assert all(group.score > 0.999 and group.modality == "audio" for group in alike)
        assert len(opened.duplicates(0.01)) == 2, "everything is connected"
        with monkeypatch.context() as patch:
            patch.setattr("wave_search.query.duplicates._EXACT_TO", 1)
            assert [group.members for group in opened.duplicates()] == [group.members for group in (same, *alike)]
        with pytest.raises(UsageError, match="threshold must be a cosine above 0 and at most 1"):
            opened.duplicates(1.5)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_may_be_composed_or_not(index: Path, media: Path, tmp_path: Path, form: str) -> None:
    other = "NFD" if form == "NFC" else "NFC"
    with Writer(index) as writer:
        put(writer, media / unicodedata.normalize(form, "größe é.wav"), 9)
        writer.commit()
    name = unicodedata.normalize(other, "größe é.wav")
    table = tmp_path / "table.csv"
    table.write_text(f"path,mood\n{media}/{name},{name}\n", encoding="utf-8")
    with ws.open(index) as opened:
        assert opened.import_metadata(table).files == 1
    with ws.open(index) as opened:
        for where in (f"name = '{name}'", f"mood = '{name}'", f"name LIKE '{name[:-4]}%'"):
            assert [unicodedata.normalize(other, found) for found in names(opened, where)] == [name]
        assert opened.remove([media / name]) == 1


def test_paths_of_windows_are_found(index: Path, media: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,n\nC:\\Users\\me\\media\\0.wav,1\nmedia\\2.wav,2\nD:\\media\\nothing.wav,3\n")
    with ws.open(index) as opened:
        report = opened.import_metadata(table)
    assert (report.files, report.unknown) == (2, ("D:\\media\\nothing.wav",))
    with ws.open(index) as opened:
        assert names(opened, "n = 1") == ["0.wav"]
        assert names(opened, "n = 2") == ["2.wav"]
