"""Progress displays for `Index.add`: pass one as `progress`, or any function that takes a `wave_search.Progress`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wave_search.reports import ProgressCallback


def rich() -> ProgressCallback:
    """Show progress bars on stderr if it is a terminal."""
    from wave_search.render.progress import IndexProgress
    from wave_search.render.terminal import plain_console

    return IndexProgress(plain_console(stderr=True))
