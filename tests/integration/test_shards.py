"""Search structures over a life of an index: built, measured, damaged, outgrown, compacted; always in one commit."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.vector_index import DIM, QUERIES, TEXT, TEXTS, VECTORS, VIDEO, fill, make, names, optimize
from wave_search.ann import exact_search, is_outgrown, plan, shard_set, tuning
from wave_search.ann.rebuild import refresh_shards
from wave_search.errors import IndexCorruptError
from wave_search.query import partition
from wave_search.query.fusion import Query
from wave_search.query.info import describe
from wave_search.query.partition import PartitionSearch
from wave_search.store import LocalFiles, Writer, manifest, open_snapshot, verify
from wave_search.types import Modality


@pytest.fixture
def index(tmp_path):
    return make(tmp_path / "index")


@pytest.fixture(scope="module")
def one_shard(tmp_path_factory):
    """An index of a shard of 1000 vectors; to be copied."""
    folder = make(tmp_path_factory.mktemp("one") / "index")
    fill(folder, 0, 1000)
    return folder


@pytest.fixture(scope="module")
def two_shards(one_shard, tmp_path_factory):
    """The same with a shard of 600 more."""
    folder = Path(shutil.copytree(one_shard, tmp_path_factory.mktemp("two") / "index"))
    fill(folder, 1000, 1600)
    return folder


@pytest.fixture
def thousand(one_shard, tmp_path):
    return Path(shutil.copytree(one_shard, tmp_path / "index"))


@pytest.fixture
def pair(two_shards, tmp_path):
    return Path(shutil.copytree(two_shards, tmp_path / "index"))


def forget(index, *names):
    with Writer(index) as writer:
        writer.remove_files([f"/media/{name}".encode() for name in names])
        return writer.commit()


@pytest.fixture
def by_codes(monkeypatch):
    """Small as the shards are, searches go by their codes."""
    monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
    monkeypatch.setattr(shard_set, "_CODE_COST", 0)


def stored(snapshot):
    ids = snapshot.partition(VIDEO).ids
    return snapshot.vectors(VIDEO, ids), ids


def agreement(snapshot, query_modality=None, allowed_ids=None, k=10):
    """Share of the true best that is found; the scores of those must be exact."""
    vectors, ids = stored(snapshot)
    if allowed_ids is not None:
        kept = np.isin(ids, allowed_ids)
        vectors, ids = vectors[kept], ids[kept]
    search = PartitionSearch(snapshot, VIDEO)
    shares = []
    for row in QUERIES("other" if query_modality is Modality.TEXT else "same", 100):
        found = search.search([Query.of_vectors(row[None], query_modality)], k, allowed_ids=allowed_ids)[0]
        scores, true = exact_search(vectors, ids, row, k)
        exact = dict(zip(true.tolist(), scores.tolist(), strict=True))
        assert all(exact.get(i, s) == s for i, s in zip(found.ids.tolist(), found.scores.tolist(), strict=True))
        shares.append(len(exact.keys() & set(found.ids.tolist())) / len(exact))
    return np.mean(shares)


def test_few_segments_have_no_shards(index):
    snapshot = fill(index, 0, 400, texts=50)
    assert snapshot.shards(VIDEO) == ()
    assert snapshot.codebook(VIDEO) is None
    assert snapshot.tunings(VIDEO) == ()
    assert agreement(snapshot) == 1


def test_recall_is_measured_for_each_modality_of_queries_kept_and_reported(index, by_codes):
    snapshot = fill(index, 0, 2000, texts=300, min_shard_rows=1000)
    tunings = {tuned.query: tuned for tuned in snapshot.tunings(VIDEO)}
    assert set(tunings) == {Modality.TEXT, Modality.VIDEO}
    for query_modality, tuned in tunings.items():
        assert (tuned.target, tuned.vectors) == (0.95, 2000)
        assert tuned.recall >= 0.95
        assert agreement(snapshot, query_modality) >= 0.93
    assert agreement(snapshot) >= 0.93, "a query of unknown modality"
    (part,) = [part for part in describe(snapshot).partitions if part.modality is Modality.VIDEO]
    assert (part.covered, part.tunings) == (2000, snapshot.tunings(VIDEO))
    assert verify(index) == ()


def test_another_target_is_measured_again_and_kept(index, by_codes):
    first = fill(index, 0, 1000, texts=300)
    wanted = fill(index, 1000, 1000, recall=0.5)
    assert {t.target for t in wanted.tunings(VIDEO)} == {0.5}
    assert names(wanted) == names(first)
    costs = [sum(t.nprobe * t.refine_k for t in s.tunings(VIDEO)) for s in (first, wanted)]
    assert costs[1] < costs[0]
    again = fill(index, 1000, 1500)
    assert {t.target for t in again.tunings(VIDEO)} == {0.5}
    assert {t.vectors for t in again.tunings(VIDEO)} == {1500}


def test_nothing_to_do_writes_nothing(index):
    first = fill(index, 0, 1000, texts=300)
    assert fill(index, 1000, 1000).manifest.version == first.manifest.version
    assert optimize(index).manifest.version == first.manifest.version
    with Writer(index) as writer:
        refresh_shards(writer, VIDEO, 500, building=lambda: pytest.fail("nothing is built"))


def test_growth_shares_a_codebook_and_makes_few_shards(index):
    snapshots = [fill(index, start, start + 500) for start in range(0, 3000, 500)]
    assert len({snapshot.codebook(VIDEO) for snapshot in snapshots}) == 1
    assert [[shard.count for shard in s.shards(VIDEO)] for s in snapshots] == [
        [500],
        [1000],
        [1000, 500],
        [2000],
        [2000, 500],
        [2000, 1000],
    ]
    assert agreement(snapshots[-1]) >= 0.95
    assert agreement(snapshots[0]) >= 0.95, "readers of an older version still find them"


def test_measuring_waits_until_the_shards_have_grown(index):
    first = fill(index, 0, 2500, min_shard_rows=100)
    second = fill(index, 2500, 2700, min_shard_rows=100)
    assert second.tunings(VIDEO) == first.tunings(VIDEO)
    third = fill(index, 2700, 3000, min_shard_rows=100)
    assert third.tunings(VIDEO) == first.tunings(VIDEO)
    fourth = fill(index, 0, 0, texts=40, min_shard_rows=100)
    assert {tuning.vectors for tuning in fourth.tunings(VIDEO)} == {3000}, "a new modality"


def test_deleted_segments_are_not_found_and_leave_with_optimize(index, by_codes):
    snapshot = fill(index, 0, 1500)
    gone = snapshot.partition(VIDEO).ids[:200]
    forgot = forget(index, "v0", "v100")
    assert names(forgot) == names(snapshot)
    assert agreement(forgot) >= 0.9
    for row in VECTORS[:200:20].astype(np.float32):
        assert not np.isin(PartitionSearch(forgot, VIDEO).search([Query.of_vectors(row[None])], 10)[0].ids, gone).any()
    compacted = optimize(index)
    assert [shard.count for shard in compacted.shards(VIDEO)] == [1300]
    assert compacted.codebook(VIDEO) == snapshot.codebook(VIDEO)
    assert agreement(compacted) >= 0.9
    forget(index, *(f"v{start}" for start in range(200, 1200, 100)))
    left = optimize(index)
    assert (left.shards(VIDEO), left.codebook(VIDEO), left.tunings(VIDEO)) == ((), None, ())
    assert agreement(left) == 1


def test_optimize_joins_small_shards(pair):
    assert len(open_snapshot(pair).shards(VIDEO)) == 2
    fill(pair, 1600, 1700)
    joined = optimize(pair)
    assert [shard.count for shard in joined.shards(VIDEO)] == [1700]
    assert verify(pair) == () or all(problem.orphan for problem in verify(pair))


@pytest.mark.parametrize("large", [True, False])
def test_shards_have_a_size_at_most(index, monkeypatch, large):
    monkeypatch.setattr(plan, "SHARD_VECTORS", 400)
    snapshot = fill(index, 0, 1000)
    assert [shard.count for shard in snapshot.shards(VIDEO)] == [400, 400, 200]
    assert agreement(snapshot) >= 0.95
    assert [shard.count for shard in optimize(index).shards(VIDEO)] == [400, 400, 200]


def damage_one(snapshot, name):
    folder = snapshot.shard_dir(snapshot.shards(VIDEO)[1])
    if name == "folder":
        shutil.rmtree(folder)
        return folder
    if name == "codebook":
        folder = snapshot.shard_dir(snapshot.codebook(VIDEO))
        name = "centroids.npy"
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 255
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("name", ["folder", "codebook", "codes.faiss", "ids.npy", "meta.json"])
def test_damage_is_reported_to_readers_and_repaired_by_the_next_writer(pair, name):
    snapshot = open_snapshot(pair)
    before = [PartitionSearch(snapshot, VIDEO).search([Query.of_vectors(row[None])], 10)[0] for row in TEXTS[:10]]
    folder = damage_one(snapshot, name)
    with pytest.raises(IndexCorruptError, match="damaged") as caught:
        PartitionSearch(snapshot, VIDEO)
    assert str(folder) in caught.value.message
    assert "wave-search optimize" in caught.value.remedy
    repaired = fill(pair, 1600, 1600)
    assert agreement(repaired) >= 0.95
    after = [PartitionSearch(repaired, VIDEO).search([Query.of_vectors(row[None])], 10)[0] for row in TEXTS[:10]]
    shared = [np.intersect1d(a.ids, b.ids, return_indices=True)[1:] for a, b in zip(before, after, strict=True)]
    assert all(np.array_equal(a.scores[i], b.scores[j]) for a, b, (i, j) in zip(before, after, shared, strict=True))
    if name != "codebook":
        assert names(repaired)[0] == names(snapshot)[0], "what was intact stays"


def test_shards_without_their_codebook_are_reported_and_repaired_by_optimize(thousand):
    snapshot = open_snapshot(thousand)
    state = replace(snapshot.manifest, version=snapshot.manifest.version + 1, codebooks=())
    manifest.publish(LocalFiles(thousand), state)
    with pytest.raises(IndexCorruptError, match=r"shards in .*/video have no codebook\. Run `wave-search optimize`"):
        PartitionSearch(open_snapshot(thousand), VIDEO)
    (problem,) = [problem for problem in verify(thousand) if not problem.orphan]
    assert problem.what == f"the shards in {thousand / 'shards' / 'video'} have no codebook"
    assert agreement(optimize(thousand)) >= 0.95
    assert not [problem for problem in verify(thousand) if not problem.orphan]


def test_a_flipped_byte_of_a_vector_is_repaired_by_optimize(pair):
    snapshot = open_snapshot(pair)
    damage_one(snapshot, "vectors.f16")
    assert [problem for problem in verify(pair) if not problem.orphan]
    assert names(optimize(pair)) != names(snapshot)
    assert not [problem for problem in verify(pair) if not problem.orphan]


def test_a_lost_shard_that_is_small_is_searched_exactly(pair):
    snapshot = open_snapshot(pair)
    damage_one(snapshot, "folder")
    left = fill(pair, 1600, 1600, min_shard_rows=700)
    assert names(left) == names(snapshot)[:1]
    assert agreement(left) >= 0.95


def outgrow(index, monkeypatch):
    """Whatever was measured with the first codebook did not reach the target."""
    first = open_snapshot(index).codebook(VIDEO)
    measured = []

    def judged(shards, result, target):
        measured.append(shards.codebook.checksum)
        return shards.codebook.checksum == measured[0] if first else is_outgrown(shards, result, target)

    monkeypatch.setattr(tuning, "is_outgrown", judged)


def test_an_outgrown_codebook_is_replaced_while_readers_keep_the_old_one(index, monkeypatch):
    old = fill(index, 0, 1000, texts=300)
    reading = PartitionSearch(old, VIDEO)
    before = reading.search([Query.of_vectors(TEXTS[:1])], 10)[0]
    outgrow(index, monkeypatch)
    new = fill(index, 1000, 1500)
    assert new.manifest.version == old.manifest.version + 2, "the segments, and the structures in one commit"
    assert new.codebook(VIDEO) != old.codebook(VIDEO)
    assert [shard.count for shard in new.shards(VIDEO)] == [1500]
    assert {t.vectors for t in new.tunings(VIDEO)} == {1500}
    assert agreement(new) >= 0.95
    assert np.array_equal(reading.search([Query.of_vectors(TEXTS[:1])], 10)[0].ids, before.ids)


@pytest.mark.parametrize(("stop", "replaced"), [(1000, False), (1249, False), (1250, True)])
def test_a_codebook_is_not_replaced_before_a_fifth_of_the_segments_is_new(thousand, monkeypatch, stop, replaced):
    old = open_snapshot(thousand)
    outgrow(thousand, monkeypatch)
    again = fill(thousand, 1000, stop, recall=0.9, min_shard_rows=100)
    assert (again.codebook(VIDEO) != old.codebook(VIDEO)) is replaced
    assert {t.target for t in again.tunings(VIDEO)} == {0.9}


def test_queries_of_the_partition_are_not_their_own_neighbours(index, monkeypatch):
    asked, tune = [], tuning.tune

    def recorded(shards, queries, target):
        asked.append(queries)
        return tune(shards, queries, target)

    monkeypatch.setattr(tuning, "tune", recorded)
    snapshot = fill(index, 0, 1000, texts=300)
    own, others = sorted(asked, key=lambda queries: queries.own_ids is None)
    assert np.array_equal(snapshot.vectors(VIDEO, own.own_ids), own.vectors)
    assert others.own_ids is None
    assert len(own.vectors) == len(others.vectors) == 256


def test_a_filter_reaches_shards_and_the_rest(index, by_codes):
    snapshot = fill(index, 0, 1300, texts=300, min_shard_rows=1000)
    snapshot = fill(index, 1300, 1600, min_shard_rows=1000)
    assert sum(shard.count for shard in snapshot.shards(VIDEO)) == 1300
    everything = np.arange(snapshot.manifest.next_segment_id)
    for allowed_ids in (everything, everything[::50], everything[1400:1500], everything[:0]):
        search = PartitionSearch(snapshot, VIDEO)
        found = search.search([Query.of_vectors(TEXTS[:1], Modality.TEXT)], 10, allowed_ids=allowed_ids)[0]
        assert np.isin(found.ids, allowed_ids).all()
        assert len(found.ids) == min(10, np.isin(allowed_ids, snapshot.partition(VIDEO).ids).sum())
    assert agreement(snapshot, allowed_ids=everything[::50]) >= 0.99


@pytest.fixture
def scored(monkeypatch):
    """The number of vectors of each exact search of what is in no shard."""
    found, each = [], partition.best_of_each
    monkeypatch.setattr(partition, "_MIN_ENCODED", 400 * DIM)
    monkeypatch.setattr(
        partition, "best_of_each", lambda vectors, *rest: found.append(len(vectors)) or each(vectors, *rest)
    )
    return found


def test_segments_in_no_shard_are_encoded_once_they_are_searched_often(thousand, by_codes, scored):
    """Their cost is then that of codes, and not of all their vectors in each search."""
    snapshot = fill(thousand, 1000, 1400)
    search, gone = PartitionSearch(snapshot, VIDEO), 1000 + np.arange(0, 400, 2)
    queries = [Query.of_vectors(row[None].astype(np.float32)) for row in VECTORS[1000:1400]]
    found = search.search(queries[:16], 10) + [search.search([query], 10)[0] for query in queries[16:]]
    assert scored == [400] + [0] * 384
    ids = snapshot.partition(VIDEO).ids[1000:]
    assert np.mean([own in one.ids for own, one in zip(ids, found, strict=True)]) > 0.99
    assert np.array_equal(search.vectors(ids), VECTORS[1000:1400])
    some = search.search(queries[:50], 10, allowed_ids=ids[gone - 1000])
    assert all(np.isin(one.ids, ids[gone - 1000]).all() and len(one.ids) == 10 for one in some)
    later = PartitionSearch(fill(thousand, 1400, 1410), VIDEO)
    later.prepare(search)
    later.search(queries[:1], 10)
    assert scored[-1] == 0, "what is searched often is encoded before the first search of a new version"


def test_partitions_have_shards_of_their_own(index):
    snapshot = fill(index, 0, 600, texts=300, min_shard_rows=200)
    assert {codebook.key for codebook in snapshot.manifest.codebooks} == {VIDEO, TEXT}
    with Writer(index) as writer:
        writer.set_codebook(TEXT, None)
        left = writer.commit()
    assert {codebook.key for codebook in left.manifest.codebooks} == {VIDEO}
    assert {shard.key for shard in left.manifest.shards} == {VIDEO}
    assert {tuned.key for tuned in left.manifest.tunings} == {VIDEO}
    assert replace(left.manifest, version=1) != replace(snapshot.manifest, version=1)
