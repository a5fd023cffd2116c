from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from wave_search.commands.last_hits import keep_hits, kept_hits
from wave_search.files import LAST_HITS

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_kept_last_is_there(tmp_path: Path) -> None:
    assert kept_hits(tmp_path) is None
    assert keep_hits(tmp_path, [3, 1, 2])
    assert kept_hits(tmp_path) == (3, 1, 2)
    assert keep_hits(tmp_path, [])
    assert kept_hits(tmp_path) == ()
    assert os.listdir(tmp_path) == [LAST_HITS]  # noqa: PTH208 - hidden files too


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"segment_ids": 3}', b'{"segment_ids": ["x"]}', b"\xff", b"null"]
)
def test_what_is_not_understood_is_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LAST_HITS).write_bytes(content)
    assert kept_hits(tmp_path) is None
    assert keep_hits(tmp_path, [1])
    assert kept_hits(tmp_path) == (1,)


def test_a_place_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / LAST_HITS).mkdir()  # stands for a folder without permission, which root would have
    assert not keep_hits(tmp_path, [1])
    assert not keep_hits(tmp_path / "gone", [1])
    assert kept_hits(tmp_path) is None
    assert os.listdir(tmp_path) == [LAST_HITS]  # noqa: PTH208


def test_of_many_at_once_one_is_kept_whole(tmp_path: Path) -> None:
    written = [[number] * 1000 for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda ids: keep_hits(tmp_path, ids), written))
        kept = kept_hits(tmp_path)
    assert kept is not None
    assert list(kept) in written
