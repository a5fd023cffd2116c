"""Tables of hits and of listed files at several widths of the terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from wave_search.render.tables import hit_table, listed_table, shortened
from wave_search.types import Hit, ListedFile, Modality

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMES = ("sounds/dog.flac", "Projekt 2026-11 Straßenbahn und Regen, Originalton/Tag 1/Haltestelle.flac", "notes.txt")
GONE = "films/gone.mp4"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of the tables, except one."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return Path.cwd()


def shown(table: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    assert max(map(cell_len, lines)) <= width
    return "\n".join(line.rstrip() for line in lines)


def hits(folder: Path, **columns: str | float | None) -> list[Hit]:
    def hit(rank: int, z: float, name: str, start_s: float | None, text: str | None = None, *, copies: int = 1) -> Hit:
        modality, stop_s = Modality.TEXT if text else Modality.AUDIO, None if start_s is None else start_s + 10
        place = folder / name, modality, start_s, stop_s
        return Hit(
            *(rank, z / 10, z, *place, rank, None, "text"), text=text, gone=name == GONE, copies=copies, columns=columns
        )

    several = (Modality.AUDIO, Modality.VIDEO, Modality.AV)
    return [
        hit(1, 7.06, NAMES[0], 0.0, copies=3),
        replace(hit(2, 5.11, NAMES[1], 3720.0), matched=several),
        hit(3, 2.5, GONE, 0.0),
        hit(4, -0.31, NAMES[2], None, "The moon is full tonight, and the dogs\nbark at it."),
    ]


def files(folder: Path, **columns: str | float | None) -> list[ListedFile]:
    def file(name: str, status: str, cause: str = "", remedy: str = "", *, gone: bool = False) -> ListedFile:
        kind, duration_s = (None, None) if status == "skipped" else ("audio", 4.4)
        return ListedFile(folder / name, status, cause, remedy, gone, kind, duration_s, 345_678, columns)

    return [
        file(NAMES[1], "damaged", "damaged: 4.4 of 9.6 s", "Its end is missing: copy it again."),
        file(GONE, "skipped", "an empty file (0 bytes)", "Replace it with an intact copy.", gone=True),
        file(NAMES[0], "indexed"),
    ]


COLUMNS = {"fps": 30000 / 1001, "artist": "Ella"}
EXPECTED = dict(
    section.split("\n", 1)
    for section in (Path(__file__).parents[1] / "data" / "tables.txt").read_text(encoding="utf-8").split("== ")[1:]
)
"""What each table looks like, by its name: what it shows, its width, and whether it has further columns."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_table_is_readable_at_every_width(folder: Path, name: str) -> None:
    what, width, *further = name.split()
    columns = COLUMNS if further else {}
    table = (
        hit_table(hits(folder, **columns), Console())
        if what == "hits"
        else listed_table(files(folder, **columns), with_header=True)
    )
    assert shown(table, int(width)) == EXPECTED[name].rstrip()


def test_columns_that_leave_the_path_no_room_go_below_it(folder: Path) -> None:
    table = hit_table(hits(folder, text="moon " * 30), Console())
    assert shown(table, 200).splitlines()[2:4] == [f"  {NAMES[0]} (3 copies)", f"  text: {'moon ' * 30}".rstrip()]


def test_a_value_may_take_several_lines(folder: Path) -> None:
    table = hit_table(hits(folder, text="moon " * 30), Console())
    below = shown(table, 60).splitlines()[3:6]
    assert " ".join(line.strip() for line in below) == f"text: {'moon ' * 30}".rstrip()


def test_only_the_first_batch_of_a_list_has_a_header(folder: Path) -> None:
    for width in (60, 120):
        first, later = (shown(listed_table(files(folder), with_header=header), width) for header in (True, False))
        assert first.partition("\n")[2] == later


def test_a_path_is_a_link_unless_its_file_is_gone(folder: Path) -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(hit_table(hits(folder), console))
    links = re.findall(r"\x1b\]8;[^;]*;(file://[^\x1b]+)", captured.get())
    assert links == [(folder / name).as_uri() for name in NAMES]


@pytest.mark.parametrize(
    ("path", "width", "expected"),
    [
        ("a/b.wav", 7, "a/b.wav"),
        ("films/of last summer/beach.mp4", 24, "films/of las…r/beach.mp4"),
        ("folder/a name of many letters.wav", 24, "folder… many letters.wav"),
        ("猫/猫の声.wav", 13, "猫/猫の声.wav"),
        ("猫/猫の鳴き声.wav", 13, "猫/…き声.wav"),  # characters of two columns
        ("abc", 1, "…"),
        ("abc", 0, "…"),
    ],
)
def test_a_path_is_shortened_in_the_middle(path: str, width: int, expected: str) -> None:
    assert shortened(path, width) == expected
    assert cell_len(expected) <= max(width, 1)


def test_dots_are_ascii_where_the_terminal_is() -> None:
    assert shortened("films/of last summer/beach.mp4", 24, "ascii") == "films/of la.../beach.mp4"
