"""Indexes from someone else: nothing outside of them is touched, and each is refused in words or works."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
import pytest

import wave_search as ws
from tests import hostile_index
from tests.hostile_index import (
    ABSURD,
    DIM,
    FOREIGN,
    HOSTILE,
    LINKS,
    SPECIAL_FILES,
    TABLES,
    build,
    edit_manifest,
    make_index,
    state_of,
)
from tests.hostile_index.tables import sign_tables
from wave_search.errors import CacheError, IndexStateError, WaveSearchError
from wave_search.store import CacheKey, EmbeddingCache, LocalFiles, checksums

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.store import Problem

VECTOR = np.ones(DIM, np.float32)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("intact") / "index")


def search(index: Path) -> list[ws.Hit]:
    with ws.open(index) as opened:
        return opened.search(vector=VECTOR, k=3)


def optimize(index: Path) -> ws.OptimizeReport:
    with ws.open(index) as opened:
        return opened.optimize(keep_versions_for_s=0, min_shard_rows=1)


def use_cache(index: Path) -> None:
    cache = EmbeddingCache(index / "cache.sqlite3", wait_s=1.0)
    cache.create()
    key = CacheKey("space", "item")
    cache.put([(key, VECTOR)])
    np.testing.assert_array_equal(cache.get([key])[key], VECTOR)


def works(name: str) -> list[Callable[[Path], Any]]:
    """What is done with a hostile index; other files than those of searches only where they are what is hostile."""
    return [ws.verify, search, *([use_cache] if "cache" in name else []), optimize]


def outcome(work: Callable[[Path], Any], index: Path) -> Any:
    """What a command returns, or the error that its user reads."""
    try:
        return work(index)
    except WaveSearchError as error:
        return error


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_outside_of_an_index_is_touched_and_nothing_hangs_or_is_a_bug(
    intact: Path, tmp_path: Path, name: str
) -> None:
    index, home = build(name, intact, tmp_path)
    before = state_of(home)
    for work in works(name):
        found = outcome(work, index)
        assert not isinstance(found, WaveSearchError) or found.remedy, found
        assert state_of(home) == before, work.__name__


def faults(index: Path) -> list[Problem]:
    return [problem for problem in ws.verify(index) if not problem.orphan]


@pytest.mark.parametrize("name", [name for name in {**LINKS, **SPECIAL_FILES} if "hard link" not in name])
def test_a_link_or_a_special_file_is_an_error_that_names_it(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    fault, *_ = faults(index)
    assert fault.what.startswith(str(index))
    assert fault.what.endswith(("it is a symbolic link", "it is not a regular file"))
    assert "Put the original in its place" in fault.remedy


@pytest.mark.parametrize(
    "name", [name for name in {**LINKS, **SPECIAL_FILES} if "lance" in name or "table" in name or "shards" in name]
)
def test_tables_and_shards_behind_a_link_are_not_read(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    with pytest.raises(IndexStateError, match=r"cannot be used: it is (a symbolic link|not a regular file)"):
        search(index)
    with pytest.raises(IndexStateError, match=r"cannot be used: it is (a symbolic link|not a regular file)"):
        optimize(index)


@pytest.mark.parametrize("name", [name for name in TABLES if "sparse" not in name])
def test_tables_that_lead_elsewhere_are_refused(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    for work in (search, optimize):
        refusal = outcome(work, index)
        assert isinstance(refusal, IndexStateError), work.__name__
        assert refusal.message.startswith(f"{index}/lance"), refusal
    (fault,) = faults(index)
    assert (fault.what, fault.remedy) == (refusal.message, refusal.remedy)


@pytest.mark.parametrize("name", [name for name in TABLES if "sparse" in name])
def test_a_file_that_is_almost_all_holes_is_not_read(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    (fault,) = faults(index)
    assert fault.what.endswith("cannot be used: it consists mostly of holes, which take no space on the disk")
    for work in (search, optimize):
        assert outcome(work, index).message == fault.what, work.__name__


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_a_user_in_an_index_stay(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    (copied,) = (path for path in index.rglob("home") if path.is_dir())
    before = state_of(copied)
    assert any("are not its own" in problem.what for problem in ws.verify(index))
    optimize(index)
    assert state_of(copied) == before
    assert len(search(index)) == 3


REFUSED_WHEN_OPENED = [
    name
    for name in ABSURD
    if "manifest" in name or name.startswith(("no table", "a table version", "a negative", "ids that are", "a time"))
]


@pytest.mark.parametrize("name", REFUSED_WHEN_OPENED)
def test_an_absurd_manifest_is_damage_that_names_it(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    with pytest.raises(IndexStateError, match=r"manifest/\d+\.json (is damaged|cannot be used): \S+"):
        search(index)
    (fault,) = faults(index)
    assert fault.remedy


def test_the_folder_of_an_index_may_be_a_link(intact: Path, tmp_path: Path) -> None:
    shutil.copytree(intact, tmp_path / "disk" / "index")
    (tmp_path / "index").symlink_to(tmp_path / "disk" / "index")
    optimize(tmp_path / "index")
    assert ws.verify(tmp_path / "index") == ()
    assert len(search(tmp_path / "index")) == 3


def test_a_backup_of_hard_links_can_be_used(intact: Path, tmp_path: Path) -> None:
    """As `cp -al` makes it: only what is overwritten in place could harm the original, and that is the lock."""
    shutil.copytree(intact, tmp_path / "index", copy_function=os.link)
    optimize(tmp_path / "index")
    assert ws.verify(tmp_path / "index") == ws.verify(intact) == ()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "a/./x", "a\0b", "a\\b", "..", "a/"])
def test_a_name_that_leads_out_of_the_index_is_refused(tmp_path: Path, name: str) -> None:
    store = LocalFiles(tmp_path / "index")
    store.put("a/x", b"")
    (tmp_path / "x").write_text("not of the index")
    works: list[Callable[[], Any]] = [
        lambda: store.get(name),
        lambda: list(store.blocks(name)),
        lambda: list(store.list(name)),
        lambda: store.put(name, b"1"),
        lambda: store.put_if_absent(name, b"1"),
        lambda: store.delete([name]),
        lambda: store.flush([name]),
        lambda: store.make_folder(name),
        lambda: store.local_path(name),
    ]
    for work in works:
        with pytest.raises(IndexStateError, match="which is not one of its own"):
            work()
    assert (tmp_path / "x").read_text() == "not of the index"


@pytest.mark.parametrize("name", [name for name in HOSTILE if "a cache with" in name or "the cache is" in name])
def test_a_cache_that_is_not_ours_is_refused(intact: Path, tmp_path: Path, name: str) -> None:
    index, _ = build(name, intact, tmp_path)
    with pytest.raises(CacheError, match=r"remove the file"):
        use_cache(index)
    assert any("cache.sqlite3" in problem.what for problem in ws.verify(index))
    for path in index.glob("cache.sqlite3*"):
        path.unlink()
    use_cache(index)


def test_the_last_version_has_no_successor(intact: Path, tmp_path: Path) -> None:
    index, _ = build("the last possible version", intact, tmp_path)
    assert len(search(index)) == 3
    with ws.open(index) as opened, pytest.raises(IndexStateError, match="cannot have another version"):
        opened.remove(["/media/0.wav"])
    assert len(search(index)) == 3


@pytest.mark.parametrize("part", ["data/*.lance", "_versions/*.manifest", "data", "_versions", ""])
@pytest.mark.parametrize("table", ["files", "segments"])
def test_every_command_names_the_same_way_out_when_the_tables_have_lost_a_file(
    intact: Path, tmp_path: Path, table: str, part: str
) -> None:
    index = tmp_path / "index"
    shutil.copytree(intact, index)
    lost = min((index / "lance" / f"{table}.lance").glob(part)) if part else index / "lance" / f"{table}.lance"
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    remedy = "Restore the index from a copy, or index the files again into another folder."
    assert [fault.remedy for fault in faults(index)] == [remedy]
    assert outcome(search, index).remedy == remedy
    assert outcome(optimize, index).remedy == remedy
    (index / "lance" / f"{table}.lance").mkdir(exist_ok=True)
    shutil.copytree(intact / "lance", index / "lance", dirs_exist_ok=True)
    assert len(search(index)) == 3
    assert faults(index) == []


def cut_old_version(index: Path) -> str:
    path = max((index / "lance" / "segments.lance" / "_versions").glob("*.manifest"))
    path.write_bytes(path.read_bytes()[:-20])
    sign_tables(index)
    return "_versions"


def cut_page(index: Path) -> str:
    path = min((index / "lance" / "segments.lance" / "data").glob("*.lance"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"lance.encodings", b"glance.encoding"))
    sign_tables(index)
    return "segments.lance"


def add_rows(index: Path) -> str:
    TABLES["a table of 2^40 rows"](index, index.parent)
    return "/data/"


@pytest.mark.parametrize("damage", [cut_old_version, cut_page, add_rows])
def test_every_command_names_damaged_tables_and_never_the_disk(
    intact: Path, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    index = tmp_path / "index"
    shutil.copytree(intact, index)
    named = damage(index)
    (fault,) = faults(index)
    assert named in fault.what
    assert fault.remedy == "Restore the index from a copy, or index the files again into another folder."
    refused = outcome(optimize, index)
    assert named in refused.message
    assert refused.remedy == fault.remedy
    found = outcome(search, index)
    assert found.remedy == fault.remedy if isinstance(found, WaveSearchError) else damage is cut_old_version


def test_vectors_that_are_no_numbers_are_damage_of_the_tables(intact: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(intact, index)
    tampered(index, "segments", lambda rows: constant(rows, "vector", [float("inf")] * DIM))
    (fault,) = faults(index)
    shutil.rmtree(index / "shards")  # so that they are built from the vectors
    assert outcome(optimize, index).remedy == fault.remedy


RESTORE, REBUILD = "Restore the index from a copy", "Run `wave-search optimize`"
REPLACE = "An index has only files and folders of its own. Put the original in its place, or delete it"


@pytest.mark.parametrize(
    ("part", "becomes", "remedy", "then"),
    [
        ("manifest", "nothing", RESTORE, None),
        ("manifest", "file", REPLACE, RESTORE),
        ("lance/segments.lance", "file", REPLACE, RESTORE),
        ("lance/segments.lance/data/*.lance", "folder", RESTORE, None),
        ("lance/files.lance/_versions/*.manifest", "folder", RESTORE, None),
        ("checksums/*.json", "folder", "Restore it from a copy, or run `wave-search optimize`", None),
        ("shards", "file", REPLACE, REBUILD),
        ("shards/audio", "file", REPLACE, REBUILD),
        ("shards/audio/0*", "file", REBUILD, None),
        ("shards/audio/0*/meta.json", "folder", REBUILD, None),
        ("shards/audio/codebook-*/rotation.npy", "folder", REBUILD, None),
    ],
)
def test_what_is_gone_or_of_another_kind_has_one_remedy_and_it_works(
    intact: Path, tmp_path: Path, *, part: str, becomes: str, remedy: str, then: str | None
) -> None:
    index = tmp_path / "index"
    shutil.copytree(intact, index)
    path = min(index.glob(part)) if "lance" in part else max(index.glob(part))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if becomes == "folder":
        path.mkdir()
    elif becomes == "file":
        path.touch()
    assert {fault.remedy.startswith(remedy) for fault in faults(index)} == {True}, faults(index)
    found = outcome(search, index)
    assert found.remedy.startswith(remedy) if isinstance(found, WaveSearchError) else "checksums" in part
    if then is not None:
        path.unlink()
        assert faults(index)[0].remedy.startswith(then)
    repaired = outcome(optimize, index)
    if RESTORE in (remedy, then):
        assert repaired.remedy.startswith(RESTORE)
        with pytest.raises(WaveSearchError):  # what is left is not overwritten
            ws.create(index, "wave-tiny")
    else:
        assert faults(index) == []
        assert len(search(index)) == 3


def test_the_decoy_shows_what_is_touched(tmp_path: Path) -> None:
    home = hostile_index.make_home(tmp_path / "home")
    states = [state_of(home)]
    (home / ".bashrc").write_text("")
    states.append(state_of(home))
    (home / "notes.txt").unlink()
    states.append(state_of(home))
    (home / "empty").rmdir()
    states.append(state_of(home))
    (home / "new.txt").touch()
    states.append(state_of(home))
    assert all(before != after for before, after in itertools.pairwise(states))


def tampered(index: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace a table by another one, with checksums and a manifest that agree."""
    folder = index / "lance" / f"{table}.lance"
    rows = lance.dataset(folder).to_table()
    shutil.rmtree(folder)
    replaced = lance.write_dataset(change(rows), folder)
    edit_manifest(index, lambda state: state["table_versions"].update({table: replaced.version}))
    store = LocalFiles(index)
    listed = checksums.add(store, 99, [info.name for info in store.list("lance")])
    edit_manifest(index, lambda state: state.update(table_checksums={"version": 99, "digest": listed.digest}))


def null(rows: pa.Table, column: str) -> pa.Table:
    at = rows.schema.get_field_index(column)
    return rows.set_column(at, rows.schema.field(column), pa.nulls(len(rows), rows.schema.field(column).type))


def constant(rows: pa.Table, column: str, value: object) -> pa.Table:
    at = rows.schema.get_field_index(column)
    values = pa.array([value] * len(rows), rows.schema.field(column).type)
    return rows.set_column(at, rows.schema.field(column), values)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("files", lambda rows: null(rows, "path_bytes")),
        ("files", lambda rows: null(rows, "status")),
        ("files", lambda rows: constant(rows, "status", "skipped")),
        ("files", lambda rows: constant(rows, "status", "odd")),
        ("files", lambda rows: rows.drop_columns(["root"])),
        ("contents", lambda rows: null(rows, "digest")),
        ("contents", lambda rows: constant(rows, "duration_s", float("nan"))),
        ("segments", lambda rows: null(rows, "segment_id")),
        ("segments", lambda rows: null(rows, "modality")),
        ("segments", lambda rows: constant(rows, "modality", "smell")),
        ("segments", lambda rows: constant(rows, "segment_id", 7)),
        ("segments", lambda rows: constant(rows, "content_id", 2**62)),
        ("segments", lambda rows: constant(rows, "start_s", 1e308)),
        ("segments", lambda rows: rows.rename_columns([f"x{name}" for name in rows.schema.names])),
    ],
)
def test_tables_of_absurd_values_are_refused_or_work(
    intact: Path, tmp_path: Path, table: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    index = tmp_path / "index"
    shutil.copytree(intact, index)
    tampered(index, table, change)
    for work in (ws.verify, search, lambda index: ws.open(index).info(), optimize):
        found = outcome(work, index)
        assert not isinstance(found, WaveSearchError) or found.remedy, found
