import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.embedding_like import build, ids_of, recall, reopen, unit, vectors_and_queries
from wave_search.ann import Codebook, Shard, build_shard
from wave_search.ann import shard as shard_module
from wave_search.ann.codebook import principal_rotation
from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store.shards import write_meta

SHARD_FILES = ("codes.faiss", "ids.npy", "vectors.f16", "meta.json")
CODEBOOK_FILES = ("rotation.npy", "centroids.npy", "quantisers.npy", "meta.json")


def shard_of(parent):
    return next(parent.glob("0*"))


def codebook_of(parent):
    return next(parent.glob("codebook-*"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    parent = tmp_path_factory.mktemp("built")
    build(parent, vectors_and_queries(300, 64)[0])
    return parent


def test_a_built_shard_is_read_back(tmp_path):
    vectors, _ = vectors_and_queries(100, 64)
    codebook = Codebook.train(vectors, 100)
    built = build_shard(codebook, [(ids_of(vectors), vectors)], tmp_path)
    assert (built.first_id, built.stop_id, built.count) == (7, 7 + 3 * 99 + 1, 100)
    assert built.name.startswith("000000000007-000000000305-")
    shard = Shard.open(tmp_path / built.name, codebook)
    assert np.array_equal(shard.ids, ids_of(vectors))
    assert np.array_equal(shard.vectors, vectors)


def test_a_codebook_is_stored_once_and_comes_back_the_same(tmp_path):
    vectors, _ = vectors_and_queries(2000, 512)
    codebook = Codebook.train(vectors, len(vectors))
    again = Codebook.open(tmp_path / codebook.write(tmp_path), 512)
    assert again.checksum == codebook.checksum
    assert again.lists == codebook.lists
    first, second = (build_shard(book, [(np.arange(100), vectors[:100])], tmp_path).name for book in (codebook, again))
    for name in SHARD_FILES:
        assert (tmp_path / first / name).read_bytes() == (tmp_path / second / name).read_bytes()
    assert (tmp_path / first / "codes.faiss").stat().st_size < codebook.lists * 32 * 128 + 100 * 8 + 10_000


def test_the_same_seed_gives_the_same_codebook():
    vectors, _ = vectors_and_queries(1000, 64)
    first, again, other = (Codebook.train(vectors, 1000, seed).checksum for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("count", "size"), [(0, 0), (10, 10), (16_384, 16_384), (20_000, 16_384), (100_000, 24_576), (1_000_000, 98_304)]
)
def test_the_size_of_a_training_sample(count, size):
    assert Codebook.sample_size(count) == size


@pytest.mark.parametrize(
    ("count", "sample", "lists"),
    [(1, 1, 1), (77, 77, 1), (78, 78, 2), (1247, 1247, 16), (1248, 1248, 32), (100, 1248, 16), (200, 1248, 32)],
)
def test_the_number_of_lists_follows_from_the_count_and_the_sample(count, sample, lists):
    vectors, _ = vectors_and_queries(sample, 8)
    assert Codebook.train(vectors, count).lists == lists


def test_a_rotation_pairs_the_first_direction_with_the_last():
    variances = np.array([9, 1, 25, 4, 16, 0.25])
    sample = (np.random.default_rng(0).standard_normal((20_000, 6)) * np.sqrt(variances)).astype(np.float32)
    rotation = principal_rotation(sample + 3, 4, seed=0)
    assert np.abs(rotation).argmax(axis=1).tolist() == [2, 3, 4, 0]
    assert np.allclose(rotation @ rotation.T, np.eye(4), atol=1e-5)


def test_a_rotation_of_few_vectors_is_orthonormal():
    rotation = principal_rotation(unit(np.random.default_rng(0).standard_normal((2, 40))), 8, seed=0)
    assert np.allclose(rotation @ rotation.T, np.eye(8), atol=1e-4)


def test_all_of_a_small_sample_count_for_the_rotation():
    random = np.random.default_rng(0)
    vectors = np.zeros((1000, 512))
    vectors[::2, :128] = random.standard_normal((500, 128))
    vectors[1::2, -128:] = random.standard_normal((500, 128))
    lengths = np.linalg.norm(Codebook.train(unit(vectors), 1000).rotate(unit(vectors)), axis=1)
    assert np.allclose(lengths, 0.87, atol=0.01)


def test_rotated_queries_are_somewhat_longer_than_vectors():
    vectors, queries = vectors_and_queries(500, 16)
    codebook = Codebook.train(vectors, 500)
    lengths = np.linalg.norm(codebook.rotate(vectors.astype(np.float32)), axis=1)
    assert lengths.mean() == pytest.approx(0.87, abs=0.01)
    assert np.allclose(np.linalg.norm(codebook.rotate_queries(queries("other")), axis=1), 1, atol=1e-5)


def test_a_failed_build_leaves_nothing(tmp_path):
    vectors, _ = vectors_and_queries(100, 64)
    codebook = Codebook.train(vectors, 100)
    bad = {
        "no vectors": [],
        "ids that do not ascend": [(np.array([1, 0]), vectors[:2])],
        "another size": [(np.array([1]), vectors[:1, :32])],
        "float32": [(np.array([1]), vectors[:1].astype(np.float32))],
    }
    for batches in bad.values():
        with pytest.raises(ValueError, match=r"ascending|float16"):
            build_shard(codebook, batches, tmp_path)
    with pytest.raises(IndexStateError, match="cannot be written") as caught:
        build_shard(codebook, [(np.arange(100), vectors)], tmp_path / "missing")
    assert caught.value.remedy
    with pytest.raises(IndexStateError, match="cannot be written"):
        codebook.write(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def damage(path, how):
    data = path.read_bytes()
    middle = len(data) // 2
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "short":
        path.write_bytes(data[:middle])
    else:
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])


WAYS = ("gone", "empty", "short", "flipped")


# A flipped byte of the vectors is seen by those who read all of them: opening maps them unread.
DAMAGE = [(name, how) for name in SHARD_FILES for how in WAYS if (name, how) != ("vectors.f16", "flipped")]


@pytest.mark.parametrize(("name", "how"), DAMAGE)
def test_a_damaged_shard_is_refused(tmp_path, built, name, how):
    codebook = Codebook.open(codebook_of(built), 64)
    directory = tmp_path / "shard"
    shutil.copytree(shard_of(built), directory)
    damage(directory / name, how)
    with pytest.raises(IndexCorruptError, match="damaged") as caught:
        Shard.open(directory, codebook)
    assert str(directory) in caught.value.message
    assert "wave-search optimize" in caught.value.remedy


def test_a_shard_that_is_removed_while_it_is_opened_is_refused(tmp_path, built, monkeypatch):
    directory = tmp_path / "shard"
    shutil.copytree(shard_of(built), directory)
    check = shard_module.check_file

    def check_and_remove(directory, name, meta):
        check(directory, name, meta)
        if name == "codes.faiss":
            (directory / name).unlink()

    codebook = Codebook.open(codebook_of(built), 64)
    monkeypatch.setattr(shard_module, "check_file", check_and_remove)
    with pytest.raises(IndexCorruptError, match="damaged"):
        Shard.open(directory, codebook)


@pytest.mark.parametrize("how", ["gone", "empty", "short"])
def test_vectors_that_are_damaged_after_opening_are_not_read(tmp_path, built, how):
    directory = tmp_path / "shard"
    shutil.copytree(shard_of(built), directory)
    shard = Shard.open(directory, Codebook.open(codebook_of(built), 64))
    read = [vectors for _, vectors in shard.batches(70)]
    assert np.array_equal(np.concatenate(read), shard.vectors)
    damage(directory / "vectors.f16", how)
    with pytest.raises(IndexCorruptError, match="damaged"):
        list(shard.batches(70))


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", CODEBOOK_FILES)
def test_a_damaged_codebook_is_refused(tmp_path, built, name, how):
    directory = tmp_path / "codebook"
    shutil.copytree(codebook_of(built), directory)
    damage(directory / name, how)
    with pytest.raises(IndexCorruptError, match="damaged") as caught:
        Codebook.open(directory, 64)
    assert str(directory) in caught.value.message
    assert "wave-search optimize" in caught.value.remedy


def test_a_shard_of_another_codebook_size_or_format_is_refused(tmp_path, built):
    with pytest.raises(IndexCorruptError, match=r"float32 of \(64, 64\), not finite float32 of \(any, 32\)"):
        Codebook.open(codebook_of(built), 32)
    other = Codebook.train(vectors_and_queries(200, 64, seed=1)[0], 200)
    with pytest.raises(IndexCorruptError, match="another codebook"):
        Shard.open(shard_of(built), other)
    directory = tmp_path / "shard"
    shutil.copytree(shard_of(built), directory)
    meta = json.loads((directory / "meta.json").read_text())
    (directory / "meta.json").write_text(json.dumps({**meta, "format": 1}))
    with pytest.raises(IndexCorruptError, match="format 1"):
        Shard.open(directory, Codebook.open(codebook_of(built), 64))


@pytest.mark.parametrize(("position", "is_valid"), [(-1, False), (0, True), (299, True), (300, False)])
def test_positions_that_are_not_in_the_shard_are_refused(tmp_path, built, position, is_valid):
    codebook = Codebook.open(codebook_of(built), 64)
    directory = Path(shutil.copytree(shard_of(built), tmp_path / "shard"))
    data = bytearray((directory / "codes.faiss").read_bytes())
    assert struct.unpack_from("<Q", data, 36) > (0,), "the first list has a vector"
    struct.pack_into("<q", data, 44, position)
    (directory / "codes.faiss").write_bytes(data)
    (directory / "meta.json").unlink()
    write_meta(directory, count=300, dim=64, codebook=codebook.checksum)
    if is_valid:
        assert len(Shard.open(directory, codebook)) == 300
    else:
        with pytest.raises(IndexCorruptError, match="a position is not in the shard"):
            Shard.open(directory, codebook)


def test_a_gpu_trains_and_adds_in_place_of_the_processor(tmp_path, monkeypatch):
    import faiss

    vectors, queries = vectors_and_queries(500, 64)
    lent = []

    def lend(index):
        lent.append(faiss.clone_index(index))
        return lent[-1]

    # The processor stands in for the device: what is tested is that it is asked, and that the file is complete after.
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lend, raising=False)
    for place in ("gpu", "processor"):
        (tmp_path / place).mkdir()
        build(tmp_path / place, vectors, codebook=Codebook.train(vectors, len(vectors)))
        monkeypatch.undo()
    assert lent
    codes = [(shard_of(tmp_path / place) / "codes.faiss").read_bytes() for place in ("gpu", "processor")]
    assert codes[0] == codes[1]
    shards = reopen(tmp_path / "gpu", ids_of(vectors))
    assert recall(shards, vectors, ids_of(vectors), queries("same")) >= 0.98


SCRIPT = """
import faiss
import torch
import sys
from pathlib import Path
import numpy as np
from tests.embedding_like import reopen
from wave_search.ann import SearchParams
faiss.omp_set_num_threads(4)
torch.set_num_threads(4)
shards = reopen(Path(sys.argv[1]), np.arange(10_000))
weights = torch.randn(512, 512)
for row in np.eye(64, dtype=np.float32):
    (weights @ weights).sum()
    assert len(shards.search(row, 10, SearchParams(2, 20))[0][1]) == 10
print("done")
"""


def test_faiss_and_torch_work_in_one_process(built, request):
    assert output_of_script(sys.executable, built, request) == "done\n"


def test_torch_first_and_faiss_work_in_one_process(built, request, stand_ins):
    assert output_of_script(stand_ins.python, built, request) == "done\n"


def output_of_script(python, built, request):
    command = [python, "-c", SCRIPT, built]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=request.config.rootpath).stdout
