"""What a person does with the page, in a real browser. A message on its console, or a request to others, is a fault."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.site import violations
from tests.conftest import DEMO_MEDIA

MAX_PAGE_BYTES = 150_000
Opening = Callable[..., Page]


@pytest.fixture
def expected_faults() -> list[str]:
    """Parts of messages on the console that a test provokes."""
    return []


@pytest.fixture
def opening(browser: Browser, address: str, expected_faults: list[str]) -> Iterator[Opening]:
    """Opens the page at a path, in a window of some size and kind."""
    contexts, faults = [], []

    def watch(page: Page) -> None:
        page.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: request.url.startswith((address, "blob:")) or faults.append(request.url))

    def opened(path: str = "", width: int = 1000, height: int = 700, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        watch(page)
        page.goto(address + path)
        return page

    expect.set_options(timeout=30_000)
    yield opened
    for context in contexts:
        context.close()
    faults = [fault for fault in faults if not any(part in fault for part in expected_faults)]
    assert not faults


def cards(page: Page) -> Locator:
    return page.locator("#results .card-link")


def search(page: Page, words: str) -> None:
    page.get_by_role("textbox", name="Search for").fill(words)
    with page.expect_response("**/api/search"):
        page.keyboard.press("Enter")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")


def panel(page: Page, name: str) -> Locator:
    """The button that opens a panel. Where nothing was found there is "Remove the filters" as well."""
    return page.get_by_role("button", name=re.compile(f"^{name}"))


def film(page: Page) -> Locator:
    return page.locator(".stage video")


def at(media: Locator) -> float:
    return float(media.evaluate("element => element.currentTime"))


def open_dog(opening: Opening, **options: Any) -> Page:
    """The view of the film of a dog, as found by a search."""
    page = opening("?q=a+dog+barking&kind=video", **options)
    cards(page).first.click()
    expect(page.get_by_role("heading", name="dog.mp4", level=2)).to_be_focused()
    expect(film(page)).to_have_js_property("readyState", 4)
    return page


def test_words_and_enter_find_and_back_leads_back(opening: Opening) -> None:
    page = opening()
    expect(page.get_by_role("heading", name="The library")).to_be_visible()
    expect(cards(page)).to_have_count(10)  # files
    search(page, "a dog barking")
    page.get_by_role("radio", name="Heard").check()
    expect(cards(page).first).to_have_text(re.compile("^dog"))
    expect(page.locator("#results .card").first).to_contain_text("Heard")
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"\d+ results.*match, z \d"))
    assert "q=a+dog+barking" in page.url
    page.go_back()
    expect(page.get_by_role("heading", name="The library")).to_be_visible()
    expect(page.get_by_role("textbox", name="Search for")).to_have_value("")
    search(page, "rain")
    expect(page.locator("#results .why", has_text="Seen and heard").first.locator(".icon").nth(1)).to_be_visible()


def test_without_words_the_files_of_a_kind_are_listed(opening: Opening) -> None:
    page = opening()
    expect(cards(page)).to_have_count(10)
    page.get_by_role("radio", name="Pictures").check()
    expect(cards(page)).to_have_text(["moon.jpg"])


def test_the_address_holds_the_whole_search(opening: Opening) -> None:
    page = opening("?q=grass&term=text,not,0.75:rain&target=audio&z=1.5&kind=audio&max=60&where=channels+%3E+0")
    expect(page.get_by_role("radio", name="Heard")).to_be_checked()
    expect(page.get_by_role("slider", name=re.compile("Matches"))).to_have_value("1.5")
    expect(page.get_by_role("button", name="not rain \N{MULTIPLICATION SIGN}0.75")).to_be_visible()
    panel(page, "Filters").click()
    condition = "kind IN ('audio') AND duration_s <= 60 AND (channels > 0)"
    expect(page.locator(".made code")).to_have_text(condition)
    page.get_by_role("checkbox", name="Video").check()
    assert page.url.count("kind=") == 2


def test_terms_are_weighed_and_excluded(opening: Opening) -> None:
    page = opening("?q=a+dog&target=audio")
    page.get_by_role("textbox", name="Search for").press("Control+Enter")
    search(page, "rain")
    with_rain = cards(page).all_text_contents()
    page.get_by_role("button", name="a dog", exact=True).click()
    with page.expect_request("**/api/search") as asked:
        page.get_by_role("radio", name="Not this").check()
    assert asked.value.post_data_json["terms"] == [
        {"text": "a dog", "weight": 0.5, "avoid": True},
        {"text": "rain", "weight": 1, "avoid": False},
    ]
    expect(cards(page).last).to_have_text(re.compile("^dog"))
    assert cards(page).all_text_contents() != with_rain
    page.get_by_role("button", name="Remove a dog").click()
    expect(page.get_by_role("list", name="Terms")).to_have_count(0)


def test_a_dropped_file_is_searched_by_and_can_be_taken_as_it_is_heard(opening: Opening) -> None:
    page = opening("?target=audio")
    sound = base64.b64encode((DEMO_MEDIA / "sounds" / "rain-73260.flac").read_bytes()).decode()
    page.evaluate(
        """([name, type, data]) => {
            const transfer = new DataTransfer(), bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type }));
            const target = document.querySelector("main");
            for (const kind of ["dragenter", "dragover", "drop"]) {
                target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
            }
        }""",
        ["wet.flac", "audio/flac", sound],
    )
    expect(page.get_by_role("button", name="wet.flac", exact=False).first).to_be_visible()
    expect(cards(page).first).to_have_text("rain-cloud.mp4")
    page.reload()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("wet.flac is no longer here")
    expect(alert).to_contain_text("drop it again")


def test_a_recording_is_searched_by(opening: Opening) -> None:
    page = opening("?target=audio", permissions=["microphone"])
    page.get_by_role("button", name="Record a sound").click()
    stop = page.get_by_role("button", name="Stop recording")
    expect(stop).to_contain_text("0:01")
    with page.expect_response("**/api/search") as answer:
        stop.click()
    assert answer.value.ok, answer.value.text()
    expect(page.locator(".chip")).to_contain_text("recording.")


def test_resting_on_a_film_plays_its_moment_in_silence_and_space_with_sound(opening: Opening) -> None:
    page = opening("?q=a+dog+barking&target=audio&kind=video&segments=1")
    card = page.locator("#results .card").first
    card.hover()
    moment = card.locator("video")
    expect(moment).to_have_js_property("paused", False)
    expect(moment).to_have_js_property("muted", True)
    page.mouse.move(0, 0)
    expect(moment).to_have_count(0)
    cards(page).first.focus()
    page.keyboard.press("Space")
    expect(moment).to_have_js_property("muted", False)
    start, stop = map(float, moment.evaluate("element => element.src.split('#t=')[1].split(',')"))
    assert 0 <= start < stop <= 4.1
    page.wait_for_function("at => document.querySelector('.card video').currentTime > at", arg=start)
    expect(moment).to_have_count(0)  # at its end


def test_nothing_moves_unasked_for_those_who_prefer_that(opening: Opening) -> None:
    page = opening("?q=a+dog+barking&kind=video", reduced_motion="reduce")
    cards(page).first.hover()
    cards(page).first.focus()
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1)).to_be_focused()
    expect(page.locator(".card video")).to_have_count(0)


def test_the_grid_fills_while_one_scrolls(opening: Opening) -> None:
    page = opening("?q=a+dog&segments=1")
    expect(cards(page)).to_have_count(24)
    page.mouse.wheel(0, 20_000)
    expect(page.locator(".results-note")).not_to_contain_text("+")
    names = page.locator("#results .card-link").evaluate_all("links => links.map((link) => link.href)")
    assert len(names) == len(set(names)) > 24


def test_the_keyboard_alone_is_enough(opening: Opening) -> None:
    page = opening()
    expect(cards(page)).to_have_count(10)
    page.keyboard.press("/")
    page.keyboard.type("rain")
    page.keyboard.press("Enter")
    expect(page.locator(".results-note")).to_contain_text("best first")
    page.keyboard.press("ArrowDown")
    expect(cards(page).first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#results .card").nth(1).get_by_role("button", name="Play")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    name = cards(page).nth(1).inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name, level=2)).to_be_focused()
    page.keyboard.press("Escape")
    expect(cards(page).nth(1)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("textbox", name="Search for")).to_be_focused()


def test_the_timeline_shows_the_score_and_seeks(opening: Opening) -> None:
    page = open_dog(opening)
    for band in ("Seen", "Heard", "Both"):
        expect(page.locator(".lane-name", has_text=re.compile(f"^{band}$"))).to_be_visible()
    expect(page.locator(".lane[data-modality=audio] .bar")).to_have_count(2)
    tracks = page.get_by_role("slider", name="Position")
    box = tracks.bounding_box()
    assert box is not None
    duration = float(film(page).evaluate("element => element.duration"))
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 20)
    expect(tracks).to_have_attribute("aria-valuenow", f"{duration * 0.75:.1f}")
    assert at(film(page)) == pytest.approx(duration * 0.75, abs=0.1)
    tracks.press("ArrowLeft")
    assert at(film(page)) == pytest.approx(duration * 0.75 - 1, abs=0.1)
    page.get_by_role("button", name=re.compile("There it goes")).click()
    assert at(film(page)) == pytest.approx(2.0, abs=0.1)
    page.locator(".moments button").first.click()
    tracks.press("Home")
    tracks.press("Space")
    page.wait_for_function("() => document.querySelector('.stage video').currentTime > 0.2")
    page.get_by_role("button", name="Pause").click()
    expect(film(page)).to_have_js_property("paused", True)


def test_a_film_that_browsers_do_not_know_is_converted_and_played(opening: Opening) -> None:
    page = opening("?where=name+%3D+'old.avi'")
    cards(page).first.hover()
    with page.expect_response("**/clip?*") as moment:  # when asked for: to rest on it converts nothing
        page.get_by_role("button", name="Play old.avi").click()
    assert moment.value.ok
    cards(page).first.click()
    expect(film(page)).to_have_js_property("readyState", 4)
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.stage video').currentTime > 0.2")
    assert film(page).evaluate("element => element.duration") == pytest.approx(1.2, abs=0.1)


def test_a_sound_is_drawn_and_its_path_is_copied_with_the_range(opening: Opening) -> None:
    page = opening("?q=rain&kind=audio", permissions=["clipboard-read", "clipboard-write"])
    cards(page).first.click()
    expect(page.locator(".stage .waveform path")).to_be_attached()
    page.keyboard.press("Space")
    expect(page.locator(".stage audio")).to_have_js_property("paused", False)
    page.get_by_role("button", name="Copy with range").click()
    expect(page.locator(".toast")).to_contain_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"/.*/sounds/rain-81731\.flac@\d+(\.\d+)?-\d+(\.\d+)?", copied)


def test_a_file_has_neighbours_that_sound_and_look_alike(opening: Opening) -> None:
    page = open_dog(opening)
    row = page.get_by_role("region", name="Sounds like this")
    row.scroll_into_view_if_needed()
    expect(row.locator(".card-link").first).to_have_text(re.compile("^dog-163459"))
    assert "dog.mp4" not in row.locator(".card-link").all_text_contents()
    row.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("button", name="like dog.mp4 (its sound)")).to_be_visible()
    expect(cards(page).first).to_have_text(re.compile("^dog-163459"))


def test_a_clip_is_trimmed_and_saved(opening: Opening, tmp_path: Path) -> None:
    page = open_dog(opening)
    page.get_by_role("button", name="Trim and save").click()
    page.get_by_label("From").fill("1")
    page.get_by_label("From").press("Enter")
    page.get_by_label("to", exact=True).fill("0:03,0")
    page.get_by_label("to", exact=True).press("Enter")
    page.get_by_role("slider", name="Clip ends").press("ArrowLeft")
    expect(page.get_by_label("to", exact=True)).to_have_value("0:02.90")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save clip").click()
    expect(page.get_by_role("status")).to_contain_text(saved.value.suggested_filename)
    saved.value.save_as(tmp_path / "clip.mp4")
    with av.open(tmp_path / "clip.mp4") as clip:
        assert [stream.type for stream in clip.streams] == ["video", "audio"]
        assert clip.duration / av.time_base == pytest.approx(1.9, abs=1.1)  # streams are cut where they can be


def test_nothing_like_that_is_said_in_words(opening: Opening) -> None:
    page = opening("?q=a+violin&z=8&kind=image")
    expect(page.get_by_role("heading", name="Nothing like that")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Nothing found")
    page.get_by_role("button", name="Show the nearest").click()
    expect(cards(page)).to_have_text(["moon.jpg"])
    assert "z=" not in page.url


def test_a_fault_is_shown_with_its_remedy_and_can_be_tried_again(opening: Opening, expected_faults: list[str]) -> None:
    expected_faults.append("400 (Bad Request)")
    page = opening("?q=rain&where=sise+%3E+1")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("sise")
    expect(alert).to_contain_text("size_bytes")  # the columns there are
    panel(page, "Filters").click()
    page.get_by_label("Further SQL condition").fill("size_bytes > 1")
    page.keyboard.press("Enter")
    expect(alert).to_have_count(0)
    expect(cards(page).first).to_be_visible()


def test_a_segment_that_is_gone_is_a_fault_with_a_way_back(opening: Opening, expected_faults: list[str]) -> None:
    expected_faults.append("404 (Not Found)")
    page = opening("?q=rain&file=123456")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Results").click()
    expect(cards(page).first).to_be_visible()


def test_a_file_that_was_changed_is_explained(opening: Opening, expected_faults: list[str]) -> None:
    expected_faults.append("409 (Conflict)")
    page = opening("?where=name+%3D+'rooster-107219.flac'")
    path = Path(cards(page).get_attribute("title") or "")
    before = path.stat()
    os.utime(path, (1, 1))
    try:
        cards(page).click()
        expect(page.get_by_role("alert")).to_contain_text("differs. Index its folder again: `wave-search index")
    finally:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_colours_follow_the_system_until_they_are_chosen(opening: Opening) -> None:
    page = opening(color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    assert max(map(int, re.findall(r"\d+", dark)[:3])) < 40
    page.get_by_role("button", name="Colours: auto").click()
    assert min(map(int, re.findall(r"\d+", page.evaluate(ground))[:3])) > 220
    page.reload()
    expect(page.get_by_role("button", name="Colours: light")).to_be_visible()
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(ground) == dark


def test_a_narrow_screen_needs_no_sideways_scrolling(opening: Opening) -> None:
    page = opening("?q=a+dog+barking&term=text:a+rather+long+term+that+goes+on+and+on&z=0.5", width=320)
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    expect(cards(page).first).to_be_visible()
    assert page.evaluate(wider) <= 0
    for name in ("Filters", "Advanced"):
        panel(page, name).click()
        assert page.evaluate(wider) <= 0
    cards(page).first.click()
    page.get_by_role("button", name="Trim and save").click()
    assert page.evaluate(wider) <= 0


def test_nothing_shifts_while_results_and_pictures_arrive(opening: Opening) -> None:
    page = opening("?q=a+dog")
    expect(cards(page).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    cards(page).first.click()
    expect(page.locator(".bar").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    shift = page.evaluate(
        """() => new Promise((resolve) => new PerformanceObserver((list) => resolve(
            list.getEntries().reduce((sum, entry) => sum + (entry.hadRecentInput ? 0 : entry.value), 0)
        )).observe({ type: "layout-shift", buffered: true }) || setTimeout(() => resolve(0), 100))"""
    )
    assert shift < 0.05


def test_the_page_is_small(opening: Opening, browser: Browser, address: str) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        sizes: dict[str, int] = {}
        page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
        page.goto(address)
        expect(cards(page).first).to_be_visible()
    own = {url: size for url, size in sizes.items() if "/api/" not in url}
    assert len(own) > 10
    assert sum(own.values()) < MAX_PAGE_BYTES, own


VIEWS = {
    "library": "",
    "results": "?q=a+dog&term=text,not:rain&term=text,2:grass",
    "filters": "?q=a+dog&kind=video",
    "advanced": "?q=a+dog",
    "nothing": "?q=a+violin&z=8&kind=image",
    "help": "",
    "film": "?q=a+dog+barking&kind=video",
    "sound": "?q=a+dog+barking&kind=audio",
    "picture": "?q=the+moon&target=image",
    "text": "?q=a+dog+barked&target=text",
    "subtitles": "?where=name+%3D+'dog.srt'",
}


def test_axe_finds_nothing(opening: Opening, axe: str) -> None:
    page = opening(color_scheme="light", reduced_motion="reduce")
    found = {}
    for view, path in VIEWS.items():
        page.evaluate(
            "path => { history.pushState(null, '', path || '/'); dispatchEvent(new PopStateEvent('popstate')); }", path
        )
        if view == "nothing":
            expect(page.get_by_role("heading", name="Nothing like that")).to_be_visible()
        else:
            expect(page.locator(".grid:not(.grid-old) .card-link").first).to_be_visible()
        if view == "results":
            page.get_by_role("button", name="not rain").click()
        if view in ("filters", "advanced"):
            panel(page, view.title()).click()
        if view == "help":
            page.keyboard.press("?")
        if view in ("film", "sound", "picture", "text", "subtitles"):
            cards(page).first.click()
            expect(page.locator(".details")).to_be_visible()
        if view == "film":
            page.get_by_role("button", name="Trim and save").click()
            expect(page.locator(".bar").first).to_be_visible()
        found[view] = violations(page, axe)
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # nothing else differs
        found[f"dark {view}"] = violations(page, axe, runOnly=["color-contrast"])
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        if view == "help":
            page.keyboard.press("Escape")
    assert not {view: rules for view, rules in found.items() if rules}
