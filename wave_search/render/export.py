"""Conversion of hits, and of chosen ranges of files, to the formats of other programs. Does no I/O."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.render.records import hit_record, to_json
from wave_search.render.text import printable
from wave_search.render.timelines import COLUMNS, to_edl, to_fcpxml, to_otio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from wave_search.types import Hit, Modality, Value

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of texts that spreadsheets take for formulas, which may start programs; some also in full width."""
NAME = "wave-search"
"""Of a timeline, unless another one is chosen."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The best segment of a hit."""

    name: str
    start_s: float | None
    """In seconds from the beginning of the file, like `stop_s`; None for the whole excerpt."""
    stop_s: float | None
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A range of a file, to be exported."""

    path: Path
    modality: Modality
    """What of the file is meant: AV is sound and picture."""
    start_s: float | None
    """In seconds from the beginning of the file, like `stop_s`; None for the whole file."""
    stop_s: float | None
    duration_s: float | None
    """Of the whole file."""
    record: Mapping[str, Any]
    """As a row of a table."""
    columns: Mapping[str, Value | None] = field(default_factory=dict)
    """Of the file: those that the format needs."""
    peak: Peak | None = None


def excerpt_of(hit: Hit) -> Excerpt:
    """Return the range of a hit."""
    scores = {"rank": hit.rank, "score": round(hit.score, 6), "z": round(hit.z, 4), "segment_id": hit.segment_id}
    return Excerpt(
        path=hit.path,
        modality=hit.modality,
        start_s=hit.start_s,
        stop_s=hit.stop_s,
        duration_s=hit.duration_s,
        record=hit_record(hit),
        columns=hit.columns,
        peak=Peak(f"z {hit.z:.2f}", hit.peak_start_s, hit.peak_stop_s, scores),
    )


@dataclass(frozen=True, slots=True)
class Format:
    """An export format."""

    write: Callable[[Sequence[Excerpt], str], bytes]
    """Takes the excerpts, and a name for all of them."""
    media_type: str
    columns: tuple[str, ...] = ()
    """Columns of `Excerpt.columns` that it needs."""


def format_of(path: Path) -> Format:
    """Return the format for the suffix of a file name.

    Raises:
        UsageError: no format has this suffix.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{path}: unknown export format", f"Use one of {', '.join(FORMATS)}, .zip.")
    return found


def to_csv(excerpts: Sequence[Excerpt], _: str) -> bytes:
    """Return a CSV table with a header; paths keep the bytes of the file system.

    A text that a spreadsheet would take for a formula is preceded by an apostrophe, which spreadsheets do not show.
    """
    records = [excerpt.record for excerpt in excerpts]
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


def to_jsonl(excerpts: Sequence[Excerpt], _: str) -> bytes:
    """Return JSON Lines, the same as `--json` prints."""
    return "".join(f"{to_json(dict(excerpt.record))}\n" for excerpt in excerpts).encode("ascii")


def to_m3u8(excerpts: Sequence[Excerpt], _: str) -> bytes:
    """Return an M3U8 playlist. VLC on desktops starts and stops at the range of each excerpt; mpv plays whole files."""
    lines = ["#EXTM3U"]
    for excerpt in excerpts:
        length_s = excerpt.duration_s or -1.0
        if excerpt.start_s is not None and excerpt.stop_s is not None:
            length_s = excerpt.stop_s - excerpt.start_s
        lines.append(f"#EXTINF:{length_s:.3f},{printable(excerpt.path.name)}")
        if excerpt.start_s is not None and excerpt.stop_s is not None:
            lines += [f"#EXTVLCOPT:start-time={excerpt.start_s:.3f}", f"#EXTVLCOPT:stop-time={excerpt.stop_s:.3f}"]
        lines.append(excerpt.path.as_uri())
    return "".join(f"{line}\n" for line in lines).encode()


FORMATS = {
    ".csv": Format(to_csv, "text/csv"),
    ".jsonl": Format(to_jsonl, "application/jsonl"),
    ".m3u8": Format(to_m3u8, "application/vnd.apple.mpegurl"),
    ".otio": Format(to_otio, "application/json", COLUMNS),
    ".edl": Format(to_edl, "text/plain", COLUMNS),
    ".fcpxml": Format(to_fcpxml, "application/xml", COLUMNS),
}
"""By suffix."""
