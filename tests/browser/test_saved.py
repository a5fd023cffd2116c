"""Saved searches, and the tags of a file, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import violations
from tests.browser.test_page import cards, expected_faults, opening

if TYPE_CHECKING:
    from tests.browser.test_page import Opening

__all__ = ["expected_faults", "opening"]  # fixtures


def is_too_wide(page: Page) -> bool:
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return bool(page.evaluate(wider))


def test_a_search_is_saved_run_renamed_and_deleted(
    opening: Opening, axe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_faults: list[str]
) -> None:
    expected_faults.append("409 (Conflict)")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    page = opening("?q=a+dog+barking&term=text,not:rain&target=audio&z=1.5&kind=audio", width=360)
    expect(cards(page).first).to_be_visible()
    found = cards(page).all_text_contents()
    page.get_by_role("button", name="Saved searches").click()
    dialog = page.get_by_role("dialog", name="Saved searches")
    dialog.get_by_label("Save the present search as").fill("Dogs / heard")
    page.keyboard.press("Enter")
    saved = dialog.get_by_role("list", name="Saved searches").get_by_role("listitem")
    expect(saved).to_have_count(1)
    expect(saved).to_contain_text(
        "not rain, a dog barking \N{MIDDLE DOT} Heard \N{MIDDLE DOT} z \N{GREATER-THAN OR EQUAL TO} 1.5"
    )
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text('there is a search "Dogs / heard" already')
    dialog.get_by_role("button", name="Replace").click()
    expect(dialog.get_by_role("alert")).to_have_count(0)
    dialog.get_by_role("button", name="Alert of Dogs / heard").click()
    dialog.get_by_label("Post new matches").fill("http://127.0.0.1:9/hook?key=1")
    page.keyboard.press("Enter")
    expect(saved).to_contain_text("New matches go to http://127.0.0.1:9 after each run")
    assert not violations(page, axe)
    assert not is_too_wide(page)
    dialog.get_by_role("button", name="Rename Dogs / heard").click()
    dialog.get_by_label("New name").fill("Barks")
    page.keyboard.press("Enter")
    expect(saved).to_contain_text("Barks")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("link", name="wave-search").click()
    expect(page.get_by_role("heading", name="The library")).to_be_visible()
    page.get_by_role("button", name="Saved searches").click()
    saved.get_by_role("button", name=re.compile("^Barks")).click()
    expect(page.locator(".results-note")).to_contain_text("best first")
    assert cards(page).all_text_contents() == found
    expect(page.get_by_role("radio", name="Heard")).to_be_checked()
    expect(page.get_by_role("button", name="not rain")).to_be_visible()
    page.get_by_role("button", name="Saved searches").click()
    saved.get_by_role("button", name="Delete Barks").click()
    saved.get_by_role("button", name="Really delete Barks").click()
    expect(saved).to_have_count(0)


def test_tags_and_columns_of_a_file_are_edited_and_undone(
    opening: Opening, axe: str, expected_faults: list[str]
) -> None:
    expected_faults.append("400 (Bad Request)")
    page = opening("?where=name+%3D+'moon.jpg'", width=320)
    cards(page).click()
    editor = page.get_by_role("region", name="Tags and columns")
    tag = editor.get_by_label("Add a tag")
    tag.fill("night")
    tag.press("Enter")
    expect(editor.locator(".chip")).to_have_text(["night"])
    expect(tag).to_have_value("")
    tag.fill("sky")
    tag.press("Enter")
    expect(editor.locator(".chip")).to_have_text(["night", "sky"])
    editor.get_by_role("button", name="Remove night").click()
    expect(editor.locator(".chip")).to_have_text(["sky"])
    editor.get_by_role("button", name="Undo").click()
    expect(editor.locator(".chip")).to_have_text(["night", "sky"])
    editor.get_by_role("button", name="Edit columns").click()
    editor.get_by_label("New column").fill("year")
    editor.get_by_label("Its value").fill("1969")
    editor.get_by_role("button", name="Add the column").click()
    year = editor.get_by_label("year")
    expect(year).to_have_value("1969")
    year.fill("1972")
    year.press("Enter")
    expect(page.locator(".details")).to_contain_text("1972")
    editor.get_by_label("New column").fill("kind")
    editor.get_by_label("Its value").fill("x")
    editor.get_by_role("button", name="Add the column").click()
    expect(editor.get_by_role("alert")).to_contain_text('the column name "kind" is reserved')
    assert not violations(page, axe)
    assert not is_too_wide(page)
    page.reload()
    expect(editor.locator(".chip")).to_have_text(["night", "sky"])
    page.goto(page.url.split("?")[0] + "?where=list_contains(tags,+'sky')+AND+year=1972")
    expect(cards(page)).to_have_text(["moon.jpg"])
    cards(page).click()
    tag.press("Backspace")
    tag.press("Backspace")
    expect(editor.locator(".chip")).to_have_count(0)
