"""Photograph the page for the documentation: `python -m tests.browser`.

It indexes the demo media, and a film that is made of several of its scenes, so that a timeline has something to show.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser.site import chromium, make_index, served, surround
from tests.media_samples import write_av

CHECKOUT = Path(__file__).resolve().parents[2]
MEDIA = CHECKOUT / "demo" / "media"
IMAGES = CHECKOUT / "docs" / "images"
SCENES = ("rooster", "rain-cloud", "dog", "fire", "dog-in-the-rain", "helicopter", "wave", "clock")
RATE_HZ = 16_000
VIEWS = {
    "page-results": ("light", "?q=a+dog+barking", 700),
    "page-map": ("light", "?view=map&target=video", 700),
    "page-file": ("dark", "?q=a+dog&target=video&where=name+%3D+%27a-day.mp4%27&segments=1", 860),
}


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


def photograph(browser: Browser, address: str) -> None:
    """Write the pictures of all views."""
    for name, (scheme, path, height) in VIEWS.items():
        page = browser.new_page(viewport={"width": 1280, "height": height}, color_scheme=scheme)
        page.goto(address + path)
        if name == "page-map":
            expect(page.get_by_role("region", name="Map", exact=True)).to_have_attribute("aria-busy", "false")
            surround(page, (0.01, 0.5), (0.01, 0.01), (0.7, 0.01), (0.7, 0.99), (0.01, 0.99))
            expect(page.locator(".map-list a").first).to_be_visible()
            expect(page.locator(".map-picture").first).to_be_visible()
            loaded = "[...document.querySelectorAll('.map-picture img')].every((image) => image.complete)"
            page.wait_for_function(loaded)
        else:
            expect(page.locator("#results .card-link").first).to_be_visible()
        if name == "page-file":
            page.locator("#results .card-link").first.click()
            expect(page.locator(".bar").first).to_be_visible()
            page.get_by_role("heading", name="a-day.mp4").blur()
        page.wait_for_load_state("networkidle")
        with Image.open(io.BytesIO(page.screenshot())) as picture:
            picture.save(IMAGES / f"{name}.webp", quality=82, method=6)


def main() -> None:
    """Index, serve, photograph."""
    folder = Path(tempfile.gettempdir()) / "library"  # its name is in the pictures
    folder.mkdir()
    try:
        shutil.copytree(MEDIA, folder / "media", ignore=shutil.ignore_patterns("*.md"))
        join_scenes(folder / "media" / "videos" / "a-day.mp4")
        make_index(folder / "media", folder / "index", segment="4")
        with chromium() as browser, served(folder / "index", folder / "cache") as address:
            photograph(browser, address)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
