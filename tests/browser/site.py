"""What the browser tests, and the pictures of the documentation, look at: media, their index, and a server of it."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

import wave_search as ws
from wave_search.serve.app import create_app
from wave_search.serve.options import ServeOptions
from wave_search.serve.service import Service

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first, without windows, costs a third less than the others."""
NO_CHROMIUM = "the browser tests need Chromium. On Debian: apt-get install chromium-headless-shell"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, whose microphone plays a beep.

    Raises:
        FileNotFoundError: it is not installed; says how to.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise FileNotFoundError(NO_CHROMIUM)
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio", *microphone]
        with closing(playwright.chromium.launch(executable_path=program, args=arguments)) as browser:
            yield browser


def make_index(media: Path, index: Path, segment: str = "2", model: str = "wave-nano") -> None:
    """Index a folder."""
    with ws.create(index, model, segment=segment, workers=1) as opened:
        report = opened.add([media])
    assert not report.skipped, report.skipped


def surround(page: Page, *corners: tuple[float, float]) -> None:
    """Draw a lasso on the map through points that are given as shares of its width and height."""
    box = page.locator(".map-canvas").bounding_box()
    assert box is not None
    path = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.keyboard.down("Shift")
    page.mouse.move(*path[0])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")


def violations(page: Page, axe: str, **options: Any) -> list[tuple[str, list[str]]]:
    """What axe finds in a view: each rule, with the elements. `axe` is its source, `options` those of `axe.run`."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(axe)
    run = "options => axe.run({ resultTypes: ['violations'], ...options }).then(JSON.stringify)"
    found = json.loads(page.evaluate(run, options))["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


@contextmanager
def served(index: Path, cache: Path, *, warm: bool = True, desktop: bool = False) -> Iterator[str]:
    """Serve an index at a free port of this machine, with its model loaded, and yield the address."""
    options = ServeOptions(port=0, desktop=desktop)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        ws.open(index) as opened,
        closing(Service(opened, options, cache)) as service,
    ):
        assert not warm or service.library.warm_up() is None
        port = listening.getsockname()[1]
        app = create_app(service, options, port)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.should_exit = True
            thread.join()
