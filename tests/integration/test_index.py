"""Indexing real files with the real small model: only what is new or changed costs anything."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import LIBRARY_FILES, LIBRARY_SEGMENTS, WORDS, CountingEmbedder, make_library, no_decoders
from tests.media_factory import RATE_HZ, tone, write_sound
from tests.media_samples import write_tracks
from wave_search.errors import UsageError
from wave_search.indexer import run
from wave_search.indexer.pipeline import commit
from wave_search.store import Writer


def hit_names(index: ws.Index, **query: object) -> list[str]:
    return [hit.path.name for hit in index.search(**query)]  # type: ignore[arg-type]


def test_a_first_run(tmp_path: Path, counted: CountingEmbedder) -> None:
    make_library(tmp_path / "media")
    (tmp_path / "media" / "table.csv").write_text("not,media")
    stages: list[ws.Progress] = []
    with ws.create(tmp_path / "index", workers=2) as index:
        report = index.add([tmp_path / "media"], progress=stages.append)
        assert index.info().files == LIBRARY_FILES
        assert {part.modality: part.segments for part in index.info().partitions} == LIBRARY_SEGMENTS
    assert (report.indexed, report.ignored, report.skipped, report.reused) == (LIBRARY_FILES, 0, (), 0)
    assert report.not_media == {".csv": 1}
    assert report.segments == LIBRARY_SEGMENTS
    assert report.media_s == pytest.approx(1 + 2 + 21 + 12 + 12, abs=0.3)
    assert report.elapsed_s > 0
    assert report.peak_memory_bytes > 100e6
    assert list(dict.fromkeys(progress.stage for progress in stages)) == ["scan", "embed", "done"]
    assert stages[-1].files_total == stages[-1].files_done == LIBRARY_FILES + 1
    assert stages[-1].segments == sum(LIBRARY_SEGMENTS.values())


def test_running_again_opens_nothing(settled: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "DecoderPool", no_decoders)
    loads = counted.loads
    with ws.open(settled / "index") as index:
        version = index.info().version
        report = index.add([settled / "media"])
        assert index.info().version == version
    assert (report.unchanged, report.indexed, report.skipped) == (LIBRARY_FILES, 0, ())
    assert counted.loads == loads


def test_only_what_is_new_is_embedded(settled: Path, counted: CountingEmbedder) -> None:
    (settled / "media" / "new.txt").write_text("something new")
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media"])
        assert (report.indexed, report.unchanged) == (1, LIBRARY_FILES)
        assert [clip.text for clip in counted.clips] == ["something new"]
        assert hit_names(index, text="something new", target="text")[0] == "new.txt"


def test_a_renamed_file_costs_nothing(settled: Path, counted: CountingEmbedder) -> None:
    old, new = settled / "media" / "sounds" / "700.flac", settled / "media" / "moved" / "tone.flac"
    new.parent.mkdir()
    old.rename(new)
    with ws.open(settled / "index") as index:
        segments = index.info().partitions
        report = index.add([settled / "media"])
        assert (report.reused, report.removed, report.indexed) == (1, 1, 0)
        assert not counted.clips
        assert index.info().partitions == segments
        assert "tone.flac" in hit_names(index, audio=new, target="audio")
        assert "700.flac" not in hit_names(index, audio=new, target="audio", k=100)


def test_copies_share_their_vectors_and_are_one_hit_unless_all_are_wanted(
    settled: Path, counted: CountingEmbedder
) -> None:
    media = settled / "media"
    for copy in (media / "copy.flac", settled / "query.flac"):
        shutil.copy(media / "sounds" / "300.flac", copy)
    with ws.open(settled / "index") as index:
        assert index.add([media]).reused == 1
        assert not counted.clips
        query = ws.SearchRequest.build(audio=settled / "query.flac", target="audio", k=3, columns=["name"])
        hits = index.search(replace(query, copies=True))
        assert [(hit.rank, hit.path.name, hit.copies) for hit in hits[:2]] == [(1, "copy.flac", 2), (2, "300.flac", 2)]
        assert hits[0].score == hits[1].score
        one, second, third = index.search(query)
        assert (one.path.name, one.copies, one.gone) == ("copy.flac", 2, False)
        assert (second.path, second.copies) == (hits[2].path, 1)
        # A file that is gone is a hit only where there is no copy of it, and the last one.
        one.path.unlink()
        assert index.search(query)[0].path.name == "300.flac"
        (media / "sounds" / "300.flac").unlink()
        shown = [(hit.columns["name"], hit.gone) for hit in index.search(replace(query, k=9))]
        assert shown[:2] == [(second.path.name, False), (third.path.name, False)]
        assert [name for name, gone in shown if gone] == [shown[-1][0]] == ["copy.flac"]
        assert [hit.gone for hit in index.search(query)] == [False] * 3


def test_copies_that_are_new_together_are_embedded_once(tmp_path: Path, counted: CountingEmbedder) -> None:
    for name in "abcdef":
        write_sound(tmp_path / "media" / f"{name}.wav", 1, 440)
    with ws.create(tmp_path / "index", workers=3) as index:
        report = index.add([tmp_path / "media"])
        assert (report.indexed, report.reused) == (1, 5)
        assert len(counted.clips) == 1
        assert index.info().files == 6
        assert index.add([tmp_path / "media"]).unchanged == 6


def test_a_renamed_file_outlives_a_commit_that_replaces_it(
    settled: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = settled / "media" / "sounds"
    (sounds / "300.flac").rename(sounds / "b.flac")
    write_sound(sounds / "300.flac", 1, 1234)
    monkeypatch.setattr(commit, "COMMIT_EVERY_S", 0)
    with ws.open(settled / "index", workers=1) as index:
        report = index.add([settled / "media"])
        assert (report.indexed, report.reused, len(counted.clips)) == (1, 1, 1)
        assert hit_names(index, audio=sounds / "b.flac", target="audio")[0] == "b.flac"
        assert ws.verify(settled / "index") == ()


def test_a_deleted_file_disappears(settled: Path) -> None:
    (settled / "media" / "pictures" / "1.png").unlink()
    with ws.open(settled / "index") as index:
        assert index.add([settled / "media"]).removed == 1
        assert sorted(hit_names(index, text="x", target="image")) == ["0.png", "2.png"]


def test_a_changed_file_replaces_what_it_was(settled: Path, counted: CountingEmbedder) -> None:
    note = settled / "media" / "texts" / "note0.txt"
    note.write_text("quite another text")
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media"])
        assert (report.indexed, report.unchanged) == (1, LIBRARY_FILES - 1)
        texts = {hit.text for hit in index.search(text="x", target="text")}
        assert texts == {"quite another text", WORDS[1]}


def test_only_below_what_is_scanned_files_can_be_gone(settled: Path) -> None:
    for path in ("sounds/300.flac", "pictures/1.png"):
        (settled / "media" / path).unlink()
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media" / "sounds"])
        assert (report.removed, report.unchanged) == (1, 2)
        assert index.info().roots == ((settled / "media").resolve(),)
        assert "1.png" in hit_names(index, text="x", target="image")


def test_a_missing_argument_stops_before_anything_is_done(settled: Path) -> None:
    (settled / "media" / "new.txt").write_text("new")
    with ws.open(settled / "index") as index:
        with pytest.raises(UsageError, match="nowhere") as caught:
            index.add([settled / "media", settled / "nowhere"])
        assert "remove" in caught.value.remedy
        assert index.info().files == LIBRARY_FILES


@pytest.mark.parametrize("mount_point", [True, False])
def test_an_unmounted_folder_is_reported_and_not_deleted(settled: Path, mount_point: bool) -> None:
    (settled / "other").mkdir()
    (settled / "other" / "a.txt").write_text("other")
    media = settled / "media"
    if mount_point:
        with Writer(settled / "index") as writer:
            for row in writer.snapshot.files().values():
                writer.put_file(replace(row, device=row.device + 1))
            writer.commit()
    media.rename(settled / "away")
    if mount_point:
        media.mkdir()
    with ws.open(settled / "index") as index:
        report = index.add([settled / "other", media] if mount_point else [settled / "other"])
        assert report.unreachable == (media.resolve(),)
        assert (report.removed, report.indexed) == (0, 1)
        assert index.info().files == LIBRARY_FILES + 1
        assert set(index.info().roots) == {media.resolve(), (settled / "other").resolve()}
        again = index.add([media])
        assert (again.removed, again.unreachable) == (0, (media.resolve(),)), "its files are known"
        if mount_point:
            media.rmdir()
        (settled / "away").rename(media)
        assert index.add([media]).unchanged == LIBRARY_FILES


def on_another_disk(index: Path, folder: Path) -> None:
    """Record the files below a folder as if it were a mounted disk."""
    with Writer(index) as writer:
        for row in writer.snapshot.files().values():
            if Path(os.fsdecode(row.path)).is_relative_to(folder.resolve()):
                writer.put_file(replace(row, device=row.device + 1))
        writer.commit()


@pytest.mark.parametrize("left", ["mount point", "nothing"])
def test_a_disk_below_an_indexed_folder_is_not_taken_for_deleted(settled: Path, left: str) -> None:
    media, disk = settled / "media", settled / "media" / "nest" / "usb"
    disk.mkdir(parents=True)
    (media / "sounds").rename(disk / "sounds")
    (disk / "b.txt").write_text("on the disk")
    with ws.open(settled / "index") as index:
        index.add([media])
        on_another_disk(settled / "index", disk)
        disk.rename(settled / "away")
        if left == "mount point":
            disk.mkdir()
        else:
            (media / "nest" / "other.txt").write_text("other")
        (media / "pictures" / "1.png").unlink()
        report = index.add([media])
        assert (report.removed, report.unreachable) == (1, (disk.resolve(),))
        if left == "mount point":
            disk.rmdir()
        (settled / "away").rename(disk)
        assert index.add([media]).unreachable == ()
        assert index.info().files == LIBRARY_FILES + (left == "nothing")


def test_what_is_deleted_from_a_mounted_disk_is_gone_whatever_number_the_disk_has(settled: Path) -> None:
    on_another_disk(settled / "index", settled / "media")
    shutil.rmtree(settled / "media" / "pictures")
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media"])
        assert (report.removed, report.unreachable) == (3, ())


def test_an_emptied_folder_is_empty(settled: Path) -> None:
    shutil.rmtree(settled / "media")
    (settled / "media").mkdir()
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media"])
        assert (report.removed, report.unreachable) == (LIBRARY_FILES, ())
        assert index.info().files == 0


def test_removing_forgets_files_that_need_not_exist(settled: Path, counted: CountingEmbedder) -> None:
    shutil.rmtree(settled / "media" / "videos")
    with ws.open(settled / "index") as index:
        assert index.remove([settled / "media" / "videos", settled / "media" / "texts" / "note0.txt"]) == 3
        assert index.remove([settled / "media" / "videos"]) == 0
        assert {part.modality for part in index.info().partitions} == {"text", "image", "audio"}
        assert index.remove(settled / "media") == LIBRARY_FILES - 3
        assert index.info().roots == ()
        with pytest.raises(UsageError, match="empty"):
            index.search(text="x")


def test_an_index_of_one_modality_ignores_the_rest(tmp_path: Path, counted: CountingEmbedder) -> None:
    make_library(tmp_path / "media")
    with ws.create(tmp_path / "index", modalities=["audio"]) as index:
        report = index.add([tmp_path / "media"])
        assert report.segments == {"audio": LIBRARY_SEGMENTS[ws.Modality.AUDIO]}
        assert (report.indexed, report.ignored, report.skipped) == (4, 6, ())
        assert index.add([tmp_path / "media"]).unchanged == LIBRARY_FILES
        with pytest.raises(UsageError, match=r"the index holds no video.*audio"):
            index.search(text="x", target="video")


def test_excluded_files_leave_the_index(settled: Path) -> None:
    with ws.open(settled / "index") as index:
        report = index.add([settled / "media"], exclude=["pictures"])
        assert (report.removed, report.unchanged) == (3, LIBRARY_FILES - 3)


def test_a_wider_folder_takes_over(settled: Path, counted: CountingEmbedder) -> None:
    (settled / "more.txt").write_text("more")
    with ws.open(settled / "index") as index:
        report = index.add([settled])
        assert (report.indexed, report.unchanged) == (1, LIBRARY_FILES)
        assert index.info().roots == (settled.resolve(),)
        assert index.add([settled / "media"]).unchanged == LIBRARY_FILES


def test_optimize_needs_no_model_and_finds_the_same(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ws.open(settled / "index") as index:
        index.remove([settled / "media" / "videos"])
        vector = np.ones(index.model.dim, np.float32) / index.model.dim**0.5
        hits = index.search(vector=vector, k=5)
        with monkeypatch.context() as patch:
            patch.setattr("wave_search.models.load", None)
            report = index.optimize(keep_versions_for_s=0)
        assert 0 < report.after_bytes < report.before_bytes
        assert index.search(vector=vector, k=5) == hits
    assert ws.verify(settled / "index") == ()


def test_a_single_name_is_not_its_letters(settled: Path, counted: CountingEmbedder) -> None:
    with ws.open(settled / "index") as index:
        report = index.add(settled / "media", exclude="*.zzz")  # its first letter alone would exclude all files
        assert (report.removed, report.unchanged) == (0, LIBRARY_FILES)
        assert [*index.tag("rain").files] == ["rain"]
    with ws.create(settled / "other", modalities="audio") as other:
        assert other.info().modalities == ("audio",)


def test_an_empty_name_is_not_the_current_folder(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(settled / "media")
    with ws.open(settled / "index") as index:
        for call in (index.add, index.remove):
            with pytest.raises(UsageError, match="is empty"):
                call([""])
        assert index.info().files == LIBRARY_FILES


@pytest.mark.parametrize(
    "given",
    [
        {"workers": 0},
        {"workers": 1.5},
        {"decoder_memory_bytes": 1},
        {"segment": "0"},
        {"audio_track": "0"},
        {"modalities": []},
        {"modalities": ["smell"]},
        {"model": "no-such-model"},
    ],
)
def test_an_argument_that_is_not_valid_creates_nothing(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ws.WaveSearchError):
        ws.create(tmp_path / "index", **given)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_become_an_index_is_refused_before_the_model_is_loaded(
    settled: Path, counted: CountingEmbedder
) -> None:
    for folder, cause in (("index", "there is an index at .*/index already"), ("media", "holds other files")):
        with pytest.raises(UsageError, match=cause):
            ws.create(settled / folder)
    assert counted.loads == 0


def test_arguments_that_are_not_valid(settled: Path) -> None:
    with ws.open(settled / "index") as index:
        for given in ({"min_shard_rows": 0}, {"recall": "x"}, {"recall": 2}):
            with pytest.raises(UsageError, match="must be"):
                index.add(settled / "media", **given)
            with pytest.raises(UsageError, match="must be"):
                index.optimize(**given)
        for seconds in (-1, float("nan"), "x"):
            with pytest.raises(UsageError, match="must be at least 0 seconds"):
                index.optimize(keep_versions_for_s=seconds)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="min_z must be a number"):
            index.tag(["rain"], min_z="4")  # type: ignore[arg-type]
    for workers in (0, -1, "2"):
        with pytest.raises(UsageError, match="workers must be"):
            ws.open(settled / "index", workers=workers)  # type: ignore[arg-type]


def test_options_of_the_model_that_the_index_was_not_made_with(settled: Path) -> None:
    ws.open(settled / "index", load=ws.LoadOptions(family={"positions": "sequential"})).close()
    for family in ({"positions": "aligned"}, {"pooling": "mean"}):
        with pytest.raises(ws.errors.IndexMismatchError, match=r"made with the options .*'sequential'"):
            ws.open(settled / "index", load=ws.LoadOptions(family=family))
    for budget in (0, -1, 1.5, "x"):
        with pytest.raises(UsageError, match="token_budget must be an integer of at least 1"):
            ws.LoadOptions(token_budget=budget)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Use a mapping of options to values"):
        ws.LoadOptions(family=["positions"])  # type: ignore[arg-type]


def test_the_audio_track_of_an_index(tmp_path: Path, counted: CountingEmbedder) -> None:
    low, high = (tone(1.0, hz) for hz in (300, 900))
    both = write_tracks(tmp_path / "both.mka", [(low, RATE_HZ, "eng"), (high, RATE_HZ, "deu")])
    alone = [write_sound(tmp_path / f"{hz}.wav", 1.0, hz) for hz in (300, 900)]
    nearest = {}
    for choice in ("auto", "deu"):
        with ws.create(tmp_path / choice, audio_track=choice) as index:
            report = index.add([tmp_path / path.name for path in alone])
            assert report.several_tracks == 0
            assert index.add([both]).several_tracks == 1
            described = index.info()
            assert (described.audio_track, described.several_tracks) == (choice, 1)
            nearest[choice] = next(name for name in hit_names(index, audio=both, target="audio") if name != "both.mka")
            assert hit_names(index, audio=both, target="audio", where="audio_tracks > 1") == ["both.mka"]
    assert nearest == {"auto": "300.wav", "deu": "900.wav"}
    with pytest.raises(UsageError, match="audio track"):
        ws.create(tmp_path / "none", audio_track="0")
