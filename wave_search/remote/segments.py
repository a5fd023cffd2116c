"""Segments of the index of a server, with their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wave_search.query import ReadSegments, read_arrow_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wave_search.remote.transport import Transport


class RemoteSegments(ReadSegments):
    """Segments of the version of an index that the server has open when they are read.

    Args:
        transport: to the server.
        record: the arguments of `Index.segments`.

    Raises:
        WaveSearchError: as `Index.segments`, or the server does not answer.
    """

    def __init__(self, transport: Transport, record: Mapping[str, Any]) -> None:
        self._transport, self._record = transport, record
        self._number: int = transport.call("remote/count_segments", record)

    def __len__(self) -> int:
        return self._number

    def _batches(self) -> Iterator[Any]:
        with self._transport.stream("remote/segments", self._record) as answer:
            yield from read_arrow_stream(answer)
