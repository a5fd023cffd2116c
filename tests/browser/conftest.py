"""One browser, one server and one index for all tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DEMO_MEDIA
from tests.media_samples import ENCODINGS, moving_picture, write_frames

FILES = (
    "scenes/dog.mp4",
    "scenes/rain-cloud.mp4",
    "sounds/dog-163459.flac",
    "sounds/rain-81731.flac",
    "sounds/rooster-107219.flac",
    "videos/bbb_meadow.mp4",
    "images/moon.jpg",
    "texts/field-notes.md",
)
SUBTITLES = """\
1
00:00:00,000 --> 00:00:01,500
Here it comes.

2
00:00:02,000 --> 00:00:04,000
There it goes.
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page of a small library of demo media."""
    from tests.browser.site import make_index, served

    folder = tmp_path_factory.mktemp("browser")
    for name in FILES:
        target = folder / "media" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DEMO_MEDIA / name, target)
    (folder / "media" / "scenes" / "dog.srt").write_text(SUBTITLES)
    write_frames(folder / "media" / "old.avi", moving_picture(30), ENCODINGS["mpeg4.avi"])
    make_index(folder / "media", folder / "index")
    with served(folder / "index", folder / "cache") as at:
        yield at


@pytest.fixture(scope="package")
def browser() -> Iterator[object]:
    """Closed behind the last test of this folder: while it is open, an event loop of this thread runs."""
    from tests.browser.site import chromium

    try:
        with chromium() as started:
            yield started
    except FileNotFoundError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds what people with disabilities could not use."""
    return (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
