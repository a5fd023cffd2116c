"""What is compared with what is shown, and what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wave_search as ws
from tests.docs.__main__ import screenshot
from tests.docs.output import differs
from wave_search.types import Modality

SHOWN = """\
#  match        z  score  modality  time           file
1  ████████  7.06  0.505  audio     0:00.0-0:05.0  sounds/dog.flac
2  ███████▉  7.03  0.503  audio     0:00.0-0:05.0  sounds/puppy.flac
"""


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        (SHOWN, SHOWN),
        (SHOWN, SHOWN.replace("7.06", "7.15").replace("████████", "███████▊")),
        (SHOWN.replace("1  ████████  7.06  0.505  audio     0:00.0-0:05.0  sounds/dog.flac", "..."), SHOWN),
        ("81 files in 16.5 s, peak memory 759.5 MiB", "81 files in 4.7 s, peak memory 1.2 GiB"),
        ('{"score": 0.504516, "z": 7.0623, "segment_id": 82}', '{"score": 0.504517, "z": 7.1611, "segment_id": 9}'),
    ],
)
def test_what_may_vary(shown: str, written: str) -> None:
    assert differs(shown, written) is None


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        (SHOWN, SHOWN.replace("0.505", "0.515")),
        (SHOWN, SHOWN.replace("7.06", "7.56")),
        (SHOWN, SHOWN.replace("dog", "cat")),
        (SHOWN, SHOWN.replace("0:05.0", "0:06.0")),
        (SHOWN, SHOWN.partition("2  ")[0]),
        ("...\n2 files", SHOWN),
        ("81 files in 16.5 s", "80 files in 16.5 s"),
        ('{"score": 0.504516}', '{"score": 0.514516}'),
    ],
)
def test_what_may_not(shown: str, written: str) -> None:
    assert differs(shown, written) is not None


def test_a_picture_of_the_terminal_needs_nothing_from_elsewhere() -> None:
    place = Path("dog.flac"), Modality.AUDIO, 0.0, 5.0
    svg = screenshot([ws.Hit(1, 0.6, 6.0, *place, segment_id=1, duration_s=5.0, kind="audio")], 60)
    assert svg == screenshot([ws.Hit(1, 0.6, 6.0, *place, segment_id=1, duration_s=5.0, kind="audio")], 60)
    assert "dog.flac" in svg
    assert not re.search(r"url\((?!#)|@font-face|href", svg)
