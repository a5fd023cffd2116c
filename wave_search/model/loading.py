"""From the name of a model to an embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import ModelError, UsageError
from wave_search.model.checkpoint import open_wave, read_config
from wave_search.model.device import resolve_device, resolve_dtype
from wave_search.model.embedder import WaveEmbedder
from wave_search.model.parts import Part
from wave_search.model.quantize import check_available
from wave_search.model.registry import resolve
from wave_search.model.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from wave_search.types import Embedder

_POSITIONS = ("sequential", "aligned")


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    positions: str = "sequential",
    quantization: str | None = None,
    token_budget: int | None = None,
) -> Embedder:
    """See `wave_search.model.load`."""
    import torch

    if positions not in _POSITIONS:
        raise UsageError(f"there are no positions {positions!r}", f"Use one of {', '.join(_POSITIONS)}.")
    where, precision = resolve_device(device), resolve_dtype(dtype)
    if quantization is not None:
        check_available(quantization)
    source = resolve(name, where)
    # The tokenizer comes first: a fault in it shows before gigabytes are read.
    tokenizer = TextTokenizer.from_directory(source.directory, read_config(source.directory).tokens)
    try:
        stored = open_wave(source.directory, device=where, dtype=precision, quantization=quantization)
        stored.need([Part.DECODER])
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{source.name} does not fit into the memory of {where}",
            "Load it in 4 bit, in bfloat16, or on the CPU.",
        ) from error
    return WaveEmbedder(
        stored.wave, tokenizer, source, positions, quantization, need=stored.need, token_budget=token_budget
    )
