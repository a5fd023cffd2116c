"""Which of the audio tracks of a file are heard: "auto", "all", a number or a language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wave_search.errors import UsageError, shown

if TYPE_CHECKING:
    from wave_search.media.info import AudioStream, MediaInfo

_CHOICES = "Use auto, all, a number from 1, or a language such as eng."
_LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*", re.IGNORECASE)


def parse_audio_track(text: str | int) -> str:
    """Check a choice as written by a user.

    Args:
        text: "auto", "all", a number from 1, or a language in any form of ISO 639: "en", "eng", "de", "ger", "deu".

    Returns:
        The same, in lower case and without leading zeros.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise UsageError(f"unknown audio track {shown(text)}", _CHOICES)
    text = str(text)
    if text.isascii() and text.isdecimal() and int(text[:9]) > 0 and len(text) < 10:
        return str(int(text))
    if _LANGUAGE.fullmatch(text):
        return text.lower()
    raise UsageError(f"unknown audio track {shown(text)}", _CHOICES)


def selected(info: MediaInfo, choice: str) -> tuple[AudioStream, ...]:
    """Return the audio tracks of a file that are decoded.

    Several are mixed into one signal: recorders store the game, the microphone and the music as tracks, which belong
    together as channels do, and a segment has one vector for what is heard in it. Languages are chosen one at a time.

    Args:
        info: of the file.
        choice: result of `parse_audio_track`. "auto" is the track that a player plays, or the first one that is not
            silent. Files without the chosen track are decoded as with "auto".
    """
    wanted: tuple[AudioStream, ...] = ()
    if choice == "all":
        wanted = info.tracks
    elif choice.isdecimal():
        wanted = info.tracks[int(choice) - 1 : int(choice)]
    elif choice != "auto":
        wanted = tuple(track for track in info.tracks if _speaks(track, choice))
    return wanted or (() if info.audio is None else (info.audio,))


def _speaks(track: AudioStream, choice: str) -> bool:
    """Return whether a track is in a language. "de", "deu" and "ger" are the same, and "pt" includes "pt-BR"."""
    import langcodes

    try:
        own, wanted = (langcodes.standardize_tag(tag) for tag in (track.language, choice))
    except ValueError:  # not a code of a language
        return track.language.lower() == choice
    return own == wanted or own.startswith(f"{wanted}-")
