"""Spaces: media embedded with instructions beside the model's own prompt, in one index."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import LIBRARY_FILES, LIBRARY_SEGMENTS, CountingEmbedder, make_library, no_decoders
from tests.media_factory import write_sound
from wave_search.errors import MediaError, ModelError, UsageError
from wave_search.indexer import run
from wave_search.indexer.pipeline import commit
from wave_search.media import DecoderPool
from wave_search.types import Clip, Modality, PartitionKey

ANIMAL, PLACE = "What animal is heard?", "Where was 'it' taken?"
LIBRARY_CLIPS = 2 + 3 + (1 + 1 + 3) + 2 + 2
NAMED_SEGMENTS = {modality: count for modality, count in LIBRARY_SEGMENTS.items() if modality is not Modality.TEXT}
MEDIA_FILES = LIBRARY_FILES - 2


def segments(index: ws.Index) -> dict[str, dict[Modality, int]]:
    """Numbers by instruction and modality."""
    found: dict[str, dict[Modality, int]] = {}
    for part in index.info().partitions:
        found.setdefault(part.instruction, {})[part.modality] = part.segments
    return found


def vectors(index: ws.Index, key: PartitionKey) -> tuple[list[int], np.ndarray]:
    snapshot = index._snapshot
    ids = snapshot.partition(key).ids
    return ids.tolist(), snapshot.vectors(key, ids)


def sound_spaces(*instructions: str) -> list[PartitionKey]:
    return [PartitionKey(Modality.AUDIO, instruction) for instruction in ("", *instructions)]


def test_one_pass_embeds_each_clip_once_for_all_instructions(tmp_path: Path, counted: CountingEmbedder) -> None:
    media = make_library(tmp_path / "media")
    with ws.create(tmp_path / "index", workers=2) as index:
        report = index.add([media], instructions=[ANIMAL, PLACE])
        assert segments(index) == {"": LIBRARY_SEGMENTS, ANIMAL: NAMED_SEGMENTS, PLACE: NAMED_SEGMENTS}
        assert index.info().instructions == (ANIMAL, PLACE)
        assert report.segments == {
            modality: count * (1 if modality is Modality.TEXT else 3) for modality, count in LIBRARY_SEGMENTS.items()
        }
        (row,) = (
            row
            for row in index._snapshot.segment_rows(vectors(index, PartitionKey(Modality.AUDIO, PLACE))[0])
            if row.stop_s == pytest.approx(2, abs=0.01)
        )
        stored = index._snapshot.vectors(PartitionKey(Modality.AUDIO, PLACE), np.array([row.segment_id]))[0]
    assert len(counted.clips) == LIBRARY_CLIPS
    assert set(counted.asked) == {(None, ANIMAL, PLACE)}
    with ws.load_embedder() as embedder:
        sound = ws.Audio(media / "sounds" / "500.flac")
        assert stored @ embedder.encode(sound, instruction=PLACE) == pytest.approx(1, abs=1e-3)
        assert stored @ embedder.encode(sound) < 0.9999
    assert ws.verify(tmp_path / "index") == ()


def test_an_instruction_that_is_added_later_costs_only_itself(
    settled: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ws.open(settled / "index", workers=2) as index:
        ids, before = vectors(index, PartitionKey(Modality.AUDIO))
        report = index.add([settled / "media"], instructions=PLACE)
        assert (report.indexed, report.unchanged, report.skipped) == (MEDIA_FILES, 2, ())
        assert report.segments == NAMED_SEGMENTS
        assert set(counted.asked) == {(PLACE,)}
        assert segments(index) == {"": LIBRARY_SEGMENTS, PLACE: NAMED_SEGMENTS}
        assert vectors(index, PartitionKey(Modality.AUDIO))[0] == ids
        assert np.array_equal(vectors(index, PartitionKey(Modality.AUDIO))[1], before)
        assert index.info().files == LIBRARY_FILES
        monkeypatch.setattr(run, "DecoderPool", no_decoders)
        version = index.info().version
        assert index.add([settled / "media"], instructions=[PLACE]).unchanged == LIBRARY_FILES
        assert index.info().version == version
    assert ws.verify(settled / "index") == ()


def test_the_index_remembers_its_instructions(settled: Path, counted: CountingEmbedder) -> None:
    with ws.open(settled / "index") as index:
        index.add([settled / "media"], instructions=[PLACE])
        counted.asked.clear()
        write_sound(settled / "media" / "new.wav", 1.5, 250)
        index.add([settled / "media"])
        assert counted.asked == [(None, PLACE)]
        assert segments(index)[PLACE][Modality.AUDIO] == NAMED_SEGMENTS[Modality.AUDIO] + 1
        index.remove([settled / "media" / "sounds"])
        assert segments(index)[PLACE] == {Modality.IMAGE: 3, Modality.AUDIO: 3, Modality.VIDEO: 4, Modality.AV: 2}
    assert ws.verify(settled / "index") == ()


def test_an_interrupted_run_goes_on_with_or_without_the_option(
    settled: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.batches.BATCH_CLIPS", 1)
    monkeypatch.setattr(commit, "COMMIT_EVERY_ROWS", 1)

    def interrupt(clips: object) -> None:
        if len(counted.clips) == 6:
            raise KeyboardInterrupt

    counted.before = interrupt
    with ws.open(settled / "index", workers=1) as index:
        with pytest.raises(ws.Interrupted) as caught:
            index.add([settled / "media"], instructions=[PLACE])
        done = caught.value.report
        assert 0 < done.indexed < MEDIA_FILES
        assert segments(index)[""] == LIBRARY_SEGMENTS
        assert 0 < sum(segments(index)[PLACE].values()) < sum(NAMED_SEGMENTS.values())
        assert ws.verify(settled / "index") == ()
        counted.before = lambda clips: None
        rest = index.add([settled / "media"])
        assert rest.indexed == MEDIA_FILES - done.indexed
        assert segments(index) == {"": LIBRARY_SEGMENTS, PLACE: NAMED_SEGMENTS}
    assert ws.verify(settled / "index") == ()


def test_what_cannot_be_embedded_again_stays_as_it_was(
    settled: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(settled / "media" / "pictures" / "0.png", settled / "media" / "copy.png")
    real = DecoderPool.segments

    def fail(self: DecoderPool, path: Path, *arguments: object) -> object:
        if path.suffix == ".png":
            raise MediaError(path, "the decoder crashed", "Try again.")
        return real(self, path, *arguments)  # type: ignore[arg-type]

    with ws.open(settled / "index") as index:
        index.add([settled / "media"])
        monkeypatch.setattr(DecoderPool, "segments", fail)
        report = index.add([settled / "media"], instructions=[PLACE])
        first, *others = (skipped.path.name for skipped in report.skipped)
        assert first in {"copy.png", "0.png"}, "of copies one is read"
        assert others == ["1.png", "2.png"]
        assert report.skipped[0].cause == "not embedded with a new instruction: the decoder crashed"
        assert segments(index)[""] == LIBRARY_SEGMENTS
        assert Modality.IMAGE not in segments(index)[PLACE]
        assert index.info().skipped == 0
        monkeypatch.undo()
        monkeypatch.setattr("wave_search.models.load", counted.load)
        assert index.add([settled / "media"]).indexed == 3
        assert segments(index) == {"": LIBRARY_SEGMENTS, PLACE: NAMED_SEGMENTS}


def test_a_fault_of_the_model_is_no_fault_of_the_file(settled: Path, counted: CountingEmbedder) -> None:
    def fail(clips: list[Clip]) -> None:
        if clips[0].image is not None:
            raise ModelError("it gives values that are not finite")

    counted.before = fail
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media" / "pictures"], instructions=[PLACE])
        assert len(report.skipped) == 3
        counted.before = lambda clips: None
        assert segments(index)[""] == LIBRARY_SEGMENTS
        assert index.add([settled / "media" / "pictures"]).indexed == 3


def test_a_file_that_moved_keeps_its_vectors_and_gets_new_ones(settled: Path, counted: CountingEmbedder) -> None:
    shutil.move(settled / "media" / "sounds" / "500.flac", settled / "media" / "moved.flac")
    with ws.open(settled / "index") as index:
        index.add([settled / "media"], instructions=[PLACE])
        assert segments(index) == {"": LIBRARY_SEGMENTS, PLACE: NAMED_SEGMENTS}
        assert set(counted.asked) == {(PLACE,)}
        hits = index.search(audio=settled / "media" / "moved.flac", target="audio", k=1)
        assert hits[0].path.name == "moved.flac"
    assert ws.verify(settled / "index") == ()


def test_media_that_does_not_look_like_it_stays_in_the_index(settled: Path, counted: CountingEmbedder) -> None:
    odd = settled / "media" / "sound.bin"
    shutil.move(settled / "media" / "sounds" / "500.flac", odd)
    with ws.open(settled / "index") as index:
        index.add([settled / "media", odd])
        index.add([settled / "media"], instructions=[PLACE])
        assert segments(index) == {"": LIBRARY_SEGMENTS, PLACE: NAMED_SEGMENTS}


def test_each_space_has_shards_of_its_own(settled: Path, counted: CountingEmbedder) -> None:
    with ws.open(settled / "index") as index:
        index.add([settled / "media"], instructions=[PLACE], min_shard_rows=5)
        parts = {(part.modality, part.instruction): part.covered for part in index.info().partitions}
        assert parts[Modality.AUDIO, ""] == parts[Modality.AUDIO, PLACE] == LIBRARY_SEGMENTS[Modality.AUDIO]
        folders = {index._snapshot.shard_dir(index._snapshot.shards(key)[0]).parent for key in sound_spaces(PLACE)}
        assert len(folders) == 2
    assert ws.verify(settled / "index") == ()


@pytest.mark.parametrize("instruction", ["", " \n", "\udcff", "x" * 5000])
def test_an_instruction_that_is_no_text_is_refused(settled: Path, instruction: str) -> None:
    with ws.open(settled / "index") as index, pytest.raises(UsageError, match="instruction"):
        index.add([settled / "media"], instructions=[instruction])
    with ws.open(settled / "index") as index:
        assert index.info().instructions == ()
