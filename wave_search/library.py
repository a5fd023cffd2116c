"""The library behind `import wave_search`: making and opening indexes and models.

Importing this loads no model, decoder or database code; that happens where it is first needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wave_search import models, store
from wave_search.errors import UsageError
from wave_search.index import Index
from wave_search.media import Segmentation
from wave_search.models import LoadOptions
from wave_search.models.session import ModelSession
from wave_search.query import MediaEmbedder
from wave_search.types import Modality

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from wave_search.store import Problem

    StrPath = str | os.PathLike[str]


def exists(path: StrPath) -> bool:
    """Tell whether there is an index in a folder."""
    return store.exists(Path(path))


def open(  # noqa: A001 - used as wave_search.open
    path: StrPath,
    model: str = "auto",
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str | None = None,
    token_budget: int | None = None,
    workers: int | None = None,
) -> Index:
    """Open an index. The model is loaded when something has to be embedded.

    Args:
        path: the folder of the index.
        model: "auto" for the index's own model, or its name or directory; it must be the same model.
        device: "auto" (CUDA where there is one), "cpu", "cuda" (all that are visible) or "cuda:N".
        dtype: "auto" (as the checkpoint is stored), "float32" or "bfloat16".
        quantization: "8bit", "4bit", "int8" or "fp8"; None for what the index was made with, and nothing else will do.
        token_budget: tokens that the decoder of the model takes at once; None for a number that suits the free memory.
        workers: decoder processes for `Index.add`; None for as many as there are cores, at most 4.

    Raises:
        IndexNotFoundError: there is no index.
        IndexMismatchError: it was made with another model or quantization, or by another version of this package.
        IndexCorruptError: it is damaged.
        ModelError: the model cannot be loaded; at once only for a directory that the index does not know.
    """
    snapshot = store.open_snapshot(Path(path))
    options = LoadOptions(device, dtype, quantization, token_budget)
    return Index(snapshot, ModelSession.for_index(model, options, snapshot.manifest.model), workers)


def create(
    path: StrPath,
    model: str = "auto",
    *,
    segment: str = "10",
    modalities: Iterable[str] | None = None,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str | None = None,
    token_budget: int | None = None,
    family: Mapping[str, str] | None = None,
    workers: int | None = None,
) -> Index:
    """Make an empty index, pinned to a model and to how media are cut.

    Args:
        path: its folder: missing or empty.
        model: "auto" (WAVE-7B if it is here and a GPU can hold it, otherwise wave-nano), a name of `known_models`, a
            directory, or "owner/name" of the Hugging Face hub, with "@revision" if wanted.
        segment: a length in seconds, "scene", or "none" for whole files.
        modalities: what to embed; None for all that the model can.
        device: as for `open`.
        dtype: as for `open`.
        quantization: "8bit", "4bit", "int8" or "fp8" for the decoder of the model.
        token_budget: as for `open`.
        family: options of the model's family, see `LoadOptions.family`; the index is pinned to them.
        workers: as for `open`.

    Raises:
        UsageError: the folder holds something, or an argument makes no sense.
        ModelError: the model cannot be loaded.
    """
    segmenting = str(Segmentation.parse(segment))
    chosen = None if modalities is None else {_modality(name) for name in modalities}
    engine = ModelSession(model, LoadOptions(device, dtype, quantization, token_budget, family or {}))
    spec = engine.model().spec
    held = tuple(modality for modality in spec.modalities if chosen is None or modality in chosen)
    if not held:
        raise UsageError("there is no modality to index", f"The model has {', '.join(spec.modalities)}.")
    return Index(store.create(Path(path), spec, store.Settings(segmenting, held)), engine, workers)


def load_embedder(
    model: str = "auto",
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str | None = None,
    family: Mapping[str, str] | None = None,
) -> MediaEmbedder:
    """Load a model to use it without an index. For the arguments see `create`.

    Raises:
        UsageError: an argument makes no sense.
        ModelError: the model cannot be loaded.
    """
    engine = ModelSession(model, LoadOptions(device, dtype, quantization, family=family or {}))
    engine.model()
    return MediaEmbedder(engine)


def verify(path: StrPath) -> tuple[Problem, ...]:
    """Check everything that an index consists of, without a model or any change. Raises IndexNotFoundError."""
    return store.verify(Path(path))


def known_models() -> Mapping[str, str]:
    """Names of models, each with a line on what it is."""
    return models.known_models()


def _modality(name: str) -> Modality:
    try:
        return Modality(name)
    except ValueError:
        raise UsageError(f'there is no modality "{name}"', f"Choose from {', '.join(Modality)}.") from None
