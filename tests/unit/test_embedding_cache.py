"""Embeddings on disk: what is kept, what keeps them apart, and what is done about damage."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.libraries import tiny
from wave_search.errors import CacheError
from wave_search.store import CacheKey, EmbeddingCache, embedding_cache, vector_space
from wave_search.types import Modality

if TYPE_CHECKING:
    from pathlib import Path

VECTOR = np.linspace(-1, 1, 16, dtype=np.float32)
A, B = CacheKey("space", "a"), CacheKey("space", "b")


def made(path: Path) -> EmbeddingCache:
    cache = EmbeddingCache(path)
    cache.create()
    return cache


def test_vectors_are_found_by_all_that_they_depend_on(tmp_path: Path) -> None:
    made(tmp_path / "file").put([(A, VECTOR), (B, -VECTOR)])
    found = EmbeddingCache(tmp_path / "file").get([A, B, CacheKey("space", "c"), CacheKey("other", "a")])
    assert set(found) == {A, B}
    np.testing.assert_array_equal(found[A], VECTOR)
    np.testing.assert_array_equal(found[B], -VECTOR)


def test_the_latest_vector_counts(tmp_path: Path) -> None:
    cache = made(tmp_path / "file")
    cache.put([(A, VECTOR)])
    cache.put([(A, -VECTOR)])
    np.testing.assert_array_equal(cache.get([A])[A], -VECTOR)


def test_vectors_of_half_precision_take_half_the_space_and_are_not_taken_for_others(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "file", np.float16)
    cache.put([(A, VECTOR.astype(np.float16))])
    assert cache.get([A])[A].dtype == np.float16
    np.testing.assert_array_equal(cache.get([A])[A], VECTOR.astype(np.float16))
    with sqlite3.connect(tmp_path / "file") as database:
        assert database.execute("SELECT length(vector) FROM vectors").fetchone() == (32,)
    assert EmbeddingCache(tmp_path / "file").get([A]) == {}


def test_the_digest_of_a_file_counts_until_the_file_is_written_to(tmp_path: Path) -> None:
    made(tmp_path / "file").note_file_digest(b"/x\xff", 3, 4, "abc")
    cache = EmbeddingCache(tmp_path / "file")
    assert cache.file_digest(b"/x\xff", 3, 4) == "abc"
    assert cache.file_digest(b"/x\xff", 3, 5) is None
    assert cache.file_digest(b"/x\xff", 2, 4) is None
    cache.note_file_digest(b"/x\xff", 3, 5, "def")
    assert cache.file_digest(b"/x\xff", 3, 5) == "def"


def test_all_that_a_vector_depends_on_makes_another_space() -> None:
    spec = tiny().spec
    same = vector_space(spec, "auto", Modality.AUDIO, None)
    assert same == vector_space(spec, "auto", Modality.AUDIO, spec.prompts[Modality.AUDIO])
    sampling = replace(spec.sampling, numbers={**spec.sampling.numbers, "max_frames": 3})
    others = {
        vector_space(replace(spec, revision="other"), "auto", Modality.AUDIO, None),
        vector_space(replace(spec, sampling=sampling), "auto", Modality.AUDIO, None),
        vector_space(replace(spec, options={"positions": "aligned"}), "auto", Modality.AUDIO, None),
        vector_space(replace(spec, quantization="4bit"), "auto", Modality.AUDIO, None),
        vector_space(spec, "bfloat16", Modality.AUDIO, None),
        vector_space(spec, "auto", Modality.AV, None),
        vector_space(spec, "auto", Modality.AUDIO, "What animal is heard?"),
    }
    assert len(others - {same}) == 7


def test_threads_share_it(tmp_path: Path) -> None:
    cache = made(tmp_path / "new" / "folder" / "file")
    keys = [CacheKey("space", str(number)) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cache.put([(keys[number], VECTOR * number)]), range(40)))
        for number, found in enumerate(pool.map(lambda key: cache.get([key]), keys)):
            np.testing.assert_array_equal(found[keys[number]], VECTOR * number)


@pytest.mark.parametrize("column", ["vector", "item", "checksum"])
def test_a_row_that_was_changed_is_no_row(tmp_path: Path, column: str) -> None:
    cache = made(tmp_path / "file")
    cache.put([(A, VECTOR), (B, VECTOR)])
    other = {"vector": "zeroblob(64)", "item": "'c'", "checksum": "'0'"}[column]
    with sqlite3.connect(tmp_path / "file") as database:
        database.execute(f"UPDATE vectors SET {column} = {other} WHERE item = 'a'")  # noqa: S608
    assert set(cache.get([A, B, CacheKey("space", "c")])) == {B}


@pytest.mark.parametrize(
    ("work", "damage"),
    [
        *product(("create", "get", "put", "file_digest", "note_file_digest"), ("foreign", "folder")),
        *product(("get", "put", "file_digest", "note_file_digest"), ("other table",)),
    ],
)
def test_what_is_no_cache_is_an_error(tmp_path: Path, work: str, damage: str) -> None:
    path = tmp_path / "file"
    if damage == "foreign":
        path.write_bytes(b"something else that is longer than a header of a hundred bytes" * 4)
    elif damage == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE vectors (something)")
            database.execute("CREATE TABLE digests (something)")
    calls = {"create": (), "get": ([A],), "put": ([(A, VECTOR)],), "file_digest": (b"/x", 1, 2)}
    with pytest.raises(CacheError, match=r"file: embeddings .* cannot be kept there \(.+\).*--cache DIR"):
        getattr(EmbeddingCache(path), work)(*calls.get(work, (b"/x", 1, 2, "d")))
    assert embedding_cache.damage(path)


def test_a_journal_that_is_empty_still_is_no_trap(tmp_path: Path) -> None:
    cache = made(tmp_path / "file")
    cache.put([(A, VECTOR)])
    (tmp_path / "file-journal").touch()
    assert set(cache.get([A])) == {A}


@pytest.mark.parametrize(("limit_s", "is_stopped"), [(-1.0, True), (60.0, False)])
def test_a_transaction_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: float, is_stopped: bool
) -> None:
    cache = made(tmp_path / "file")
    cache.put([(A, VECTOR)])
    monkeypatch.setattr(embedding_cache, "_MAX_PAGE_STEPS", 1)
    monkeypatch.setattr(embedding_cache, "_MAX_TRANSACTION_S", limit_s)
    hasty = EmbeddingCache(tmp_path / "file", wait_s=0)
    if is_stopped:
        with pytest.raises(CacheError, match="interrupted"):
            hasty.get([A])
    else:
        assert set(hasty.get([A])) == {A}


def test_a_place_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"Not a directory|File exists"):
        EmbeddingCache(tmp_path / "file" / "cache").create()


def test_a_missing_cache_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(CacheError):
        EmbeddingCache(tmp_path / "file").get([A])
    assert list(tmp_path.iterdir()) == []
    assert embedding_cache.damage(tmp_path / "file") is None
    assert embedding_cache.size_bytes(tmp_path / "file") == 0


def test_a_locked_cache_is_an_error_after_the_wait(tmp_path: Path) -> None:
    made(tmp_path / "file")
    with sqlite3.connect(tmp_path / "file") as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CacheError, match="locked"):
            EmbeddingCache(tmp_path / "file", wait_s=0.0).get([A])
