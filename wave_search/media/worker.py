"""The worker process that decodes files, so that a crash or a hang in a decoder costs one file instead of the run.

It answers requests from a socket and is detached from the terminal and its signals.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, DecodeLimitError, MediaError, WaveSearchError
from wave_search.files import digest
from wave_search.processes import connection_to_parent, end_with_parent
from wave_search.system import constants, limit_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from wave_search.media.info import DecodedSegment, DecodeRequest, MediaInfo
    from wave_search.media.preview import Preview, PreviewTask
    from wave_search.media.source import Source

MORE_MEMORY = "Reduce its resolution, or allow more with --decoder-memory and --retry."
"""The remedy for files that take more memory than a decoder may use."""
_BLOCK_BYTES = 1 << 20
_TRANSIENT = constants(
    errno,
    *("EIO", "ENXIO", "ENODEV", "EREMOTEIO", "ESTALE"),
    *("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EBUSY", "EINTR", "ENOLCK"),
    *("ETIMEDOUT", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "ENOTCONN", "ESHUTDOWN"),
    *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
)
"""Errors of the system, the disk or the network rather than the file."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to identify a file, to decode a part of it, or to make a preview of it."""

    path: Path
    work: DecodeRequest | PreviewTask | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of a reply."""

    value: MediaInfo | DecodedSegment | Preview | WaveSearchError | None
    """None at the end of the reply. An error also ends it."""


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    """Serve requests until the other end of the socket is closed.

    Args:
        descriptor: of the socket.
        parent: id of the process at the other end.
        memory_bytes: limit of data memory (RLIMIT_DATA), unless the system has set a lower one; a decoder that needs
            more fails.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)  # a busy decoder does not notice that the connection was closed
    limit_memory(memory_bytes)
    connection = connection_to_parent(descriptor)
    while True:
        try:
            request: Request = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the parent process
            for reply in _answer(request, memory_bytes):
                connection.send_bytes(pickle.dumps(reply, protocol=5))
        except (EOFError, ConnectionError):
            return


def _answer(request: Request, memory_bytes: int) -> Iterator[Reply]:
    path = request.path
    try:
        for value in _serve(request):
            yield Reply(value)
        yield Reply(None)
    except WaveSearchError as error:
        yield Reply(error)
    except MemoryError:
        limit = f"decoding it takes more than {memory_bytes / 2**30:.3g} GiB of memory, the limit of a decoder"
        yield Reply(DecodeLimitError(path, limit, MORE_MEMORY))
    except Exception as error:  # on damaged files, libraries raise errors of any type
        yield Reply(failure_of(path, error))


def failure_of(path: Path, error: Exception) -> MediaError:
    """Return the error of a file for an exception: damage, or a possibly transient system failure."""
    from wave_search.media.source import CONVERT, RETRY

    # Libraries derive their own errors for damaged files from OSError.
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno in _TRANSIENT:
        return MediaError(path, f"cannot be read ({error.strerror})", RETRY)
    if isinstance(error, ImportError):  # also if no more files can be opened
        return MediaError(path, f"the decoder cannot be loaded ({error})", RETRY)
    lines = str(error).strip().splitlines() or [""]
    return BrokenMediaError(path, f"cannot be decoded ({type(error).__name__}: {lines[0][:120]})", CONVERT)


def _serve(request: Request) -> Iterator[MediaInfo | DecodedSegment | Preview]:
    from wave_search.media.bounds import check_info, check_segment
    from wave_search.media.completeness import declared_s
    from wave_search.media.decode import decode_segments
    from wave_search.media.info import DecodeRequest
    from wave_search.media.probe import probe
    from wave_search.media.source import open_regular

    if request.work is not None and not isinstance(request.work, DecodeRequest):
        yield from request.work.previews()
        return
    with open_regular(request.path) as file:
        if request.work is not None:
            decoding = request.work
            source = _source(request.path, file, decoding.info)
            for segment in decode_segments(source, decoding):
                check_segment(request.path, segment)
                yield segment
            return
        info = probe(request.path, file, os.fstat(file.fileno()).st_size)
        if info.kind in ("audio", "video") and info.duration_s is not None:
            source = _source(request.path, file, info)
            info = replace(info, declared_s=declared_s(source, info.size_bytes, info.duration_s))
        check_info(request.path, info)
        file.seek(0)
        yield replace(info, digest=digest(iter(lambda: file.read(_BLOCK_BYTES), b"")))


def _source(path: Path, file: BinaryIO, info: MediaInfo) -> Source:
    from wave_search.media.source import Source

    return Source(path, file, info.container, info.offset_bytes, info.stop_bytes)
