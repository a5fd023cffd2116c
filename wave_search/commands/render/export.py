"""Hits as files for other programs: tables, playlists, timelines. Pure: nothing is written here."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wave_search.commands.render import text as output
from wave_search.errors import UsageError, WaveSearchError
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wave_search.types import Hit

_STILL_S = 5.0
"""How long a picture stands on a timeline."""
_RATE = 1000.0
"""Times on a timeline are counted in milliseconds where a file has no frames."""
_TRACKS = {
    "Video": (Modality.VIDEO, Modality.AV, Modality.IMAGE),
    "Audio": (Modality.AUDIO, Modality.AV),
}


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    write: Callable[[Sequence[Hit]], bytes]
    columns: tuple[str, ...] = ()
    """What it has to know of each hit."""


def format_of(path: Path) -> Format:
    """Choose by the suffix of a file.

    Raises:
        UsageError: there is no such format.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{path}: hits cannot be written in this format", f"Choose one of {', '.join(_FORMATS)}.")
    return found


def to_csv(hits: Sequence[Hit]) -> bytes:
    """As a table with a header, a path as the file system has it."""
    records = [output.hit_record(hit) for hit in hits]
    if not records:
        return b""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(records[0]))
    table.writeheader()
    table.writerows(
        {name: ", ".join(value) if isinstance(value, list) else value for name, value in record.items()}
        for record in records
    )
    return text.getvalue().encode("utf-8", "surrogateescape")


def to_jsonl(hits: Sequence[Hit]) -> bytes:
    """As JSON Lines, the same as on stdout."""
    return "".join(f"{output.to_json(output.hit_record(hit))}\n" for hit in hits).encode("ascii")


def to_m3u8(hits: Sequence[Hit]) -> bytes:
    """As a playlist. VLC and what follows it begin and end where the hit does."""
    lines = ["#EXTM3U"]
    for hit in hits:
        length_s = hit.duration_s or -1.0
        if hit.start_s is not None and hit.stop_s is not None:
            length_s = hit.stop_s - hit.start_s
        lines.append(f"#EXTINF:{length_s:.3f},{_title(hit)}")
        if hit.start_s is not None and hit.stop_s is not None:
            lines += [f"#EXTVLCOPT:start-time={hit.start_s:.3f}", f"#EXTVLCOPT:stop-time={hit.stop_s:.3f}"]
        lines.append(hit.path.as_uri())
    return "".join(f"{line}\n" for line in lines).encode()


def to_otio(hits: Sequence[Hit]) -> bytes:
    """As an OpenTimelineIO timeline: the hits one after another, what is seen and what is heard on a track of its own.

    A clip is the range of the hit, its media reference the whole file, and a marker shows the best segment with its
    scores. Texts have no place on a timeline.

    Raises:
        WaveSearchError: OpenTimelineIO is not installed.
    """
    try:
        import opentimelineio as otio
    except ImportError:
        raise WaveSearchError(
            "a timeline needs OpenTimelineIO", "Install it: pip install 'wave-search[otio]'."
        ) from None
    timeline = otio.schema.Timeline("wave-search")
    for kind, modalities in _TRACKS.items():
        clips = [_clip(otio, hit) for hit in hits if hit.modality in modalities]
        if clips:
            timeline.tracks.append(otio.schema.Track(kind, kind=kind, children=clips))
    text: str = timeline.to_json_string(indent=2)
    return text.encode()


def _clip(otio: Any, hit: Hit) -> Any:
    fps = hit.columns.get("fps")
    rate = float(fps) if isinstance(fps, int | float) and hit.modality is not Modality.AUDIO else _RATE

    def span(start_s: float, stop_s: float) -> Any:
        # Both ends are rounded to frames, so that adjacent ranges stay adjacent.
        start, stop = (otio.opentime.RationalTime(round(at * rate), rate) for at in (start_s, stop_s))
        return otio.opentime.TimeRange.range_from_start_end_time(start, stop)

    start_s, stop_s = hit.start_s or 0.0, hit.stop_s or _STILL_S
    peak_start_s = start_s if hit.peak_start_s is None else hit.peak_start_s
    peak_stop_s = stop_s if hit.peak_stop_s is None else hit.peak_stop_s
    scores = {"rank": hit.rank, "score": round(hit.score, 6), "z": round(hit.z, 4), "segment_id": hit.segment_id}
    marker = otio.schema.Marker(
        f"z {hit.z:.2f}", marked_range=span(peak_start_s, peak_stop_s), metadata={"wave-search": scores}
    )
    return otio.schema.Clip(
        _title(hit),
        media_reference=otio.schema.ExternalReference(
            hit.path.as_uri(), None if hit.duration_s is None else span(0.0, hit.duration_s)
        ),
        source_range=span(start_s, stop_s),
        markers=[marker],
        metadata={"wave-search": {"modality": hit.modality.value}},
    )


def _title(hit: Hit) -> str:
    return output.printable(hit.path.name)


_FORMATS = {
    ".csv": Format(to_csv),
    ".jsonl": Format(to_jsonl),
    ".m3u8": Format(to_m3u8),
    ".otio": Format(to_otio, ("fps",)),
}
