"""A model with the decoders that feed it, each made when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from wave_search import media, models
from wave_search.errors import IndexMismatchError
from wave_search.query.answers import answer
from wave_search.query.encode import Encoder, similarity

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from wave_search.query.answers import Answer
    from wave_search.query.encode import Embeddable
    from wave_search.types import Clip, Embedder, MediaRef, ModelSpec


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load a model; see `wave_search.models.load`."""

    device: str = "auto"
    dtype: str = "auto"
    positions: str = "sequential"
    quantization: str | None = None
    token_budget: int | None = None


class ModelSession:
    """A model and a decoder process for queries.

    Args:
        name: of the model.
        options: how to load it.
        pinned: the model must be this one; None if any will do.
    """

    def __init__(self, name: str, options: LoadOptions, pinned: ModelSpec | None = None) -> None:
        self._name = name
        self._options = options
        self._pinned = pinned
        self._model: Embedder | None = None
        self._decoders: media.DecoderPool | None = None
        self._lock = Lock()

    @classmethod
    def for_index(cls, name: str, options: LoadOptions, pinned: ModelSpec) -> ModelSession:
        """Make the engine of an index, for the model that it was made with.

        Args:
            name: "auto" or the name of that model. A directory may also be a copy of it.
            options: how to load it.
            pinned: the model that the index was made with.

        Raises:
            IndexMismatchError: it is another model, or quantized in another way.
            ModelError: the directory holds no usable model.
        """
        if options.quantization not in (None, pinned.quantization):
            made = f"with the quantization {pinned.quantization}" if pinned.quantization else "without quantization"
            raise IndexMismatchError(
                f"the index was made {made}, not with {options.quantization}",
                "Leave --quantization out to use the index's own, or make another index with --index DIR.",
            )
        options = replace(options, quantization=pinned.quantization)
        directory = Path(name).expanduser()
        if name == "auto" or _is_name_of(name, pinned) or str(directory.resolve()) == pinned.name:
            return cls(pinned.name, options, pinned)
        if not directory.is_dir():
            raise _mismatch(name, pinned)
        engine = cls(name, options, pinned)
        engine.model()
        return engine

    def model(self) -> Embedder:
        """Give the model.

        Raises:
            ModelError: it cannot be loaded.
            IndexMismatchError: it is not the pinned one.
        """
        with self._lock:
            if self._model is None:
                given = self._options
                loaded = models.load(
                    self._name,
                    device=given.device,
                    dtype=given.dtype,
                    positions=given.positions,
                    quantization=given.quantization,
                    token_budget=given.token_budget,
                )
                if self._pinned is not None:
                    check_same(loaded.spec, self._pinned)
                self._model = loaded
            return self._model

    def decoders(self) -> media.DecoderPool:
        """Give the decoder process."""
        sampling = (self._pinned or self.model().spec).sampling
        with self._lock:
            if self._decoders is None:
                self._decoders = media.DecoderPool(1, sampling)
            return self._decoders

    def close(self) -> None:
        """End the decoder process and let go of the model. Either comes back when it is needed again."""
        with self._lock:
            if self._decoders is not None:
                self._decoders.close()
            self._decoders = self._model = None


class MediaEmbedder:
    """Texts, files and clips to vectors, without an index. Made by `load_embedder`; a context manager.

    Args:
        engine: the model and its decoder.
    """

    def __init__(self, engine: ModelSession) -> None:
        self._engine = engine
        self._encoder = Encoder(engine.decoders, engine.model)

    @property
    def spec(self) -> ModelSpec:
        """What the vectors depend on."""
        return self._engine.model().spec

    def encode(self, items: Embeddable | Iterable[Embeddable], instruction: str | None = None) -> NDArray[np.float32]:
        """Embed items, each as one clip, however long it is.

        Args:
            items: texts, references to files (see `Audio`, `Video`, `Image`, `AV`) and decoded clips, in any mixture;
                or a single one of them.
            instruction: replaces the prompt of media; text is embedded bare and ignores it.

        Returns:
            (n, dim) float32 of unit norm, in the order of the items; (dim,) for a single item.

        Raises:
            MediaError: a file cannot be read.
            UsageError: a file has not what is asked of it, for example no sound; or a text is empty.
        """
        return self._encoder.encode(items, instruction)

    def ask(
        self,
        clip: str | os.PathLike[str] | MediaRef | Clip,
        question: str,
        choices: Sequence[str],
        *,
        modality: str | None = None,
    ) -> list[Answer]:
        """Answer a question about a clip by choosing among texts, as WAVE does (arXiv:2509.21990).

        Args:
            clip: a file with an optional range ("clip.mp4@12.5-20"), seen and heard as far as it has both; or an
                `Audio`, `Video`, `Image` or `AV` of one; or a decoded clip. It is one clip, however long it is.
            question: what is asked; the prompt of the clip.
            choices: two or more possible answers.
            modality: what of a file counts: "audio", "video", "av" or "image".

        Returns:
            The choices, nearest first; of equal ones the first given.

        Raises:
            UsageError: there is no question, fewer than two choices or one twice, no such file, or only text to ask.
            MediaError: the file cannot be read.
        """
        return answer(self._encoder, clip, question, choices, modality)

    @staticmethod
    def similarity(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Cosine similarity of each row of `a` (n, dim) with each row of `b` (m, dim): (n, m) float32."""
        return similarity(a, b)

    def close(self) -> None:
        """End the decoder process and let go of the model."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_same(loaded: ModelSpec, pinned: ModelSpec) -> None:
    """Check that a model gives the vectors that an index was made of.

    Raises:
        IndexMismatchError: it does not.
    """
    relevant = ("revision", "dim", "sampling", "prompts", "positions", "quantization")
    if any(getattr(loaded, name) != getattr(pinned, name) for name in relevant):
        raise _mismatch(_described(loaded), pinned)


def _mismatch(given: str, pinned: ModelSpec) -> IndexMismatchError:
    return IndexMismatchError(
        f"the index was made with the model {_described(pinned)}, not with {given}",
        "Leave the model out to use the index's own, or make another index with --index DIR.",
    )


def _described(spec: ModelSpec) -> str:
    return f"{spec.name} ({spec.revision[:12]})"


def _is_name_of(name: str, pinned: ModelSpec) -> bool:
    """Whether a hub id, with or without its owner and revision, names the pinned model."""
    bare, _, revision = name.partition("@")
    owned, _, pinned_revision = pinned.name.partition("@")
    same = bare in (owned, owned.rpartition("/")[2]) and not Path(owned).is_absolute()
    return same and (not revision or (pinned_revision or pinned.revision).startswith(revision))
