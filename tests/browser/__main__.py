"""Photograph the page for the documentation: `python -m tests.browser`.

It indexes the demo media; a film that is made of several of its scenes, so that a timeline has something to show; a
copy of a film, and a file that is none.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import wave_search as ws
from tests.browser.site import chromium, make_index, served, surround
from tests.media_samples import write_av

CHECKOUT = Path(__file__).resolve().parents[2]
MEDIA = CHECKOUT / "demo" / "media"
IMAGES = CHECKOUT / "docs" / "images"
SCENES = ("rooster", "rain-cloud", "dog", "fire", "dog-in-the-rain", "helicopter", "wave", "clock")
RATE_HZ = 16_000


def join_scenes(path: Path) -> None:
    """Write a film of scenes, one after the other."""
    pictures, sounds, fps = [], [], 0
    for scene in SCENES:
        with av.open(str(MEDIA / "scenes" / f"{scene}.mp4")) as source:
            fps = int(source.streams.video[0].average_rate)
            frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
        with av.open(str(MEDIA / "scenes" / f"{scene}.mp4")) as source:
            resampler = av.AudioResampler("flt", "mono", RATE_HZ)
            decoded = [part for frame in source.decode(audio=0) for part in resampler.resample(frame)]
            sound = np.concatenate([part.to_ndarray()[0] for part in decoded])
        length = len(frames) * RATE_HZ // fps
        pictures.append(np.stack(frames))
        sounds.append(np.pad(sound, (0, length))[:length])
    write_av(path, np.concatenate(pictures), fps, np.concatenate(sounds)[:, None], RATE_HZ)


def results(page: Page) -> None:
    """Wait for them."""
    expect(page.locator("#results .card-link").first).to_be_visible()


def filters(page: Page) -> None:
    """Open their panel, above results."""
    results(page)
    page.reload()  # the first condition starts a process
    results(page)
    page.get_by_role("button", name=re.compile("^Filters")).click()


def a_map(page: Page) -> None:
    """Surround a part of the map."""
    expect(page.get_by_role("region", name="Map", exact=True)).to_have_attribute("aria-busy", "false")
    surround(page, (0.01, 0.5), (0.01, 0.01), (0.5, 0.01), (0.5, 0.99), (0.01, 0.99))
    expect(page.locator(".map-list a").first).to_be_visible()
    expect(page.locator(".map-picture").first).to_be_visible()
    page.wait_for_function("() => [...document.querySelectorAll('.map-picture img')].every((image) => image.complete)")


def a_file(page: Page) -> None:
    """Open the first result."""
    results(page)
    page.locator("#results .card-link").first.click()
    expect(page.locator(".bar").first).to_be_visible()
    page.get_by_role("heading", name="a-day.mp4").blur()


def a_basket(page: Page) -> None:
    """Collect three results."""
    results(page)
    for number in range(3):
        page.locator("#results .card-link").nth(number).focus()
        page.keyboard.press("b")
    page.get_by_role("button", name=re.compile("^Basket")).click()
    expect(page.locator(".basket-entry")).to_have_count(3)


def duplicates(page: Page) -> None:
    """Compare the library with itself."""
    page.get_by_role("button", name="Duplicates").click()
    expect(page.locator(".group").first).to_be_visible()
    page.wait_for_timeout(1500)  # the browser's player shows at first that it loads


def folders(page: Page) -> None:
    """Open what was not used."""
    page.get_by_role("region", name="Not used, or only in part").locator("summary").click()


def saved(page: Page) -> None:
    """Save the search, with an alert."""
    results(page)
    page.get_by_role("button", name="Saved searches").click()
    dialog = page.get_by_role("dialog", name="Saved searches")
    dialog.get_by_label("Save the present search as").fill("Dogs")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Alert of Dogs").click()
    dialog.get_by_label("Post new matches").fill("https://example.org/dogs")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("listitem")).to_contain_text("New matches go to")


VIEWS = {
    "results": (results, "light", "?q=a+dog+barking", 700),
    "filters": (filters, "dark", "?q=water&kind=video&min=2&max=30", 700),
    "map": (a_map, "light", "?view=map&target=video", 700),
    "file": (a_file, "dark", "?q=a+dog&target=video&where=name+%3D+%27a-day.mp4%27&segments=1", 860),
    "basket": (a_basket, "light", "?q=rain&target=audio", 560),
    "duplicates": (duplicates, "light", "", 560),
    "folders": (folders, "light", "?view=index", 560),
    "saved": (saved, "dark", "?q=a+dog+barking&target=audio&z=4", 560),
}
"""What is done before the picture is taken, colours, address and height of each."""


def photograph(browser: Browser, address: str) -> None:
    """Write the pictures of all views."""
    for name, (prepare, scheme, path, height) in VIEWS.items():
        context = browser.new_context(viewport={"width": 1280, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.goto(address + path)
        prepare(page)
        page.wait_for_load_state("networkidle")
        with Image.open(io.BytesIO(page.screenshot())) as picture:
            picture.save(IMAGES / f"page-{name}.webp", quality=82, method=6)
        context.close()


def main() -> None:
    """Index, serve, photograph."""
    folder = Path(tempfile.gettempdir()) / "library"  # its name is in the pictures
    folder.mkdir()
    try:
        shutil.copytree(MEDIA, folder / "media", ignore=shutil.ignore_patterns("*.md"))
        join_scenes(folder / "media" / "videos" / "a-day.mp4")
        shutil.copy(MEDIA / "scenes" / "dog.mp4", folder / "media" / "videos" / "dog (1).mp4")
        make_index(folder / "media", folder / "index", segment="4")
        (folder / "media" / "videos" / "unfinished.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\1" * 50)
        with ws.open(folder / "index") as index:
            index.add([folder / "media"])
        with chromium() as browser, served(folder / "index", folder / "cache") as address:
            photograph(browser, address)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
