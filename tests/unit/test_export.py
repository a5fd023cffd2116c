"""Hits as files for other programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import opentimelineio as otio
import pytest

from wave_search.errors import UsageError, WaveSearchError
from wave_search.render.export import excerpt_of, format_of
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
    kind="video",
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
    return format_of(Path(f"hits{suffix}")).write([excerpt_of(hit) for hit in hits], "hits")


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


def test_an_edl_has_source_and_record_times_of_each_hit() -> None:
    hits = [replace(SEEN, columns={"fps": 25, "timecode": "10:00:00:00"}), replace(SEEN, modality=Modality.AV)]
    text = written(".edl", *hits, HEARD, PICTURE, WORDS).decode()
    assert text.splitlines()[:6] == [
        "TITLE: hits",
        "FCM: NON-DROP FRAME",
        "",
        "001  AX       V     C        10:00:10:00 10:00:30:00 01:00:00:00 01:00:20:00",
        "* FROM CLIP NAME: a b\\xe9.mp4",
        "* SOURCE FILE: /media/a b\\xe9.mp4",
    ]
    read = otio.adapters.read_from_string(text, "cmx_3600", rate=25, ignore_timecode_mismatch=True)
    events = {track.name: [clip for clip in track if isinstance(clip, otio.schema.Clip)] for track in read.tracks}
    seen, both, still = events["V"]
    assert seen.source_range == otio.opentime.TimeRange(
        otio.opentime.RationalTime(10 * 3600 * 25 + 250, 25), otio.opentime.RationalTime(500, 25)
    )
    assert both.source_range.start_time.to_seconds() == 10
    assert (still.name, still.source_range.duration.to_seconds()) == ("new\\nline.wav", 5.0)
    assert [clip.source_range.duration.value for clip in events["A1"]] == [500, 738]


@pytest.mark.parametrize(
    ("fps", "timecode", "mode", "start"),
    [
        (29.97, "00:01:00;02", "DROP FRAME", "00:01:10;02"),
        (29.97, "00:01:00:00", "NON-DROP FRAME", "00:01:10:00"),
        (29.97, None, "NON-DROP FRAME", "00:00:10:00"),
        (23.976, "23:59:55:00", "NON-DROP FRAME", "00:00:05:00"),  # over midnight
        (25, "10:00:00:00", "NON-DROP FRAME", "10:00:10:00"),
        (120, None, "NON-DROP FRAME", "00:00:10:00"),  # which has no time code of its own
    ],
)
def test_an_edl_counts_as_its_first_source_does(fps: float, timecode: str | None, mode: str, start: str) -> None:
    lines = written(".edl", replace(SEEN, columns={"fps": fps, "timecode": timecode})).decode().splitlines()
    assert lines[1] == f"FCM: {mode}"
    assert lines[3].split()[4] == start


def test_a_source_of_another_rate_keeps_the_hours_of_its_time_code() -> None:
    first = replace(SEEN, columns={"fps": 29.97, "timecode": None})
    second = replace(SEEN, columns={"fps": 25, "timecode": "10:00:00:00"})
    sound = replace(HEARD, columns={"sample_rate_hz": 48_000, "timecode": "10:00:00.500000"})
    lines = written(".edl", first, second, sound).decode().splitlines()
    assert [line.split()[4] for line in lines if " C  " in line] == ["00:00:10:00", "10:00:10:00", "10:00:01:00"]


@pytest.mark.parametrize(
    ("leading", "other", "start"),
    [
        ((25, "10:00:00:00"), (29.97, "01:00:00;00"), "01:00:10:00"),
        ((25, "10:00:00:00"), (29.97, "01:00:00:00"), "01:00:10:00"),
        ((25, None), (59.94, "00:59:50;00"), "01:00:00:00"),
        ((29.97, "10:00:00;00"), (25, "01:00:00:00"), "01:00:10;00"),
        ((29.97, "10:00:00;00"), (29.97, "01:00:00:00"), "01:00:10;00"),
        ((29.97, "10:00:00:00"), (29.97, "01:09:50;00"), "01:10:00:00"),
    ],
)
def test_a_source_that_drops_numbers_keeps_its_time_code_among_others(
    leading: tuple[float, str | None], other: tuple[float, str], start: str
) -> None:
    hits = [replace(SEEN, columns=dict(zip(("fps", "timecode"), source, strict=True))) for source in (leading, other)]
    lines = written(".edl", *hits).decode().splitlines()
    assert [line.split()[4] for line in lines if " C  " in line][1] == start


def test_fcpxml_has_files_formats_and_exact_times() -> None:
    columns = {"fps": 29.97, "timecode": "01:00:00:00", "width": 1920, "height": 1080, "audio_codec": "aac"}
    seen = replace(SEEN, columns=columns)
    text = written(".fcpxml", seen, replace(seen, modality=Modality.AV), HEARD, PICTURE)
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    rates = [(form.get("frameDuration"), form.get("width")) for form in root.iter("format")]
    assert rates == [("1001/30000s", "1920"), ("1/25s", None)]
    film, sound, picture = root.iter("asset")
    assert (film.get("src"), film.get("hasVideo"), film.get("hasAudio")) == ("file:///media/a%20b%E9.mp4", "1", "1")
    assert film.get("start") == "18018/5s", "an hour of time code, which counts 30 in a second, takes longer"
    assert (sound.get("hasVideo"), sound.get("audioRate"), picture.get("hasAudio")) == (None, "8000", None)
    first, second, heard = root.iter("asset-clip")
    assert (first.get("ref"), first.get("srcEnable"), second.get("srcEnable")) == (film.get("id"), "video", None)
    assert (first.get("offset"), first.get("duration")) == ("0s", "599599/30000s"), "599 frames"
    assert second.get("offset") == first.get("duration")
    assert Fraction(first.get("start", "")[:-1]) == 3600 * Fraction(1001, 1000) + 300 * Fraction(1001, 30000)
    assert heard.get("srcEnable") == "audio"
    (still,) = root.iter("clip")
    assert (still.find("video").get("ref"), still.get("duration")) == (picture.get("id"), "1001/200s")


def test_any_name_can_be_in_a_timeline() -> None:
    hit = replace(SEEN, path=Path("/media/<a> & \x01\ufffe\U0010ffff\n\"b'.mp4"))
    root = ElementTree.fromstring(written(".fcpxml", hit))  # noqa: S314 - our own
    assert [asset.get("name") for asset in root.iter("asset")] == ["<a> & \\x01\ufffd\U0010ffff\\n\"b'.mp4"]
    assert len(written(".edl", hit).decode().splitlines()) == 6


def test_opentimelineio_reads_the_fcpxml() -> None:
    text = written(".fcpxml", SEEN, replace(SEEN, modality=Modality.AV, start_s=0.0), PICTURE).decode()
    ((timeline,),) = [otio.adapters.read_from_string(text, "fcpx_xml")]
    (track,) = timeline.tracks
    assert [clip.source_range.start_time.to_seconds() for clip in track] == [10.0, 0.0, 0.0]
    assert [clip.source_range.duration.to_seconds() for clip in track] == [20.0, 30.0, 5.0]
    assert track[0].media_reference.target_url == "file:///media/a%20b%E9.mp4"
    assert [marker.name for marker in track[0].markers] == ["z 4.50"]


@pytest.mark.parametrize("suffix", [".otio", ".edl", ".fcpxml"])
def test_a_timeline_without_the_package_says_what_to_install(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    with pytest.raises(WaveSearchError, match=r"pip install 'wave-search\[otio\]'"):
        written(suffix, SEEN)


def test_other_formats_are_refused() -> None:
    with pytest.raises(UsageError, match=r"Use one of \.csv, \.jsonl, \.m3u8, \.otio, \.edl, \.fcpxml, \.zip"):
        format_of(Path("hits.xlsx"))
