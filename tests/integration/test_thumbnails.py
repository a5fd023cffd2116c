"""Thumbnails and waveforms below the results."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.text import Text

from tests.media_factory import write_image, write_sound, write_video
from wave_search.commands.thumbnails import draw
from wave_search.render.pictures import may_show_pictures, waveform
from wave_search.render.tables import hit_table
from wave_search.types import Hit, Modality

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("environment", "may"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM": "foot"}, True),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "230800"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, False),  # noqa: S108 - as tmux sets it
        ({}, False),
    ],
)
def test_pictures_are_shown_where_the_terminal_is_known_to_show_them(environment: dict[str, str], may: bool) -> None:
    assert may_show_pictures(environment) is may


def test_a_waveform_is_scaled_to_its_loudest_part() -> None:
    assert waveform([0, 64, 128, 32]).plain == " ▄█▂"
    assert waveform([0, 0]).plain == "  "


def test_each_result_gets_what_it_looks_or_sounds_like(tmp_path: Path) -> None:
    files = [
        ("audio", write_sound(tmp_path / "tone.wav", 2), 0.0),
        ("image", write_image(tmp_path / "picture.png"), None),
        ("video", write_video(tmp_path / "film.mp4", 1), 0.0),
        ("text", tmp_path / "notes.txt", None),
        ("audio", tmp_path / "gone.wav", 0.0),
        ("image", tmp_path / "broken.png", None),
    ]
    (tmp_path / "broken.png").write_bytes(b"no picture")
    hits = [
        Hit(
            *(rank, 0.5, 4.0, path, Modality(kind), start_s, start_s and 1.0, rank, 1.0, kind),
            peak_start_s=start_s,
            peak_stop_s=None if start_s is None else 1.0,
            gone=path.name == "gone.wav",
        )
        for rank, (kind, path, start_s) in enumerate(files, start=1)
    ]
    drawn = draw(hits)
    assert sorted(drawn) == [1, 2, 3]
    sound = drawn[1].plain
    assert (len(sound), sound[-1], sound[0]) == (48, "█", "▁"), "it fades in"
    console = Console(file=io.StringIO(), width=120)
    console.print(hit_table(hits, console, drawn))
    lines = console.file.getvalue().splitlines()
    assert sound in [line.strip() for line in lines]
    assert len(lines) == 1 + 2 * len(hits) + 1 + 2 * 6
    pictures = {rank: Text("*") for rank in (1, 2)}
    assert len(console.render_lines(hit_table(hits, console, pictures))) == 1 + 2 * len(hits) + 2
