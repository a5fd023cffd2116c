"""Create, open and verify an index, and load a model without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wave_search import indexer, models, store
from wave_search.arguments import check_functions, names_of, path_of, paths_of
from wave_search.errors import UsageError
from wave_search.index import Index, check_add, check_environment
from wave_search.media import Segmentation, parse_audio_track
from wave_search.models.session import ModelSession
from wave_search.query import MediaEmbedder, parse_modality

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from wave_search.models import Embedder, LoadOptions
    from wave_search.reports import IndexPlan
    from wave_search.store import Problem
    from wave_search.types import Modality, ModalityName

    StrPath = str | os.PathLike[str]


def exists(path: StrPath) -> bool:
    """Return whether there is an index in a folder."""
    return store.exists(path_of(path))


def open(  # noqa: A001 - used as wave_search.open
    path: StrPath,
    model: str = "auto",
    *,
    embedder: Embedder | None = None,
    load: LoadOptions | None = None,
    workers: int | None = None,
    decoder_memory_bytes: int | None = None,
    may_download: Callable[[str], bool] | None = None,
) -> Index:
    """Open an index. The model is loaded when something has to be embedded.

    The index may come from someone else: the model that it names is downloaded only if it is named here too, or if
    `may_download` agrees. Without either, whatever needs the model raises ModelDownloadError.

    Args:
        path: the folder of the index.
        model: "auto" for the index's own model, or its name or directory; it must be the same model.
        embedder: your own model, in place of `model`; the same as when the index was created.
        load: device, precision and memory of the model. Its quantization must be that of the index; None is.
        workers: most decoder processes for `Index.add`; None for the number of cores, at most 4. There are fewer if
            each had less than 1 GiB of memory.
        decoder_memory_bytes: memory that the decoder processes of `add`, or of searches, may use together, at least
            256 MiB; None for a quarter of the machine's, or of the limit of its container. A file that takes more than
            the part of one process is not indexed.
        may_download: called with the name of the model if it is not on this machine and `model` is "auto"; returns
            whether to download it.

    Raises:
        IndexNotFoundError: there is no index.
        IndexMismatchError: it was made with another model or quantization, or by another version of this package.
        IndexCorruptError: it is damaged.
        ModelError: the model cannot be loaded; raised here only for a directory other than the index's own model.
    """
    check_functions(may_download=may_download)
    snapshot = store.open_snapshot(path_of(path))
    session = ModelSession.for_index(
        model,
        load,
        snapshot.manifest.model,
        embedder=embedder,
        decoder_memory_bytes=decoder_memory_bytes,
        may_download=may_download,
    )
    return Index(snapshot, session, workers, decoder_memory_bytes)


def create(
    path: StrPath,
    model: str = "auto",
    *,
    segment: str | float = "10",
    audio_track: str | int = "auto",
    modalities: Iterable[Modality | ModalityName] | None = None,
    embedder: Embedder | None = None,
    load: LoadOptions | None = None,
    workers: int | None = None,
    decoder_memory_bytes: int | None = None,
) -> Index:
    """Create an empty index, pinned to a model and to a segmentation of media.

    Args:
        path: the folder of the index, missing or empty.
        model: "auto" (the best model that is on this machine and that its GPU can hold, otherwise wave-nano; the
            `notice` of the model says why it is that one), a name of `known_models`, a directory, or "owner/name" on
            the Hugging Face hub, optionally with "@revision".
        segment: length of a segment in seconds, "scene", or "none" for whole files.
        audio_track: what is heard of files with several audio tracks: "auto" (the track that a player plays, or the
            first one that is not silent), "all" (mixed), a number from 1, or a language in any form of ISO 639 ("de",
            "deu", "ger"). Files without the track are indexed as with "auto".
        modalities: what to embed: "text", "image", "audio", "video", "av"; None for all that the model supports.
        embedder: your own model, in place of `model`: see `Embedder`.
        load: device, precision, memory and quantization of the model. The index is pinned to the quantization.
        workers: as for `open`.
        decoder_memory_bytes: as for `open`.

    Raises:
        UsageError: the folder is not empty, or an argument is not valid.
        ModelError: the model cannot be loaded.
    """
    segmentation, track = str(Segmentation.parse(segment)), parse_audio_track(audio_track)
    chosen = None if modalities is None else {parse_modality(name) for name in names_of(modalities, "modalities")}
    check_environment(workers, decoder_memory_bytes)  # nothing is created where nothing can be indexed
    store.check_new(path_of(path))  # the model may take minutes
    session = ModelSession.of(model, load, embedder, decoder_memory_bytes=decoder_memory_bytes)
    spec = session.model().spec
    held = tuple(modality for modality in spec.modalities if chosen is None or modality in chosen)
    if not held:
        raise UsageError("there is no modality to index", f"The model supports {', '.join(spec.modalities)}.")
    snapshot = store.create(path_of(path), spec, store.Settings(segmentation, held, audio_track=track))
    return Index(snapshot, session, workers, decoder_memory_bytes)


def load_embedder(
    model: str = "auto", *, embedder: Embedder | None = None, load: LoadOptions | None = None
) -> MediaEmbedder:
    """Load a model for use without an index.

    Args:
        model: as for `create`.
        embedder: your own model, in place of `model`.
        load: device, precision, memory and quantization of the model.

    Raises:
        UsageError: an argument is not valid.
        ModelError: the model cannot be loaded.
    """
    session = ModelSession.of(model, load, embedder)
    session.model()
    return MediaEmbedder(session)


def plan_add(path: StrPath, paths: Iterable[StrPath], **options: Any) -> IndexPlan:
    """Return what `Index.add` would do for an index, which need not exist yet. Nothing is written, no file is decoded.

    Args:
        path: the folder of the index.
        paths: as for `Index.add`.
        options: as for `check_add`.

    Raises:
        UsageError: as for `Index.add`.
        IndexStateError: the index cannot be read.
    """
    return indexer.plan_add(path_of(path), paths_of(paths), check_add(**options))


def verify(path: StrPath) -> tuple[Problem, ...]:
    """Check all files of an index. Needs no model and changes nothing. Raises IndexNotFoundError."""
    return store.verify(path_of(path))


def known_models() -> Mapping[str, str]:
    """Return the names of models, each with its description."""
    return models.known_models()
