"""Indexing what is broken, hostile, growing or in use: it costs itself only, and is named with its cause."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from threading import Barrier, Lock
from typing import ClassVar

import pytest

import wave_search as ws
from tests import media_samples
from tests.libraries import LIBRARY_FILES, LIBRARY_SEGMENTS, CountingEmbedder, no_decoders
from tests.media_factory import write_image, write_sound, write_video
from wave_search.errors import BrokenMediaError, IndexLockedError, ModelError, UsageError
from wave_search.indexer import run, run_stats
from wave_search.render.text import info_rows, listed_line
from wave_search.store import Writer

AWKWARD_NAMES = (
    b"new\nline.wav",
    b"latin-\xe9\xff.wav",
    b"-dash.wav",
    b"concat:a|b.wav",
    b"file:http___x.wav",
    b"a@1-2.wav",
    b"glob*[a]?.wav",
    b"no_extension",
    b"x" * 251 + b".wav",
    b"esc-\x1b[31m.wav",
    b"percent%00.wav",
)


def test_a_broken_file_is_skipped_once_and_tried_again_when_it_changes(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = settled / "media" / "videos" / "broken.mp4"
    broken.write_bytes((settled / "media" / "videos" / "silent.mp4").read_bytes()[:4000])
    with ws.open(settled / "index") as index:
        first = index.add([settled / "media"])
        assert [skipped.path for skipped in first.skipped] == [broken.resolve()]
        assert first.skipped[0].cause
        with monkeypatch.context() as patch:
            patch.setattr(run, "DecoderPool", no_decoders)
            assert index.add([settled / "media"]).skipped == first.skipped
        write_video(broken, 1, seed=9)
        repaired = index.add([settled / "media"])
        assert (repaired.indexed, repaired.skipped) == (1, ())


def test_a_file_that_failed_is_tried_again_on_demand(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = write_sound(settled / "media" / "odd.wav", 12, 123)

    class FailingDecoders(run.DecoderPool):
        def segments(self, path: Path, *args: object, **options: object) -> object:
            raise BrokenMediaError(path, "no frame")

    with ws.open(settled / "index") as index:
        with monkeypatch.context() as patch:
            patch.setattr(run, "DecoderPool", FailingDecoders)
            first = index.add([settled / "media"])
            assert [skipped.cause for skipped in first.skipped] == ["no frame"]
            assert index.add([settled / "media"], retry=True).skipped == first.skipped
        assert index.add([settled / "media"]).skipped == first.skipped
        repaired = index.add([settled / "media"], retry=True)
        assert (repaired.indexed, repaired.skipped) == (1, ())
        assert index.search(audio=odd, target="audio", k=1)[0].path.name == "odd.wav"


def test_what_comes_before_a_damage_is_indexed_and_the_damage_reported(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = write_sound(settled / "media" / "damaged.wav", 25, 123)

    class FailingDecoders(run.DecoderPool):
        def segments(self, path: Path, *args: object, **options: object) -> object:
            for segment in super().segments(path, *args, **options):
                if path.name == damaged.name and segment.span.start_s >= 20:
                    raise BrokenMediaError(path, "no frame")
                yield segment

    with ws.open(settled / "index") as index:
        with monkeypatch.context() as patch:
            patch.setattr(run, "DecoderPool", FailingDecoders)
            first = index.add([settled / "media"])
        assert (first.indexed, first.segments) == (1, {"audio": 2})
        assert [skipped.cause for skipped in first.skipped] == ["damaged: 20.0 of 25.0 s (no frame)"]
        found = index.search(audio=f"{damaged}@10-20", target="audio", k=1)[0]
        assert (found.path.name, found.start_s) == ("damaged.wav", 10)
        again = index.add([settled / "media"])
        assert (again.unchanged, again.skipped) == (LIBRARY_FILES + 1, first.skipped)
        damaged.rename(settled / "media" / "moved.wav")
        moved = index.add([settled / "media"])
        assert [(skipped.path.name, skipped.cause) for skipped in moved.skipped] == [
            ("moved.wav", first.skipped[0].cause)
        ]


def test_times_that_overflow_what_stores_them_cost_nothing(tmp_path: Path, counted: CountingEmbedder) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "long.srt").write_text("1\n999:59:58,000 --> 999:59:59,000\nthe end\n")
    for seconds in (-2_000_000_000, 10_413_792_000, 15_032_385_535):  # 1906, 2300, 2446
        path = media / f"{seconds}.txt"
        path.write_text(f"changed at {seconds}")
        os.utime(path, (seconds, seconds))
    with ws.create(tmp_path / "index", workers=1) as index:
        report = index.add([media])
        assert (report.indexed, report.skipped) == (4, ())
        assert index.add([media]).unchanged == 4
        (hit,) = index.search(text="the end", where="name = 'long.srt'")
        assert (hit.start_s, hit.stop_s) == (999 * 3600 + 3598, 999 * 3600 + 3599)
        (old,) = index.search(text="x", where="modified < '1970-01-01'", columns=["modified"])
        assert old.columns["modified"] == "1906-08-16T20:26:40"


def test_a_file_whose_end_is_missing_is_damaged_and_stays_so(tmp_path: Path, counted: CountingEmbedder) -> None:
    whole = write_sound(tmp_path / "whole.wav", 9.6)
    cut = tmp_path / "media" / "cut.wav"
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[: 44 + round(4.4 * 16_000) * 2])
    with ws.create(tmp_path / "index", workers=1) as index:
        first = index.add([cut.parent])
        assert (first.indexed, [(one.path.name, one.cause) for one in first.skipped]) == (
            1,
            [("cut.wav", "damaged: 4.4 of 9.6 s")],
        )
        assert index.info().damaged == first.skipped
        rows = dict(info_rows(index.info()))
        assert rows["files"] == "1, 1 distinct contents; 0 skipped, 1 damaged"
        assert rows["damaged"] == f"{cut.resolve()}: damaged: 4.4 of 9.6 s. Its end is missing: copy it again."
        shutil.copy(cut, cut.with_name("copy.wav"))
        assert [one.path.name for one in index.add([cut.parent]).skipped] == ["copy.wav", "cut.wav"]
        for name in ("cut.wav", "copy.wav"):
            shutil.copy(whole, cut.with_name(name))
        assert index.add([cut.parent]).skipped == index.info().damaged == ()


def test_a_stream_that_is_cut_off_says_where(tmp_path: Path, counted: CountingEmbedder) -> None:
    whole = media_samples.write_sound(tmp_path / "whole.mp2", media_samples.chord(9.6, 16_000), 16_000, "mp2")
    cut = tmp_path / "media" / "cut.mp2"
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 45 // 96 + 50])
    cause = "damaged: cut off after 4.5 s"
    with ws.create(tmp_path / "index", workers=1) as index:
        report = index.add([cut.parent])
        assert (report.indexed, [one.cause for one in report.skipped]) == (1, [cause])
        assert dict(info_rows(index.info()))["damaged"].endswith(
            f"cut.mp2: {cause}. Its end is missing: copy it again."
        )
        (listed,) = index.files(skipped=True)
    assert listed_line(listed).split("\t")[:2] == ["damaged", "audio"]
    assert listed_line(listed).endswith(f"\t{cause}")


def test_what_of_a_film_is_not_used_is_reported(tmp_path: Path, counted: CountingEmbedder) -> None:
    film = write_video(tmp_path / "media" / "film.ts", 1.0, hz=440.0)
    film.write_bytes(film.read_bytes().replace(b"\0\0\1\x68", b"\0\0\1\x6c"))  # no picture parameter set
    cause = "only its sound can be decoded, not its picture (h264)"
    with ws.create(tmp_path / "index", workers=1) as index:
        report = index.add([film.parent])
        assert (report.indexed, [one.cause for one in report.skipped]) == (1, [cause])
        assert f"film.ts: {cause}. Convert it" in dict(info_rows(index.info()))["damaged"]
        (listed,) = index.files(skipped=True)
    assert listed_line(listed).endswith(f"\t{cause}")


def test_what_is_too_long_waits_for_a_run_that_allows_it(
    settled: Path, monkeypatch: pytest.MonkeyPatch, counted: CountingEmbedder
) -> None:
    write_sound(settled / "media" / "long.wav", 25, 123)
    with ws.open(settled / "index", workers=1) as index:
        first = index.add([settled / "media"], max_duration_s=15)
        assert (first.indexed, first.unchanged) == (0, LIBRARY_FILES), "what is indexed stays"
        assert [(one.path.name, one.cause) for one in first.skipped] == [
            ("long.wav", "lasts 25 s, longer than the maximum duration")
        ]
        with monkeypatch.context() as patch:
            patch.setattr(run, "DecoderPool", no_decoders)
            assert index.add([settled / "media"], max_duration_s=24).skipped == first.skipped
        assert index.add([settled / "media"], max_duration_s=25).indexed == 1
        assert index.add([settled / "media"], max_duration_s=15).unchanged == LIBRARY_FILES + 1
        with pytest.raises(UsageError, match="max_duration_s must be above 0"):
            index.add([settled / "media"], max_duration_s=0)


def test_a_copy_of_what_is_indexed_is_not_too_long(settled: Path) -> None:
    write_sound(settled / "media" / "copy.wav", 21, 700)
    shutil.copy(settled / "media" / "sounds" / "700.flac", settled / "media" / "copy.flac")
    with ws.open(settled / "index", workers=1) as index:
        report = index.add([settled / "media"], max_duration_s=10)
        assert (report.reused, [one.path.name for one in report.skipped]) == (1, ["copy.wav"])


def test_a_file_that_takes_long_is_announced_before_it_is_embedded(
    settled: Path, monkeypatch: pytest.MonkeyPatch, counted: CountingEmbedder
) -> None:
    monkeypatch.setattr(run_stats, "SLOW_S", 3 / 5)  # three windows
    write_sound(settled / "media" / "25.wav", 25, 123)
    write_image(settled / "media" / "26.png", seed=26)
    announced: list[tuple[str, int]] = []
    with ws.open(settled / "index", workers=1) as index:
        report = index.add(
            [settled / "media"], warn=lambda slow: announced.append((slow.path.name, len(counted.clips)))
        )
    slow = [(slow.path.name, slow.duration_s, slow.segments, slow.estimated_s) for slow in report.slow]
    assert slow == [("25.wav", 25.0, 3, pytest.approx(3 / 5))]
    assert announced == [("25.wav", 0)]


class KillingDecoders(run.DecoderPool):
    """Its worker is killed at the second segment of a sound, as often as there are `kills`."""

    kills: ClassVar[int]

    def segments(self, path: Path, *args: object, **options: object) -> object:
        for segment in super().segments(path, *args, **options):
            if path.name == "killed.wav" and segment.span.start_s >= 10 and type(self).kills:
                type(self).kills -= 1
                for worker in self._all:
                    os.kill(worker._process.pid, signal.SIGKILL)
            yield segment


@pytest.mark.parametrize("copied", [False, True])
def test_a_fault_of_the_machine_is_tried_again_at_the_end_of_the_run(
    settled: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    killed = write_sound(settled / "media" / "killed.wav", 25, 123)
    if copied:
        shutil.copy(killed, settled / "media" / "later.wav")
    monkeypatch.setattr(KillingDecoders, "kills", 1, raising=False)
    monkeypatch.setattr(run, "DecoderPool", KillingDecoders)
    with ws.open(settled / "index", workers=1) as index:
        report = index.add([settled / "media"])
        assert (report.indexed, report.reused, report.skipped) == (1, int(copied), ())
        assert report.segments == {"audio": 3}
        assert KillingDecoders.kills == 0
        assert index.search(audio=f"{killed}@10-20", target="audio", k=1)[0].score > 0.999


def test_a_fault_of_the_machine_is_not_remembered(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sound(settled / "media" / "killed.wav", 25, 123)
    monkeypatch.setattr(KillingDecoders, "kills", 2, raising=False)
    monkeypatch.setattr(run, "DecoderPool", KillingDecoders)
    with ws.open(settled / "index", workers=1) as index:
        report = index.add([settled / "media"])
        assert (report.indexed, sum(report.segments.values())) == (0, 0)
        assert [(skipped.path.name, skipped.cause) for skipped in report.skipped] == [
            ("killed.wav", "the decoder was killed, perhaps because the machine ran out of memory")
        ]
        again = index.add([settled / "media"])
        assert (again.indexed, again.segments, again.skipped) == (1, {"audio": 3}, ())


def test_a_clip_without_a_vector_costs_its_file_only(tmp_path: Path, counted: CountingEmbedder) -> None:
    for name in ("good", "bad", "fine"):
        (tmp_path / f"{name}.txt").write_text(name)

    def refuse(clips: object) -> None:
        if any(clip.text == "bad" for clip in clips):  # type: ignore[attr-defined]
            raise ModelError("the model gives values that are not finite")

    counted.before = refuse
    with ws.create(tmp_path / "index") as index:
        report = index.add([tmp_path])
        assert report.indexed == 2
        assert [(skipped.path.name, skipped.cause) for skipped in report.skipped] == [
            ("bad.txt", "the model gives values that are not finite")
        ]
        counted.before = lambda clips: None
        assert index.add([tmp_path]).indexed == 1, "the model may be loaded in a better way next time"


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_run(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = write_sound(settled / "media" / "growing.wav", 2, 123)

    class GrowingDecoders(run.DecoderPool):
        def segments(self, path: Path, *args: object, **options: object) -> object:
            yield from super().segments(path, *args, **options)
            with growing.open("ab") as file:
                file.write(bytes(100))

    with ws.open(settled / "index") as index:
        with monkeypatch.context() as patch:
            patch.setattr(run, "DecoderPool", GrowingDecoders)
            report = index.add([settled / "media"])
        assert [(skipped.path.name, skipped.cause) for skipped in report.skipped] == [
            ("growing.wav", "changed while it was read")
        ]
        assert (report.indexed, sum(report.segments.values())) == (0, 0)
        assert index.add([settled / "media"]).indexed == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_is_indexed_although_the_first_file_changes(
    settled: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    first = write_sound(settled / "media" / "first.wav", 2, 123)
    copies = [Path(shutil.copy(first, settled / "media" / f"second-{number}.wav")) for number in range(3)]
    begun, changing = Barrier(2), Lock()
    held = {first, copies[0]} if workers > 1 else set()

    class ChangingDecoders(run.DecoderPool):
        def identify(self, path: Path) -> object:
            if path in held:  # the first file is decoded while a copy of it is identified
                held.remove(path)
                begun.wait()
            return super().identify(path)

        def segments(self, path: Path, *args: object, **options: object) -> object:
            yield from super().segments(path, *args, **options)
            with changing:
                if first.stat().st_size == copies[0].stat().st_size:
                    path.write_bytes(path.read_bytes() + bytes(100))

    monkeypatch.setattr(run, "DecoderPool", ChangingDecoders)
    with ws.open(settled / "index", workers=workers) as index:
        report = index.add([settled / "media"])
    (skipped,) = report.skipped
    assert skipped.cause == "changed while it was read"
    assert (report.indexed, report.reused, report.segments) == (1, 2, {"audio": 1})


def test_awkward_names_from_end_to_end(tmp_path: Path, counted: CountingEmbedder) -> None:
    media = tmp_path / "media"
    for number, name in enumerate(AWKWARD_NAMES):
        write_sound(media / os.fsdecode(name), 1.5, 200 + 50 * number)
    with ws.create(tmp_path / "index", workers=2) as index:
        report = index.add([media])
        assert report.skipped == ()
        assert report.indexed == len(AWKWARD_NAMES)
        for name in AWKWARD_NAMES:
            path = media.resolve() / os.fsdecode(name)
            hit = index.search(audio=path, target="audio", k=1)[0]
            assert os.fsencode(hit.path) == os.fsencode(path)
            assert hit.score > 0.999
        assert index.add([media]).unchanged == len(AWKWARD_NAMES)


NOT_FILES = [("fifo.wav", False), ("new.wav", False), ("zero.wav", True)]


def test_pipes_and_loops_do_not_hang_and_are_known_afterwards(tmp_path: Path, counted: CountingEmbedder) -> None:
    media = tmp_path / "media"
    write_image(media / "a.png")
    os.mkfifo(media / "fifo.wav")
    (media / "zero.wav").symlink_to("/dev/zero")
    (media / "loop").symlink_to(".")
    (media / "self.mp4").symlink_to("self.mp4")
    with ws.create(tmp_path / "index") as index:
        report = index.add([media])
        assert report.indexed == 1
        assert [(one.path.name, one.known) for one in report.skipped] == [
            ("fifo.wav", False),
            ("self.mp4", False),
            ("zero.wav", False),
        ]
        assert [file.path.name for file in index.files() if file.status == "skipped"] == [
            "fifo.wav",
            "self.mp4",
            "zero.wav",
        ]
        (media / "self.mp4").unlink()
        (media / "fifo.wav").unlink()
        (media / "fifo.wav").symlink_to("/no/such")
        (media / "new.wav").symlink_to("/dev/zero")
        planned = ws.plan_add(tmp_path / "index", [media])
        assert [(one.path.name, one.known) for one in planned.skipped] == NOT_FILES
        report = index.add([media])
        assert [(one.path.name, one.known) for one in report.skipped] == NOT_FILES
        assert (report.unchanged, report.removed) == (1, 1)
        assert not any(file.gone for file in index.files()), "a link that leads nowhere is there"
        (media / "fifo.wav").unlink()
        write_sound(media / "fifo.wav", 1)
        report = index.add([media])
        assert (report.indexed, report.unchanged) == (1, 1)
        assert [(one.path.name, one.known) for one in report.skipped] == [("new.wav", True), ("zero.wav", True)]


def test_a_file_named_itself_is_never_ignored(tmp_path: Path, counted: CountingEmbedder) -> None:
    (tmp_path / "table.csv").write_text("not,media")
    with ws.create(tmp_path / "index") as index:
        report = index.add([tmp_path / "table.csv"])
    assert (report.ignored, [skipped.path.name for skipped in report.skipped]) == (0, ["table.csv"])


def test_two_writers(settled: Path) -> None:
    with Writer(settled / "index"), ws.open(settled / "index") as index:
        with pytest.raises(IndexLockedError, match=str(os.getpid())):
            index.add([settled / "media"])
        assert index.search(text="x", target="text"), "reading goes on"
    with ws.open(settled / "index") as index:
        assert index.add([settled / "media"]).unchanged == LIBRARY_FILES


def test_a_lost_shard_is_built_again(settled: Path) -> None:
    with ws.open(settled / "index") as index:
        index.add([settled / "media"], min_shard_rows=2)
        covered = {part.modality: part.covered for part in index.info().partitions}
        assert covered == LIBRARY_SEGMENTS
        before = index.search(text="x", target="audio")
        shutil.rmtree(settled / "index" / "shards" / "audio")
        stages: list[str] = []
        write_image(settled / "media" / "new.png", seed=9)
        write_image(settled / "media" / "newer.png", seed=10)
        index.add([settled / "media"], min_shard_rows=2, progress=lambda progress: stages.append(progress.stage))
        assert list(dict.fromkeys(stages)) == ["scan", "embed", "shards", "done"]
        assert index.search(text="x", target="audio") == before
