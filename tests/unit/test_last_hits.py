from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wave_search.commands.last_hits import hits_file, keep_hits, kept_hits

CREATED = "2026-11-30T20:00:00+00:00"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_what_was_kept_last_is_there_and_not_in_the_index(index: Path, state: Path) -> None:
    assert kept_hits(index, CREATED) is None
    assert keep_hits(index, CREATED, [3, 1, 2])
    assert kept_hits(index, CREATED) == (3, 1, 2)
    assert keep_hits(index, CREATED, [])
    assert kept_hits(index, CREATED) == ()
    assert os.listdir(index) == []  # noqa: PTH208 - hidden files too
    assert [file for file in state.rglob("*") if file.is_file()] == [hits_file(index)]


def test_each_index_has_its_own_by_its_real_folder(index: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(index)
    assert keep_hits(tmp_path / "link", CREATED, [1])
    assert kept_hits(index, CREATED) == (1,)
    assert kept_hits(tmp_path / "other", CREATED) is None


def test_those_of_an_earlier_index_in_the_folder_are_not_meant(index: Path) -> None:
    assert keep_hits(index, CREATED, [1])
    assert kept_hits(index, "2026-12-01T00:00:00+00:00") is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'{"segment_ids": 3}', b'{"segment_ids": ["x"]}', b"\xff", b"null"),
        b'{"segment_ids": ' + b"[" * 100_000,
        b'{"created": "%s", "segment_ids": [Infinity, NaN]}' % CREATED.encode(),
        b'{"created": "%s", "segment_ids": [1e308, ' % CREATED.encode() + b"9" * 400 + b"]}",
    ],
    ids=range(10),
)
def test_what_is_not_understood_is_nothing(index: Path, content: bytes) -> None:
    hits_file(index).parent.mkdir(parents=True)
    hits_file(index).write_bytes(content)
    assert kept_hits(index, CREATED) is None
    assert keep_hits(index, CREATED, [1])
    assert kept_hits(index, CREATED) == (1,)


def test_a_state_folder_that_cannot_be_written_keeps_nothing(index: Path, state: Path) -> None:
    state.touch()  # stands for a folder without permission, which root would have
    assert not keep_hits(index, CREATED, [1])
    assert kept_hits(index, CREATED) is None


def test_of_many_at_once_one_is_kept_whole(index: Path) -> None:
    written = [[number] * 1000 for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda ids: keep_hits(index, CREATED, ids), written))
        kept = kept_hits(index, CREATED)
    assert kept is not None
    assert list(kept) in written
