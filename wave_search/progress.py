"""Progress displays for `Index.add`, `Index.search`, `search_many` and `MediaEmbedder.encode`.

Pass one as `progress`, or any function that takes a `wave_search.Progress`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wave_search.reports import ProgressCallback


def auto() -> ProgressCallback:
    """Show progress where it can be seen: in a notebook below the cell, otherwise on stderr if it is a terminal."""
    from wave_search.render.notebook import NotebookProgress, in_notebook

    return NotebookProgress() if in_notebook() else rich()


def rich() -> ProgressCallback:
    """Show progress bars on stderr if it is a terminal."""
    from wave_search.render.progress import IndexProgress
    from wave_search.render.terminal import plain_console

    return IndexProgress(plain_console(stderr=True))
