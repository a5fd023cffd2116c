"""The embedder of sentence-transformers models."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import CheckpointError, ModelError
from wave_search.models.base import Embedder, ModelSpec
from wave_search.models.hub import first_line
from wave_search.models.sentence_transformers.family import FILM_MODELS, dim_of, model_type
from wave_search.models.sentence_transformers.inputs import Inputs
from wave_search.types import Modality
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from wave_search.models.families import Source
    from wave_search.types import Clip, Role

    Vectors = dict[Modality, NDArray[np.float32]]

_BATCH = {Modality.TEXT: 32, Modality.IMAGE: 16, Modality.AUDIO: 8, Modality.VIDEO: 1, Modality.AV: 1}
"""Inputs that are embedded at once: a film has as many pictures as it has frames."""
_NEVER_FLOAT16 = "embedding_gemma2"
"""Architecture whose numbers exceed the range of float16."""


def open_model(source: Source, device: torch.device, dtype: torch.dtype | None) -> Any:
    """Open a model from its files alone: no code of its publisher, no network, no pickled weights.

    Raises:
        CheckpointError: the files are damaged, or it needs code of its publisher.
        ModelError: it does not fit into the memory of the device, or needs another package.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        architecture = model_type(source.directory)
        if architecture in FILM_MODELS:
            from wave_search.models.sentence_transformers import films

            films.register()
        model = SentenceTransformer(
            str(source.directory),
            device=str(device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": "auto" if dtype is None else dtype, "use_safetensors": True},
        )
        return model.float() if architecture == _NEVER_FLOAT16 and model.dtype == torch.float16 else model
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{source.name} does not fit into the memory of {device}", "Load it in bfloat16, or on the CPU."
        ) from error
    except ImportError as error:
        raise ModelError(f"{source.name} needs another package ({first_line(error)})") from error
    except Exception as error:  # of any of the libraries, for any kind of damage
        raise CheckpointError(f"{source.directory}: it cannot be loaded ({first_line(error)})") from error


def _has_roles(model: Any) -> bool:
    """Return whether a model has prompts, or modules, for queries or documents."""
    return any(model.prompts.values()) or any(type(module).__name__ == "Router" for module in model)


class SentenceTransformerEmbedder(Embedder):
    """Embeds with a sentence-transformers model. See `wave_search.models.Embedder`; `CheckedEmbedder` checks its calls.

    Clips are handed over as arrays that the decoders of this package made, and texts always as texts, whatever they
    look like. A text, or a clip of a model that takes prompts with media, is a query or a document by `Clip.role`.

    Args:
        model: a `SentenceTransformer`.
        source: where it is from.
        options: of the family: "dim", the number of dimensions to keep.

    Raises:
        UsageError: an option is unknown or not possible.
        ModelError: the model embeds nothing that this package has.
    """

    def __init__(self, model: Any, source: Source, options: Mapping[str, str]) -> None:
        self._model = model
        self._inputs = Inputs(model[0].processor)
        modalities = tuple(modality for modality in Modality if self._supports(modality))
        if not modalities:
            raise ModelError(f"{source.name} embeds none of {', '.join(Modality)}")
        full = model.get_embedding_dimension() or len(
            self._rows([self._inputs.of(modalities[0])], "query", modalities[0])[0]
        )
        self._spec = ModelSpec(
            name=source.name,
            revision=source.revision,
            dim=dim_of(options, full),
            modalities=modalities,
            sampling=self._inputs.sampling,
            options=dict(options),
            has_roles=_has_roles(model),
            notice=source.notice,
        )

    def _supports(self, modality: Modality) -> bool:
        known = self._model.modalities
        if modality is Modality.AV:
            return any(isinstance(each, tuple) and {*each} == {"audio", "video"} for each in known) or (
                {"audio", "video", "message"} <= {*known}
            )
        return modality.value in known

    @property
    def spec(self) -> ModelSpec:
        """The identity of the model."""
        return self._spec

    def embed(
        self,
        clips: Sequence[Clip],
        modalities: Sequence[Modality] | None = None,
        instruction: str | None = None,  # noqa: ARG002 - there are no prompts that it could replace
    ) -> list[Vectors]:
        """See `Embedder.embed`.

        A sound that is longer than what the model takes at once is cut, and its vector is the mean of those of its
        parts.
        """
        wanted = self._spec.modalities if modalities is None else modalities
        parts: dict[tuple[Role, Modality], list[tuple[int, Any]]] = defaultdict(list)
        for number, clip in enumerate(clips):
            for modality in wanted:
                if modality in clip.modalities:
                    parts[clip.role, modality] += ((number, part) for part in self._inputs.parts(clip, modality))
        found: list[Vectors] = [{} for _ in clips]
        for (role, modality), numbered in parts.items():
            rows = normalize(self._rows([part for _, part in numbered], role, modality)[:, : self._spec.dim])
            for (number, _), row in zip(numbered, rows, strict=True):
                found[number][modality] = found[number].get(modality, np.zeros_like(row)) + row
        return found

    def _rows(self, inputs: Sequence[Any], role: Role, modality: Modality) -> NDArray[np.float32]:
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        rows = encode(
            list(inputs),
            batch_size=_BATCH[modality],
            show_progress_bar=False,
            convert_to_numpy=True,
            processing_kwargs=None if modality is Modality.TEXT else self._inputs.arguments,
        )
        return np.asarray(rows, np.float32)
