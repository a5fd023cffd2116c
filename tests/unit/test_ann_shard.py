import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from wave_search.ann import Codebook, Shard, build_shard, exact_search
from wave_search.errors import IndexCorruptError, IndexError_


def unit(values):
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def library(n, dim, seed=0):
    """Embedding-like vectors: clusters of Zipf sizes, a falling spectrum, a strong common mean.

    Returns (n, dim) float16 items, and a function that draws queries: of the same modality, or of another one, which
    has another mean and agrees with its item only in part.
    """
    random = np.random.default_rng(seed)
    latent = min(dim, 256)
    scale = 1 / np.sqrt(1 + (np.arange(latent) / 32) ** 2)
    spread = np.linalg.qr(random.standard_normal((dim, latent)))[0].T
    means = unit(random.standard_normal((2, dim)))
    centres = random.standard_normal((max(2, n // 20), latent)) * scale
    weights = 1 / np.arange(1, len(centres) + 1)

    def points(count):
        chosen = random.choice(len(centres), count, p=weights / weights.sum())
        return unit(0.8 * centres[chosen] + 0.6 * random.standard_normal((count, latent)) * scale)

    def embed(latents, mean):
        noise = unit(random.standard_normal((len(latents), dim)))
        return unit(0.76 * latents @ spread + 0.6 * mean + 0.2 * noise)

    inside = points(n)

    def queries(kind, count=60):
        if kind == "same":
            return embed(points(count), means[0])
        away = unit(random.standard_normal((count, latent)) * scale)
        return embed(0.6 * inside[random.integers(0, n, count)] + 0.8 * away, means[1])

    return embed(inside, means[0]).astype(np.float16), queries


def build(parent, vectors, ids=None, seed=0):
    ids = np.arange(len(vectors)) * 3 + 7 if ids is None else ids
    codebook = Codebook.train(vectors, len(vectors), seed)
    batches = ((ids[i : i + 1000], vectors[i : i + 1000]) for i in range(0, len(ids), 1000))
    built = build_shard(codebook, batches, parent)
    return parent / built.name, ids


def recall(shard, vectors, ids, queries, k=10):
    """Share of the true best k that is found; the scores of those found must be the exact ones."""
    shares = []
    for query in queries:
        scores, found = shard.search(query, k)
        true_scores, true_ids = exact_search(vectors, ids, query, k)
        exact = dict(zip(true_ids.tolist(), true_scores.tolist(), strict=True))
        hits = [(i, s) for i, s in zip(found.tolist(), scores.tolist(), strict=True) if i in exact]
        assert all(exact[i] == s for i, s in hits)
        assert (np.diff(scores) <= 0).all()
        shares.append(len(hits) / len(exact))
    return float(np.mean(shares))


@pytest.mark.parametrize(("n", "dim"), [(5000, 64), (5000, 512), (1500, 3584)])
def test_recall_against_exact_search(tmp_path, n, dim):
    vectors, queries = library(n, dim)
    directory, ids = build(tmp_path, vectors)
    shard = Shard.open(directory, dim)
    assert recall(shard, vectors, ids, queries("same")) >= 0.98
    assert recall(shard, vectors, ids, queries("other")) >= 0.98
    assert recall(shard, vectors, ids, queries("other"), k=100) >= 0.95


def test_candidates_come_from_the_index_and_not_from_a_scan(tmp_path, monkeypatch):
    vectors, queries = library(5000, 64)
    directory, ids = build(tmp_path, vectors)
    shard = Shard.open(directory, 64)
    monkeypatch.setattr(shard, "_probes", lambda wanted, count: 1)
    few = recall(shard, vectors, ids, queries("same"))
    assert 0.05 < few < 0.95


@pytest.mark.parametrize("n", [1, 2, 3, 16, 40, 239, 241, 700])
@pytest.mark.parametrize("dim", [2, 7, 64])
def test_shards_of_any_size(tmp_path, n, dim):
    vectors, queries = library(n, dim)
    directory, ids = build(tmp_path, vectors)
    shard = Shard.open(directory, dim)
    assert np.array_equal(shard.ids, ids)
    assert recall(shard, vectors, ids, queries("same", 10)) >= 0.98
    assert len(shard.search(queries("same", 1), n + 5)[1]) == n


def test_duplicates_all_have_their_score(tmp_path):
    vectors, _ = library(1000, 64)
    vectors = np.concatenate([vectors, vectors[:1].repeat(30, axis=0), vectors])
    directory, ids = build(tmp_path, vectors)
    query = vectors[0].astype(np.float32)
    scores, found = Shard.open(directory, 64).search(query, 32)
    true_scores, true_ids = exact_search(vectors, ids, query, 32)
    assert np.array_equal(scores, true_scores)
    assert np.array_equal(found, true_ids)
    assert len(set(scores.tolist())) == 1


def test_only_identical_vectors(tmp_path):
    vectors = unit(np.ones((300, 32))).astype(np.float16)
    directory, _ = build(tmp_path, vectors)
    scores, found = Shard.open(directory, 32).search(vectors[0].astype(np.float32), 5)
    assert len(set(found.tolist())) == 5
    assert np.allclose(scores, 1, atol=1e-3)


def test_the_best_of_several_rows(tmp_path):
    vectors, queries = library(3000, 64)
    directory, ids = build(tmp_path, vectors)
    shard = Shard.open(directory, 64)
    several = [np.concatenate([queries("same", 2), queries("other", 2)]) for _ in range(20)]
    assert recall(shard, vectors, ids, several) >= 0.98


@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.2, 0.9])
def test_only_the_living_are_found(tmp_path, share):
    vectors, queries = library(5000, 64)
    directory, ids = build(tmp_path, vectors)
    shard = Shard.open(directory, 64)
    living = ids[np.random.default_rng(1).random(len(ids)) < share]
    mask = shard.live_mask(np.concatenate([living, ids[-1:] + 1000]))
    assert np.array_equal(shard.ids[mask], living)
    shares = []
    for query in queries("other", 30):
        _, found = shard.search(query, 10, mask)
        assert set(found.tolist()) <= set(living.tolist())
        _, true_ids = exact_search(vectors[mask], living, query, 10)
        assert len(found) == len(true_ids)
        shares.append(len(set(found.tolist()) & set(true_ids.tolist())) / max(1, len(true_ids)))
    assert not len(living) or np.mean(shares) >= 0.98
    assert shard.live_mask(ids) is None


def test_one_codebook_for_several_shards(tmp_path):
    vectors, queries = library(4000, 64)
    first, _ = build(tmp_path, vectors[:2000], np.arange(2000))
    codebook = Codebook.of_shard(first)
    built = build_shard(codebook, [(np.arange(2000, 4000), vectors[2000:])], tmp_path)
    assert (built.first_id, built.stop_id, built.count) == (2000, 4000, 2000)
    assert built.name.startswith("000000002000-000000004000-")
    shard = Shard.open(tmp_path / built.name, 64)
    assert recall(shard, vectors[2000:], np.arange(2000, 4000), queries("same")) >= 0.98
    assert np.array_equal(Shard.open(first, 64).ids, np.arange(2000))


def test_the_same_seed_gives_the_same_files(tmp_path):
    vectors, _ = library(1000, 64)
    first, again, other = (build(tmp_path, vectors, seed=seed)[0] for seed in (0, 0, 1))
    for name in ("index.faiss", "ids.npy", "vectors.f16", "meta.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert (first / "index.faiss").read_bytes() != (other / "index.faiss").read_bytes()


def test_a_failed_build_leaves_nothing(tmp_path):
    vectors, _ = library(100, 64)
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
    with pytest.raises(IndexError_, match="cannot be written") as caught:
        build_shard(codebook, [(np.arange(100), vectors)], tmp_path / "missing")
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    vectors, _ = library(300, 64)
    return build(tmp_path_factory.mktemp("whole"), vectors)[0]


FILES = ("index.faiss", "ids.npy", "vectors.f16", "meta.json")
# A flipped byte of the vectors is seen by verify, which reads all of them: opening maps them unread.
DAMAGE = [(name, how) for name in FILES for how in ("gone", "empty", "short", "flipped")]
DAMAGE.remove(("vectors.f16", "flipped"))


@pytest.mark.parametrize(("name", "how"), DAMAGE)
def test_a_damaged_shard_is_refused(tmp_path, whole, name, how):
    directory = tmp_path / "shard"
    shutil.copytree(whole, directory)
    data = (directory / name).read_bytes()
    middle = len(data) // 2
    changed = {
        "empty": b"",
        "short": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
    }
    if how == "gone":
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(changed[how])
    with pytest.raises(IndexCorruptError, match="damaged") as caught:
        Shard.open(directory, 64)
    assert str(directory) in caught.value.message
    assert "Delete that folder" in caught.value.remedy


def test_a_shard_of_another_model_or_format_is_refused(tmp_path, whole):
    with pytest.raises(IndexCorruptError, match="vectors of 64, not 32"):
        Shard.open(whole, 32)
    directory = tmp_path / "shard"
    shutil.copytree(whole, directory)
    meta = json.loads((directory / "meta.json").read_text())
    (directory / "meta.json").write_text(json.dumps({**meta, "format": 2}))
    with pytest.raises(IndexCorruptError, match="format 2"):
        Shard.open(directory, 64)


def test_many_threads_search_one_shard(tmp_path):
    vectors, queries = library(3000, 64)
    directory, _ = build(tmp_path, vectors)
    shard = Shard.open(directory, 64)
    rows = queries("same", 20)
    expected = [shard.search(row, 10)[1].tolist() for row in rows]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append([shard.search(row, 10)[1].tolist() for row in rows]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_a_gpu_trains_and_adds_in_place_of_the_processor(tmp_path, monkeypatch):
    import faiss

    vectors, queries = library(500, 64)
    lent = []

    def lend(index):
        lent.append(faiss.clone_index(index))
        return lent[-1]

    # The processor stands in for the device: what is tested is that it is asked, and that the file is complete after.
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lend, raising=False)
    on_gpu, ids = build(tmp_path, vectors)
    monkeypatch.undo()
    on_processor, _ = build(tmp_path, vectors)
    assert lent
    assert (on_gpu / "index.faiss").read_bytes() == (on_processor / "index.faiss").read_bytes()
    assert recall(Shard.open(on_gpu, 64), vectors, ids, queries("same")) >= 0.98


SCRIPT = """
import numpy as np
{first}
{second}
from pathlib import Path
from wave_search.ann import Shard
shard = Shard.open(Path({directory!r}), 64)
weights = torch.randn(512, 512)
for row in np.eye(64, dtype=np.float32):
    (weights @ weights).sum()
    assert len(shard.search(row, 10)[1]) == 10
print("done")
"""


@pytest.mark.parametrize(("first", "second"), [("import torch", "import faiss"), ("import faiss", "import torch")])
def test_faiss_and_torch_live_in_one_process(whole, first, second):
    script = SCRIPT.format(first=first, second=second, directory=str(whole))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("package", ["wave_search.ann", "wave_search.store"])
def test_importing_is_light(package):
    script = f"import sys, {package}; print(*({{'faiss', 'lancedb', 'pyarrow', 'torch'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
