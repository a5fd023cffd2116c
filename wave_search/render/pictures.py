"""Thumbnails and waveforms in the terminal: as pictures where it can show them, else in half blocks; off by default."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.text import Text

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

_ROWS = 6
"""Height of a thumbnail in lines."""
_WITH_PICTURES = ("iTerm.app", "WezTerm", "ghostty", "mintty", "contour")
"""Values of TERM_PROGRAM."""
_TERMS_WITH_PICTURES = ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "mlterm", "contour", "yaft-256color")
_HIDES_PICTURES = ("TMUX", "STY")
"""Variables of tmux and screen, which do not pass pictures on."""
_BLOCKS = " ▁▂▃▄▅▆▇█"


def may_show_pictures(environment: Mapping[str, str]) -> bool:
    """Return whether a terminal is known to show pictures (kitty's protocol or sixel), by what it sets."""
    if any(name in environment for name in _HIDES_PICTURES):
        return False
    by_program = environment.get("TERM_PROGRAM") in _WITH_PICTURES
    return by_program or environment.get("TERM") in _TERMS_WITH_PICTURES or "KONSOLE_VERSION" in environment


def is_installed() -> bool:
    """Return whether there is the package that draws pictures."""
    from importlib.util import find_spec

    return find_spec("textual_image") is not None


def thumbnail(picture: bytes) -> RenderableType:
    """Return a picture as a renderable of rich, at a height of 6 lines. Asks the terminal what it can show.

    Args:
        picture: of any format that Pillow reads.

    Raises:
        UsageError: the package that draws it is not installed.
    """
    try:
        from textual_image.renderable import Image
    except ImportError:
        raise UsageError("thumbnails need textual-image", "Run: pip install 'wave-search[thumbnails]'") from None
    drawn: Any = Image(io.BytesIO(picture), width="auto", height=_ROWS)
    return drawn  # type: ignore[no-any-return] # a renderable, by its protocol


def waveform(peaks: Sequence[int]) -> Text:
    """Return the loudest samples of equal parts of a range, each from 0 to 255, as a line of blocks."""
    top = max(*peaks, 1)
    heights = (round(peak / top * (len(_BLOCKS) - 1)) for peak in peaks)
    return Text("".join(_BLOCKS[height] for height in heights), style="green", no_wrap=True)
