"""The map of a large library: how long it takes to compute, how much is sent, and how fast it is drawn.

    python benchmarks/map.py [--parts compute,draw] [--points 100000] [--dim 192] [--out DIR]

The index holds vectors as of `vectors.py`, ten for each of its files, in a few folders. UMAP is measured where it is
installed (extra "map"). The frames are those of Chromium as it is installed; where it has no GPU, it computes what
WebGL draws with SwiftShader, on the CPU, and the page sets the pixels itself ("canvas"). Zooming draws everything anew
in each frame. "Script" is what the code of the page takes in a frame, and less affected by other programs than the time
between frames.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results import Table, machine, publish
from benchmarks.vectors import Library
from tests.browser.site import chromium, served
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.projection import preferred_method, project
from wave_search.query import SegmentSet
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer, create, open_snapshot
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

PER_FILE, FOLDERS = 10, 8
FRAMES = 90
FRAME_TIMES = """async ([frames, change]) => {
    const spent = [], request = window.requestAnimationFrame;
    window.requestAnimationFrame = (draw) => request((now) => {
        const began = performance.now();
        draw(now);
        spent.push(performance.now() - began);
    });
    const canvas = document.querySelector(".map-canvas"), box = canvas.getBoundingClientRect();
    const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, cancelable: true };
    const times = [];
    let last = null;
    for (let frame = 0; frame <= frames; frame += 1) {
        const deltaY = change * (frame % 60 < 30 ? -1 : 1);
        canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY }));
        const now = await new Promise((resolve) => request(resolve));
        if (last !== null) times.push(now - last);
        last = now;
    }
    window.requestAnimationFrame = request;
    return [times, spent];
}"""


def fill(index: Path, count: int, dim: int) -> None:
    """Write an index of sounds."""
    spec = ModelSpec("vectors", "none", dim, tuple(Modality), SAMPLING, {})
    create(index, spec, Settings("10", (Modality.AUDIO,)))
    with Writer(index) as writer:
        number = 0
        for block in Library(dim).items(count):
            for begin in range(0, len(block), PER_FILE):
                rows = block[begin : begin + PER_FILE]
                name, folder = f"{number}.flac", f"/sounds/folder {number * number % FOLDERS}"
                segments = [
                    NewSegment(Modality.AUDIO, 10.0 * i, 10.0 * i + 10, None, row) for i, row in enumerate(rows)
                ]
                content_id = writer.put_content(ContentRow(name, "audio", "flac", 10.0 * len(rows)), segments)
                writer.put_file(FileRow(f"{folder}/{name}".encode(), b"/sounds", 1, 1, 1, content_id))
                number += 1
            writer.commit()


def compute(index: Path) -> list[tuple[str, ...]]:
    """Return rows with the time of each method that is installed."""
    segments = SegmentSet(open_snapshot(index), Modality.AUDIO)
    rows = []
    for method in sorted({"pca", preferred_method()}):
        began_s, began_cpu_s = time.perf_counter(), sum(os.times()[:4])
        found = project(segments.vectors, len(segments), method)  # type: ignore[arg-type] # the names of methods
        taken_s, cpu_s = time.perf_counter() - began_s, sum(os.times()[:4]) - began_cpu_s
        rows.append((found.method, f"{taken_s:.1f}", f"{cpu_s:.1f}"))
    return rows


def transfer(address: str) -> list[tuple[str, ...]]:
    """Return rows with the size of what a map needs."""
    rows = []
    for path in ("points", "groups?by=folder"):
        url, headers = f"{address}api/map/{path}", {"Accept-Encoding": "gzip"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=600) as answer:  # noqa: S310
            body = answer.read()
            encoded = answer.headers.get("content-encoding") == "gzip"
        plain = gzip.decompress(body) if encoded else body
        rows.append((path, f"{len(plain):,}", f"{len(body):,}"))
    return rows


def frames(page: Page, name: str, change: float) -> tuple[str, ...]:
    """Return a row with the times between frames while one zooms by some pixels of the wheel a frame."""
    found: tuple[list[float], list[float]] = page.evaluate(FRAME_TIMES, [FRAMES, change])
    times, spent = map(sorted, found)
    late = sum(each > 34 for each in times)
    script = [f"{value:.1f}" for value in (spent[len(spent) // 10], statistics.median(spent))]
    return (
        name,
        *script,
        f"{statistics.median(times):.1f}",
        f"{times[int(0.95 * len(times))]:.1f}",
        f"{late} of {len(times)}",
    )


def renderer(page: Page) -> str:
    """Return what draws, as Chromium names it."""
    script = """() => {
        const gl = document.createElement("canvas").getContext("webgl");
        return gl ? gl.getParameter(gl.getExtension("WEBGL_debug_renderer_info").UNMASKED_RENDERER_WEBGL) : "none";
    }"""
    return str(page.evaluate(script))


def drawn(address: str, pretended: str) -> tuple[list[tuple[str, ...]], str]:
    """Return rows of frames, and what draws, where the page takes that for something else."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        page.goto(address)
        by = renderer(page)
        page.evaluate("name => { WebGLRenderingContext.prototype.getParameter = () => name; }", pretended)
        page.get_by_role("link", name="Map").click()
        page.wait_for_selector(".map[aria-busy=false]")
        kind = str(page.locator(".map-stage").get_attribute("data-drawn"))
        page.wait_for_timeout(1000)
        return [frames(page, f"{kind}, all points", 1), frames(page, f"{kind}, zooming 20 times in and out", 35)], by


def computing(folder: Path, head: str) -> tuple[dict[str, str], list[Table]]:
    """Measure how long the points take."""
    rows = compute(folder / "index")
    load = f"{os.getloadavg()[1]:.1f} (5 minutes)"
    return {"load average at the end": load}, [Table(f"{head}: computing", ("method", "s", "CPU s"), rows)]


def drawing(folder: Path, head: str) -> tuple[dict[str, str], list[Table]]:
    """Measure what a browser does with them."""
    with served(folder / "index", folder / "cache", warm=False) as address:
        rows, by = drawn(address, "software")
        rows += drawn(address, "a GPU")[0]
        sizes = transfer(address)
    columns = ("what", "script, fastest tenth", "script, median", "frame, median", "95 %", "above 34 ms")
    sent = Table(f"{head}: sent", ("what", "bytes", "bytes that are sent"), sizes)
    return {"drawn by": by}, [sent, Table(f"{head}: ms of frames", columns, rows)]


_PARTS: dict[str, tuple[str, Callable[[Path, str], tuple[dict[str, str], list[Table]]]]] = {
    "compute": ("Map, computing", computing),
    "draw": ("Map", drawing),
}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(_PARTS))
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name) / "index", given.points, given.dim)
        for part in given.parts.split(","):
            section, run = _PARTS[part]
            command = f"python benchmarks/map.py --parts {part} --points {given.points} --dim {given.dim}"
            about, tables = run(Path(name), f"{given.points:,} points of {given.dim} dimensions")
            about = {**machine(os.cpu_count() or 1, "wall"), "command": command, **about}
            publish(given.out / "RESULTS.md", section, about, tables)


if __name__ == "__main__":
    main()
