"""The list of the files of an index: what is indexed, what is skipped and why, and what is gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wave_search as ws
from wave_search.errors import IndexCorruptError, UsageError
from wave_search.indexer import put_columns
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.query import listing
from wave_search.store import Column, ContentRow, FileRow, NewSegment, Settings, Writer, create
from wave_search.types import Modality

if TYPE_CHECKING:
    from typing import Any

DIM = 4
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
DAMAGE = "damaged: 4.4 of 9.6 s"
COPY_AGAIN = "Its end is missing: copy it again."


def row(path: Path | bytes, content_id: int | None, cause: str = "", remedy: str = "") -> FileRow:
    status = "skipped" if content_id is None else "indexed"
    return FileRow(os.fsencode(path), b"/media", 100, 86_400 * 10**9, 1, content_id, status, cause, remedy)


def content(writer: Writer, digest: str, *, duration_s: float, segments: int = 2) -> int:
    vector = np.eye(DIM)[0]
    rows = [NewSegment(Modality.AUDIO, 5.0 * n, 5.0 * n + 5, None, vector) for n in range(segments)]
    return writer.put_content(ContentRow(digest, "audio", "wav", duration_s, sample_rate_hz=8000), rows)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has all files of the index but one."""
    folder = tmp_path_factory.mktemp("listed").resolve() / "media"
    (folder / "b").mkdir(parents=True)
    for name in ("b/half.wav", "b/no header.mp4", "copy of whole.wav", "whole.wav", "still.wav"):
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def index(media: Path) -> Path:
    """Not to be changed."""
    folder = media.with_name("index")
    create(folder, SPEC, Settings("10", (Modality.AUDIO,)))
    with Writer(folder) as writer:
        writer.set_roots([str(media)])
        whole = content(writer, "whole", duration_s=10.0)
        half = content(writer, "half", duration_s=4.4, segments=1)
        still = content(writer, "still", duration_s=1.0, segments=0)
        writer.put_file(row(media / "whole.wav", whole))
        writer.put_file(row(media / "copy of whole.wav", whole))
        writer.put_file(row(media / "b" / "half.wav", half, DAMAGE, COPY_AGAIN))
        writer.put_file(row(media / "still.wav", still))
        writer.put_file(row(media / "b" / "no header.mp4", None, "the header is missing", COPY_AGAIN))
        writer.put_file(row(os.fsencode(media) + b"/b/\xe9.mp4", None, "it is empty"))
        writer.commit()
    return folder


@pytest.fixture(scope="module")
def opened(index: Path) -> Iterator[ws.Index]:
    """The index, with one process for all conditions."""
    with ws.open(index) as opened:
        yield opened


def names(opened: ws.Index, *arguments: Any, **options: Any) -> list[str]:
    return [file.path.name for file in opened.files(*arguments, **options)]


def test_all_files_are_listed_by_path(opened: ws.Index, media: Path) -> None:
    files = list(opened.files())
    assert [file.path.relative_to(media) for file in files] == [
        Path(name)
        for name in ("b/half.wav", "b/no header.mp4", "b/\udce9.mp4", "copy of whole.wav", "still.wav", "whole.wav")
    ]
    assert [file.status for file in files] == ["damaged", "skipped", "skipped", "indexed", "indexed", "indexed"]
    assert [file.gone for file in files] == [False, False, True, False, False, False]


def test_a_damaged_file_shows_what_is_missing_and_a_skipped_one_why(opened: ws.Index, media: Path) -> None:
    half, no_header = list(opened.files(skipped=True))[:2]
    assert half == ws.ListedFile(
        media / "b" / "half.wav",
        "damaged",
        DAMAGE,
        COPY_AGAIN,
        gone=False,
        kind="audio",
        duration_s=4.4,
        size_bytes=100,
    )
    assert no_header == ws.ListedFile(
        *(media / "b" / "no header.mp4", "skipped", "the header is missing", COPY_AGAIN),
        **{"gone": False, "kind": None, "duration_s": None, "size_bytes": 100},
    )


def test_only_what_is_skipped_or_damaged_is_listed_on_request(opened: ws.Index) -> None:
    assert names(opened, skipped=True) == ["half.wav", "no header.mp4", "\udce9.mp4"]
    assert names(opened, "status = 'indexed'", skipped=True) == []


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("status = 'skipped'", ["no header.mp4", "\udce9.mp4"]),
        ("cause LIKE '%of 9.6 s'", ["half.wav"]),
        ("duration_s > 4", ["half.wav", "copy of whole.wav", "whole.wav"]),
        ("start_s = 5", ["copy of whole.wav", "whole.wav"]),  # of one of the segments
        ("start_s IS NULL AND kind = 'audio'", ["still.wav"]),
        ("kind IS NULL", ["no header.mp4", "\udce9.mp4"]),
        ("modified < '1970-01-01'", []),
    ],
)
def test_files_are_chosen_by_a_condition(opened: ws.Index, where: str, found: list[str]) -> None:
    assert names(opened, where) == found


def test_a_search_finds_no_skipped_files_and_can_leave_damaged_ones_out(opened: ws.Index) -> None:
    found = {hit.path.name for hit in opened.search(vector=np.ones(DIM), k=100, copies=True)}
    assert found == {"half.wav", "copy of whole.wav", "whole.wav"}
    hits = opened.search(vector=np.ones(DIM), k=100, where="status = 'damaged'", columns=["cause"])
    assert [(hit.path.name, hit.columns["cause"]) for hit in hits] == [("half.wav", DAMAGE)]


def test_columns_of_files_and_of_ones_own(index: Path, media: Path, tmp_path: Path) -> None:
    own = shutil.copytree(index, tmp_path / "index")
    put_columns(own, [Column("tag", "text")], {os.fsencode(media / "whole.wav"): {"tag": "dog"}})
    with ws.open(own) as opened:
        files = list(opened.files(columns=["TAG", "sample_rate_hz", "modified"]))
        tagged = [file.path.name for file in opened.files("tag IS NOT NULL")]
    assert dict(files[-1].columns) == {"TAG": "dog", "sample_rate_hz": 8000, "modified": "1970-01-02T00:00:00"}
    assert dict(files[1].columns) == {"TAG": None, "sample_rate_hz": None, "modified": "1970-01-02T00:00:00"}
    assert tagged == ["copy of whole.wav", "whole.wav"]  # the tag of a file belongs to its content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["nope"]}, 'there is no column "nope". Use one of path, .*timecode'),
        ({"columns": ["Start_S"]}, 'cannot have the column "start_s": it belongs to segments'),
        ({"columns": [1]}, "columns must be names"),
        ({"where": 7}, "where must be a text"),
        ({"where": "size_bytes >"}, "syntax error"),
        ({"where": "kind = 'audio'", "where_timeout_s": 0}, "above 0"),
    ],
)
def test_what_cannot_be_listed_is_refused_at_once(opened: ws.Index, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        opened.files(**options)


def test_a_list_of_several_batches_is_in_order(opened: ws.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = names(opened)
    monkeypatch.setattr(listing, "_BATCH_ROWS", 2)
    assert names(opened) == whole


def test_an_empty_index_lists_nothing(tmp_path: Path) -> None:
    create(tmp_path / "empty", SPEC, Settings("10", (Modality.AUDIO,)))
    with ws.open(tmp_path / "empty") as opened:
        assert names(opened) == names(opened, "kind = 'audio'") == []


def test_a_file_whose_content_is_missing_is_damage(tmp_path: Path) -> None:
    create(tmp_path / "index", SPEC, Settings("10", (Modality.AUDIO,)))
    with Writer(tmp_path / "index") as writer:
        writer.put_file(row(tmp_path / "a.wav", 99))
        writer.commit()
    with ws.open(tmp_path / "index") as opened, pytest.raises(IndexCorruptError, match="content is missing"):
        names(opened)
