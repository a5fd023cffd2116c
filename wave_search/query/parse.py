"""What a user names as a query: files, and ranges of files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from wave_search.errors import UsageError
from wave_search.types import MediaRef, Modality

_RANGE = re.compile(r"(?P<path>.+)@(?P<start>[\d:.]*)-(?P<stop>[\d:.]*)", re.DOTALL)
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def parse_seconds(text: str) -> float:
    """Read "12.5", "1:30" or "1:02:03.5" as seconds.

    Raises:
        UsageError: it is none of these.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(f'"{text}" is not a time', "Write seconds (12.5) or h:mm:ss (1:02:03.5).")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def parse_media(item: str | os.PathLike[str] | MediaRef, modality: Modality) -> MediaRef:
    """Read a file name with an optional range: `clip.mp4@12.5-20`, `@1:30-` to the end, `@-20` from the beginning.

    A file whose real name has this form is meant before a range of another file.

    Raises:
        UsageError: there is no such file, or the range is empty.
    """
    if isinstance(item, MediaRef):
        if item.modality != modality:
            raise UsageError(f"{item.path} is given as {modality}, but was made for {item.modality}")
        return media_ref(item.path, modality, item.start_s, item.stop_s)
    path, start_s, stop_s = split_range(item)
    return media_ref(path, modality, start_s, stop_s)


def split_range(item: str | os.PathLike[str]) -> tuple[Path, float | None, float | None]:
    """Split a file name from the range behind it, as `parse_media` does. Start and stop are None if not given.

    Raises:
        UsageError: it is no name, or a time of the range is none.
    """
    if not isinstance(item, str | os.PathLike):
        raise UsageError(f"{item!r} is no file")
    name = os.fspath(item)
    match = None if os.path.lexists(name) else _RANGE.fullmatch(name)
    if match is None or not (match["start"] or match["stop"]):
        return Path(name), None, None
    start_s = parse_seconds(match["start"]) if match["start"] else None
    return Path(match["path"]), start_s, parse_seconds(match["stop"]) if match["stop"] else None


def media_ref(
    path: str | os.PathLike[str], modality: Modality, start_s: float | None, stop_s: float | None
) -> MediaRef:
    """Make a checked reference to a file or a range of it.

    Raises:
        UsageError: there is no such file, or the range is empty.
    """
    check_range(path, start_s, stop_s)
    return MediaRef(Path(path), modality, start_s, stop_s)


def check_range(path: str | os.PathLike[str], start_s: float | None, stop_s: float | None) -> None:
    """Check that a file is there and that a range is one.

    Raises:
        UsageError: it is not.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - pathlib would raise for a path that may not be looked at
        raise UsageError(f"{os.fspath(path)}: no such file", "Check the spelling; a range is written FILE@START-STOP.")
    if not 0 <= (start_s or 0.0) < (float("inf") if stop_s is None else stop_s):
        raise UsageError(f"{os.fspath(path)}: {start_s}-{stop_s} is not a range of seconds")


def Audio(path: str | os.PathLike[str], start_s: float | None = None, stop_s: float | None = None) -> MediaRef:  # noqa: N802 - reads as a type where it is used
    """What is heard in a file, or in the range [start_s, stop_s) of it, in seconds. Raises UsageError."""
    return media_ref(path, Modality.AUDIO, start_s, stop_s)


def Video(path: str | os.PathLike[str], start_s: float | None = None, stop_s: float | None = None) -> MediaRef:  # noqa: N802
    """What is seen in a file, or in the range [start_s, stop_s) of it, in seconds. Raises UsageError."""
    return media_ref(path, Modality.VIDEO, start_s, stop_s)


def AV(path: str | os.PathLike[str], start_s: float | None = None, stop_s: float | None = None) -> MediaRef:  # noqa: N802
    """Sound and picture of a file together, or of the range [start_s, stop_s), in seconds. Raises UsageError."""
    return media_ref(path, Modality.AV, start_s, stop_s)


def Image(path: str | os.PathLike[str]) -> MediaRef:  # noqa: N802
    """A picture. Raises UsageError."""
    return media_ref(path, Modality.IMAGE, None, None)
