"""Results and reports as text."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wave_search.commands.indexing import decoder_bytes
from wave_search.errors import UsageError
from wave_search.render.records import hit_record, listed_record, report_record, to_json
from wave_search.render.text import (
    bytes_text,
    clock,
    fitting_paths,
    hit_line,
    listed_line,
    listed_sentence,
    optimized_sentences,
    printable,
    report_sentences,
    skipped_line,
    slow_line,
    span,
    update_sentence,
)
from wave_search.reports import IndexReport, OptimizeReport, Skipped, SlowFile, SlowRun
from wave_search.types import Hit, ListedFile, Modality, PartitionKey

HIT = Hit(
    kind="audio",
    rank=1,
    score=0.98765432,
    z=4.5,
    path=Path("/media/dog.wav"),
    modality=Modality.AUDIO,
    start_s=0.0,
    stop_s=5.0,
    segment_id=7,
    duration_s=5.0,
)


def hit(**changes: Any) -> Hit:
    return Hit(**{**{name: getattr(HIT, name) for name in Hit.__slots__}, **changes})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.0"),
        (5.04, "0:05.0"),
        (59.96, "1:00.0"),
        (83.25, "1:23.2"),
        (3599.97, "1:00:00.0"),
        (3725.5, "1:02:05.5"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_span_of_what_has_no_time() -> None:
    assert span(None, None) == "-"
    assert span(0.0, 62.5) == "0:00.0-1:02.5"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (2**52, "4096.0 TiB")]
)
def test_bytes_text(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain äöü 猫 🐕.wav", "plain äöü 猫 🐕.wav"),
        ("red\x1b[31m.wav", "red\\x1b[31m.wav"),
        ("two\nlines\t.wav", "two\\nlines\\t.wav"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("line\u2028separator", "line\\u2028separator"),
        (os.fsdecode(b"latin-\xe9.wav"), "latin-\\xe9.wav"),
        ("[red]markup[/red].wav", "[red]markup[/red].wav"),
    ],
)
def test_printable_leaves_names_alone_and_escapes_what_steers_a_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_a_hit_has_exactly_the_documented_keys() -> None:
    record = json.loads(to_json(hit_record(HIT)))
    assert list(record) == [
        "rank",
        "score",
        "z",
        "path",
        "modality",
        "start_s",
        "stop_s",
        "segment_id",
        "duration_s",
        "matched",
        "copies",
        "gone",
        "text",
    ]
    assert record["modality"] == "audio"
    assert record["matched"] == ["audio"]
    assert record["score"] == pytest.approx(0.987654, abs=1e-6)


@pytest.mark.parametrize("name", [b"latin-\xe9.wav", "猫.wav".encode(), b"new\nline.wav", b"\x1b[31m.wav"])
def test_any_name_survives_json_as_ascii(name: bytes) -> None:
    line = to_json(hit_record(hit(path=Path(os.fsdecode(b"/media/" + name)))))
    assert line.isascii()
    assert "\n" not in line
    assert os.fsencode(json.loads(line)["path"]) == b"/media/" + name


def test_a_line_for_a_pipe_has_six_fields_whatever_the_name() -> None:
    line = hit_line(hit(path=Path("/media/a\tb\nc.wav")))
    assert line.split("\t") == ["1", "4.50", "0.9877", "audio", "0:00.0-0:05.0", "/media/a\\tb\\nc.wav"]


def test_a_moment_names_all_modalities_in_which_it_matches() -> None:
    several = hit(matched=(Modality.AUDIO, Modality.VIDEO))
    assert hit_line(several).split("\t")[3] == "audio+video"
    assert hit_record(several)["matched"] == ["audio", "video"]


def test_paths_that_do_not_fit_on_a_line_are_told_apart() -> None:
    names = ["/b", "/a", "/new\nline", os.fsdecode(b"/\xff")]
    fit, unfit = fitting_paths(map(Path, names))
    assert fit == [b"/b", b"/a", b"/\xff"]
    assert unfit == [Path("/new\nline")]


HALF = ListedFile(
    path=Path("/media/half\n.mp4"),
    status="damaged",
    cause="damaged: 4.4 of 9.6 s",
    remedy="Copy it again.",
    gone=True,
    kind="video",
    duration_s=4.4,
    size_bytes=2048,
    columns={"tag": "dog", "fps": 30000 / 1001, "cause": "x"},
)


def test_a_listed_file_has_exactly_the_documented_keys() -> None:
    assert json.loads(to_json(listed_record(HALF))) == {
        "path": "/media/half\n.mp4",
        "status": "damaged",
        "cause": "damaged: 4.4 of 9.6 s",
        "remedy": "Copy it again.",
        "gone": True,
        "kind": "video",
        "duration_s": 4.4,
        "size_bytes": 2048,
        "tag": "dog",
        "fps": 30000 / 1001,
    }


def test_a_listed_file_is_one_line_of_fields() -> None:
    half = "damaged, gone\tvideo\t0:04.4\t2048\t/media/half\\n.mp4\tdamaged: 4.4 of 9.6 s\tdog\t29.97003\tx"
    assert listed_line(HALF) == half
    empty = ListedFile(Path("/a"), "indexed", "", "", gone=False, kind="image", duration_s=None, size_bytes=1)
    assert listed_line(empty) == "indexed\timage\t-\t1\t/a\t-"


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"indexed": 1}, "1 file: 1 indexed"),
        ({"skipped": 2, "indexed": 1000, "gone": 3}, "1,002 files: 1,000 indexed, 2 skipped; 3 gone"),
        ({"damaged": 1, "gone": 0}, "1 file: 1 damaged"),
    ],
)
def test_a_list_ends_with_its_numbers(counts: dict[str, int], sentence: str) -> None:
    assert listed_sentence(counts) == sentence


REPORT = IndexReport(
    indexed=3,
    reused=1,
    unchanged=1200,
    ignored=4,
    not_media={".pdf": 1200, "": 3, ".x\x1b": 1},
    skipped=(Skipped(Path("/media/bad\x1b.mp4"), "no moov atom", "Copy it again."),),
    segments={Modality.AUDIO: 5, Modality.VIDEO: 2, Modality.IMAGE: 0},
    media_s=83.2,
    elapsed_s=12.34,
    peak_memory_bytes=3 * 2**30,
)


def test_report_sentences_name_what_happened_and_nothing_else() -> None:
    first, second, third = report_sentences(REPORT)
    assert first == (
        "indexed 3 files (5 audio, 2 video segments), 1:23.2 of audio and video in 12.3 s, peak memory 3.0 GiB"
    )
    assert second == "1,200 unchanged, 1 moved or duplicate, 4 unsupported"
    assert third == "not media: 1,200 .pdf, 3 without a suffix, 1 .x\\x1b"
    assert list(report_sentences(IndexReport(indexed=1, elapsed_s=1))) == ["indexed 1 file in 1.0 s"]


def test_updates_name_what_has_changed_but_not_what_is_skipped() -> None:
    report = IndexReport(removed=1, skipped=(Skipped(Path("link.wav"), "a link to a file that does not exist", ""),))
    assert update_sentence(report, [Path("gone.wav"), Path("link.wav")]) == "1 removed: gone.wav"


def test_a_larger_index_is_explained() -> None:
    larger, audio = partial(OptimizeReport, 1000, 2000), (PartitionKey(Modality.AUDIO),)
    assert [*optimized_sentences(larger(kept_versions=2))][1] == (
        "larger than before because 2 replaced versions stay readable for searches that run; "
        "--keep-versions-for 0 removes them now"
    )
    assert [*optimized_sentences(larger(audio))][2] == (
        "larger than before because of the shards, which make searches faster"
    )
    assert len([*optimized_sentences(larger())]) == 1
    smaller = [*optimized_sentences(OptimizeReport(2000, 1000, kept_versions=1))][1]
    assert smaller.startswith("1 replaced version stays readable")


def test_rare_kinds_of_files_that_are_not_media_are_counted_together() -> None:
    report = IndexReport(not_media={f".{number}": 20 - number for number in range(11)})
    _, line = report_sentences(report)
    assert line.startswith("not media: 20 .0, 19 .1, ")
    assert line.endswith("13 .7, 33 others")


def test_a_skipped_file_is_one_line_with_cause_and_remedy() -> None:
    assert skipped_line(REPORT.skipped[0]) == "/media/bad\\x1b.mp4: no moov atom. Copy it again."
    assert skipped_line(Skipped(Path("a"), "empty", "")) == "a: empty"


def test_the_report_survives_json() -> None:
    record = json.loads(to_json(report_record(REPORT)))
    assert record["segments"] == {"audio": 5, "video": 2, "image": 0}
    assert record["skipped"] == [
        {"path": "/media/bad\x1b.mp4", "cause": "no moov atom", "remedy": "Copy it again.", "known": False}
    ]
    assert record["not_media"] == {".pdf": 1200, "": 3, ".x\x1b": 1}
    assert record["interrupted"] is False


def test_a_slow_file_is_announced_with_its_estimate() -> None:
    assert slow_line(SlowFile(Path("a\n.flac"), 590_000.0, 59_000, 11_800.0)) == (
        "a\\n.flac: lasts 163:53:20.0, 59,000 segments; will take about 3.3 hours. "
        "Leave such files out with --max-duration, or this one with --exclude"
    )
    assert slow_line(SlowFile(Path("a.flac"), 59_000.0, 59_000, 11_800.0)) == (
        "a.flac: lasts 16:23:20.0, 59,000 segments; will take about 3.3 hours. Leave such files out with "
        "--max-duration, or this one with --exclude, or make another index with longer segments (--segment)"
    )


def test_a_slow_run_is_announced_with_what_to_do() -> None:
    assert slow_line(SlowRun(12_000, 19_080.0)) == (
        "the 12,000 files left will take about 5.3 hours at the present rate. "
        "Ctrl-C keeps what is done, and the same command resumes"
    )


@pytest.mark.parametrize("gib", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_an_amount_of_memory_is_a_positive_number(gib: float) -> None:
    with pytest.raises(UsageError, match="--decoder-memory must be"):
        decoder_bytes(gib)
    assert (decoder_bytes(None), decoder_bytes(0.5)) == (None, 1 << 29)
