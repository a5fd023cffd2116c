"""Estimates of files that take long, and the progress within a file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from wave_search.indexer import run_stats
from wave_search.indexer.run_stats import RunStats
from wave_search.reports import Skipped, SlowRun
from wave_search.types import Modality

if TYPE_CHECKING:
    from wave_search.reports import Progress

PATH = Path("/media/silent.flac")


class Run:
    """The counts of a run whose clock the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.announced: list[Any] = []
        self.shown: list[Progress] = []
        monkeypatch.setattr(run_stats, "time", SimpleNamespace(monotonic=lambda: self.now_s))
        self.stats = RunStats(self.shown.append, self.announced.append)

    def embed(self, segments: int, length_s: float, s_per_segment: float, path: Path = PATH) -> None:
        """Embed a batch."""
        for _ in range(segments):
            self.now_s += s_per_segment
            self.stats.add_segments([Modality.AUDIO], length_s, path)
        self.stats.end_batch(path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


@pytest.mark.parametrize(
    ("duration_s", "segments", "vectors", "hours"),
    [
        (59_000.0, 59_000, 1, 59_000 / 5 / 3600),  # silence in segments of a second
        (59_000.0, 5_900, 3, None),  # video with sound: 0.98 hours
        (60_100.0, 6_010, 3, 18_030 / 5 / 3600),
        (590_000.0, 1, 1, 59_000 / 5 / 3600),  # not cut at all
        (3_600.0, 1, 1, None),
    ],
)
def test_a_file_is_announced_by_its_segments_before_any_is_embedded(
    run: Run, duration_s: float, segments: int, vectors: int, hours: float | None
) -> None:
    run.stats.begin_file(PATH, duration_s, segments, vectors)
    assert [slow.estimated_s / 3600 for slow in run.announced] == ([] if hours is None else [pytest.approx(hours)])
    assert [(slow.path, slow.segments) for slow in run.announced] == ([] if hours is None else [(PATH, segments)])


def test_the_rate_of_the_run_replaces_the_assumed_one(run: Run) -> None:
    run.stats.begin_file(PATH, 600.0, 60, 1)  # 12 s at the assumed rate
    run.embed(32, 10.0, 1000.0)  # the model is loaded in this batch
    run.embed(32, 10.0, 100.0)
    assert run.announced == []
    run.embed(32, 10.0, 100.0)
    assert [(slow.path, slow.estimated_s) for slow in run.announced] == [(PATH, pytest.approx(6000.0))]
    run.embed(32, 10.0, 100.0)
    assert len(run.announced) == 1


def test_a_fast_machine_announces_less(run: Run) -> None:
    run.stats.begin_file(PATH, 600.0, 60, 1)
    for _ in range(3):
        run.embed(32, 10.0, 0.01)
    run.stats.begin_file(Path("/media/long.flac"), 59_000.0, 59_000, 1)
    assert run.announced == []  # ten minutes


def test_texts_and_images_do_not_slow_the_estimate(run: Run) -> None:
    run.stats.begin_file(PATH, 600.0, 60, 1)
    run.embed(1, 10.0, 0.1)
    for _ in range(3):
        run.embed(1000, 0.0, 1.0, Path("/media/image.png"))
        run.embed(32, 10.0, 0.1)
    run.stats.begin_file(Path("/media/other.flac"), 6000.0, 600, 1)
    assert run.announced == []


def test_progress_counts_the_segments_of_the_current_file(run: Run) -> None:
    run.stats.enter("embed", total=2)
    run.stats.begin_file(PATH, 59_000.0, 59_000, 1)
    run.embed(590, 1.0, 0.2)
    shown = run.shown[-1]
    assert (shown.current, shown.current_segments, shown.current_segments_total) == (PATH, 590, 59_000)
    assert (shown.files_done, shown.files_begun) == (0, 0.01)
    run.stats.end_file(PATH)
    run.now_s += 1
    run.stats.count("indexed", current=PATH)
    assert (run.shown[-1].files_done, run.shown[-1].files_begun, run.shown[-1].current_segments_total) == (1, 0, 0)


def test_many_short_files_are_announced_once_by_their_sum(run: Run) -> None:
    run.stats.enter("embed", total=10_000)
    run.stats.count("unchanged", 8_000)
    for number in range(200):
        path = Path(f"/media/{number}.flac")
        run.stats.begin_file(path, 10.0, 1, 1)
        run.embed(1, 10.0, 100.0 if number == 0 else 2.0, path)  # the model is loaded for the first one
        run.stats.end_file(path)
        run.stats.count("indexed", current=path)
        assert number >= 30 or run.announced == []
    (announced,) = run.announced
    assert isinstance(announced, SlowRun)
    assert announced.files == 2_000 - 30
    assert announced.estimated_s == pytest.approx(2.0 * 1_969, rel=0.01)


def test_a_short_run_is_not_announced(run: Run) -> None:
    run.stats.enter("embed", total=10_000)
    run.stats.count("unchanged", 9_500)
    for _ in range(100):
        run.embed(1, 10.0, 5.0)
        run.stats.count("indexed")
    assert run.announced == []


def test_what_was_counted_right_after_a_report_is_reported_before_the_run_waits() -> None:
    reported: list[Progress] = []
    stats = RunStats(reported.append)
    stats.enter("embed", total=2)
    stats.count("indexed", current=PATH)
    stats.catch_up()
    stats.catch_up()
    assert [(progress.files_done, progress.current) for progress in reported] == [(0, None), (1, PATH)]


def test_each_file_that_cannot_be_used_is_announced() -> None:
    announced: list[Skipped] = []
    stats = RunStats(None, skipped=announced.append)
    damaged, missing = (Skipped(Path(name), "no", "") for name in ("damaged", "missing"))
    stats.note(damaged)
    stats.skip(missing)
    assert announced == [damaged, missing]
