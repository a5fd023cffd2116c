"""Hits as files for other programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import opentimelineio as otio
import pytest

from wave_search.errors import UsageError, WaveSearchError
from wave_search.render.export import format_of
from wave_search.types import Hit, Modality

SEEN = Hit(
    rank=1,
    score=0.9,
    z=4.5,
    path=Path(os.fsdecode(b"/media/a b\xe9.mp4")),
    modality=Modality.VIDEO,
    start_s=10.0,
    stop_s=30.0,
    segment_id=7,
    duration_s=60.0,
    peak_start_s=20.0,
    peak_stop_s=30.0,
    segments=2,
    columns={"fps": 25.0, "tags": ["x", "y"]},
)
HEARD = replace(
    SEEN,
    rank=2,
    modality=Modality.AUDIO,
    path=Path("/media/new\nline.wav"),
    start_s=0.5,
    columns={"sample_rate_hz": 8000},
)
PICTURE = replace(
    HEARD,
    columns={},
    modality=Modality.IMAGE,
    start_s=None,
    stop_s=None,
    duration_s=None,
    peak_start_s=None,
    peak_stop_s=None,
)
WORDS = replace(PICTURE, modality=Modality.TEXT, text="words")


def written(suffix: str, *hits: Hit) -> bytes:
    return format_of(Path(f"hits{suffix}")).write(hits)


def test_a_table_keeps_paths_byte_for_byte() -> None:
    text = written(".csv", SEEN, replace(SEEN, rank=2)).decode("utf-8", "surrogateescape")
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert (first["rank"], first["start_s"], first["fps"], first["tags"]) == ("1", "10.0", "25.0", "x, y")
    assert (second["rank"], first["path"]) == ("2", str(SEEN.path))
    assert written(".csv") == b""


def test_what_a_spreadsheet_takes_for_a_formula_is_text() -> None:
    cells = {"a": "=1+1", "b": "@x", "c": ["-y", "z"], "d": -1.5, "e": "a=b", "f": "\t=1", "g": "+", "h": "\uff1d1"}
    (row,) = csv.DictReader(
        io.StringIO(written(".csv", replace(SEEN, columns=cells, score=-0.25)).decode("utf-8", "ignore"))
    )
    assert [row[name] for name in "abcdefgh"] == ["'=1+1", "'@x", "'-y, z", "-1.5", "a=b", "'\t=1", "'+", "'\uff1d1"]
    assert row["score"] == "-0.25"
    header = written(".csv", replace(SEEN, columns={"=1+1": 2})).splitlines()[0]
    assert header.endswith(b",'=1+1"), "names of imported columns are texts from a table, too"


def test_json_lines_are_those_of_stdout() -> None:
    lines = written(".jsonl", SEEN, HEARD).splitlines()
    assert [json.loads(line)["segment_id"] for line in lines] == [7, 7]


def test_a_playlist_begins_and_ends_where_the_hit_does() -> None:
    assert written(".M3U8", SEEN, PICTURE).decode().splitlines() == [
        "#EXTM3U",
        "#EXTINF:20.000,a b\\xe9.mp4",
        "#EXTVLCOPT:start-time=10.000",
        "#EXTVLCOPT:stop-time=30.000",
        "file:///media/a%20b%E9.mp4",
        "#EXTINF:-1.000,new\\nline.wav",
        "file:///media/new%0Aline.wav",
    ]


def test_a_timeline_has_ranges_references_and_markers() -> None:
    text = written(".otio", SEEN, HEARD, PICTURE, WORDS).decode()
    timeline = otio.adapters.read_from_string(text, "otio_json")
    seen, heard = timeline.tracks
    assert (seen.kind, heard.kind) == ("Video", "Audio")
    assert [clip.name for clip in seen] == ["a b\\xe9.mp4", "new\\nline.wav"]
    clip = seen[0]
    assert (clip.source_range.start_time, clip.source_range.duration) == (
        otio.opentime.RationalTime(250, 25), otio.opentime.RationalTime(500, 25),
    )  # fmt: skip
    reference = clip.media_reference
    assert reference.target_url == "file:///media/a%20b%E9.mp4"
    assert reference.available_range.duration == otio.opentime.RationalTime(1500, 25)
    (marker,) = clip.markers
    assert marker.marked_range.start_time.to_seconds() == 20.0
    assert dict(marker.metadata["wave-search"]) == {"rank": 1, "score": 0.9, "z": 4.5, "segment_id": 7}
    assert heard[0].source_range.start_time.to_seconds() == 0.5
    assert seen[1].source_range.duration.to_seconds() == 5.0
    assert seen[1].media_reference.available_range is None


@pytest.mark.parametrize(
    ("fps", "timecode", "rate", "begin"),
    [
        (25, "01:00:00:00", 25, 90_000),
        (23.976, None, 24_000 / 1001, 0),
        (23.976023976, "10:00:00:00", 24_000 / 1001, 864_000),
        (29.970028, "00:01:00;02", 30_000 / 1001, 1800),  # the first minute drops two numbers
        (59.94, None, 60_000 / 1001, 0),
        (24.0, "99:99:99:99", 24, 0),
        (15, None, 15, 0),
        (29.41, "01:00:00:00", 30_000 / 1001, 108_000),  # a telephone's, variable
        (13.37, None, 24_000 / 1001, 0),
    ],
)
def test_rates_are_standard_ones_and_times_those_of_the_source(
    fps: float, timecode: str | None, rate: float, begin: int
) -> None:
    hit = replace(SEEN, columns={"fps": fps, "timecode": timecode})
    ((clip,),) = otio.adapters.read_from_string(written(".otio", hit).decode(), "otio_json").tracks
    assert clip.source_range.start_time == otio.opentime.RationalTime(begin + round(10 * rate), rate)
    assert clip.media_reference.available_range.start_time == otio.opentime.RationalTime(begin, rate)
    assert clip.source_range.start_time.rate == pytest.approx(rate, abs=1e-9)


@pytest.mark.parametrize(("timecode", "begin"), [(None, 0), ("10:00:00.500020", 48_000 * 36_000 + 24_001)])
def test_times_of_sound_alone_count_samples_since_midnight(timecode: str | None, begin: int) -> None:
    hit = replace(HEARD, start_s=0.5, columns={"fps": None, "sample_rate_hz": 48_000, "timecode": timecode})
    ((clip,),) = otio.adapters.read_from_string(written(".otio", hit).decode(), "otio_json").tracks
    assert clip.source_range.start_time == otio.opentime.RationalTime(begin + 24_000, 48_000)
    assert clip.media_reference.available_range.start_time == otio.opentime.RationalTime(begin, 48_000)


def test_the_sound_of_a_video_has_the_same_clock_as_its_picture() -> None:
    hit = replace(SEEN, columns={"fps": 25, "timecode": "01:00:00:00"})
    text = written(".otio", hit, replace(hit, modality=Modality.AUDIO)).decode()
    (seen,), (heard,) = otio.adapters.read_from_string(text, "otio_json").tracks
    assert heard.source_range == seen.source_range
    assert heard.media_reference.available_range == seen.media_reference.available_range


def test_a_timeline_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    with pytest.raises(WaveSearchError, match=r"pip install 'wave-search\[otio\]'"):
        written(".otio", SEEN)


def test_other_formats_are_refused() -> None:
    with pytest.raises(UsageError, match=r"Use one of \.csv, \.jsonl, \.m3u8, \.otio"):
        format_of(Path("hits.xlsx"))
