"""What a process that indexes single files does, apart from any index. Importable by processes that tests spawn."""

from __future__ import annotations

from tests.libraries import tiny
from wave_search.indexer.pipeline.process import IndexSpec, Outcome, process_file
from wave_search.indexer.scan import FoundFile
from wave_search.media import DecoderPool

_decoders: DecoderPool | None = None


def process(file: FoundFile, spec: IndexSpec) -> Outcome:
    """Process a file with the small model and decoders of this process's own."""
    global _decoders  # noqa: PLW0603 - one per process, as it would be in a cluster
    if _decoders is None:
        _decoders = DecoderPool(1, tiny().spec.sampling)
    return process_file(file, spec, _decoders, tiny())
