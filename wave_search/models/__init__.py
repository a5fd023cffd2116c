"""Decoded media to vectors. Importing this loads neither torch nor transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wave_search.types import Embedder

__all__ = ["known_models", "load"]


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
    """Load a model.

    Args:
        name: "auto" (WAVE-7B if its weights are here and a GPU can hold it, otherwise wave-nano), a name of
            `known_models`, the directory of a checkpoint, or "owner/name" of the Hugging Face hub, with "@revision" if
            wanted.
        device: "auto" (CUDA where there is one), "cpu", "cuda" (all that are visible) or "cuda:N".
        dtype: "auto" (as the checkpoint is stored), "float32" or "bfloat16".
        positions: how the positions of audio-visual clips are counted: "sequential", as in the published evaluation,
            or "aligned" in time, as in training.
        quantization: of the decoder's weights: "8bit" or "4bit" with bitsandbytes, "int8" or "fp8" with torchao.
        token_budget: tokens that the decoder takes at once, at least one clip; None for a number that suits the
            memory that is free.
        compiled: let torch.compile fuse the feed-forward parts of the decoder; needs a C++ compiler on the CPU. The
            first batches take a minute longer.

    Returns:
        The embedder. Its `spec.name` loads the same model again.

    Raises:
        ModelNotFoundError: there is no such model, or the hub is out of reach.
        CheckpointError: its files are damaged, incomplete, or not those of a WAVE model.
        UsageError: an argument makes no sense, or there is no such device.
        ModelError: it does not fit into the memory of the device.
    """
    from wave_search.models.wave.loading import load as load_model

    return load_model(
        name,
        device=device,
        dtype=dtype,
        positions=positions,
        quantization=quantization,
        token_budget=token_budget,
        compiled=compiled,
    )


def known_models() -> Mapping[str, str]:
    """Names that `load` knows, each with a line on what it is."""
    from wave_search.models.registry import KNOWN_MODELS

    return KNOWN_MODELS
