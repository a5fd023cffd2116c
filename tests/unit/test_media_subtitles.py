"""Subtitles and lyrics: each kind by what a player shows."""

from __future__ import annotations

import re

import pytest

from wave_search.media.subtitles import Cue, group_cues, parse_cues
from wave_search.media.text import MAX_CHARACTERS

ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,not a number

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def cues(text: str, container: str) -> list[tuple[float, float, str]]:
    return [(cue.start_s, cue.stop_s, cue.text) for cue in parse_cues(text, container)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> there,\n\n"
            "2\n00:00:09,000 --> 00:00:11,000\n{\\an8}second &amp; last\n\n"
            "3\n00:01:00,000 --> 00:00:59,000\nends before it begins\n",
            [(1.0, 2.5, "Hello there,"), (9.0, 11.0, "second & last")],
            id="markup",
        ),
        pytest.param(
            "1\n00:00:01,000 --> 00:00:03,000\nA dog barks\n"
            "2\n00:10:01,000 --> 00:10:03,000\nThe rooster crows\n"
            "3\n00:20:01,000 --> 00:20:03,000\nRain falls",
            [(1.0, 3.0, "A dog barks"), (601.0, 603.0, "The rooster crows"), (1201.0, 1203.0, "Rain falls")],
            id="no empty lines",
        ),
        pytest.param(
            "1\n00:00:01,000 --> 00:00:03,000\nA dog\n\n\nbarks\n\n2\n00:00:04,000 --> 00:00:05,000\nlast\n",
            [(1.0, 3.0, "A dog\nbarks"), (4.0, 5.0, "last")],
            id="empty lines inside",
        ),
        pytest.param(
            "1\n00:00:01,000 --> 00:00:03,000\nThe answer:\n42\n\n2\n00:00:04,000 --> 00:00:05,000\n\n"
            "3\n00:00:06,000 --> 00:00:07,000\nor\n43",
            [(1.0, 3.0, "The answer:\n42"), (6.0, 7.0, "or\n43")],
            id="numbers as text",
        ),
        pytest.param(
            "00:00:01,000 --> 00:00:03,000\ncount:\n3\n00:00:04,000 --> 00:00:05,000\n2\n",
            [(1.0, 3.0, "count:\n3"), (4.0, 5.0, "2")],
            id="without numbers",
        ),
        pytest.param(
            "1\n01:05,5-->01:07.25 X1:3\n[laughs] {sic} I <3 you\n\n2\n0:2:0 --> 0:2:9\nshort\n",
            [(65.5, 67.25, "[laughs] {sic} I <3 you"), (120.0, 129.0, "short")],
            id="other times",
        ),
        pytest.param(
            "1\n999:59:58,000 --> 999:59:59,000\nfar\n\n2\n1000:00:00,000 --> 1000:00:01,000\n",
            [(3_599_998.0, 3_599_999.0, "far\n\n2\n1000:00:00,000 --> 1000:00:01,000".replace("\n\n", "\n"))],
            id="largest time",
        ),
        pytest.param(
            "2\n00:00:04,000 --> 00:00:05,000\nsecond\n\n1\n00:00:01,000 --> 00:00:02,000\nfirst\n",
            [(1.0, 2.0, "first"), (4.0, 5.0, "second")],
            id="out of order",
        ),
    ],
)
def test_subrip(text: str, expected: list[tuple[float, float, str]]) -> None:
    assert cues(text, "srt") == expected


def test_webvtt_skips_what_has_no_times() -> None:
    text = (
        "WEBVTT - title\nKind: captions\n\nNOTE 00:01.000 is a comment\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:04.500 align:start\n<v Roger>Bears &lt; are <b>watching</b>.\n\n"
        "a paragraph without times\n\n"
        "1:00:00.000 --> 1:00:01.5\nAn hour\nlater\n2:00:00.000 --> 2:00:01.000\nno empty line before\n"
    )
    assert cues(text, "vtt") == [
        (1.0, 4.5, "Bears < are watching."),
        (3600.0, 3601.5, "An hour\nlater"),
        (7200.0, 7201.0, "no empty line before"),
    ]


def test_rolling_captions_yield_each_line_once_at_its_first_time() -> None:
    settings = "align:start position:0%"
    text = (
        "WEBVTT\nKind: captions\nLanguage: en\n\n"
        f"00:00:00.000 --> 00:00:02.000 {settings}\n \nthe<00:00:00.400><c> dog</c><00:00:00.800><c> barks</c>\n\n"
        f"00:00:02.000 --> 00:00:02.010 {settings}\nthe dog barks\n \n\n"
        f"00:00:02.010 --> 00:00:04.000 {settings}\nthe dog barks\nand<00:00:02.4><c> runs</c> away\n\n"
        f"00:00:04.000 --> 00:00:04.010 {settings}\nand runs away\n \n\n"
        f"00:00:09.000 --> 00:00:10.000 {settings}\nand runs away\n"
    )
    expected = [(0.0, 2.01, "the dog barks"), (2.01, 4.01, "and runs away"), (9.0, 10.0, "and runs away")]
    assert cues(text, "vtt") == expected
    as_subrip = re.sub(r"<[^>]*>", "", text.split("\n\n", 1)[1])
    assert [cue[2] for cue in cues(as_subrip, "srt")] == [cue[2] for cue in expected]


def test_only_whole_lines_are_repeats() -> None:
    text = "00:01.000 --> 00:02.000\nthe dogs\n\n00:02.000 --> 00:03.000\nthe dog\nthe dogs\n"
    assert cues(text, "srt") == [(1.0, 2.0, "the dogs"), (2.0, 3.0, "the dog\nthe dogs")]


def test_a_number_at_the_end_of_a_webvtt_cue_is_text() -> None:
    text = "WEBVTT\n\n1\n00:01.000 --> 00:02.000\nthe answer:\n42\n\n2\n00:03.000 --> 00:04.000\n\nno text\n"
    assert cues(text, "vtt") == [(1.0, 2.0, "the answer:\n42")]


def test_sbv() -> None:
    text = "0:00:01.000,0:00:03.500\nHello\n[Music]\n\n0:00:04.000,0:00:05.000\nat 1:00,\n2:00\n"
    assert cues(text, "sbv") == [(1.0, 3.5, "Hello\n[Music]"), (4.0, 5.0, "at 1:00,\n2:00")]


def test_lyrics() -> None:
    text = (
        "[ti:Title]\n[offset:+500]\n[length: 02:00]\n"
        "[00:01.00][00:10.5]one <00:01.50>word\n[00:05.123]two\n[00:05.123]zwei\n[00:07]\n[01:40:50] last\n"
    )
    assert cues(text, "lrc") == [
        (0.5, 4.623, "one word"),
        (4.623, 6.5, "two\nzwei"),
        (10.0, 100.0, "one word"),
        (100.0, 120.0, "last"),
    ]
    assert cues("[00:01.00]last", "lrc") == [(1.0, 6.0, "last")]
    assert cues("[100:00.00]an hour and more\n[101:00.00]", "lrc") == [(6000.0, 6060.0, "an hour and more")]


def test_substation() -> None:
    text = (
        "Dialogue: 0,0:00:01.00,0:00:03.50,Default,,0,0,0,,{\\k20}He{\\k30}llo,\\Nyou\\hthere\n"
        "Comment: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,a comment\n"
        "Dialogue: 1,0:00:01.00,0:00:03.50,Default,,0,0,0,,Hello,\\Nyou there\n"
        "Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\pos(1,2)\\p1}m 0 0 l 1 1{\\p0}sign\n"
        "Dialogue: 0,bad,0:00:07.00,Default,,0,0,0,,no time\n"
        "Dialogue: 0,999:59:58.00,999:59:59.00,Default,,0,0,0,,far\n"
    )
    assert cues(ASS + text, "ass") == [
        (1.0, 3.5, "Hello,\nyou there"),
        (5.0, 6.0, "sign"),
        (3_599_998.0, 3_599_999.0, "far"),
    ]
    old = "[Script Info]\n[V4 Styles]\n[Events]\nDialogue: Marked=0,0:00:01.00,0:00:03.00,D,Bob,0000,0000,0000,,old\n"
    assert cues(old, "ssa") == [(1.0, 3.0, "old")]


def test_substation_with_fields_of_its_own() -> None:
    text = (
        "[V4+ Styles]\nFormat: Name, Text\nStyle: Default,x\n[Events]\n"
        "Format: Start, End, Style, Text\n"
        "Dialogue: 0:00:01.00,0:00:02.50,Default,Rain, and wind.\n"
        "Format:Layer,Style,Start,End,Text\n"
        "Dialogue:0,Default, 0:00:03.00 ,0:00:04:50, A dog barks.\n"
        "Dialogue: 0,Default,0:00:05.00\n"
    )
    assert cues(text, "ass") == [(1.0, 2.5, "Rain, and wind."), (3.0, 4.5, "A dog barks.")]


@pytest.mark.parametrize("container", ["srt", "vtt", "sbv", "lrc", "ass", "ssa"])
def test_text_without_times_is_none(container: str) -> None:
    assert cues("no cues here", container) == []


def test_cues_are_joined_by_windows() -> None:
    found = [Cue(start, start + 3, f"at {start}") for start in (0.0, 4.0, 9.0, 12.0, 35.0)]
    assert list(group_cues(found, 10.0)) == [
        Cue(0.0, 12.0, "at 0.0\nat 4.0\nat 9.0"),
        Cue(12.0, 15.0, "at 12.0"),
        Cue(35.0, 38.0, "at 35.0"),
    ]


def test_joined_cues_stay_short() -> None:
    found = [Cue(number, number + 1, "x" * 300) for number in range(8)] + [Cue(8, 9, "y" * 1500)]
    joined = list(group_cues(found, 10.0))
    assert max(len(cue.text) for cue in joined) <= MAX_CHARACTERS
    assert sum(cue.text.count("x") for cue in joined) == 2400
    assert sum(cue.text.count("y") for cue in joined) == 1500
