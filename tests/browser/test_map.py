"""The map of the library in a real browser: points are found by keys, surrounded by a lasso, and shown as results."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.site import surround, violations
from tests.browser.test_page import Opening, cards, expected_faults, opening

__all__ = ["expected_faults", "opening"]

SOFTWARE = ("GPU stall due to ReadPixels", "software WebGL")
"""What Chromium remarks where it has no GPU."""


@pytest.fixture
def map_page(opening: Opening, expected_faults: list[str]) -> Opening:
    """Opens the page at a path, and waits for the map, if it is there."""
    expected_faults.extend(SOFTWARE)

    def opened(path: str, **options: Any) -> Page:
        page = opening(path, **options)
        if "view=map" in path:
            expect(page.get_by_role("region", name="Map", exact=True)).to_have_attribute("aria-busy", "false")
        return page

    return opened


def coloured(page: Page) -> int:
    """The number of pixels of the map that are nearly blue, the first colour of points."""
    with Image.open(io.BytesIO(page.locator(".map-canvas").screenshot())) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    return int((np.abs(pixels - (0x3F, 0x4F, 0xC4)).max(axis=2) < 60).sum())


def test_a_lasso_narrows_the_results(map_page: Opening, axe: str) -> None:
    page = map_page("?q=rain&where=kind+%3D+'audio'", reduced_motion="reduce")
    page.evaluate("WebGLRenderingContext.prototype.getParameter = () => 'a GPU'")
    page.get_by_role("link", name="Map").click()
    region = page.get_by_role("region", name="Map", exact=True)
    expect(region).to_have_attribute("aria-busy", "false")
    page.get_by_role("radio", name="Heard").check()
    expect(region).to_contain_text(re.compile(r"\d+ moments heard, placed by .*The \d+ nearest to the search are lit"))
    expect(page.locator(".map-stage")).to_have_attribute("data-drawn", "WebGL")
    assert coloured(page) > 100
    legend = page.get_by_role("region", name="Colours")
    page.get_by_label("Colour by").select_option("kind")
    expect(legend.get_by_role("button", name=re.compile("^Sound"))).to_be_visible()
    assert violations(page, axe) == []

    surround(page, (0.01, 0.5), (0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99))  # everything
    selection = page.get_by_role("region", name="Selection")
    expect(selection.get_by_role("link").first).to_be_visible()
    names = selection.locator(".map-list-name").all_text_contents()
    expect(selection.get_by_role("heading")).to_have_text(f"{len(names)} points selected")
    assert {name.partition("-")[0] for name in names} == {"dog", "rain", "rooster"}  # sounds, no films
    page.emulate_media(color_scheme="dark")
    assert violations(page, axe, runOnly=["color-contrast"]) == []

    selection.get_by_role("button", name="Show these").click()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    expect(cards(page).first).to_have_text(re.compile("^rain"))
    assert set(cards(page).all_text_contents()) == set(names)
    page.reload()
    expect(page.get_by_text(f"{len(names)} points of the map")).to_be_visible()
    page.get_by_role("button", name="Remove the selection").click()
    assert "only=" not in page.url


def test_the_map_is_used_with_the_keyboard(map_page: Opening) -> None:
    page = map_page("?view=map&target=video&colour=kind", width=320, height=640, reduced_motion="reduce")
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) <= 0
    canvas = page.get_by_role("application", name=re.compile(r"Map of \d+ moments"))
    canvas.focus()
    status = page.get_by_role("status")
    page.keyboard.press("ArrowRight")
    expect(status).to_contain_text(re.compile(r"\.(mp4|avi) .*, Video"))
    first = status.inner_text()
    seen = {first}
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        seen.add(status.inner_text())
    page.keyboard.press("Space")
    selection = page.get_by_role("region", name="Selection")
    expect(selection.get_by_role("link")).to_have_count(1)
    page.keyboard.press("a")
    expect(selection.get_by_role("link").nth(1)).to_be_visible()
    assert page.evaluate(wider) <= 0
    page.keyboard.press("Escape")
    expect(selection).to_have_count(0)
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(page.locator(".map-picture img").first).to_be_visible()
    page.keyboard.press("0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name=re.compile(r"\.(mp4|avi)$"))).to_be_focused()
    page.get_by_role("button", name="Map", exact=True).click()
    expect(canvas).to_be_focused()


def test_without_a_gpu_the_page_draws_the_points_itself(map_page: Opening) -> None:
    page = map_page("?target=image")
    page.evaluate("WebGLRenderingContext.prototype.getParameter = () => 'Google SwiftShader'")
    page.get_by_role("link", name="Map").click()
    expect(page.locator(".map-stage")).to_have_attribute("data-drawn", "canvas")
    page.wait_for_function("() => document.querySelector('.map-picture img')?.complete")
    assert coloured(page) > 50
