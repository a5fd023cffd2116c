"""Models that are not part of this package: embedders of a program, and those that installed packages offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.arguments import check_flags, check_type
from wave_search.errors import ModelError, UsageError, WaveSearchError, shown
from wave_search.media.sampling import policy_of
from wave_search.models.base import ModelSpec
from wave_search.models.catalogue import find_model
from wave_search.types import Modality, Sampling
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

    from numpy.typing import NDArray

    from wave_search.models.base import Embedder, LoadOptions
    from wave_search.types import Clip

    Vectors = dict[Modality, NDArray[np.float32]]

ENTRY_POINTS = "wave_search.models"
"""Group of the entry points of packages. The name of one is that of a model; its object is called with `LoadOptions`
and returns an `Embedder`."""

_MAX_DIM = 65_536
_SUBCLASS = "Subclass wave_search.Embedder, with a `spec` and a method `embed`."


class CheckedEmbedder:
    """An embedder that is not part of this package: each call is checked, and may come from any thread.

    Vectors are scaled to unit norm, so that the embedder need not do it.

    Args:
        embedder: the embedder.
        name: the name that loads it; None for one that is given to `create` and `open` as an object.

    Raises:
        UsageError: it is no embedder, or its spec is not valid.
        ModelError: its sampling policy is unknown.
    """

    def __init__(self, embedder: Embedder, name: str | None = None) -> None:
        methods = (getattr(embedder, method, None) for method in ("embed", "embed_each"))
        if isinstance(embedder, type):
            raise UsageError(f"the class {embedder.__name__} is not an embedder, but an object of it is", _SUBCLASS)
        if not all(map(callable, methods)):
            raise UsageError(f"{shown(embedder)} is not an embedder", _SUBCLASS)
        self._embedder, self._lock = embedder, Lock()
        self._spec = _checked(getattr(embedder, "spec", None), name)

    @property
    def spec(self) -> ModelSpec:
        """The identity of the model."""
        return self._spec

    def embed(
        self, clips: Sequence[Clip], modalities: Sequence[Modality] | None = None, instruction: str | None = None
    ) -> list[Vectors]:
        """See `Embedder.embed`. Raises like `embed_each`."""
        wanted = self._wanted(clips, [instruction], modalities)
        results = self._call(lambda: self._embedder.embed(clips, self._asked(modalities), instruction), len(clips))
        return [self._vectors(result, names) for result, names in zip(results, wanted, strict=True)]

    def embed_each(
        self, clips: Sequence[Clip], instructions: Sequence[str | None], modalities: Sequence[Modality] | None = None
    ) -> list[list[Vectors]]:
        """See `Embedder.embed_each`.

        Raises:
            UsageError: the model does not embed a modality of the call, or takes no instructions.
            ModelError: the embedder raised something else, or its results are not as `Embedder` describes them.
        """
        wanted = self._wanted(clips, instructions, modalities)
        asked = self._asked(modalities)
        results = self._call(lambda: self._embedder.embed_each(clips, instructions, asked), len(clips))
        found = []
        for each, names in zip(results, wanted, strict=True):
            if not isinstance(each, list | tuple) or len(each) != len(instructions):
                raise self._wrong("it returned another number of results than there are instructions")
            found.append([self._vectors(result, names) for result in each])
        return found

    def _asked(self, modalities: Sequence[Modality] | None) -> Sequence[Modality]:
        return [modality for modality in self._spec.modalities if modalities is None or modality in modalities]

    def _wanted(
        self, clips: Sequence[Clip], instructions: Sequence[str | None], modalities: Sequence[Modality] | None
    ) -> list[list[Modality]]:
        """Return the modalities that each clip is embedded as."""
        spec, asked = self._spec, self._asked(modalities)
        wanted = [[modality for modality in asked if modality in clip.modalities] for clip in clips]
        for clip, names in zip(clips, wanted, strict=True):
            if not names:
                for name in clip.modalities:
                    spec.check_embeds(name)
                raise ValueError(f"the clip has {', '.join(clip.modalities) or 'nothing'}, asked for: {modalities}")
        if any(instructions) and any({*names} - {Modality.TEXT} for names in wanted):
            spec.check_takes_instructions()
        return wanted

    def _call(self, call: Callable[[], Any], count: int) -> Sequence[Any]:
        try:
            with self._lock:
                results = call()
        except (WaveSearchError, MemoryError):
            raise
        except Exception as error:  # of code that is not ours
            cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ModelError(f"the model {self._spec.name} failed ({cause})") from error
        if not isinstance(results, list | tuple) or len(results) != count:
            raise self._wrong("it returned another number of results than there are clips")
        return results

    def _vectors(self, result: Any, names: Sequence[Modality]) -> Vectors:
        found: Vectors = {}
        for modality in names:
            try:
                value = result[modality]
                # NumPy knows neither gradients nor bfloat16.
                vector = np.asarray(value.detach().float().cpu() if hasattr(value, "detach") else value, np.float32)
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise self._wrong(f"a result has no vector as {modality}") from error
            if vector.shape != (self._spec.dim,):
                raise self._wrong(f"a vector as {modality} has the shape {vector.shape}, not ({self._spec.dim},)")
            try:
                found[modality] = normalize(vector)
            except ValueError as error:
                raise self._wrong(f"a vector as {modality} is 0 or not finite") from error
        return found

    def _wrong(self, what: str) -> ModelError:
        return ModelError(f"the model {self._spec.name} is at fault: {what}", "See wave_search.Embedder.")


def _checked(spec: ModelSpec | None, name: str | None) -> ModelSpec:
    """Return the identity of a model with names of modalities as `Modality`. Raises like `CheckedEmbedder`."""
    if not isinstance(spec, ModelSpec):
        raise UsageError(f"the spec of the embedder is {shown(spec)}", "It must be a wave_search.ModelSpec.")
    for attribute in ("name", "revision"):
        text = getattr(spec, attribute)
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"the {attribute} of the model must be a text that is not empty", _SUBCLASS)
    if not isinstance(spec.dim, Integral) or not 1 <= spec.dim <= _MAX_DIM:
        raise UsageError(f"dim must be an integer from 1 to {_MAX_DIM:,}, got {shown(spec.dim)}", _SUBCLASS)
    check_type(spec.sampling, Sampling, "the sampling of the model", "Use Sampling.uniform.")
    check_flags(has_roles=spec.has_roles)
    check_type(spec.options, Mapping, "the options of the model", "Use a dict of texts.")
    try:
        modalities = tuple(map(Modality, dict.fromkeys(spec.modalities)))
        prompts = {Modality(modality): str(prompt) for modality, prompt in spec.prompts.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the spec of {spec.name}: {error}", f"Modalities are {', '.join(Modality)}.") from error
    if not modalities or isinstance(spec.modalities, str):
        raise UsageError(f"the spec of {spec.name} names no modalities", f"Choose from {', '.join(Modality)}.")
    if name is None and (spec.name == "auto" or find_model(spec.name) is not None):
        raise UsageError(f"{spec.name} is the name of another model", "Choose another name for yours.")
    if spec.quantization is not None or not isinstance(spec.notice, str):
        raise UsageError(f"the spec of {spec.name} has a quantization, or a notice that is no text", "Leave them out.")
    policy_of(spec.sampling)
    options = {str(option): str(value) for option, value in spec.options.items()}
    parts: dict[str, Any] = {"modalities": modalities, "prompts": prompts, "options": options}
    found = replace(spec, dim=int(spec.dim), is_own=name is None, **parts)
    return found if name is None else replace(found, name=name)


def packaged_models() -> Mapping[str, str]:
    """Return the names of models that installed packages offer, each with its package. Imports none of them."""
    found: dict[str, str] = {}
    for entry in _entry_points():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
        found[entry.name] = f"{found[entry.name]}, {package}" if entry.name in found else f"of the package {package}"
    return found


def load_packaged(name: str, options: LoadOptions) -> Embedder | None:
    """Load a model that an installed package offers; None if there is none of that name.

    Raises:
        ModelError: several packages offer it, or that package cannot be used.
        UsageError: an option is not valid.
    """
    entries = [entry for entry in _entry_points() if entry.name == name]
    if not entries:
        return None
    if len({entry.value for entry in entries}) > 1:
        raise ModelError(f"several packages have a model {name}: {packaged_models()[name]}", "Uninstall all but one.")
    try:
        return CheckedEmbedder(entries[0].load()(options), name)
    except (WaveSearchError, MemoryError):
        raise
    except Exception as error:  # of code that is not ours
        raise ModelError(
            f"the model {name} {packaged_models()[name]} cannot be loaded ({type(error).__name__}: {error})",
            "Ask the publisher of that package.",
        ) from error


def _entry_points() -> Sequence[EntryPoint]:
    from importlib.metadata import entry_points

    return [*entry_points(group=ENTRY_POINTS)]
