"""What an index tells of one file: its segments, its copies, and files as a list with segments that stand for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wave_search as ws
from wave_search.errors import UsageError
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import Column, ContentRow, FileRow, NewSegment, Settings, Writer, create
from wave_search.types import FileKind, Modality

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIM = 4
INSTRUCTION = "What is heard?"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "media"
    (folder / "b").mkdir(parents=True)
    for name in ("film.mp4", "b/copy.mp4", "tone.wav"):
        (folder / name).touch()
    return folder


@pytest.fixture
def index(tmp_path: Path, media: Path) -> Iterator[ws.Index]:
    folder = tmp_path / "index"
    create(folder, ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {}), Settings("10", tuple(Modality)))
    with Writer(folder) as writer:
        writer.set_roots([str(media)])

        def put(digest: str, kind: FileKind, segments: list[tuple[Modality, float, str]], *names: str) -> None:
            rows = [
                NewSegment(modality, start_s, start_s + 10, None, np.eye(DIM)[0], instruction)
                for modality, start_s, instruction in segments
            ]
            content_id = writer.put_content(ContentRow(digest, kind, "mov", 20.0), rows)
            for name in names:
                path = os.fsencode(media / name)
                writer.put_file(FileRow(path, os.fsencode(media), 100, 1, 1, content_id))

        writer.add_instructions([INSTRUCTION])
        seen = [(modality, start_s, "") for modality in (Modality.AUDIO, Modality.VIDEO) for start_s in (10.0, 0.0)]
        instructed = [(Modality.AUDIO, 0.0, INSTRUCTION)]
        put("film", "video", [*seen, *instructed], "film.mp4", "b/copy.mp4", "a gone copy.mp4")
        put("tone", "audio", [(Modality.AUDIO, 0.0, "")], "tone.wav")
        put("mute", "audio", [], "b/mute.wav")
        skipped = os.fsencode(media / "skipped.wav")
        writer.put_file(FileRow(skipped, os.fsencode(media), 100, 1, 1, None, "skipped", "encrypted", "Decrypt it."))
        writer.set_metadata([Column("artist", "text")], [])
        writer.commit()
    with ws.open(folder) as opened:
        yield opened


def test_a_segment_has_its_file_and_the_copies_of_it(index: ws.Index, media: Path) -> None:
    first = index.browse(columns=["name"])[0].segment.segment_id
    segment, file = index.segment(first)
    assert (segment.segment_id, segment.modality, segment.start_s) == (first, Modality.VIDEO, 0.0)
    assert file.path == media / "b" / "copy.mp4"  # the first that exists
    assert file.copies == (media / "a gone copy.mp4", media / "film.mp4")
    assert (file.kind, file.digest, file.size_bytes, file.duration_s) == ("video", "film", 100, 20.0)
    assert [one.start_s for one in file.segments] == [0.0, 0.0, 10.0, 10.0]
    assert (file.columns["name"], file.columns["artist"], file.columns["status"]) == ("copy.mp4", None, "indexed")


def test_a_segment_of_an_instruction_has_a_file_too(index: ws.Index) -> None:
    _, file = index.segment(index.browse()[0].segment.segment_id)
    numbers = {one.segment_id for one in file.segments}
    instructed, same = index.segment(max(numbers) + 1)
    assert instructed.segment_id not in numbers
    assert (instructed.modality, same.digest) == (Modality.AUDIO, "film")


def test_what_is_no_segment_is_an_error(index: ws.Index) -> None:
    for number in (10**6, -1, 2**62):
        with pytest.raises(UsageError, match=f"segment {number} is not in the index"):
            index.segment(number)


def test_files_are_listed_with_the_segment_that_stands_for_them(index: ws.Index, media: Path) -> None:
    listed = index.browse(columns=["size_bytes"])
    assert [entry.path.name for entry in listed] == ["a gone copy.mp4", "copy.mp4", "film.mp4", "tone.wav"]
    assert [entry.segment.modality for entry in listed] == [Modality.VIDEO] * 3 + [Modality.AUDIO]
    assert {entry.columns["size_bytes"] for entry in listed} == {100}
    assert [entry.path.name for entry in index.browse(offset=1, limit=2)] == ["copy.mp4", "film.mp4"]
    assert [entry.path.name for entry in index.browse("kind = 'audio'")] == ["tone.wav"]
    with pytest.raises(UsageError, match='there is no column "start_s" of files'):
        index.browse(columns=["start_s"])


def test_files_are_found_by_path_and_counted_by_folder(index: ws.Index, media: Path) -> None:
    found = index.file(media / "tone.wav")
    assert found is not None
    assert (found.digest, found.copies) == ("tone", ())
    assert index.file(media / "skipped.wav") is None
    assert index.file(media / "missing.wav") is None
    assert index.count_files() == {
        (media, "video"): 2,
        (media / "b", "video"): 1,
        (media, "audio"): 1,
        (media / "b", "audio"): 1,
    }
