"""Query terms that the index has: which stored vectors a segment, a file or a range of one stands for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder
from wave_search.errors import UsageError
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.query.resolve import of_content, of_segment
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Snapshot, Writer, create
from wave_search.types import Modality, PartitionKey, Span

DIM = 16
ASKED = "What is heard?"
AUDIO, VIDEO, AV, TEXT = Modality.AUDIO, Modality.VIDEO, Modality.AV, Modality.TEXT


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A clip of 24 s in segments of 10 s with three vectors each, and a text in two parts."""
    folder = tmp_path_factory.mktemp("index") / "index"
    rows = iter(np.eye(DIM))
    clip = [
        NewSegment(modality, start_s, stop_s, None, next(rows), instruction=instruction)
        for start_s, stop_s in ((0.0, 10.0), (10.0, 20.0), (20.0, 24.0))
        for modality, instruction in ((AUDIO, ""), (VIDEO, ""), (AUDIO, ASKED))
    ]
    texts = [NewSegment(TEXT, None, None, text, next(rows)) for text in ("one", "two")]
    create(
        folder, ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {}), Settings("10", (AUDIO, VIDEO, TEXT), (ASKED,))
    )
    with Writer(folder) as writer:
        for name, kind, segments in (("clip", "video", clip), ("text", "text", texts)):
            content_id = writer.put_content(ContentRow(name, kind, "x", 24.0), segments)
            writer.put_file(FileRow(f"/media/{name}".encode(), b"/media", 1, 1, 1, content_id))
        return writer.commit()


def ids(snapshot: Snapshot, modality: Modality, *starts_s: float | None, instruction: str = "") -> list[int]:
    every = snapshot.partition(PartitionKey(modality, instruction)).ids
    return [row.segment_id for row in snapshot.segment_rows(every) if row.start_s in starts_s]


def vectors(snapshot: Snapshot, modality: Modality, *starts_s: float, instruction: str = "") -> np.ndarray:
    wanted = np.array(ids(snapshot, modality, *starts_s, instruction=instruction))
    return snapshot.vectors(PartitionKey(modality, instruction), wanted).astype(np.float32)


@pytest.mark.parametrize(
    ("start_s", "stop_s", "starts_s"),
    [
        (0, 24, (0, 10, 20)),
        (8, 12, (0, 10)),  # just half of the range in each
        (8.1, 12, (10,)),
        (8, 11.9, (0,)),
        (9.9, 10.05, (0,)),
        (12, 14, (10,)),
        (18, 24, (20,)),
        (5, 24, (0, 10, 20)),  # just half of the first segment
        (5.1, 24, (10, 20)),
        (18, 22, (10, 20)),  # just half of the last, short segment
        (14, 21.9, (10,)),
    ],
)
def test_a_range_is_the_segments_that_it_overlaps_by_half(
    snapshot: Snapshot, start_s: float, stop_s: float, starts_s: tuple[float, ...]
) -> None:
    found = of_content(snapshot, "clip", Span(start_s, stop_s), AUDIO, "any")
    assert found is not None
    np.testing.assert_array_equal(found.vectors, vectors(snapshot, AUDIO, *starts_s))
    every = (*ids(snapshot, AUDIO, *starts_s), *ids(snapshot, VIDEO, *starts_s))
    assert found.same_moment == {*every, *ids(snapshot, AUDIO, *starts_s, instruction=ASKED)}


def test_a_whole_file(snapshot: Snapshot) -> None:
    found = of_content(snapshot, "clip", None, None, "audio")
    assert found is not None
    assert found.modality is AUDIO
    np.testing.assert_array_equal(found.vectors, vectors(snapshot, AUDIO, 0, 10, 20))
    assert len(found.same_moment) == 9


@pytest.mark.parametrize(("target", "modality"), [("any", VIDEO), ("audio", AUDIO), ("text", VIDEO)])
def test_the_target_chooses_the_modality(snapshot: Snapshot, target: str, modality: Modality) -> None:
    found = of_content(snapshot, "clip", None, None, target)
    assert found is not None
    assert found.modality is modality


def test_vectors_with_the_instruction_where_there_are_any(snapshot: Snapshot) -> None:
    span = Span(0, 10)
    asked, other, video = (
        of_content(snapshot, "clip", span, modality, "any", instruction=instruction)
        for modality, instruction in ((AUDIO, ASKED), (AUDIO, "What else?"), (VIDEO, ASKED))
    )
    np.testing.assert_array_equal(asked.vectors, vectors(snapshot, AUDIO, 0, instruction=ASKED))
    np.testing.assert_array_equal(other.vectors, vectors(snapshot, AUDIO, 0))
    np.testing.assert_array_equal(video.vectors, vectors(snapshot, VIDEO, 0))


def test_what_the_index_does_not_have(snapshot: Snapshot) -> None:
    assert of_content(snapshot, "other", None, None, "any") is None
    assert of_content(snapshot, "clip", None, AV, "any") is None
    assert of_content(snapshot, "clip", Span(24, 30), None, "any") is None


def test_a_segment_excludes_its_moment(snapshot: Snapshot) -> None:
    (segment_id,) = ids(snapshot, AUDIO, 10)
    found, asked = of_segment(snapshot, segment_id), of_segment(snapshot, segment_id, ASKED)
    np.testing.assert_array_equal(found.vectors, vectors(snapshot, AUDIO, 10))
    np.testing.assert_array_equal(asked.vectors, vectors(snapshot, AUDIO, 10, instruction=ASKED))
    assert found.modality is AUDIO
    moment = {*ids(snapshot, AUDIO, 10), *ids(snapshot, VIDEO, 10), *ids(snapshot, AUDIO, 10, instruction=ASKED)}
    assert found.same_moment == asked.same_moment == moment
    (video_id,) = ids(snapshot, VIDEO, 10)
    np.testing.assert_array_equal(of_segment(snapshot, video_id, ASKED).vectors, vectors(snapshot, VIDEO, 10))


def test_a_part_of_a_text(snapshot: Snapshot) -> None:
    first, second = ids(snapshot, TEXT, None)
    np.testing.assert_array_equal(of_segment(snapshot, first).vectors, np.eye(DIM)[9:10])
    assert of_segment(snapshot, second).same_moment == {first, second}
    with pytest.raises(UsageError, match="no longer in the index"):
        of_segment(snapshot, 10**6)


def test_a_file_that_is_as_it_was_indexed_is_not_read(tmp_path: Path, counted: CountingEmbedder) -> None:
    file = tmp_path / "media" / "notes.txt"
    file.parent.mkdir()
    file.write_text("rain on a roof")
    with ws.create(tmp_path / "index") as index:
        index.add([file.parent])
        indexed = file.stat()
        found = index.search(similar=file)
        file.write_text("a cat at a door"[: indexed.st_size])
        os.utime(file, ns=(indexed.st_atime_ns, indexed.st_mtime_ns))
        embedded = len(counted.clips)
        assert index.search(similar=file) == found
        assert len(counted.clips) == embedded
        os.utime(file)
        index.search(similar=file)
        assert [clip.text for clip in counted.clips[embedded:]] == ["a cat at a doo"]
