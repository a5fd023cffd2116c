"""How files are cut into segments: pure arithmetic."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Self

from wave_search.errors import UsageError
from wave_search.types import Span

DEFAULT_LENGTH_S = 10.0
MIN_LENGTH_S = 1.0
"""A remainder shorter than this joins the segment before it; so does a scene."""
MAX_LENGTH_S = 86_400.0
MAX_SCENE_S = 30.0
"""A scene longer than this is cut into windows of this length."""
_ROUNDING_S = 1e-6
"""So little must not decide how many windows there are: sums of times are less exact than times."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A rule that cuts files into segments. `str` and `parse` are inverse to each other."""

    mode: str = "fixed"
    """"fixed", "scene" or "none"."""
    length_s: float = DEFAULT_LENGTH_S
    """Of fixed windows. With "scene" it applies to files without a picture."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule as a user writes it.

        Args:
            text: seconds of a window, "scene" or "none".

        Raises:
            UsageError: it is none of these.
        """
        if text in ("scene", "none"):
            return cls(text)
        try:
            length_s = float(text)
        except ValueError:
            length_s = math.nan
        if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
            raise UsageError(
                f"{text!r} is not a way to cut files into segments", "Use seconds (1 or more), scene or none."
            )
        return cls("fixed", length_s)

    def __str__(self) -> str:
        return repr(self.length_s).removesuffix(".0") if self.mode == "fixed" else self.mode

    def windows(self, span: Span) -> list[Span]:
        """Cut a range into windows; "none" leaves it whole, "scene" uses windows of the default length."""
        return [span] if self.mode == "none" else cut_windows(span, self.length_s)


def cut_windows(span: Span, length_s: float) -> list[Span]:
    """Cut a range into windows of equal length; a remainder under `MIN_LENGTH_S` joins the last one.

    Args:
        span: what to cut. Its ends are ends of windows exactly, so that a window cut again is itself.
        length_s: of a window.
    """
    duration_s = span.duration_s + _ROUNDING_S
    count = max(1, math.floor(duration_s / length_s))
    if duration_s > length_s and duration_s - count * length_s >= MIN_LENGTH_S:
        count += 1
    edges = [span.start_s + number * length_s for number in range(count)] + [span.stop_s]
    return [Span(start_s, stop_s) for start_s, stop_s in itertools.pairwise(edges)]


def cut_scenes(span: Span, cuts_s: list[float]) -> list[Span]:
    """Cut a range at changes of scene.

    Scenes shorter than `MIN_LENGTH_S` join the one before, or the next at the beginning; those longer than
    `MAX_SCENE_S` are cut into windows.

    Args:
        span: what to cut.
        cuts_s: first moments of new scenes, rising.
    """
    edges = [span.start_s]
    for cut_s in cuts_s:
        if cut_s - edges[-1] >= MIN_LENGTH_S and span.stop_s - cut_s >= MIN_LENGTH_S:
            edges.append(cut_s)
    edges.append(span.stop_s)
    scenes = [Span(start_s, stop_s) for start_s, stop_s in itertools.pairwise(edges)]
    return [window for scene in scenes for window in cut_windows(scene, MAX_SCENE_S)]
