"""The store as its users see it: what is committed is there, and only that."""

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wave_search.errors import IndexCorruptError, IndexLockedError, IndexNotFoundError, IndexStateError, UsageError
from wave_search.files import disk_bytes
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import (
    ContentRow,
    FileRow,
    NewSegment,
    ScoreStats,
    SegmentRow,
    Settings,
    Tuning,
    Writer,
    create,
    exists,
    lance_data,
    lance_manifest,
    open_snapshot,
    verify,
)
from wave_search.store.shards import write_meta
from wave_search.types import Modality, PartitionKey

DIM = 16
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {Modality.AUDIO: "p"})
SETTINGS = Settings("10", (Modality.AUDIO, Modality.VIDEO, Modality.TEXT))
AUDIO, VIDEO, TEXT = PartitionKey(Modality.AUDIO), PartitionKey(Modality.VIDEO), PartitionKey(Modality.TEXT)


@pytest.fixture
def index(tmp_path):
    directory = tmp_path / "an index %20#é"
    create(directory, SPEC, SETTINGS)
    return directory


def vector(seed):
    values = np.random.default_rng(seed).standard_normal(DIM)
    return (values / np.linalg.norm(values)).astype(np.float32)


def segments(seed, count=2, modalities=(Modality.AUDIO, Modality.VIDEO)):
    return [
        NewSegment(modality, 10.0 * i, 10.0 * i + 10, None, vector(100 * seed + 10 * i + len(modality)))
        for i in range(count)
        for modality in modalities
    ]


def content(seed):
    return ContentRow(f"digest {seed}", "video", "mp4", 12.5, 640, 360, 29.97, "h264", "aac", 48_000, 2)


def put(writer, name, seed, count=2):
    content_id = writer.put_content(content(seed), segments(seed, count))
    writer.put_file(FileRow(name, b"/media", 1000 + seed, seed, 1, content_id))
    return content_id


def test_the_ends_of_data_files_are_read_again_only_after_a_change(index, monkeypatch):
    """So that the cost of a commit does not grow with that of reading what many small commits before it have made."""
    ends, buffers = [], lance_data._buffers
    monkeypatch.setattr(lance_data, "_buffers", lambda *at: ends.append(at) or buffers(*at))
    monkeypatch.setattr(lance_data, "_SETTLED_NS", -(10**12))
    with Writer(index) as writer:
        for number in range(4):
            put(writer, b"/media/%d" % number, number)
            writer.commit()
            assert not ends, "of what it has made itself"
    open_snapshot(index)
    read = len(ends)
    assert read > 0
    open_snapshot(index)
    assert len(ends) == read
    file = max(index.glob("lance/segments.lance/data/*"), key=lambda one: one.stat().st_mtime_ns)
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    with pytest.raises(IndexCorruptError, match="its end cannot be decoded"):
        open_snapshot(index)


def test_a_new_index_is_empty(tmp_path):
    assert not exists(tmp_path)
    snapshot = create(tmp_path / "a" / "b", SPEC, SETTINGS)
    assert exists(tmp_path / "a" / "b")
    assert (snapshot.manifest.version, snapshot.manifest.model) == (1, SPEC)
    created = snapshot.manifest.settings.created
    assert created == snapshot.manifest.created
    assert snapshot.manifest.settings == replace(SETTINGS, created=created)
    assert not snapshot.files()
    assert len(snapshot.partition(AUDIO).ids) == 0
    assert snapshot.vectors(AUDIO, np.empty(0, np.int64)).shape == (0, DIM)
    assert list(snapshot.vector_batches(AUDIO, 0, 10)) == []
    assert snapshot.segment_rows([]) == []
    assert snapshot.contents([]) == snapshot.contents() == snapshot.files_of([]) == {}
    assert verify(tmp_path / "a" / "b") == ()


def test_what_is_put_is_read_back(index):
    skipped = FileRow(b"/media/\xff broken.mp4", b"/media", 5, 6, 1, None, "skipped", "damaged", "Copy it again.")
    text = NewSegment(Modality.TEXT, None, None, "a “dog”\n'barks'", vector(1))
    with Writer(index) as writer:
        first = put(writer, b"/media/\xfe\xff.mp4", 1)
        second = writer.put_content(ContentRow("t", "text", "txt"), [text])
        writer.put_file(FileRow(b"/media/note's.txt", b"/media", 3, 4, 1, second))
        writer.put_file(skipped)
        writer.set_roots(["/media"])
        snapshot = writer.commit()
    for view in (snapshot, open_snapshot(index)):
        assert view.manifest.roots == ("/media",)
        assert view.files() == {
            b"/media/\xfe\xff.mp4": FileRow(b"/media/\xfe\xff.mp4", b"/media", 1001, 1, 1, first),
            b"/media/note's.txt": FileRow(b"/media/note's.txt", b"/media", 3, 4, 1, second),
            skipped.path: skipped,
        }
        assert view.contents() == {first: content(1), second: ContentRow("t", "text", "txt")}
        assert view.contents([second, 99]) == {second: ContentRow("t", "text", "txt")}
        assert view.content_ids() == {"digest 1": first, "t": second}
        ids = view.partition(VIDEO).ids
        assert view.partition(VIDEO).content_ids.tolist() == [first, first]
        assert view.segment_rows(ids[::-1])[0] == SegmentRow(3, first, Modality.VIDEO, 10.0, 20.0, None)
        stored = view.vectors(VIDEO, ids)
        expected = np.stack([s.vector for s in segments(1) if s.modality == Modality.VIDEO]).astype(np.float16)
        assert stored.dtype == np.float16
        assert np.array_equal(stored, expected)
        (row,) = view.segment_rows(view.partition(TEXT).ids)
        assert (row.text, row.start_s, row.stop_s) == (text.text, None, None)
        counts = view.counts()
        assert counts.segments == {AUDIO: 2, VIDEO: 2, TEXT: 1}
        assert (counts.files, counts.contents) == ({"indexed": 2, "skipped": 1}, 2)
        assert view.sizes_bytes()["lance"] > 0
    assert verify(index) == ()


def test_the_tables_are_a_database_of_lancedb(index):
    with Writer(index) as writer:
        put(writer, b"/media/film", 1)
        writer.commit()
    import lancedb

    database = lancedb.connect(index / "lance")
    (film,) = database.open_table("files").to_arrow().to_pylist()
    assert film["path"] == "/media/film"
    vectors = database.open_table("segments").to_arrow().column("vector").to_pylist()
    assert np.allclose(sorted(vectors), sorted(one.vector.tolist() for one in segments(1)), atol=1e-3)


def test_segments_of_other_instructions_are_partitions_of_their_own(index):
    asked = 'What\'s "heard"?\n(naïve)'
    named = [replace(segment, instruction=asked, vector=-segment.vector) for segment in segments(1)]
    with Writer(index) as writer:
        writer.add_instructions([asked])
        content_id = writer.put_content(content(1), [*segments(1), *named])
        writer.put_file(FileRow(b"/media/a", b"/media", 1, 1, 1, content_id))
        heard = PartitionKey(Modality.AUDIO, asked)
        folder = writer.shard_parent(heard) / "s"
        folder.mkdir()
        (folder.parent / "codebook").mkdir()
        write_meta(folder.parent / "codebook")
        writer.set_codebook(heard, "codebook", 8)
        np.save(folder / "ids.npy", np.array([4, 6]))
        write_meta(folder)
        writer.add_shard(heard, "s", 0, 8, 2)
        view = writer.commit()
    assert view.manifest.settings.instructions == (asked,)
    assert view.counts().segments == {AUDIO: 2, VIDEO: 2, heard: 2, PartitionKey(Modality.VIDEO, asked): 2}
    assert view.partition(AUDIO).ids.tolist() == [0, 2]
    assert view.partition(heard).ids.tolist() == [4, 6]
    assert np.array_equal(view.vectors(heard, np.array([4, 6])), -view.vectors(AUDIO, np.array([0, 2])))
    assert [row.instruction for row in view.segment_rows([4, 0])] == [asked, ""]
    assert [shard.name for shard in view.shards(heard)] == ["s"]
    assert folder.parent.name.startswith("audio-")
    assert folder.parent.name.isascii()
    assert view.shards(AUDIO) == ()
    assert verify(index) == ()


def test_segments_of_an_instruction_that_the_index_does_not_know_are_a_problem(index):
    with Writer(index) as writer:
        content_id = writer.put_content(content(1), [replace(segments(1)[0], instruction="What?")])
        writer.put_file(FileRow(b"/media/a", b"/media", 1, 1, 1, content_id))
        writer.commit()
    (problem,) = verify(index)
    assert problem.what == "1 segments are of an unknown modality or instruction"


def test_contents_that_no_file_has_may_wait_unseen_for_a_later_commit(index):
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        writer.commit()
        put(writer, b"/media/a", 2)
        unused = writer.put_content(content(3), segments(3))
        snapshot = writer.commit(drop_dead=False)
        assert writer.content_id("digest 1") is not None
    assert snapshot.contents().keys() >= {unused}
    assert set(snapshot.partition(AUDIO).content_ids) == {writer.content_id("digest 2")}
    (problem,) = verify(index)
    assert problem.orphan
    with Writer(index) as writer:
        snapshot = writer.commit()
    assert snapshot.content_ids().keys() == {"digest 2"}
    assert snapshot.counts().segments == {AUDIO: 2, VIDEO: 2}
    assert verify(index) == ()


def test_one_content_in_several_files_is_stored_once(index):
    with Writer(index) as writer:
        first = put(writer, b"/media/a", 1)
        assert writer.content_id("digest 1") == first
        assert put(writer, b"/media/b", 1) == first
        writer.commit()
        assert put(writer, b"/media/c", 1) == first
        snapshot = writer.commit()
    assert len(snapshot.partition(AUDIO).ids) == 2
    assert [row.path for row in snapshot.files_of([first])[first]] == [b"/media/a", b"/media/b", b"/media/c"]


def test_what_hits_need_is_found_by_content(index):
    paths = [b"/media/b", b"/top", b"/media/\xff\xfe/a", b"/media/a", b"/media/a.d/x", b"/media/copy"]
    with Writer(index) as writer:
        for number, path in enumerate(paths[:3]):
            put(writer, path, number)
        writer.put_file(FileRow(b"/media/skipped", b"/media", 1, 1, 1, None, "skipped", "damaged"))
        writer.commit()
        put(writer, paths[3], 1)
        put(writer, paths[5], 2)
        picture = writer.put_content(ContentRow("picture", "image", "png"), segments(9, 1))
        writer.put_file(FileRow(paths[4], b"/media", 1, 1, 1, picture))
        writer.remove_files([b"/media/b"])
        snapshot = writer.commit()
    both, last = [paths[3], paths[1]], [paths[5], paths[2]]
    files = snapshot.file_numbers([2, picture, 1, 1])
    assert [snapshot.paths_at(numbers) for numbers in files] == [last, [paths[4]], both, both]
    assert [snapshot.paths_at(numbers) for numbers in snapshot.file_numbers([0, 77])] == [[], []]
    described = [(None, "image"), (12.5, "video"), (12.5, "video"), (12.5, "video")]
    assert snapshot.durations_and_kinds([picture, 2, 1, 2]) == described


def test_texts_come_with_their_own_segments(index):
    with Writer(index) as writer:
        for number in range(4):
            texts = [NewSegment(Modality.TEXT, None, None, f"{number} {i}", vector(number)) for i in range(3)]
            put(writer, f"/media/{number}".encode(), number)
            content_id = writer.put_content(ContentRow(f"t{number}", "text", "txt"), texts)
            writer.put_file(FileRow(f"/media/{number}.txt".encode(), b"/media", 1, 1, 1, content_id))
            writer.commit()
        writer.remove_files([b"/media/1", b"/media/0.txt"])
        snapshot = writer.commit()
    ids = np.concatenate([snapshot.partition(key).ids for key in (TEXT, AUDIO)])[::-1]
    rows = snapshot.segment_rows([*ids, ids[-1]])
    assert [row.segment_id for row in rows] == [*ids, ids[-1]]
    assert [row.text for row in rows] == [None] * 6 + [f"{n} {i}" for n in (3, 2, 1) for i in (2, 1, 0)] + ["1 0"]


def test_a_move_keeps_the_segments(index):
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        before = writer.commit()
    with Writer(index) as writer:
        writer.remove_files([b"/media/a"])
        writer.put_file(FileRow(b"/media/b", b"/media", 1001, 1, 1, writer.content_id("digest 1")))
        after = writer.commit()
    assert list(after.files()) == [b"/media/b"]
    assert after.partition(AUDIO).ids.tolist() == before.partition(AUDIO).ids.tolist()


def test_what_no_file_has_any_more_is_dropped_and_ids_are_never_reused(index):
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        put(writer, b"/media/b", 2)
        writer.commit()
        put(writer, b"/media/a", 3)  # changed
        writer.remove_files([b"/media/unknown"])
        snapshot = writer.commit()
        assert writer.content_id("digest 1") is None
        assert snapshot.partition(AUDIO).ids.tolist() == [4, 6, 8, 10]
        assert sorted(snapshot.contents()) == [1, 2]
        assert put(writer, b"/media/again", 1) == 3
        assert writer.commit().partition(AUDIO).ids.tolist() == [4, 6, 8, 10, 12, 14]
        writer.remove_files(list(snapshot.files()))
        writer.remove_files([b"/media/again"])
        empty = writer.commit()
    assert not empty.files()
    assert empty.counts().segments == {}
    assert empty.manifest.next_segment_id == 16
    assert verify(index) == ()


def test_a_content_without_a_file_is_not_kept(index):
    with Writer(index) as writer:
        writer.put_content(content(1), segments(1))
        snapshot = writer.commit()
        assert not snapshot.contents()
        assert snapshot.counts().segments == {}
        put(writer, b"/media/a", 1)
        assert len(writer.commit().partition(AUDIO).ids) == 2
    assert verify(index) == ()


def test_nothing_to_do_writes_nothing(index):
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        snapshot = writer.commit()
        writer.put_file(snapshot.files()[b"/media/a"])
        writer.set_roots(snapshot.manifest.roots)
        assert writer.commit() is snapshot
    with Writer(index) as writer:
        assert writer.commit().manifest.version == snapshot.manifest.version


def test_uncommitted_work_is_gone(index, monkeypatch):
    monkeypatch.setattr("wave_search.store.write_buffer._SPILL_SEGMENTS", 1)
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        kept = writer.commit()
        put(writer, b"/media/b", 2)
    with Writer(index) as writer:
        assert list(writer.snapshot.files()) == [b"/media/a"]
        put(writer, b"/media/d", 4)
        snapshot = writer.commit()
    assert list(snapshot.files()) == [b"/media/a", b"/media/d"]
    assert snapshot.partition(AUDIO).ids.tolist() == [0, 2, 4, 6]
    assert snapshot.manifest.version == kept.manifest.version + 1
    assert all(problem.orphan for problem in verify(index))


def test_readers_keep_their_version(index):
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        old = writer.commit()
        ids = old.partition(AUDIO).ids
        before = old.vectors(AUDIO, ids)
        unread = open_snapshot(index)
        writer.remove_files([b"/media/a"])
        put(writer, b"/media/b", 2)
        writer.commit()
    with Writer(index):
        pass
    for view in (old, unread):
        assert list(view.files()) == [b"/media/a"]
        assert np.array_equal(view.vectors(AUDIO, ids), before)
    assert list(open_snapshot(index).files()) == [b"/media/b"]


def test_a_second_writer_is_refused_and_readers_are_not(index):
    with Writer(index):
        with pytest.raises(IndexLockedError, match=f"process {os.getpid()}"), Writer(index):
            pass
        assert open_snapshot(index).manifest.version == 1
    with Writer(index):
        pass


@pytest.mark.parametrize("count", [7, 3000])
def test_vectors_come_in_the_order_asked_for(index, count, monkeypatch):
    monkeypatch.setattr("wave_search.store.write_buffer._SPILL_SEGMENTS", 1000)
    with Writer(index) as writer:
        for i in range(60):
            put(writer, f"/media/{i}".encode(), i, count=60)
        writer.remove_files([b"/media/5"])
        snapshot = writer.commit()
    partition = snapshot.partition(VIDEO)
    assert len(partition.ids) == 59 * 60
    assert (np.diff(partition.ids) > 0).all()
    batches = list(snapshot.vector_batches(VIDEO, 0, 10**9))
    assert np.array_equal(np.concatenate([ids for ids, _ in batches]), partition.ids)
    everything = np.concatenate([vectors for _, vectors in batches])
    chosen = np.random.default_rng(0).integers(0, len(partition.ids), count)
    assert np.array_equal(snapshot.vectors(VIDEO, partition.ids[chosen]), everything[chosen])
    some = [ids for ids, _ in snapshot.vector_batches(VIDEO, 1000, 2000)]
    assert np.array_equal(np.concatenate(some), partition.ids[(partition.ids >= 1000) & (partition.ids < 2000)])
    audio = snapshot.partition(AUDIO).ids
    with pytest.raises(KeyError, match=str(audio[0])):
        snapshot.vectors(VIDEO, np.concatenate([partition.ids[:count], audio[:1]]))
    with pytest.raises(KeyError):
        snapshot.segment_rows([10**9])


def test_many_threads_read_one_snapshot(index):
    with Writer(index) as writer:
        for i in range(20):
            put(writer, f"/media/{i}".encode(), i)
        snapshot = writer.commit()
    seen = []

    def read():
        ids = snapshot.partition(AUDIO).ids
        seen.append((len(snapshot.files()), snapshot.vectors(AUDIO, ids).tobytes()))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


@pytest.mark.parametrize("bad", [np.ones(DIM + 1), np.full(DIM, np.nan)])
def test_a_vector_that_cannot_be_stored_is_refused(index, bad):
    with Writer(index) as writer:
        with pytest.raises(ValueError, match="finite vector"):
            writer.put_content(content(1), [NewSegment(Modality.AUDIO, 0.0, 1.0, None, bad)])
        assert writer.content_id("digest 1") is None


def test_shards_are_pinned_and_replaced(index):
    with Writer(index) as writer:
        parent = writer.shard_parent(AUDIO)
        for name in ("a", "b", "c"):
            (parent / name).mkdir()
            (parent / name / "ids.npy").write_text(name)
            write_meta(parent / name)
        writer.add_shard(AUDIO, "a", 0, 10, 10)
        writer.add_shard(AUDIO, "b", 10, 20, 10)
        old = writer.commit()
        assert [shard.name for shard in old.shards(AUDIO)] == ["a", "b"]
        assert old.shards(VIDEO) == ()
        writer.add_shard(AUDIO, "c", 5, 12, 7)
        assert [shard.name for shard in writer.commit().shards(AUDIO)] == ["c"]
        writer.drop_shards(AUDIO)
        assert writer.commit().shards(AUDIO) == ()
    assert [shard.name for shard in old.shards(AUDIO)] == ["a", "b"]
    assert (old.shard_dir(old.shards(AUDIO)[0]) / "ids.npy").read_text() == "a"


def test_create_refuses_what_is_not_its_own(tmp_path, index):
    with pytest.raises(UsageError, match="already"):
        create(index, SPEC, SETTINGS)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mp4").write_text("")
    with pytest.raises(UsageError, match=r"a\.mp4"):
        create(tmp_path / "films", SPEC, SETTINGS)
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["a.mp4"]


def test_a_lance_that_writes_what_is_not_known_here_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(lance_manifest._MANIFEST, 13)
    with pytest.raises(IndexStateError, match=r"manifest is unknown here: it has the field 13\. Install an earlier"):
        create(tmp_path, SPEC, SETTINGS)


def test_no_index_is_left_alone(tmp_path):
    with pytest.raises(IndexNotFoundError), Writer(tmp_path):
        pass
    with pytest.raises(IndexNotFoundError):
        open_snapshot(tmp_path)
    with pytest.raises(IndexNotFoundError):
        verify(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_tables_are_reported_and_not_made(index):
    (index / "lance").rename(index / "elsewhere")
    with pytest.raises(IndexCorruptError, match="lance cannot be read"):
        open_snapshot(index)
    assert not (index / "lance").exists()


def test_a_writer_that_reads_its_changes_back_works_alike(index, monkeypatch):
    monkeypatch.setattr("wave_search.store.writer._CHANGES_KEPT", 0)
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        writer.commit()
        assert (writer._files.committed, writer._content_ids.committed) == ({}, {})
        put(writer, b"/media/a", 2)
        put(writer, b"/media/b", 3)
        snapshot = writer.commit()
    assert sorted(snapshot.content_ids()) == ["digest 2", "digest 3"]
    assert sorted(snapshot.files()) == [b"/media/a", b"/media/b"]
    assert verify(index) == ()


def test_rows_are_deleted_in_blocks(index, monkeypatch):
    monkeypatch.setattr("wave_search.store.tables._VALUES_PER_DELETE", 2)
    paths = [f"/media/{number}".encode() for number in range(6)]
    with Writer(index) as writer:
        for number, path in enumerate(paths):
            put(writer, path, number)
        writer.commit()
        writer.remove_files(paths[:5])
        snapshot = writer.commit()
    assert list(snapshot.files()) == paths[5:]
    assert list(snapshot.contents()) == [5]
    assert set(snapshot.partition(AUDIO).content_ids) == {5}
    assert verify(index) == ()


def test_ids_that_are_not_there_are_an_error(index):
    with pytest.raises(KeyError, match="0"):
        open_snapshot(index).segment_rows([0])
    with Writer(index) as writer:
        put(writer, b"/media/a", 1)
        put(writer, b"/media/b", 2)
        writer.commit()
        writer.remove_files([b"/media/a"])
        snapshot = writer.commit()
    assert snapshot.partition(AUDIO).ids.tolist() == [4, 6]
    for segment_id in (3, 8):
        with pytest.raises(KeyError, match=str(segment_id)):
            snapshot.segment_rows([4, segment_id])
        with pytest.raises(KeyError, match=str(segment_id)):
            snapshot.spans(np.array([segment_id]))
    assert snapshot.spans(np.array([7, 4])) == ([1, 1], [10.0, 0.0], [20.0, 10.0])


def test_a_shard_replaces_only_those_that_it_overlaps(index):
    with Writer(index) as writer:
        for key in (AUDIO, VIDEO):
            for name in ("a", "b", "c", "d"):
                folder = writer.shard_parent(key) / name
                folder.mkdir()
                (folder / "ids.npy").write_text(name)
                write_meta(folder)
        writer.add_shard(VIDEO, "a", 10, 20, 1)
        writer.add_shard(AUDIO, "b", 10, 20, 1)
        writer.add_shard(AUDIO, "a", 0, 10, 1)
        writer.add_shard(AUDIO, "c", 20, 30, 1)
        assert [shard.name for shard in writer.commit().shards(AUDIO)] == ["a", "b", "c"]
        writer.add_shard(AUDIO, "d", 9, 11, 1)
        snapshot = writer.commit()
        assert [shard.name for shard in snapshot.shards(AUDIO)] == ["d", "c"]
        assert [shard.name for shard in snapshot.shards(VIDEO)] == ["a"]
        writer.add_shard(AUDIO, "a", 0, 9, 1)
        writer.drop_shards(AUDIO, keep=["a"])
        snapshot = writer.commit()
    assert [shard.name for shard in snapshot.shards(AUDIO)] == ["a"]
    assert [shard.name for shard in snapshot.shards(VIDEO)] == ["a"]


def test_a_codebook_replaces_the_shards_and_tunings_of_its_own_partition(index):
    with Writer(index) as writer:
        for key in (AUDIO, VIDEO):
            for name in ("book", "other", "shard"):
                folder = writer.shard_parent(key) / name
                folder.mkdir()
                (folder / "ids.npy").write_text(name)
                write_meta(folder)
            writer.set_codebook(key, "book", 5)
            writer.add_shard(key, "shard", 0, 5, 5)
            writer.set_tunings(key, [Tuning(key, Modality.TEXT, 4, 100, 0.96, 0.9, 0.95, 5, "2026-01-01T00:00:00")])
        writer.set_codebook(AUDIO, "other", 7)
        snapshot = writer.commit()
        codebook = snapshot.codebook(AUDIO)
        assert (codebook.name, codebook.stop_id) == ("other", 7)
        assert (snapshot.shards(AUDIO), snapshot.tunings(AUDIO)) == ((), ())
        assert snapshot.codebook(VIDEO).name == "book"
        assert (len(snapshot.shards(VIDEO)), len(snapshot.tunings(VIDEO))) == (1, 1)
        writer.set_codebook(VIDEO, None)
        snapshot = writer.commit()
    assert snapshot.codebook(VIDEO) is None
    assert (snapshot.shards(VIDEO), snapshot.tunings(VIDEO)) == ((), ())
    assert snapshot.codebook(AUDIO).name == "other"


def test_score_statistics_without_any_spread_are_of_no_use(index):
    with Writer(index) as writer:
        stats = [ScoreStats(AUDIO, Modality.TEXT, 0.1, 0.2), ScoreStats(AUDIO, Modality.AUDIO, 0.1, 0.0)]
        writer.set_score_stats([*stats, ScoreStats(VIDEO, Modality.TEXT, 0.3, 0.4)])
        snapshot = writer.commit()
    assert snapshot.score_stats(AUDIO) == {Modality.TEXT: stats[0]}


def test_the_size_on_disk_is_that_of_du(index: Path, tmp_path: Path) -> None:
    os.link(index / "manifest" / "000000000001.json", index / "manifest" / ".000000000009.json.1.0123abcd.tmp")
    (index / "elsewhere").symlink_to(tmp_path)
    expected = subprocess.run(["du", "-s", "-B1", index], capture_output=True, text=True, check=True).stdout
    assert disk_bytes(index) == int(expected.split("\t", maxsplit=1)[0])


def test_sizes_are_those_of_the_files(index):
    (index / "cache.sqlite3").write_bytes(b"12345")
    sizes = open_snapshot(index).sizes_bytes()
    assert sizes["cache"] == 5
    for part in ("lance", "manifest", "checksums"):
        expected = sum(path.stat().st_size for path in (index / part).rglob("*") if path.is_file())
        assert sizes[part] == expected > 0
    assert sizes["shards"] == 0
