"""The basket, and duplicates side by side, as people use them in a real browser."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import violations
from tests.conftest import DEMO_MEDIA

Opening = Callable[..., Page]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page of a library with a film and a picture that are there twice."""
    from tests.browser.site import make_index, served

    folder = tmp_path_factory.mktemp("copies")
    (folder / "media" / "more").mkdir(parents=True)
    for name in ("scenes/dog.mp4", "images/moon.jpg"):
        for target in (folder / "media", folder / "media" / "more"):
            shutil.copy(DEMO_MEDIA / name, target)
    make_index(folder / "media", folder / "index", model="wave-tiny")
    with served(folder / "index", folder / "cache", warm=False, desktop=True) as at:
        yield at


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address. What a page writes to its console is a fault."""
    contexts, faults = [], []

    def opened(address: str, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1000, "height": 700}, **options)
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        return page

    expect.set_options(timeout=30_000)
    yield opened
    for context in contexts:
        context.close()
    assert not faults


def names(page: Page) -> list[str]:
    return page.locator(".basket-name").all_text_contents()


def test_clips_are_chosen_trimmed_and_ordered(opened: Opening, address: str, axe: str) -> None:
    page = opened(f"{address}?kind=video&kind=audio", reduced_motion="reduce")
    cards = page.locator("#results .card-link")
    expect(cards.nth(2)).to_be_visible()
    first, second = cards.nth(0).text_content() or "", cards.nth(1).text_content() or ""
    cards.first.focus()
    page.keyboard.press("b")
    basket = page.get_by_role("button", name=re.compile("^Basket"))
    expect(basket).to_have_accessible_name("Basket, 1 clip")
    page.keyboard.press("ArrowRight")
    page.locator("#results .card").nth(1).get_by_role("button", name="in the basket").click()
    expect(basket).to_have_accessible_name("Basket, 2 clips")

    page.reload()  # it is kept
    cards.nth(2).click()
    page.get_by_role("button", name="Trim and save").click()
    page.get_by_role("textbox", name="to").fill("0.5")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Add to basket").click()
    third = page.locator(".file-head h2").text_content() or ""
    basket.click()
    expect(page.get_by_role("heading", name="Basket")).to_be_visible()
    assert names(page) == [first, second, third]
    assert not violations(page, axe)

    entries = page.locator(".basket-entry")
    entries.first.get_by_role("button", name=f"Move {first} down").click()
    expect(page.locator(".basket-name").first).to_have_text(second)
    expect(entries.nth(1).get_by_role("button", name=f"Move {first} down")).to_be_focused()
    page.locator(".basket-name").nth(1).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".basket-name").first).to_have_text(first)
    entries.nth(2).drag_to(entries.first)
    expect(page.locator(".basket-name").first).to_have_text(third)
    begin = entries.nth(1).get_by_role("textbox", name="From")
    begin.fill("0.25")
    begin.press("Tab")
    expect(begin).to_have_value("0:00.25")
    entries.nth(2).get_by_role("button", name="Take").click()
    expect(entries).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(entries).to_have_count(3)


def test_the_basket_is_saved_in_several_formats_and_emptied(opened: Opening, address: str, tmp_path: Path) -> None:
    page = opened(f"{address}?kind=video&kind=audio&q=a+dog")
    for number in range(2):
        page.locator("#results .card-link").nth(number).focus()
        page.keyboard.press("b")
    basket, entries = page.get_by_role("button", name=re.compile("^Basket")), page.locator(".basket-entry")
    basket.click()
    expect(entries).to_have_count(2)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save", exact=True).click()
    saved.value.save_as(tmp_path / "basket.zip")
    with zipfile.ZipFile(tmp_path / "basket.zip") as archive:
        clips = archive.namelist()
        assert [name[:3] for name in clips] == ["001", "002"]
        for name in clips:
            with archive.open(name) as clip, av.open(clip) as container:
                assert next(container.decode(container.streams[0])).time is not None
    page.get_by_label("Save as").select_option("edl")
    with page.expect_download() as listed:
        page.get_by_role("button", name="Save", exact=True).click()
    assert listed.value.suggested_filename == "basket.edl"
    expect(page.locator(".basket").get_by_role("status")).to_have_text(re.compile("^Saved basket.edl"))

    page.get_by_role("button", name="Empty the basket").click()
    expect(entries).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(entries).to_have_count(2)
    page.keyboard.press("Escape")
    expect(basket).to_be_focused()


def test_all_results_are_added_and_what_is_gone_is_marked(opened: Opening, address: str) -> None:
    page = opened(f"{address}?kind=image")
    expect(page.locator("#results .card-link")).to_have_text(["moon.jpg"])
    page.get_by_role("button", name="Add all").click()
    page.evaluate(
        """() => {
            const key = Object.keys(localStorage).find((name) => name.startsWith("basket "));
            const [moon] = JSON.parse(localStorage.getItem(key));
            const lost = { ...moon, id: "x", segment: 99999, name: "lost.jpg" };
            localStorage.setItem(key, JSON.stringify([moon, lost, { segment: "no entry" }]));
        }"""
    )
    page.reload()
    page.get_by_role("button", name="Basket, 2 clips").click()
    expect(page.locator(".basket-gone")).to_have_count(1)
    expect(page.locator(".basket-gone")).to_contain_text("lost.jpg")
    page.get_by_label("Save as").select_option("csv")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save", exact=True).click()
    rows = Path(saved.value.path()).read_text().splitlines()
    assert [row.rpartition("/")[2].partition(",")[0] for row in rows[1:]] == ["moon.jpg"]


def test_duplicates_are_side_by_side(opened: Opening, copies: str, axe: str) -> None:
    page = opened(copies)
    page.get_by_role("button", name="Duplicates").click()
    expect(page.get_by_role("heading", name="Duplicates")).to_be_focused()
    groups = page.locator(".group")
    expect(groups).to_have_count(2)
    film = groups.filter(has_text="dog.mp4")
    expect(film.locator(".member")).to_have_count(2)
    expect(film.locator(".member-differs dt")).to_have_text(["Folder (differs)", "Folder (differs)"])
    assert not violations(page, axe)
    film.locator(".member-name a").first.evaluate("link => { link.textContent = 'a long name '.repeat(9); }")
    places = [film.locator(place) for place in (".member dl div:first-child", ".member-tools", "video", ".member-face")]
    ends = "all => all.map((each) => Math.round(each.getBoundingClientRect().bottom))"
    rows, tools, films, faces = (place.evaluate_all(ends) for place in places)
    assert len(set(rows)) == len(set(tools)) == 1  # what is compared stays side by side
    assert films == faces  # with the controls of the player
    film.get_by_role("button", name="Play together").click()
    playing = "all => all.every((each) => !each.paused && each.currentTime > 0.2)"
    page.wait_for_function(f"() => ({playing})([...document.querySelectorAll('.group video')])")
    sounds = film.locator("video").evaluate_all("all => all.map((each) => each.muted)")
    assert sounds == [False, True]
    film.get_by_role("button", name="Stop").click()
    film.get_by_role("button", name="Play in turn").click()
    page.wait_for_function("() => document.querySelector('.group video').ended")
    page.wait_for_function("() => document.querySelectorAll('.group video')[1].currentTime > 0.2")
    film.get_by_role("button", name="Add").last.click()
    expect(page.get_by_role("button", name="Basket, 1 clip")).to_be_visible()
    page.get_by_role("radio", name="Seen").check()
    expect(page.get_by_role("heading", name="No duplicates")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="The library")).to_be_visible()


def test_a_file_is_shown_in_the_folder_where_it_is(
    opened: Opening, copies: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(f"{copies}?where=path+LIKE+'%25/more/moon.jpg'")
    page.locator("#results .card-link").first.click()
    expect(page.locator(".details dd").first).to_have_text(re.compile("/more/moon.jpg$"))
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/shown\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with page.expect_response("**/reveal*") as answer:
        page.get_by_role("button", name="Show in folder").click()
    assert answer.value.status == 200
    assert (tmp_path / "shown").read_text().endswith("/media/more")
