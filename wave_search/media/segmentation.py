"""Segmentation of files into ranges: pure arithmetic."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal, Self

from wave_search.arguments import is_number
from wave_search.errors import UsageError, shown
from wave_search.types import Span

DEFAULT_LENGTH_S = 10.0
MIN_LENGTH_S = 1.0
"""A shorter remainder or scene is merged into the preceding segment."""
MAX_LENGTH_S = 86_400.0
MAX_SCENE_S = 30.0
"""A longer scene is cut into windows of this length."""
_ROUNDING_S = 1e-6
"""Tolerance when counting windows, because sums of times accumulate rounding errors."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A rule that cuts files into segments. `parse` is the inverse of `str`."""

    mode: Literal["fixed", "scene", "none"] = "fixed"
    length_s: float = DEFAULT_LENGTH_S
    """Length of fixed windows; with "scene", that of the windows of files without video."""

    @classmethod
    def parse(cls, text: str | float) -> Self:
        """Parse a rule as written by a user.

        Args:
            text: length of windows in seconds, "scene" or "none".

        Raises:
            UsageError: it is none of these, or the length is out of range.
        """
        if isinstance(text, str) and text in ("scene", "none"):
            return cls("scene" if text == "scene" else "none")
        try:
            length_s = float(text) if isinstance(text, str) or is_number(text) else math.nan
        except ValueError:
            length_s = math.nan
        if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
            raise UsageError(f"unknown segmentation {shown(text)}", "Use seconds (from 1 to 86400), scene or none.")
        return cls("fixed", length_s)

    def __str__(self) -> str:
        return repr(self.length_s).removesuffix(".0") if self.mode == "fixed" else self.mode

    def windows(self, span: Span) -> list[Span]:
        """Cut a range into windows; "none" keeps it whole, "scene" uses windows of the default length."""
        return [span] if self.mode == "none" else cut_windows(span, self.length_s)

    def count(self, duration_s: float) -> int:
        """Return the number of windows of a range; of scenes, which cannot be foreseen, an estimate."""
        return 1 if self.mode == "none" else _count_windows(duration_s, self.length_s)


WHOLE = Segmentation("none")
"""The whole of a file as one segment."""


def cut_windows(span: Span, length_s: float) -> list[Span]:
    """Cut a range into windows of equal length; a remainder below `MIN_LENGTH_S` is merged into the last one.

    Args:
        span: range to cut. Its ends are exactly ends of windows, so that cutting a window again returns it.
        length_s: length of a window.
    """
    count = _count_windows(span.duration_s, length_s)
    edges = [span.start_s + number * length_s for number in range(count)] + [span.stop_s]
    return [Span(start_s, stop_s) for start_s, stop_s in itertools.pairwise(edges)]


def _count_windows(duration_s: float, length_s: float) -> int:
    duration_s += _ROUNDING_S
    count = max(1, math.floor(duration_s / length_s))
    return count + (duration_s > length_s and duration_s - count * length_s >= MIN_LENGTH_S)


def cut_scenes(span: Span, cuts_s: list[float]) -> list[Span]:
    """Cut a range at scene changes.

    A scene shorter than `MIN_LENGTH_S` is merged into the preceding one (the first one into the next); scenes longer
    than `MAX_SCENE_S` are cut into windows.

    Args:
        span: range to cut.
        cuts_s: start times of new scenes, ascending.
    """
    edges = [span.start_s]
    for cut_s in cuts_s:
        if cut_s - edges[-1] >= MIN_LENGTH_S and span.stop_s - cut_s >= MIN_LENGTH_S:
            edges.append(cut_s)
    edges.append(span.stop_s)
    scenes = [Span(start_s, stop_s) for start_s, stop_s in itertools.pairwise(edges)]
    return [window for scene in scenes for window in cut_windows(scene, MAX_SCENE_S)]
