"""Progress in notebooks: one line with a bar, which is replaced as it changes."""

from __future__ import annotations

import html
import sys
import time
from typing import TYPE_CHECKING, Any

from wave_search.render.text import counted, current_text, progress_numbers

if TYPE_CHECKING:
    from wave_search.reports import Progress

_EVERY_S = 0.2
"""A front end that gets more updates falls behind."""


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook. Imports nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


class NotebookProgress:
    """Progress of a run of `index`, of a search or of `encode`, for a notebook. Called with each `Progress`."""

    def __init__(self) -> None:
        self._display: Any = None
        self._begin_s = self._shown_s = time.monotonic()
        self._newest: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Update the display, at most five times a second; the last numbers stay."""
        is_end = progress.stage == "done"
        shown = self._newest if is_end and not progress.files_total else progress
        self._newest = progress
        now_s = time.monotonic()
        if shown is None or (self._display is not None and not is_end and now_s - self._shown_s < _EVERY_S):
            return
        self._shown_s = now_s
        self._show(_line(shown, now_s - self._begin_s, is_end))
        if is_end:
            self._display, self._begin_s = None, now_s

    def _show(self, text: str) -> None:
        from IPython.display import HTML, display

        if self._display is None:
            self._display = display(HTML(text), display_id=True)
        else:
            self._display.update(HTML(text))


def _line(progress: Progress, elapsed_s: float, is_end: bool) -> str:
    total, done = progress.files_total, progress.files_done + progress.files_begun
    value = "" if not total else f' value="{total if is_end else done:g}" max="{total}"'
    segments = f", {counted(progress.segments, 'segment')}" if progress.segments else ""
    numbers = f"{progress_numbers(progress, elapsed_s)}{segments}"
    current = "" if is_end or progress.current is None else current_text(progress)
    text = html.escape(
        f"{'done' if is_end else progress.stage} {numbers} {current}".encode("utf-8", "replace").decode()
    )
    return f"<progress{value}></progress> {text}"
