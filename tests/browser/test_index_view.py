"""The folders of the index in the page, and a run that is followed, changed and lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import wave_search as ws
from tests.browser.site import violations
from tests.media_factory import write_sound
from tests.serving import listening

ENDLESS_BYTES = 1 << 40
UNUSABLE = b"\0\0\0\x18ftypmp42" + b"\1" * 50


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """`first`, which is indexed, with a damaged film; and `second`, with a sound that takes hours to read."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note.txt").write_text(f"the {name} note")
        (tmp_path / name / "broken.mp4").write_bytes(UNUSABLE)
    with ws.create(tmp_path / "index", "wave-tiny", workers=1) as index:
        index.add([tmp_path / "first"], exclude=["*.tmp", "drafts/*"])
    write_sound(tmp_path / "second" / "zz.wav", 1)
    os.truncate(tmp_path / "second" / "zz.wav", ENDLESS_BYTES)
    return tmp_path


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 700}, reduced_motion="reduce")
    context.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    yield context.new_page()
    context.close()


def stop_decoder_of(path: Path) -> None:
    """Stop the process that reads a file, so that the run that waits for it takes no time of the page."""
    stopped = False
    while not stopped:
        time.sleep(0.05)
        for opened in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):  # of another user, or closed meanwhile
                if opened.readlink() == path:
                    os.kill(int(opened.parts[2]), signal.SIGSTOP)
                    stopped = True


def by_keyboard(page: Page, folder: Path) -> None:
    """Look at a folder and what was skipped of it, and go back."""
    expect(page.locator("#results .card-link")).to_have_count(1)
    page.keyboard.press("i")
    expect(page.get_by_role("heading", name="Folders of the index", level=2)).to_be_focused()
    listed = page.get_by_role("region", name="Folders", exact=True).get_by_role("listitem")
    expect(listed).to_have_count(1)
    expect(listed).to_contain_text(f"{folder}1 file, 1 not used, without *.tmp, drafts/*")
    expect(page.get_by_role("textbox", name="Leave out")).to_have_value("*.tmp, drafts/*")
    skipped = page.get_by_role("region", name="Not used, or only in part").locator("summary")
    expect(skipped).to_contain_text("1 file")
    skipped.press("Enter")
    expect(page.get_by_text(str(folder / "broken.mp4"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#results .card-link")).to_have_count(1)


def test_a_run_is_started_followed_and_changed(page: Page, axe: str, folders: Path) -> None:
    second = str(folders / "second")
    with listening(folders / "index", folders / "cache") as (client, _):
        address = str(client.base_url)
        page.goto(address)
        by_keyboard(page, folders / "first")
        page.goto(f"{address}?view=index")
        listed = page.locator(".folder")
        box = page.get_by_role("textbox", name="Another folder or file")
        box.fill(second)
        box.press("Enter")
        run = page.locator(".run")
        expect(run.locator(".run-numbers")).to_contain_text("2 of 3 files")
        stop_decoder_of(folders / "second" / "zz.wav")
        expect(run.locator(".skipped summary")).to_contain_text("1 file")
        expect(page.get_by_role("progressbar", name="Files done")).to_be_visible()
        expect(page.get_by_role("button", name="Index all folders again")).to_be_disabled()
        run.get_by_role("button", name="Pause").click()
        expect(run.get_by_role("heading", name="Paused")).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("Paused")
        assert client.get("/api/index/jobs").json()["jobs"][0]["state"] == "paused"
        assert violations(page, axe) == []

        page.reload()
        run.get_by_role("button", name="Resume").click()
        expect(run.get_by_role("heading", name="Indexing")).to_be_visible()
        run.get_by_role("button", name="Cancel").click()
        expect(run.get_by_role("heading", name="Cancelled")).to_be_visible()
        expect(run).to_contain_text("1 file indexed, 1 not used, or only in part. The next run continues")
        expect(listed).to_have_count(2)
        expect(page.get_by_role("status")).to_contain_text("Cancelled. 1 file indexed")

        page.get_by_role("button", name=f"Index again {second}").click()
        expect(run.locator(".run-numbers")).to_contain_text("2 of 3 files")
        stop_decoder_of(folders / "second" / "zz.wav")
    (folders / "second" / "zz.wav").unlink()
    with listening(folders / "index", folders / "cache", port=client.base_url.port or 0):
        page.reload()  # whether it heard of the end of its run depends on which connection was closed first
        expect(run).to_have_count(0)
        expect(listed.nth(1)).to_contain_text("without *.tmp")
        page.get_by_role("textbox", name="Leave out").fill("")
        page.get_by_role("button", name="Index all folders again").click()
        expect(run.get_by_role("heading", name="Done")).to_be_visible()
        expect(run).to_contain_text("0 files indexed, 2 unchanged, 2 not used")
        expect(listed.nth(1)).to_contain_text("1 file, 1 not used")
        expect(listed.filter(has_text="without")).to_have_count(0)
        box.fill(str(folders / "third"))
        box.press("Enter")
        expect(run.get_by_role("heading", name="Failed")).to_be_visible()
        expect(run).to_contain_text(f"{folders / 'third'}: No such file or directory. Check the spelling")


def test_open_pages_follow_the_index(page: Page, folders: Path) -> None:
    with listening(folders / "index", folders / "cache") as (client, _):
        a_map = page.context.new_page()
        page.goto(str(client.base_url))
        a_map.goto(f"{client.base_url}?view=map")
        expect(page.locator("#results .card-link")).to_have_count(1)
        expect(a_map.locator(".map-note")).to_contain_text("1 text")
        (folders / "first" / "second.txt").write_text("another note")
        with ws.open(folders / "index") as index:
            index.add([folders / "first"])
        expect(page.locator("#results .card-link")).to_have_count(2)
        expect(a_map.locator(".map-note")).to_contain_text("2 texts")
