"""A model and the decoder processes that feed it, both created on first use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from wave_search import media, models
from wave_search.arguments import check_type
from wave_search.errors import IndexMismatchError, ModelDownloadError, ModelNotFoundError, UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.models.base import Embedder, LoadOptions, ModelSpec


_NAMES = "Use the name of a model or a directory."


class ModelSession:
    """A model and decoder processes for queries.

    Args:
        name: of the model.
        options: how to load it.
        pinned: the required model; None for any.
        decoder_memory_bytes: memory of all decoder processes together; None for a quarter of the machine's.
        may_download: called with the name of a model that `options` do not allow to download, before an error is
            raised; returns whether to download it after all.
        embedder: the model, in place of one that is loaded.
    """

    def __init__(
        self,
        name: str,
        options: LoadOptions,
        pinned: ModelSpec | None = None,
        *,
        decoder_memory_bytes: int | None = None,
        may_download: Callable[[str], bool] | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self._given = embedder
        self._name = name
        self._options = options
        self._pinned = pinned
        self._decoder_memory_bytes = decoder_memory_bytes
        self._may_download = may_download
        self._model: Embedder | None = None
        self._decoders: media.DecoderPool | None = None
        self._lock = Lock()

    @classmethod
    def of(
        cls,
        name: str,
        options: LoadOptions | None,
        embedder: Embedder | None,
        *,
        pinned: ModelSpec | None = None,
        decoder_memory_bytes: int | None = None,
    ) -> ModelSession:
        """Return a session for a model that is named, or one that is given.

        Args:
            name: of the model; "auto" if one is given.
            options: how to load it; None for the defaults.
            embedder: the user's own model; None to load the named one.
            pinned: the model that the index was made with.
            decoder_memory_bytes: as for `ModelSession`.

        Raises:
            UsageError: both are given, or it is no embedder.
            IndexMismatchError: it is not the pinned one.
        """
        name = _checked_name(name, options)
        if embedder is None:
            return cls(name, options or models.LoadOptions(), pinned, decoder_memory_bytes=decoder_memory_bytes)
        if name != "auto" or options is not None:
            raise UsageError("an embedder is given, and a model to load", "Leave out model and load, or embedder.")
        given = models.CheckedEmbedder(embedder)
        session = cls(
            given.spec.name,
            models.LoadOptions(),
            pinned,
            decoder_memory_bytes=decoder_memory_bytes,
            embedder=given,
        )
        session.model()
        return session

    @classmethod
    def for_index(
        cls,
        name: str,
        options: LoadOptions | None,
        pinned: ModelSpec,
        *,
        embedder: Embedder | None = None,
        decoder_memory_bytes: int | None = None,
        may_download: Callable[[str], bool] | None = None,
    ) -> ModelSession:
        """Return a session for the model that an index was made with.

        Only a user who names the model, or agrees, has it downloaded: the index may come from anyone.

        Args:
            name: "auto" or the name of that model. A directory may also be a copy of it.
            options: how to load it; None for the defaults.
            pinned: the model that the index was made with.
            embedder: the user's own model, which must be that model; None to load it by its name.
            decoder_memory_bytes: as for `ModelSession`.
            may_download: asks whether to download the model if `name` is "auto"; None to refuse.

        Raises:
            IndexMismatchError: it is another model, or has another quantization or other options of its family.
            ModelError: the directory holds no usable model.
        """
        name = _checked_name(name, options)
        if embedder is not None:
            return cls.of(name, options, embedder, pinned=pinned, decoder_memory_bytes=decoder_memory_bytes)
        options = options or models.LoadOptions()
        if options.quantization not in (None, pinned.quantization):
            made = f"with the quantization {pinned.quantization}" if pinned.quantization else "without quantization"
            raise IndexMismatchError(
                f"the index was made {made}, not with {options.quantization}",
                "Leave --quantization out to use that of the index, or make another index with --index DIR.",
            )
        for option, value in options.family.items():
            if option not in pinned.options or pinned.options[option] != value:
                raise IndexMismatchError(
                    f"the index was made with the options {dict(pinned.options)}, not with {option}={value!r}",
                    "Leave the option out to use that of the index, or make another index.",
                )
        options = replace(options, quantization=pinned.quantization, family=pinned.options)
        directory = Path(name).expanduser()
        if name == "auto":
            options = replace(options, download=False)
            return cls(
                pinned.name, options, pinned, decoder_memory_bytes=decoder_memory_bytes, may_download=may_download
            )
        if _is_name_of(name, pinned) or str(directory.resolve()) == pinned.name:
            return cls(pinned.name, options, pinned, decoder_memory_bytes=decoder_memory_bytes)
        if not directory.is_dir():
            raise _mismatch(name, pinned)
        session = cls(name, options, pinned, decoder_memory_bytes=decoder_memory_bytes)
        session.model()
        return session

    def model(self) -> Embedder:
        """Return the model, loaded at the first call.

        Raises:
            ModelError: it cannot be loaded, or would have to be downloaded (ModelDownloadError).
            IndexMismatchError: it is not the pinned one.
        """
        with self._lock:
            if self._model is None:
                loaded = self._loaded()
                if self._pinned is not None:
                    check_same(loaded.spec, self._pinned)
                self._model = loaded
            return self._model

    def _loaded(self) -> Embedder:
        if self._given is not None:
            return self._given
        if self._pinned is not None and self._pinned.is_own and self._pinned.name not in models.known_models():
            raise ModelNotFoundError(
                f"the index was made with {self._pinned.name}, which is the model of a program and has no name here",
                "Use the index from that program: wave_search.open(path, embedder=...).",
            )
        try:
            return models.load(self._name, self._options)
        except ModelDownloadError as error:
            if self._may_download is None or not self._may_download(error.name):
                raise
            return models.load(self._name, replace(self._options, download=True))

    def decoders(self, audio_track: str = "auto") -> media.DecoderPool:
        """Return the decoder processes, which start when they are used.

        Args:
            audio_track: as for `DecoderPool`; that of the first call counts.
        """
        sampling = (self._pinned or self.model().spec).sampling
        with self._lock:
            if self._decoders is None:
                self._decoders = media.DecoderPool(
                    media.default_workers(),
                    sampling,
                    audio_track=audio_track,
                    memory_bytes=self._decoder_memory_bytes,
                )
            return self._decoders

    @property
    def decoder_processes(self) -> int:
        """Number of decoder processes there are."""
        return 0 if (pool := self._decoders) is None else pool.running

    def close(self) -> None:
        """Stop the decoder processes and release the model. Both are recreated on the next use."""
        with self._lock:
            if self._decoders is not None:
                self._decoders.close()
            self._decoders = self._model = None


def _checked_name(name: str | Path, options: LoadOptions | None) -> str:
    check_type(name, (str, Path), "model", _NAMES)
    check_type(options, (models.LoadOptions, type(None)), "load", "Use LoadOptions.")
    if "\0" in str(name):
        raise UsageError(f"model must not be {shown(name)}", _NAMES)
    return str(name)


def check_same(loaded: ModelSpec, pinned: ModelSpec) -> None:
    """Check that a model computes the same vectors as the one that an index was made with.

    Raises:
        IndexMismatchError: it does not.
    """
    relevant = ("revision", "dim", "sampling", "prompts", "options", "quantization")
    if differing := [name for name in relevant if getattr(loaded, name) != getattr(pinned, name)]:
        if loaded.name == pinned.name:
            what = "" if "revision" in differing else f" of other {', '.join(differing)}"
            remedy = "Index the files again with another --index DIR, or get that version of the model back."
            raise _mismatch(_described(loaded) + what, pinned, remedy)
        raise _mismatch(_described(loaded), pinned)


def _mismatch(
    given: str,
    pinned: ModelSpec,
    remedy: str = "Leave the model out to use that of the index, or make another index with --index DIR.",
) -> IndexMismatchError:
    return IndexMismatchError(f"the index was made with the model {_described(pinned)}, not with {given}", remedy)


def _described(spec: ModelSpec) -> str:
    return f"{spec.name} ({spec.revision[:12]})"


def _is_name_of(name: str, pinned: ModelSpec) -> bool:
    """Return whether a hub id, with or without owner and revision, names the pinned model."""
    bare, _, revision = name.partition("@")
    owned, _, pinned_revision = pinned.name.partition("@")
    same = bare in (owned, owned.rpartition("/")[2]) and not Path(owned).is_absolute()
    return same and (not revision or (pinned_revision or pinned.revision).startswith(revision))
