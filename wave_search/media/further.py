"""Files behind the first one in a file that was joined from several, in formats of which players play that one only."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from wave_search.media.info import Note
from wave_search.media.joined import boxes, bytes_at, positions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wave_search.media.source import IndependentReader, Source

_STARTS = {
    "aiff": rb"FORM....AIF[CF][A-Z]{4}",
    "ape": rb"MAC ..\0\0\x34\0\0\0",
    "asf": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",
    "au": rb"\.snd\0\0......\0\0\0[\x01-\x1b]",
    "caf": rb"caff\0\x01\0\0desc",
    "dsf": rb"DSD \x1c\0{7}",
    "flv": rb"FLV\x01[\0\x01\x04\x05]\0\0\0\x09",
    "iff": rb"FRM8........DSD FVER|FORM....8SVXVHDR",
    "ivf": rb"DKIF\0\0\x20\0",
    "mpc8": rb"MPCKSH",
    "mxf": rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02[\x01-\x04]\0",
    "tta": rb"TTA1[\x01\x02]\0[\x01-\x08]\0",
    "voc": rb"Creative Voice File\x1a",
    "w64": rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0",
    "wav": rb"(?:RIFF|RIFX|RF64|BW64)....WAVE[A-Za-z0-9]{3}[A-Za-z0-9 ]",
    "wtv": rb"\xb7\xd8\0\x20\x37\x49\xda\x11\xa6\x4e\0\x07\xe9\x5e\xad\x8d",
    # The first block with sample 0: those of further channels follow.
    "wv": rb"wvpk....[\x02-\x10]\x04......\0{4}(?!\0{4}).....[\x08-\x0f\x18-\x1f\x28-\x2f\x38-\x3f\x48-\x4f\x58-\x5f"
    rb"\x68-\x6f\x78-\x7f\x88-\x8f\x98-\x9f\xa8-\xaf\xb8-\xbf\xc8-\xcf\xd8-\xdf\xe8-\xef\xf8-\xff]",
}
"""Format -> what a file begins with, and nothing else is likely to contain."""
_CONTENT = frozenset({b"mdat", b"moof"})
_FRAGMENT_BYTES = 1 << 16


def without_further(source: Source, *, scan: bool) -> Source:
    """Return the first of the files that a file was joined from: all of it, if players play it to the end.

    Args:
        source: the file.
        scan: whether to read all of it, where its format has no lengths that lead to the end.
    """
    found = None
    if source.demuxer == "mov":
        found = _behind_boxes(source.reader())
    elif scan and source.demuxer in _STARTS:
        starts = positions(source, re.compile(_STARTS[source.demuxer], re.DOTALL))
        found = next((position for position in starts if position > 0), None)
    return source if found is None else replace(source, stop_bytes=source.offset_bytes + found)


def further_note(path: Path, stop_bytes: int, size_bytes: int) -> Note:
    """Return what to tell of a file of which only the first one of several is used.

    Args:
        path: of the file.
        stop_bytes: end of the first one.
        size_bytes: of all.
    """
    own, rest = (shlex.quote(f"./{name}") for name in (path.name, f"{path.stem}.2{path.suffix}"))
    return Note(
        "of the files that were joined in it, only the first is used, as by players: "
        f"{size_bytes - stop_bytes:,} bytes behind it are not read",
        f"Take them out: tail -c +{stop_bytes + 1} {own} > {rest}",
    )


def _behind_boxes(reader: IndependentReader) -> int | None:
    """Return where the second file begins in joined MP4 or QuickTime files."""
    found = list(boxes(reader))
    names = [name for name, _, _ in found]
    content = next((number for number, name in enumerate(names) if name in _CONTENT), None)
    if content is None or b"moov" not in names:
        return None
    complete = max(content, names.index(b"moov")) + 1
    rest = names[complete:]
    if b"moov" not in rest or _CONTENT.isdisjoint(rest):
        return None
    number = names.index(b"ftyp", complete) if b"ftyp" in rest else complete
    times = [_decode_time(reader, found[first:stop]) for first, stop in ((0, number), (number, None))]
    goes_on = times[0] is not None and times[1] is not None and times[1] > times[0]
    return None if goes_on else found[number][1]


def _decode_time(reader: IndependentReader, found: Sequence[tuple[bytes, int, int]]) -> int | None:
    """Return the time of the first fragment; None without fragments.

    Streams repeat their initialization segment where their parameters change, and players play on.
    """
    ranges = ((begin, stop) for name, begin, stop in found if name == b"moof")
    begin, stop = next(ranges, (0, 0))
    fragment = bytes_at(reader, begin, min(stop - begin, _FRAGMENT_BYTES))
    at = fragment.find(b"tfdt") + 4
    return None if at < 4 else int.from_bytes(fragment[at + 4 :][: 8 if fragment[at : at + 1] == b"\x01" else 4])
