"""`verify` finds rows that contradict each other, and readers refuse those that would make them answer wrongly."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from wave_search.errors import IndexCorruptError
from wave_search.models import ModelSpec
from wave_search.store import (
    Column,
    ContentRow,
    FileRow,
    MetadataRow,
    NewSegment,
    Settings,
    Writer,
    create,
    open_snapshot,
    schema,
    verify,
)
from wave_search.types import Modality, PartitionKey, Sampling

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DIM = 8
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), Sampling("none", {}, 16_000), {})
AUDIO = PartitionKey(Modality.AUDIO)
SCHEMAS = schema.schemas(DIM)


def segment(vector: NDArray[np.floating]) -> NewSegment:
    return NewSegment(Modality.AUDIO, 0.0, 1.0, None, vector)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of two files with a segment each, whose ids are 0 and 1."""
    directory = tmp_path / "index"
    create(directory, SPEC, Settings("10", (Modality.AUDIO,)))
    with Writer(directory) as writer:
        for number, path in enumerate((b"/a", b"/b")):
            content = ContentRow(str(number), "audio", "wav")
            content_id = writer.put_content(content, [segment(np.eye(DIM)[number])])
            writer.put_file(FileRow(path, b"/", 1, 1, 1, content_id))
        writer.set_metadata([Column("a", "text")], [MetadataRow(b"/a", "0", {"a": "x"})])
        writer.commit()
    return directory


def append_segments(directory: Path, *ids: tuple[int, int]) -> None:
    """Append segments with segment and content ids behind the writer's back."""
    rows = [(segment_id, content_id, segment(np.eye(DIM)[0])) for segment_id, content_id in ids]
    vectors = np.eye(DIM, dtype=np.float16)[[0] * len(rows)]
    with Writer(directory) as writer:
        writer._tables.append("segments", schema.segment_table(rows, vectors, SCHEMAS["segments"]))
        writer.set_roots(["/changed"])
        writer.commit()


def found(directory: Path) -> list[str]:
    return [problem.what for problem in verify(directory)]


def test_an_index_that_agrees_with_itself_has_no_problem(index: Path) -> None:
    assert found(index) == []


def test_ids_that_are_taken_are_found(index: Path) -> None:
    append_segments(index, (1, 0))
    assert found(index) == [f"{index / 'lance'} holds segments whose ids are taken or out of order"]
    with pytest.raises(IndexCorruptError, match=r"lance holds segments whose ids are taken.*copy"):
        open_snapshot(index).partition(AUDIO)


def test_ids_that_were_not_assigned_yet_are_found(index: Path) -> None:
    append_segments(index, (2, 0), (3, 0))
    assert found(index) == ["2 segments have an id that was not assigned yet"]


def test_segments_without_a_content_are_found(index: Path) -> None:
    with Writer(index) as writer:
        writer._next = replace(writer._next, next_segment_id=9)
        writer.commit()
    append_segments(index, (2, 0), (8, 77))
    assert found(index) == ["1 segments belong to a content that does not exist"]


def test_a_content_id_that_was_not_assigned_yet_is_found(index: Path) -> None:
    with Writer(index) as writer:
        writer._next = replace(writer._next, next_content_id=2)
        writer.commit()
    assert found(index) == []
    with Writer(index) as writer:
        writer._next = replace(writer._next, next_content_id=1)
        writer.commit()
    assert found(index) == ["a content has an id that was not assigned yet"]


def test_an_unknown_status_is_found(index: Path) -> None:
    with Writer(index) as writer:
        row = FileRow(b"/c", b"/", 1, 1, 1, None, "skipped")
        object.__setattr__(row, "status", "lost")
        writer.put_file(row)
        writer.commit()
    assert found(index) == ["a file is recorded twice, or with an unknown status"]


def test_metadata_that_are_recorded_twice_are_found(index: Path) -> None:
    with Writer(index) as writer:
        rows = [MetadataRow(b"/a", "0", {"a": "x"}), MetadataRow(b"/a", "0", {"a": "y"})]
        writer.set_metadata([Column("a", "text")], rows)
        writer.commit()
    assert found(index) == ["the metadata of a file are recorded twice"]


@pytest.mark.parametrize(("length", "is_unit"), [(0.99, False), (0.999, True), (1.001, True), (1.01, False)])
def test_only_rounding_may_change_the_length_of_a_vector(index: Path, length: float, is_unit: bool) -> None:
    with Writer(index) as writer:
        content_id = writer.put_content(ContentRow("2", "audio", "wav"), [segment(np.eye(DIM)[0] * length)])
        writer.put_file(FileRow(b"/c", b"/", 1, 1, 1, content_id))
        writer.commit()
    assert found(index) == ([] if is_unit else ["1 segments have a vector that is not finite or not of unit length"])


def test_a_content_without_files_is_an_orphan(index: Path) -> None:
    with Writer(index) as writer:
        writer.remove_files([b"/b"])
        writer.commit(drop_dead=False)
    (problem,) = verify(index)
    assert problem.orphan
    assert problem.what == "1 contents belong to no file, for example 1"


def test_a_shard_that_no_version_has_is_an_orphan(index: Path) -> None:
    folder = index / "shards" / "audio" / "000000000000-000000000002-0badcafe"
    folder.mkdir(parents=True)
    (folder / "ids.npy").touch()
    (problem,) = verify(index)
    assert problem.orphan
    assert problem.what == f"{folder} belongs to no version of the index"


def test_metadata_that_are_nested_too_deeply_are_damage(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Writer(index) as writer, monkeypatch.context() as patch:
        patch.setattr(schema, "json", SimpleNamespace(dumps=lambda _: '{"a": ' + "[" * 100_000))
        writer.set_metadata([Column("a", "text")], [MetadataRow(b"/a", "0", {"a": "x"})])
        writer.commit()
    with pytest.raises(IndexCorruptError, match=r"the metadata of .* cannot be read: maximum recursion depth"):
        open_snapshot(index).metadata()


def test_a_manifest_that_was_not_published_is_an_orphan(index: Path) -> None:
    (index / "manifest" / ".000000000003.json.1.0badcafe.tmp").touch()
    (problem,) = verify(index)
    assert problem.orphan
    assert "000000000003.json.1.0badcafe.tmp was never published" in problem.what
