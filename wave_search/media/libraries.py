"""Which decoders there are. Loads their libraries, in this process."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARIES = {"av": "av", "decord": "decord2", "soundfile": "soundfile", "PIL": "pillow", "soxr": "soxr"}
"""Module -> the package that has it."""
_CODECS = (
    *("h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video", "mjpeg", "prores"),
    *("aac", "mp3", "opus", "vorbis", "flac", "pcm_s16le", "ac3", "alac"),
)
"""What most files have. They are in the wheels of PyAV; a build of one's own may lack some."""


def ffmpeg_decoders() -> str | None:
    """Return the version of FFmpeg's codecs and how many of them there are; None if they cannot be loaded."""
    try:
        import av
    except (ImportError, OSError):
        return None
    codecs = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"libavcodec {codecs}, {len(av.codecs_available):,} codecs"


def unavailable_decoders() -> Iterator[tuple[str, str]]:
    """Yield each library that cannot be loaded and each common codec that is missing, with the remedy."""
    for module, package in _LIBRARIES.items():
        if module == "decord" and find_spec(module) is None:
            continue  # not all systems have it, and PyAV does its work
        try:
            import_module(module)
        except (ImportError, OSError) as error:
            reason = str(error).partition("\n")[0]
            yield package, f"It cannot be loaded ({reason}). Run: pip install --force-reinstall {package}"
    try:
        import av
    except (ImportError, OSError):
        return
    for codec in _CODECS:
        try:
            av.Codec(codec, "r")
        except ValueError:
            yield codec, "Install the wheel of PyAV, which has it: pip install --force-reinstall --only-binary av av"
