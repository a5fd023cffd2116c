"""The process in which files are decoded, so that a crash or a hang in a decoder costs one file and not the run.

It answers requests that come through a socket, and touches nothing else: no terminal, no signals of the keyboard.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, DecodeLimitError, WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wave_search.media.info import DecodedSegment, MediaInfo, Wanted

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Request:
    """Identify a file, or decode what is wanted of it."""

    path: Path
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One part of an answer."""

    value: MediaInfo | DecodedSegment | WaveSearchError | None
    """None: the answer is complete. An error ends it as well."""


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    """Serve requests until the other end of the socket is closed.

    Args:
        descriptor: of the socket.
        parent: id of the process that asks.
        memory_bytes: of data; a decoder that wants more fails.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A busy decoder does not see that the socket was closed, so the kernel has to end it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = Connection(descriptor)
    while True:
        try:
            request: Request = pickle.loads(channel.recv_bytes())  # noqa: S301 - from the parent process
            for reply in _answer(request, memory_bytes):
                channel.send_bytes(pickle.dumps(reply, protocol=5))
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
        limit = f"decoding it needs more than {memory_bytes / 2**30:.3g} GiB of memory"
        yield Reply(DecodeLimitError(path, limit, "Convert it to a smaller format."))
    except Exception as error:  # whatever damaged files make the libraries raise
        lines = str(error).strip().splitlines() or [""]
        cause = f"cannot be decoded ({type(error).__name__}: {lines[0][:120]})"
        yield Reply(BrokenMediaError(path, cause, "Replace it by an intact copy."))


def _serve(request: Request) -> Iterator[MediaInfo | DecodedSegment]:
    from wave_search.media.decode import decode_segments
    from wave_search.media.demux import Source
    from wave_search.media.files import digest_of, open_regular
    from wave_search.media.probe import probe

    with open_regular(request.path) as file:
        if request.wanted is not None:
            yield from decode_segments(Source(request.path, file, request.wanted.info.container), request.wanted)
            return
        info = probe(request.path, file, os.fstat(file.fileno()).st_size)
        yield replace(info, digest=digest_of(file))
