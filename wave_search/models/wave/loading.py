"""From the name of a model to an embedder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wave_search.errors import ModelError, UsageError
from wave_search.models.device import resolve_devices, resolve_dtype
from wave_search.models.registry import resolve
from wave_search.models.replicas import Replicas
from wave_search.models.wave.checkpoint import open_wave, read_config
from wave_search.models.wave.embedder import WaveEmbedder
from wave_search.models.wave.parts import Part
from wave_search.models.wave.quantize import check_available
from wave_search.models.wave.tokenizer import TextTokenizer

if TYPE_CHECKING:
    import torch

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
    compiled: bool = False,
) -> Embedder:
    """See `wave_search.models.load`."""
    import torch

    if positions not in _POSITIONS:
        raise UsageError(f"there are no positions {positions!r}", f"Use one of {', '.join(_POSITIONS)}.")
    devices, precision = resolve_devices(device), resolve_dtype(dtype)
    if quantization is not None:
        check_available(quantization)
    source = resolve(name, devices[0])
    # The tokenizer comes first: a fault in it shows before gigabytes are read.
    tokenizer = TextTokenizer.from_directory(source.directory, read_config(source.directory).tokens)

    def on(where: torch.device) -> WaveEmbedder:
        try:
            stored = open_wave(source.directory, device=where, dtype=precision, quantization=quantization)
            stored.need([Part.DECODER])
            if compiled:
                stored.wave.compile_decoder()
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{source.name} does not fit into the memory of {where}",
                "Load it in 4 bit, in bfloat16, or on the CPU.",
            ) from error
        return WaveEmbedder(
            stored.wave, tokenizer, source, positions, quantization, need=stored.need, token_budget=token_budget
        )

    return on(devices[0]) if len(devices) == 1 else Replicas([partial(on, where) for where in devices])
