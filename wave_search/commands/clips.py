"""Results as clips in a ZIP file."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from wave_search.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    import wave_search as ws

_TIMEOUT_S = 120.0


def write_clips(target: Path, hits: Sequence[ws.Hit], index: ws.Index) -> None:
    """Write the ranges of hits as clips: copied where possible, otherwise converted. What fails is listed in the file.

    Raises:
        OSError: the file cannot be written.
        WaveSearchError: the index cannot be read.
    """
    from wave_search.media import DecoderPool
    from wave_search.media.clip import WriteClip
    from wave_search.media.source import IndexedFile
    from wave_search.render.archive import Chosen, pack, zip_pieces

    with (
        tempfile.TemporaryDirectory(prefix="wave-search-") as folder,
        closing(DecoderPool(1, index.model.sampling, item_timeout_s=_TIMEOUT_S)) as decoders,
    ):
        output = Path(folder).resolve() / "clip.mp4"

        def cut(file: ws.FileDetails, start_s: float, stop_s: float) -> BinaryIO:
            indexed = IndexedFile(file.path, file.kind, file.size_bytes, file.mtime_ns)
            decoders.preview(WriteClip(indexed, output, start_s, stop_s))
            return output.open("rb")

        chosen = (Chosen(index.segment(hit.segment_id)[1], hit.start_s, hit.stop_s) for hit in hits)

        def write(archive: BinaryIO) -> None:
            for piece in zip_pieces(pack(chosen, cut)):
                archive.write(piece)

        write_atomic(target, write)
