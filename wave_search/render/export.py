"""Conversion of hits to the formats of other programs: tables, playlists, timelines. Does no I/O."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError, WaveSearchError
from wave_search.render.records import hit_record, to_json
from wave_search.render.text import printable
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wave_search.types import Hit

_STILL_S = 5.0
"""Duration of a still image on a timeline, in seconds."""
_STILL_RATE = 25.0
_NTSC_RATES = tuple(1000 * rate / 1001 for rate in (24, 30, 48, 60, 120))
_EDITING_RATES = (*_NTSC_RATES[:2], 24.0, 25.0, 30.0, 50.0, _NTSC_RATES[3], 60.0)
_SAME_RATE = 0.0005
"""Tolerance of rates that containers declare; 24 and 24000/1001 differ by 0.001."""
_TIME_OF_DAY = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{6})")
"""Time code of Broadcast Wave."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of texts that spreadsheets take for formulas, which may start programs; some also in full width."""
_TRACKS = {
    "Video": (Modality.VIDEO, Modality.AV, Modality.IMAGE),
    "Audio": (Modality.AUDIO, Modality.AV),
}


@dataclass(frozen=True, slots=True)
class Format:
    """An export format."""

    write: Callable[[Sequence[Hit]], bytes]
    columns: tuple[str, ...] = ()
    """Columns of `Hit.columns` that it needs."""


def format_of(path: Path) -> Format:
    """Return the format for the suffix of a file name.

    Raises:
        UsageError: no format has this suffix.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{path}: unknown export format", f"Use one of {', '.join(_FORMATS)}.")
    return found


def to_csv(hits: Sequence[Hit]) -> bytes:
    """Return a CSV table with a header; paths keep the bytes of the file system.

    A text that a spreadsheet would take for a formula is preceded by an apostrophe, which spreadsheets do not show.
    """
    records = [hit_record(hit) for hit in hits]
    if not records:
        return b""
    text = io.StringIO(newline="")
    names = list(records[0])
    table = csv.writer(text)
    table.writerow(map(_cell, names))
    table.writerows([_cell(record[name]) for name in names] for record in records)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _cell(value: Any) -> Any:
    value = ", ".join(value) if isinstance(value, list) else value
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def to_jsonl(hits: Sequence[Hit]) -> bytes:
    """Return JSON Lines, the same as `--json` prints."""
    return "".join(f"{to_json(hit_record(hit))}\n" for hit in hits).encode("ascii")


def to_m3u8(hits: Sequence[Hit]) -> bytes:
    """Return an M3U8 playlist. VLC on desktops starts and stops at the range of each hit; mpv plays whole files."""
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
    """Return an OpenTimelineIO timeline with the hits in sequence, on a video and an audio track.

    Each clip is the range of a hit; its media reference is the whole file, and a marker shows the best segment with
    its scores. Times count frames of a video, at a standard rate such as 24000/1001 and in its sound, too, and samples
    of a sound file; they begin at the source time code of a file that has one. Text hits are omitted.

    Raises:
        WaveSearchError: OpenTimelineIO is not installed.
    """
    try:
        import opentimelineio as otio
    except ImportError:
        raise WaveSearchError(
            "exporting a timeline requires OpenTimelineIO", "Install it: pip install 'wave-search[otio]'."
        ) from None
    timeline = otio.schema.Timeline("wave-search")
    for kind, modalities in _TRACKS.items():
        clips = [_clip(otio, hit) for hit in hits if hit.modality in modalities]
        if clips:
            timeline.tracks.append(otio.schema.Track(kind, kind=kind, children=clips))
    text: str = timeline.to_json_string(indent=2)
    return text.encode()


def _clip(otio: Any, hit: Hit) -> Any:
    rate = _rate(hit)
    begin = _begin(otio, hit, rate)

    def span(start_s: float, stop_s: float) -> Any:
        # Both ends are rounded to frames, which keeps adjacent ranges adjacent.
        start, stop = (otio.opentime.RationalTime(begin + round(at * rate), rate) for at in (start_s, stop_s))
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


def _rate(hit: Hit) -> float:
    """Return the rate of a clip: a standard one near the frame rate of its file, or the sample rate of sound alone."""
    fps, sample_rate_hz = hit.columns.get("fps"), hit.columns.get("sample_rate_hz")
    if not isinstance(fps, int | float):
        return float(sample_rate_hz) if isinstance(sample_rate_hz, int | float) else _STILL_RATE
    exact = min((*_NTSC_RATES, float(max(round(fps), 1))), key=lambda rate: abs(rate - fps))
    if abs(exact - fps) < _SAME_RATE * fps:
        return exact
    # Of a variable rate, only the average is known.
    return min(_EDITING_RATES, key=lambda rate: abs(rate - fps))


def _begin(otio: Any, hit: Hit, rate: float) -> int:
    """Return the source time code in frames, or samples, since midnight, 0 if the file has none."""
    timecode = hit.columns.get("timecode")
    if not isinstance(timecode, str):
        return 0
    if of_day := _TIME_OF_DAY.fullmatch(timecode):
        hours, minutes, seconds = of_day.groups()
        return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * rate)
    try:
        return int(otio.opentime.from_timecode(timecode, rate).value)
    except ValueError:  # not a time code at this rate
        return 0


def _title(hit: Hit) -> str:
    return printable(hit.path.name)


_FORMATS = {
    ".csv": Format(to_csv),
    ".jsonl": Format(to_jsonl),
    ".m3u8": Format(to_m3u8),
    ".otio": Format(to_otio, ("fps", "sample_rate_hz", "timecode")),
}
