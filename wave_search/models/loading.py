"""The loading of models by name, and the list of names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.errors import ModelError
from wave_search.models.base import Embedder, LoadOptions
from wave_search.models.catalogue import CATALOGUE, KnownModel, find_model
from wave_search.models.families import family_of
from wave_search.models.machine import Verdict, this_machine, verdict
from wave_search.models.own import load_packaged, packaged_models
from wave_search.models.sources import model_directory, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AUTO = "the best of these that is here and runs well"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model of the catalogue, and this machine."""

    model: KnownModel
    verdict: Verdict
    """Whether it runs here."""
    directory: Path | None
    """Where its files are; None if it is not on this machine."""


def known_models() -> Mapping[str, str]:
    """Return the model names that `load` accepts, each with a one-line description. Imports no other package."""
    ours = {"auto": AUTO, **{model.name: model.line for model in CATALOGUE}}
    return {**ours, **{name: line for name, line in packaged_models().items() if name not in ours}}


def list_models() -> tuple[ListedModel, ...]:
    """Return the models of the catalogue, with whether each runs here. Imports torch only on a machine with a GPU."""
    machine = this_machine()
    return tuple(ListedModel(model, verdict(model, machine), _directory(model.name)) for model in CATALOGUE)


def _directory(name: str) -> Path | None:
    try:
        return model_directory(name)
    except ModelError:  # a damaged download
        return None


def load(name: str, options: LoadOptions | None = None) -> Embedder:
    """Load a model.

    Args:
        name: "auto" (the best model that is on this machine and that its GPU can hold, otherwise wave-nano), a name of
            `known_models`, which may be that of an installed package, the directory of a checkpoint, or "owner/name" on
            the Hugging Face hub, optionally with "@revision".
        options: device, precision and memory; None for the defaults.

    Returns:
        The embedder. Its `spec.name` loads the same model again.

    Raises:
        ModelNotFoundError: there is no such model, or the hub cannot be reached.
        ModelDownloadError: it is not on this machine, and the options do not allow a download.
        CheckpointError: its files are damaged, incomplete, or of no known model family.
        UsageError: an option is unknown or has an unknown value, or there is no such device.
        ModelError: it does not fit into the memory of the device.
    """
    options = options or LoadOptions()
    if not _is_ours(name) and (packaged := load_packaged(name, options)) is not None:
        return packaged
    from wave_search.models.device import resolve_devices

    source = resolve(name, resolve_devices(options.device)[0], download=options.download)
    return family_of(source.directory).load(source, options)


def _is_ours(name: str) -> bool:
    return name == "auto" or find_model(name) is not None
