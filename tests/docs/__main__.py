"""Draw the pictures of the terminal for the documentation: `python -m tests.docs`.

It searches an index of the demo media as a user does, at three widths of the terminal.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

import wave_search as ws
from wave_search.render.tables import hit_table

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGES = CHECKOUT / "docs" / "images"
WIDTHS = (60, 100, 160)
WORDS = "a dog barking"
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Which a browser would load from elsewhere."""


def screenshot(hits: list[ws.Hit], width: int) -> str:
    """Return a picture of the terminal, as SVG that needs nothing else."""
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", markup=False
    )
    console.print(Text.assemble(("$ ", "green"), f"wave-search query {WORDS} -n 6"))
    console.print(hit_table(hits, console))
    svg = console.export_svg(title=f"{width} columns", theme=MONOKAI, unique_id=f"terminal-{width}")
    return _FONTS.sub("", svg).replace("Fira Code, monospace", "ui-monospace, monospace").rstrip() + "\n"


def main() -> None:
    """Index the demo media, search, and write the pictures."""
    os.chdir(CHECKOUT)
    with tempfile.TemporaryDirectory() as folder, ws.create(Path(folder) / "index", "wave-nano", workers=1) as index:
        index.add([CHECKOUT / "demo" / "media"])
        hits = index.search(text=WORDS, k=6)
    for width in WIDTHS:
        (IMAGES / f"terminal-{width}.svg").write_text(screenshot(hits, width), encoding="utf-8")


if __name__ == "__main__":
    main()
