"""The WAVE family: the files of its models, and their loading."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from wave_search.errors import CheckpointError, ModelError, UsageError
from wave_search.models.families import Family

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from wave_search.models.base import Embedder, LoadOptions
    from wave_search.models.families import Source
    from wave_search.models.wave.embedder import WaveEmbedder

_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""The files of a tokenizer in each of its two formats."""

OPTIONS = MappingProxyType({"positions": ("sequential", "aligned")})
"""Options of the family, each with its values; the first is the default."""


def _files(directory: Path) -> list[Path]:
    """Return the files of a model and its tokenizer. Raises CheckpointError if one is missing."""
    from wave_search.models.wave.checkpoint import checkpoint_files
    from wave_search.models.wave.tokenizer import TOKENIZER_FILES

    files = checkpoint_files(directory)
    if not any(all((directory / name).is_file() for name in names) for names in _TOKENIZERS):
        raise CheckpointError(
            f"{directory}: there is no tokenizer", f"It needs {' or '.join(map(' and '.join, _TOKENIZERS))}."
        )
    return [*files, *(path for name in TOKENIZER_FILES if (path := directory / name).is_file())]


def options_of(given: Mapping[str, str]) -> dict[str, str]:
    """Add the defaults to options of the family.

    Raises:
        UsageError: an option or a value is unknown.
    """
    unknown = sorted(given.keys() - OPTIONS.keys())
    if unknown:
        raise UsageError(f"WAVE has no option {unknown[0]!r}", f"Use {', '.join(OPTIONS)}.")
    for name, value in given.items():
        if value not in OPTIONS[name]:
            raise UsageError(f"the option {name} has no value {value!r}", f"Use one of {', '.join(OPTIONS[name])}.")
    return {name: given.get(name, values[0]) for name, values in OPTIONS.items()}


def load(source: Source, options: LoadOptions) -> Embedder:
    """See `wave_search.models.load`."""
    family_options = options_of(options.family)
    import torch

    from wave_search.models.device import resolve_devices, resolve_dtype
    from wave_search.models.replicas import Replicas
    from wave_search.models.wave.checkpoint import open_wave, read_config
    from wave_search.models.wave.embedder import WaveEmbedder
    from wave_search.models.wave.network import Component
    from wave_search.models.wave.quantize import check_available
    from wave_search.models.wave.tokenizer import TextTokenizer

    devices, precision = resolve_devices(options.device), resolve_dtype(options.dtype)
    if options.quantization is not None:
        check_available(options.quantization)
    # The tokenizer is loaded first, so that a damaged one is reported before gigabytes are read.
    config = read_config(source.directory)
    tokenizer = TextTokenizer.from_directory(source.directory, config.tokens)

    def on(where: torch.device) -> WaveEmbedder:
        try:
            stored = open_wave(
                source.directory, config, device=where, dtype=precision, quantization=options.quantization
            )
            stored.require([Component.DECODER])
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{source.name} does not fit into the memory of {where}",
                "Load it in 4 bit, in bfloat16, or on the CPU.",
            ) from error
        return WaveEmbedder(
            stored.wave,
            tokenizer,
            source,
            family_options,
            options.quantization,
            require=stored.require,
            token_budget=options.token_budget,
        )

    return on(devices[0]) if len(devices) == 1 else Replicas([partial(on, where) for where in devices])


FAMILY = Family("wave", claims=lambda directory: (directory / "config.json").is_file(), files=_files, load=load)
"""Registered first and therefore consulted last, also for directories that nothing claims."""
