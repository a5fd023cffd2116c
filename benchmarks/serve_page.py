"""The page in a browser, for `serve.py`: how soon results, and answers to keys and clicks, are on the screen."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.results import Table
from benchmarks.serve_site import media_index, served
from tests.browser.site import chromium

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from playwright.sync_api import Page

WORDS = (
    "a dog barking", "rain", "a rooster", "waves at the sea", "thunder", "a helicopter", "a cat", "the moon",
    "a clock ticking", "fire", "a sheep", "birds singing", "snow", "a train", "footsteps", "a church", "horses",
    "somebody types", "coffee", "an owl",
)  # fmt: skip
# An interaction has several events, such as those of a key that goes down and up; the longest one counts.
OBSERVE = """() => {
    window.seen = new Map();
    new PerformanceObserver((list) => {
        for (const { interactionId: id, duration } of list.getEntries()) {
            if (id) window.seen.set(id, Math.max(duration, window.seen.get(id) ?? 0));
        }
    }).observe({ type: "event", durationThreshold: 16 });
}"""
# A frame is on the screen when the next one begins. Cards of an earlier search are marked as such by their links.
FROM_ENTER = """(words) => new Promise((resolve) => {
    const wanted = new URLSearchParams({ q: words }).toString();
    addEventListener("keydown", ({ timeStamp }) => {
        let cards = null;
        const look = () => {
            const link = document.querySelector("#results .grid:not(.grid-old) .card-link");
            const there = link?.getAttribute("href").includes(`${wanted}&`);
            const now = performance.now() - timeStamp;
            if (cards === null && there && window.was) cards = now;
            else if (cards !== null) {
                const images = [...document.querySelectorAll("#results .card img")].filter((image) =>
                    image.getBoundingClientRect().top < innerHeight);
                if (images.every((image) => image.complete && image.naturalWidth)) return resolve([cards, now]);
            }
            window.was = there;
            requestAnimationFrame(look);
            return undefined;
        };
        window.was = false;
        requestAnimationFrame(look);
    }, { capture: true, once: true });
})"""


def page(given: argparse.Namespace) -> list[Table]:
    """Search and use the page of the demo's media, as a person does with keys and pointer."""
    with served(media_index(given.work, "wave-nano"), given.work / "page-cache") as site, chromium() as browser:
        shown = browser.new_page(viewport={"width": 1280, "height": 800})
        shown.goto(f"http://{site.server.host}:{site.server.port}/")
        shown.wait_for_selector("#results .card-link")
        shown.evaluate(OBSERVE)
        first = [_search(shown, words) for words in WORDS]
        again = [_search(shown, words) for words in WORDS]
        shown.evaluate("window.seen.clear()")
        interactions = {name: _durations(shown, use) for name, use in _USES.items()}
    rows = [
        _row("results painted, new words", [cards for cards, _ in first]),
        _row("and all pictures of the window, new words", [images for _, images in first]),
        _row("results painted, words again", [cards for cards, _ in again]),
        _row("and all pictures of the window, words again", [images for _, images in again]),
    ]
    used = [_row(name, durations) for name, durations in interactions.items()]
    load = f"load average of the machine at the end: {os.getloadavg()[0]:.1f}"
    head = ("what", "times", "ms, median", "95 %", "most")
    return [
        Table("From Enter, demo media with wave-nano, 1280 x 800", head, rows),
        Table(f"From a key or click to the next frame ({load})", head, used),
    ]


def _search(shown: Page, words: str) -> tuple[float, float]:
    """Return the milliseconds from Enter until results are on the screen, and until their pictures are."""
    box = shown.get_by_role("textbox", name="Search for")
    box.fill(words)
    shown.evaluate(f"(words) => {{ window.found = ({FROM_ENTER})(words); }}", words)
    box.press("Enter")
    cards, images = shown.evaluate("() => window.found")
    return float(cards), float(images)


def _durations(shown: Page, use: Any) -> list[float]:
    for _ in range(10):
        use(shown)
    shown.wait_for_timeout(200)  # entries come late
    found: list[float] = shown.evaluate("() => { const all = [...seen.values()]; seen.clear(); return all; }")
    return found


def _typing(shown: Page) -> None:
    shown.get_by_role("textbox", name="Search for").fill("")
    shown.get_by_role("textbox", name="Search for").press_sequentially("waves")


def _arrows(shown: Page) -> None:
    shown.locator("#results .card-link").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "b", "b"):
        shown.keyboard.press(key)


def _targets(shown: Page) -> None:
    for name in ("Heard", "Everything"):
        shown.get_by_role("radio", name=name).check()


def _panels(shown: Page) -> None:
    for name in ("Filters", "Advanced"):
        shown.get_by_role("button", name=name).click()
        shown.get_by_role("button", name=name).click()


def _file(shown: Page) -> None:
    shown.locator("#results .card-link").nth(2).click()
    shown.locator(".file-head h2").wait_for()
    shown.keyboard.press("Escape")
    shown.locator("#results .card-link").first.wait_for()


_USES = {
    "a letter of a search": _typing,
    "arrows through results, and the basket": _arrows,
    "another target": _targets,
    "a panel opened and closed": _panels,
    "a file opened and closed": _file,
}


def _row(name: str, durations: Sequence[float]) -> tuple[str, ...]:
    ordered = sorted(durations)
    if not ordered:
        return (name, "0", "below 16", "below 16", "below 16")
    values = (statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))], ordered[-1])
    return (name, f"{len(ordered)}", *(f"{value:.0f}" for value in values))
