"""Thumbnails and waveforms of results, made by the decoders that indexing uses."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from wave_search.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wave_search.types import Hit

_WIDTH = 320
"""Of a thumbnail, in pixels."""
_PEAKS = 48
"""Of a waveform, each a column of the terminal."""
_TIMEOUT_S = 20.0


def draw(hits: Sequence[Hit]) -> dict[int, Any]:
    """Draw a thumbnail of each picture and film among hits, and a waveform of each sound.

    Returns:
        By rank; without texts, and without files that are gone or cannot be decoded.

    Raises:
        UsageError: a package that is needed is not installed.
    """
    from wave_search.media import DecoderPool
    from wave_search.media.preview import MakeThumbnail, MeasurePeaks
    from wave_search.media.source import IndexedFile
    from wave_search.models.wave.clips import SAMPLING
    from wave_search.render import pictures

    drawn: dict[int, Any] = {}
    with closing(DecoderPool(1, SAMPLING, item_timeout_s=_TIMEOUT_S)) as decoders:
        for hit in hits:
            if hit.kind == "text" or hit.gone:
                continue
            start_s, stop_s = hit.peak_start_s or 0.0, hit.peak_stop_s or hit.duration_s or 0.0
            try:
                status = os.stat(hit.path)  # noqa: PTH116
                file = IndexedFile(hit.path, hit.kind, status.st_size, status.st_mtime_ns)
                if hit.kind != "audio":
                    made: Any = decoders.preview(MakeThumbnail(file, (start_s + stop_s) / 2, _WIDTH))
                    drawn[hit.rank] = pictures.thumbnail(made)
                elif stop_s > start_s:
                    made = decoders.preview(MeasurePeaks(file, _PEAKS, start_s, stop_s))
                    drawn[hit.rank] = pictures.waveform(list(made.values))
            except (MediaError, OSError):  # the result itself is of use without
                continue
    return drawn
