"""Embeddings on disk: what is kept, what keeps them apart, and what goes wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.libraries import tiny
from wave_search.errors import CacheError
from wave_search.evaluation.cache import FILE, EmbeddingCache, space_of
from wave_search.types import Modality

if TYPE_CHECKING:
    from pathlib import Path

VECTOR = np.linspace(-1, 1, 16, dtype=np.float32)


def test_vectors_outlive_a_cache_that_was_never_closed(tmp_path: Path) -> None:
    left_open = EmbeddingCache(tmp_path)
    left_open.put("space", [("a", VECTOR), ("b", -VECTOR)])
    left_open.note_digest(b"/x\xff", 3, 4, "abc")
    with EmbeddingCache(tmp_path) as cache:
        np.testing.assert_array_equal(cache.get("space", "a"), VECTOR)
        np.testing.assert_array_equal(cache.get("space", "b"), -VECTOR)
        assert cache.get("space", "c") is None
        assert cache.get("other space", "a") is None
        assert cache.digest(b"/x\xff", 3, 4) == "abc"
        assert cache.digest(b"/x\xff", 3, 5) is None, "written to since"
    left_open.close()


def test_all_that_a_vector_depends_on_makes_another_space() -> None:
    spec = tiny().spec
    same = space_of(spec, "auto", Modality.AUDIO, None)
    assert same == space_of(spec, "auto", Modality.AUDIO, spec.prompts[Modality.AUDIO])
    others = {
        space_of(replace(spec, revision="other"), "auto", Modality.AUDIO, None),
        space_of(
            replace(spec, sampling=replace(spec.sampling, numbers={**spec.sampling.numbers, "max_frames": 3})),
            "auto",
            Modality.AUDIO,
            None,
        ),
        space_of(replace(spec, options={"positions": "aligned"}), "auto", Modality.AUDIO, None),
        space_of(replace(spec, quantization="4bit"), "auto", Modality.AUDIO, None),
        space_of(spec, "bfloat16", Modality.AUDIO, None),
        space_of(spec, "auto", Modality.AV, None),
        space_of(spec, "auto", Modality.AUDIO, "What animal is heard?"),
    }
    assert len(others - {same}) == 7


def test_threads_share_it(tmp_path: Path) -> None:
    with EmbeddingCache(tmp_path / "new" / "folder") as cache, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cache.put("space", [(str(number), VECTOR * number)]), range(40)))
        for number, vector in enumerate(pool.map(lambda number: cache.get("space", str(number)), range(40))):
            np.testing.assert_array_equal(vector, VECTOR * number)


def test_what_is_no_cache_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else that is longer than a header of a hundred bytes" * 4)
    with pytest.raises(CacheError, match=r"embeddings.sqlite3: .*not a database.*--cache DIR"):
        EmbeddingCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"Not a directory|File exists"):
        EmbeddingCache(tmp_path / "file")
