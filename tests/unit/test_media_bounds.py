"""Numbers of files and of the file system: each fits into what stores it, or costs its file."""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wave_search.errors import BrokenMediaError
from wave_search.files import mtime_ns
from wave_search.indexer.pipeline.commit import _content_row, _file_row
from wave_search.indexer.pipeline.process import Failure
from wave_search.indexer.scan import FoundFile
from wave_search.media import AudioStream, DecodedSegment, MediaInfo, VideoStream
from wave_search.media.bounds import check_info, check_segment
from wave_search.store import schema
from wave_search.types import Clip, Span

PATH = Path("odd.mkv")
SCHEMAS = schema.schemas(4)
NUMBERS = st.integers() | st.integers(2**31 - 2, 2**31 + 1) | st.integers(2**63 - 2, 2**63 + 1)
LETTERS = "a\0\n'\x80é\ufffe🌕"
FLOATS = st.floats() | st.sampled_from([1e308, math.inf, -math.inf, math.nan, -0.0])
VIDEO = st.builds(
    VideoStream, width=NUMBERS, height=NUMBERS, codec=st.just("h264"), fps=FLOATS, frames=NUMBERS,
    timing=st.just("constant"), start_s=FLOATS, by_decord=st.booleans(),
)  # fmt: skip
AUDIO = st.builds(AudioStream, codec=st.just("flac"), sample_rate_hz=NUMBERS, channels=NUMBERS)
INFO = st.builds(
    MediaInfo, kind=st.just("video"), container=st.just("mov"), size_bytes=st.integers(0, 2**63 - 1),
    digest=st.just("0"), duration_s=st.none() | FLOATS, declared_s=st.none() | FLOATS, video=st.none() | VIDEO,
    audio=st.none() | AUDIO,
    width=st.none() | NUMBERS, height=st.none() | NUMBERS,
)  # fmt: skip


@given(INFO)
def test_whatever_a_file_declares_can_be_stored_or_is_refused(info: MediaInfo) -> None:
    try:
        check_info(PATH, info)
    except BrokenMediaError:
        return
    assert schema.content_table([(1, _content_row(info))], SCHEMAS[schema.CONTENTS]).num_rows == 1


@pytest.mark.parametrize("hours", [0, 999, 9999])
def test_long_subtitles_are_possible(hours: int) -> None:
    check_info(PATH, MediaInfo("text", "srt", 1, "", duration_s=hours * 3600 + 3599.0))


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**63 - 1), st.integers(0, 2**64 - 1), st.text(LETTERS))
def test_whatever_the_file_system_says_can_be_stored(changed_ns: int, size: int, device: int, cause: str) -> None:
    stored_ns = mtime_ns(SimpleNamespace(st_mtime_ns=changed_ns))
    assert stored_ns == changed_ns or abs(stored_ns) >= 2**63 - 1
    file = FoundFile(b"/m/a", b"/m", size, stored_ns, device)
    row = _file_row(file, None, Failure(cause + "\udcff", cause))
    table = schema.file_table([row], SCHEMAS[schema.FILES])
    assert next(iter(schema.file_rows(table))) == row
    with sqlite3.connect(":memory:") as database:
        assert database.execute("SELECT ?", (stored_ns,)).fetchone() == (stored_ns,)


def test_times_of_modification_far_away(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    for year_s in (-2_000_000_000, 10_413_792_000, 15_032_385_535):
        os.utime(path, (year_s, year_s))
        real_ns = path.stat().st_mtime_ns
        assert mtime_ns(path.stat()) == min(real_ns, 2**63 - 1)


@pytest.mark.parametrize(
    "segment",
    [
        DecodedSegment(Span(0.0, math.inf), Clip(text="x"), 0.0),
        DecodedSegment(Span(0.0, 1e300), Clip(text="x"), 0.0),
        DecodedSegment(None, Clip(text="half \ud83d"), 0.0),
    ],
)
def test_impossible_segments(segment: DecodedSegment) -> None:
    with pytest.raises(BrokenMediaError):
        check_segment(PATH, segment)
