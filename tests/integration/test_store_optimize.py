"""What `optimize` does to an index, and that `verify` finds whatever is not as it was written."""

import os
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.crash.library import DIM, MIN_SHARD_ROWS, PARTITIONS, expected, found, make, put, update
from wave_search import indexer
from wave_search.ann import Codebook, Shard
from wave_search.errors import IndexCorruptError, IndexLockedError, IndexStateError
from wave_search.files import disk_bytes
from wave_search.query.partition import PartitionSearch
from wave_search.reports import OptimizeReport
from wave_search.store import (
    FileRow,
    LocalFiles,
    Writer,
    cleanup,
    manifest,
    open_snapshot,
    table_checks,
    tables,
    tiers,
    verify,
)
from wave_search.store import writer as writer_module

LIBRARY = {f"/media/{i % 3}/{i}.mp4".encode(): i for i in range(30)}
REMOVED = ("/media/1", "/media/2/2.mp4")
KEPT = {path: content for path, content in LIBRARY.items() if not path.decode().startswith(REMOVED)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with shards, several fragments in each table, and a third of what was once in it removed."""
    directory = tmp_path_factory.mktemp("template") / "index"
    make(directory)
    update(directory, LIBRARY)
    indexer.remove(directory, REMOVED)
    return directory


@pytest.fixture
def index(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "index"))


def optimize(directory: Path, keep_versions_for_s: float = 0.0) -> OptimizeReport:
    return indexer.optimize(directory, keep_versions_for_s=keep_versions_for_s, min_shard_rows=MIN_SHARD_ROWS)


def files(directory: Path) -> dict[str, bytes]:
    """What an index consists of, without what is allowed to change."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in (table_checks.HINT, "lock")
    }


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << position % 8
    path.write_bytes(data)


def fragments(directory: Path, table: str) -> list[str]:
    return [path.name for path in (directory / "lance" / f"{table}.lance").glob("data/*")]


def test_what_is_kept_stays_and_what_is_not_takes_no_space(index: Path) -> None:
    (index / "shards" / "audio" / ".0123abcd.tmp").mkdir()
    (index / "shards" / "audio" / ".0123abcd.tmp" / "ids.npy").write_text("")
    (index / "manifest" / ".000000000099.json.1.0123abcd.tmp").write_text("{}")
    (index / "lance" / "files.lance" / "data" / "0123abcd.lance").write_text("")
    with Writer(index) as writer:  # leaves a part of a commit
        put(writer, b"/media/x", 77)
        writer._rows.spill()
    ids = {key: open_snapshot(index).partition(key).ids.tolist() for key in PARTITIONS}
    assert verify(index)
    report = optimize(index)
    assert report.before_bytes > report.after_bytes == disk_bytes(index)
    assert verify(index) == ()
    snapshot = open_snapshot(index)
    assert found(snapshot) == expected(KEPT)
    assert {key: snapshot.partition(key).ids.tolist() for key in PARTITIONS} == ids
    counts = {table: len(fragments(index, table)) for table in snapshot.manifest.table_versions}
    assert counts == {"files": 1, "contents": 1, "segments": 1, "metadata": 0}
    assert manifest.versions(LocalFiles(index)) == [snapshot.manifest.version]
    assert sorted(path.name for path in (index / "shards").glob("*/*")) == sorted(
        structure.name for structure in snapshot.manifest.structures
    )


def test_a_second_run_writes_nothing(index: Path) -> None:
    optimize(index)
    before = files(index)
    assert optimize(index).rebuilt == ()
    assert files(index) == before


def test_work_goes_on_after_it(index: Path) -> None:
    optimize(index)
    update(index, LIBRARY)
    assert found(open_snapshot(index)) == expected(LIBRARY)
    assert verify(index) == ()


def test_readers_keep_what_they_opened_for_the_grace_period(index: Path) -> None:
    old, unread = open_snapshot(index), open_snapshot(index)
    assert found(old) == expected(KEPT)
    shards = old.manifest.shards
    with Writer(index) as writer:
        for key in PARTITIONS:
            writer.drop_shards(key)
        writer.commit()
    update(index, LIBRARY)
    assert optimize(index, keep_versions_for_s=3600).kept_versions >= 1
    for snapshot in (old, unread):
        assert found(snapshot) == expected(KEPT)
        for shard in shards:
            codebook = Codebook.open(snapshot.shard_dir(snapshot.codebook(shard.key)), DIM)
            assert len(Shard.open(snapshot.shard_dir(shard), codebook)) == shard.count
    optimize(index)
    for snapshot in (old, unread):
        with pytest.raises(IndexStateError, match=r"has been removed.*refresh"):
            snapshot.vectors(PARTITIONS[0], snapshot.partition(PARTITIONS[0]).ids)
    assert found(open_snapshot(index)) == expected(LIBRARY)
    assert not any(old.shard_dir(shard).exists() for shard in shards)


def merge_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two fragments be enough for a merge."""
    monkeypatch.setattr(tiers, "FAN", 2)
    monkeypatch.setattr(tiers, "LIMITS", tuple(2**n for n in range(1, 12)))


def test_a_commit_after_many_costs_as_much_as_the_first(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge_early(monkeypatch)
    looked_at: list[str] = []
    real = table_checks.check_data_file
    monkeypatch.setattr(table_checks, "check_data_file", lambda path, rows: looked_at.append(path) or real(path, rows))
    read: list[str] = []
    real_get = LocalFiles.get
    monkeypatch.setattr(LocalFiles, "get", lambda self, name: read.append(name) or real_get(self, name))
    old, added, counts = open_snapshot(index), {f"/media/new/{i}.mp4".encode(): 100 + i for i in range(16)}, []
    for path, content in added.items():
        looked_at.clear()
        read.clear()
        with Writer(index) as writer:
            put(writer, path, content)
            writer.commit()
            writer.compact_if_fragmented()
        counts.append((len(looked_at), len(read)))
    for early, late in zip(zip(*counts[2:8], strict=True), zip(*counts[-6:], strict=True), strict=True):
        assert sum(late) <= 1.5 * sum(early), counts
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected({**KEPT, **added})
    assert found(old) == expected(KEPT), "for an hour"


def test_old_versions_are_cleaned_up_where_they_are_many(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "_MANY_VERSIONS", 3)
    old = open_snapshot(index)
    with Writer(index) as writer:
        for number in range(3):
            writer.set_roots([f"/media/{number}"])
            writer.commit()
            writer.compact_if_fragmented()
        assert found(old) == expected(KEPT), "for an hour"
        monkeypatch.setattr(cleanup, "KEEP_VERSIONS_FOR_S", -cleanup.MARGIN_S)
        monkeypatch.setattr(writer_module, "KEEP_VERSIONS_FOR_S", 0.0)
        newest = writer.compact_if_fragmented()
    assert manifest.versions(LocalFiles(index)) == [newest.manifest.version]
    assert len(list((index / "checksums").iterdir())) == 1
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected(KEPT)
    with pytest.raises(IndexStateError, match=r"has been removed.*refresh"):
        old.check_kept()


def test_rows_keep_their_order_when_only_the_first_fragment_needs_to_be_rewritten(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize(index)
    added = {f"/media/new/{i}.mp4".encode(): 100 + i for i in range(6)}
    update(index, {**KEPT, **added})
    monkeypatch.setattr(tables, "_FULL_ROWS", 4)  # all fragments are full
    indexer.remove(index, [path.decode() for path in [*KEPT][:5]])
    optimize(index)
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected(dict([*[*KEPT.items()][5:], *added.items()]))


def test_fragments_stay_where_they_are_few_or_cannot_be_merged(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(index)
    with Writer(index) as writer:
        writer.compact_if_fragmented()
        merge_early(monkeypatch)
        rows = writer._tables.mergeable()["segments"].rows
        needed = 2 * 2 * DIM * rows  # room for the vectors, in float16, twice
        free = needed
        monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
        writer.compact_if_fragmented()
        free = needed + 1
        lost = max((index / "checksums").iterdir())
        kept = lost.read_bytes()
        lost.unlink()
        writer.compact_if_fragmented()
        lost.write_bytes(kept)
        assert files(index) == before
        writer.compact_if_fragmented()
    assert files(index) != before


def test_a_damaged_fragment_is_not_merged(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge_early(monkeypatch)
    with Writer(index) as writer:
        (name, *_) = writer._tables.mergeable()["segments"].files
        flip(index / name, 10)
        before = files(index)
        with pytest.raises(IndexCorruptError, match=f"{name} is damaged"):
            writer.compact_if_fragmented()
    assert files(index) == before


def test_compacting_leaves_contents_that_are_about_to_move(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_MANY_FRAGMENTS", 0)
    path = next(iter(KEPT))
    with Writer(index) as writer:
        content_id = writer.snapshot.files()[path].content_id
        writer.remove_files([path])
        writer.commit(drop_dead=False)
        writer.compact_if_fragmented()
        assert set(writer._tables.fragments().values()) <= {0, 1}
        writer.put_file(FileRow(b"/media/moved.mp4", b"/media", 1, 1, 1, content_id))
        writer.commit()
    assert found(open_snapshot(index))[b"/media/moved.mp4"] == expected(KEPT)[path]


@pytest.mark.parametrize("ahead", [timedelta(days=-400), timedelta(days=400)])
def test_a_clock_that_was_put_back_or_forward_costs_nothing(
    index: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    old = open_snapshot(index)
    monkeypatch.setattr(manifest, "now", lambda: (datetime.now(UTC) + ahead).isoformat(timespec="seconds"))
    update(index, LIBRARY)
    assert found(open_snapshot(index)) == expected(LIBRARY)
    monkeypatch.undo()
    update(index, KEPT)
    optimize(index, keep_versions_for_s=3600)
    assert found(open_snapshot(index)) == expected(KEPT)
    assert verify(index) == ()
    if ahead > timedelta(0):
        assert found(old) == expected(KEPT), "its successor seems to be from the future, so it stays"


def test_a_missing_and_a_damaged_shard_are_built_again(index: Path) -> None:
    audio, video = (open_snapshot(index).shards(key)[0] for key in PARTITIONS[:2])
    shutil.rmtree(open_snapshot(index).shard_dir(audio))
    flip(max(open_snapshot(index).shard_dir(video).iterdir(), key=lambda path: path.stat().st_size), 100)
    assert ["optimize" in problem.remedy for problem in verify(index)] == [True, True]
    assert {*PARTITIONS[:2]} <= {*optimize(index).rebuilt}
    assert verify(index) == ()
    assert all(open_snapshot(index).shards(key) for key in PARTITIONS[:2])


def test_an_older_version_that_cannot_be_read_any_more_is_removed(index: Path) -> None:
    older = index / manifest.name_of(manifest.versions(LocalFiles(index))[-2])
    flip(older, 50)
    assert any(problem.orphan and older.name in problem.what for problem in verify(index))
    optimize(index, keep_versions_for_s=3600)
    assert not older.exists()
    assert len(manifest.versions(LocalFiles(index))) > 1
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected(KEPT)


def test_only_one_process_optimizes(index: Path) -> None:
    with Writer(index), pytest.raises(IndexLockedError, match=f"process {os.getpid()}"):
        optimize(index)


def test_damage_is_not_covered_up(index: Path) -> None:
    newest = sorted((index / "lance" / "segments.lance" / "data").iterdir())[0]
    flip(newest, 200)
    before = files(index)
    with pytest.raises(IndexCorruptError, match=f"{newest.name} is damaged.*Restore"):
        optimize(index)
    assert files(index) == before


def test_any_flipped_byte_is_found_and_something_can_be_done(index: Path) -> None:
    chance = random.Random(0)
    older = {f"manifest/{version:012d}.json" for version in manifest.versions(LocalFiles(index))[:-1]}
    names = [name for name in files(index) if name not in older]
    assert {Path(name).parts[0] for name in names} == {"manifest", "lance", "shards", "checksums"}
    assert any("_deletions" in name for name in names)
    for number, name in enumerate(names):
        path = index / name
        good = path.read_bytes()
        position = (0, len(good) - 1, chance.randrange(len(good)))[number % 3]
        flip(path, position)
        problems = [problem for problem in verify(index) if not problem.orphan]
        if not name.startswith("checksums") or problems:  # lists of versions that were replaced are of no use
            assert problems, f"{path} at {position}"
            assert str(path) in problems[0].what or str(path.parent) in problems[0].what
            assert problems[0].remedy
        path.write_bytes(good)
    assert [problem for problem in verify(index) if not problem.orphan] == []


def test_a_lost_list_of_checksums_is_made_anew(index: Path) -> None:
    listed = max((index / "checksums").iterdir())
    flip(listed, 10)
    with pytest.raises(IndexCorruptError, match=f"{listed.name} is damaged.*delete it and run"):
        optimize(index)
    listed.unlink()
    (problem,) = [problem for problem in verify(index) if not problem.orphan]
    assert listed.name in problem.what
    assert "optimize" in problem.remedy
    optimize(index)
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected(KEPT)


def test_a_lost_list_of_an_older_version_costs_no_more_than_that(index: Path) -> None:
    update(index, LIBRARY)
    sorted((index / "checksums").iterdir())[-2].unlink()
    optimize(index, keep_versions_for_s=3600)
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected(LIBRARY)


def test_tables_that_are_gone_are_an_error_with_a_remedy(index: Path) -> None:
    shutil.rmtree(index / "lance")
    with pytest.raises(IndexCorruptError, match=r"cannot be read.*Restore the index"), Writer(index):
        pass


def test_who_opens_shards_of_a_removed_version_is_told_to_refresh(index: Path) -> None:
    old = open_snapshot(index)
    for key in PARTITIONS:
        old.partition(key)
    with Writer(index) as writer:
        for key in PARTITIONS:
            writer.set_codebook(key, None)
        writer.commit()
    optimize(index)
    with pytest.raises(IndexStateError, match=r"has been removed.*refresh"):
        PartitionSearch(old, PARTITIONS[0])


def test_an_empty_file_that_a_power_failure_left_is_removed_by_the_next_writer(index: Path) -> None:
    with Writer(index) as writer:
        put(writer, b"/media/x", 77)
        writer._rows.spill()
    torn = min((index / "lance" / "segments.lance" / "_versions").glob("*.manifest"))  # of the latest version
    torn.write_bytes(b"")
    with pytest.raises(IndexCorruptError, match="optimize"):
        open_snapshot(index)
    optimize(index)
    assert verify(index) == ()
    assert found(open_snapshot(index)) == expected(KEPT)
