"""Files processed one by one, apart from the index: the same index results, wherever they were processed."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import wave_search as ws
from tests.conftest import CHECKOUT
from tests.fork_server import StandIns
from tests.libraries import LIBRARY_FILES, CountingEmbedder, make_library, tiny
from tests.media_factory import write_sound
from wave_search import store
from wave_search.errors import BrokenMediaError, MediaError, UsageError
from wave_search.indexer import scan
from wave_search.indexer.choices import Rules
from wave_search.indexer.pipeline.commit import Committer
from wave_search.indexer.pipeline.process import (
    Failed,
    Failure,
    Indexed,
    IndexSpec,
    NotMedia,
    Outcome,
    Unsupported,
    process_file,
)
from wave_search.indexer.scan import FoundFile
from wave_search.media import DecodedSegment, DecoderPool, MediaInfo, Segmentation
from wave_search.store import FileRow, Snapshot, Writer
from wave_search.types import Modality

PLACE = "Where was it taken?"
SPEC = IndexSpec(Segmentation(), tuple(Modality))

# The package first: it is the installed one, if these tests run on that.
PROCESS = f"""
import pickle, sys
from wave_search.indexer.pipeline.process import process_file
from wave_search.media import DecoderPool
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.libraries import tiny
files, spec = pickle.load(sys.stdin.buffer)
with DecoderPool(1, tiny().spec.sampling) as decoders:
    pickle.dump([process_file(file, spec, decoders, tiny()) for file in files], sys.stdout.buffer)
"""

Content = dict[tuple[object, ...], NDArray[np.float32]]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_library(tmp_path_factory.mktemp("media"))
    shutil.copy(folder / "sounds" / "500.flac", folder / "copy.flac")
    (folder / "table.csv").write_text("not,media")
    (folder / "damaged.mp4").write_bytes((folder / "videos" / "silent.mp4").read_bytes()[:4000])
    return folder


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, tiny().spec.sampling) as running:
        yield running


def found(path: Path, *, named: bool = False) -> FoundFile:
    name, status = os.fsencode(path.resolve()), path.stat()
    return FoundFile(name, os.fsencode(path.resolve().parent), status.st_size, status.st_mtime_ns, status.st_dev, named)


def rows(snapshot: Snapshot) -> dict[bytes, FileRow]:
    """Every file, without its content id, which depends on the order of commits."""
    files = snapshot.files().items()
    return {path: replace(row, content_id=None if row.content_id is None else 1) for path, row in files}


def content(snapshot: Snapshot) -> Content:
    """Every vector by what it stands for, without ids, which depend on the order of commits."""
    files = snapshot.files_of(list(snapshot.contents()))
    vectors = {}
    for key in snapshot.manifest.settings.keys:
        ids = snapshot.partition(key).ids
        for row, vector in zip(snapshot.segment_rows(ids), snapshot.vectors(key, ids), strict=True):
            paths = tuple(sorted(file.path for file in files[row.content_id]))
            vectors[paths, key, row.start_s, row.stop_s, row.text] = vector.astype(np.float32)
    return vectors


def test_outcomes_of_other_processes_make_the_index_of_one_run(
    media: Path, tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.models.load", CountingEmbedder().load)
    with ws.create(tmp_path / "one", workers=2) as index:
        report = index.add([media], instructions=[PLACE])
        assert (report.indexed, report.reused, sum(report.not_media.values())) == (LIBRARY_FILES, 1, 1)
    ws.create(tmp_path / "other").close()
    areas = scan.resolve([media], tmp_path / "other")
    roots = [area.path for area in areas]
    files = list(scan.scan(areas, roots, Rules(os.fsencode(tmp_path / "other"), (), roots)).files.values())
    spec = replace(SPEC, instructions=("", PLACE))
    with Writer(tmp_path / "other") as writer:
        writer.add_instructions([PLACE])
        writer.set_roots([str(media)])
        committer = Committer(writer)
        for half in (files[1::2], files[::2]):
            given = pickle.dumps((half, spec))
            done = subprocess.run([stand_ins.python, "-c", PROCESS], input=given, check=True, capture_output=True)
            for outcome in pickle.loads(done.stdout):  # noqa: S301 - made here
                committer.add(outcome)
        committer.commit()
        committer.close()
    one, other = (store.open_snapshot(tmp_path / name) for name in ("one", "other"))
    assert rows(other) == rows(one)
    expected, made = content(one), content(other)
    assert made.keys() == expected.keys()
    assert min(float(made[key] @ expected[key]) for key in expected) > 1 - 1e-3
    assert ws.verify(tmp_path / "other") == ()


def test_each_kind_of_file_has_its_outcome(media: Path, decoders: DecoderPool) -> None:
    def outcome_of(file: FoundFile, spec: IndexSpec = SPEC) -> Outcome:
        outcome: Outcome = pickle.loads(  # noqa: S301 - made here
            pickle.dumps(process_file(file, spec, decoders, tiny()))
        )
        assert outcome.file == file
        return outcome

    sound = outcome_of(found(media / "sounds" / "700.flac"), replace(SPEC, instructions=(PLACE,)))
    assert isinstance(sound, Indexed)
    assert [(row.modality, row.start_s, row.stop_s, row.instruction) for row in sound.segments] == [
        (Modality.AUDIO, 0, 10, PLACE),
        (Modality.AUDIO, 10, 20, PLACE),
        (Modality.AUDIO, 20, 21, PLACE),
    ]
    assert {row.vector.dtype.name for row in sound.segments} == {"float16"}
    assert (sound.damage, sound.info.kind) == (None, "audio")
    assert isinstance(outcome_of(found(media / "table.csv")), NotMedia)
    named = outcome_of(found(media / "table.csv", named=True))
    assert isinstance(named, Failed)
    assert "not named as text" in named.failure.cause
    damaged = outcome_of(found(media / "damaged.mp4"))
    assert isinstance(damaged, Failed)
    assert not damaged.failure.retry
    picture = found(media / "pictures" / "0.png")
    assert isinstance(outcome_of(picture, replace(SPEC, modalities=(Modality.AUDIO,))), Unsupported)
    changed = outcome_of(replace(picture, mtime_ns=1))
    assert isinstance(changed, Failed)
    assert changed.failure.retry
    assert changed.digest is None


def test_a_long_file_is_embedded_in_batches(tmp_path: Path, decoders: DecoderPool) -> None:
    counting, calls = CountingEmbedder(), []
    counting.before = lambda clips: calls.append(len(clips))
    file = found(write_sound(tmp_path / "long.wav", 70, 440))
    outcome = process_file(file, replace(SPEC, segmentation=Segmentation.parse("1")), decoders, counting)
    assert isinstance(outcome, Indexed)
    assert len(outcome.segments) == 70
    assert calls == [32, 32, 6]


@pytest.mark.parametrize(("refused", "indexed_s"), [(None, 20.0), (10.0, None)])
def test_damage_keeps_what_comes_before_and_a_refused_segment_keeps_nothing(
    tmp_path: Path, decoders: DecoderPool, refused: float | None, indexed_s: float | None
) -> None:
    class DamagedAtTheEnd:
        """Real decoders that fail after 20 seconds."""

        def identify(self, path: Path) -> MediaInfo:
            return decoders.identify(path)

        def segments(self, path: Path, *arguments: object) -> Iterator[DecodedSegment]:
            for segment in decoders.segments(path, *arguments):  # type: ignore[arg-type]
                if segment.span is not None and segment.span.start_s >= 20:
                    raise BrokenMediaError(path, "no frame", "Replace it.")
                yield segment

    refusing = CountingEmbedder()

    def refuse(clips: object) -> None:
        if refused is not None:
            raise UsageError("the clip is too long", "Use shorter segments.")

    refusing.before = refuse
    file = found(write_sound(tmp_path / "sound.wav", 30, 440))
    outcome = process_file(file, SPEC, DamagedAtTheEnd(), refusing)  # type: ignore[arg-type]
    if indexed_s is None:
        assert isinstance(outcome, Failed)
        assert outcome.failure == Failure("the clip is too long", "Use shorter segments.")
        assert outcome.digest == decoders.identify(tmp_path / "sound.wav").digest
    else:
        assert isinstance(outcome, Indexed)
        assert [row.stop_s for row in outcome.segments] == [10, 20]
        assert outcome.damage == Failure("damaged: 20.0 of 30.0 s (no frame)", "Replace it.")


@pytest.mark.parametrize("step", ["identify", "segments"])
def test_a_file_that_cannot_be_read_now_is_tried_again(tmp_path: Path, decoders: DecoderPool, step: str) -> None:
    class Unreadable:
        """Real decoders, but for one step."""

        def __getattr__(self, name: str) -> object:
            def fail(path: Path, *_: object) -> None:
                raise MediaError(path, "cannot be read (Input/output error)")

            return fail if name == step else getattr(decoders, name)

    file = found(write_sound(tmp_path / "sound.wav", 1, 440))
    outcome = process_file(file, SPEC, Unreadable(), tiny())  # type: ignore[arg-type]
    assert isinstance(outcome, Failed)
    assert outcome.failure == Failure("cannot be read (Input/output error)", "", retry=True)
