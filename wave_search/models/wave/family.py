"""The WAVE family: the names of its models, their directories, and their loading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from wave_search.errors import CheckpointError, ModelDownloadError, ModelError, ModelNotFoundError, UsageError
from wave_search.models import hub
from wave_search.models.base import Family

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from wave_search.models.base import Embedder, LoadOptions
    from wave_search.models.wave.embedder import WaveEmbedder

WAVE_7B_ID = "tsinghua-ee/WAVE-7B"
WAVE_7B_COMMIT = "7d51cdaecfaabb9c529a447249cd4c2a6df8ce5b"
_WAVE_7B_MEMORY_BYTES = 22 << 30
"""19 GB of bfloat16 weights and space for a batch."""

TINY_NAME = "wave-tiny"
TINY_DIRECTORY = Path(__file__).parents[1] / "bundled" / "tiny"
_TINY_NOTICE = "wave-tiny is not trained: its results are meaningless. Use WAVE-7B."

NANO_NAME = "wave-nano"
NANO_DIRECTORY = Path(__file__).parents[1] / "bundled" / "nano"
_NANO_NOTICE = "wave-nano is a small model: on a GPU, use WAVE-7B."

KNOWN_MODELS = MappingProxyType(
    {
        "auto": "WAVE-7B if it is downloaded and a GPU can hold it, otherwise wave-nano",
        "WAVE-7B": f"the published model, {WAVE_7B_ID} at {WAVE_7B_COMMIT[:8]} (19 GB)",
        NANO_NAME: "the same architecture, small, for computers without a GPU (in the package)",
        TINY_NAME: "the same architecture, tiny and untrained, for tests (in the package)",
    }
)

_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""The files of a tokenizer in each of its two formats."""

OPTIONS = MappingProxyType({"positions": ("sequential", "aligned")})
"""Options of the family, each with its values; the first is the default."""

_HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>\S+))?")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")


@dataclass(frozen=True, slots=True)
class Source:
    """A model on the local machine."""

    name: str
    """A name that resolves to the same model again."""
    revision: str
    """Commit on the hub, or digest of the files."""
    directory: Path
    notice: str = ""
    """Notice to the user about the model."""


def resolve(name: str, device: torch.device, *, download: bool = True) -> Source:
    """Find a model, downloading it if necessary and allowed.

    Args:
        name: a name of `KNOWN_MODELS`, a directory, or "owner/name" on the hub, optionally with "@revision". Without a
            revision, WAVE-7B is pinned to one commit; for other models, the cached commit of their main branch is used.
        device: the device to run on; "auto" depends on it.
        download: whether it may be downloaded.

    Raises:
        ModelNotFoundError: there is no such model, or the hub cannot be reached.
        ModelDownloadError: it is not on this machine, and may not be downloaded.
        CheckpointError: the directory contains no checkpoint.
    """
    if name == "auto":
        return _published_if_usable(device) or _nano()
    if name == NANO_NAME:
        return _nano()
    if name == TINY_NAME:
        return _tiny()
    if name == "WAVE-7B":
        name = WAVE_7B_ID
    directory = Path(name).expanduser()
    if name and directory.is_dir():
        directory = directory.resolve()
        return Source(str(directory), _digest(directory), directory)
    match = _HUB_ID.fullmatch(name)
    if match is None or directory.exists():
        raise ModelNotFoundError(
            f"{name}: neither a known model nor a directory nor a hub id",
            f"Known models: {', '.join(KNOWN_MODELS)}.",
        )
    return _from_hub(name, match["repo"], match["revision"], download=download)


def directory_of(name: str) -> Path | None:
    """Return where the files of a model are on this machine, None if it would have to be downloaded first.

    Raises:
        ModelError: there is no such model, or its files are incomplete.
    """
    import torch

    try:
        return resolve(name, torch.device("cpu"), download=False).directory
    except ModelDownloadError:
        return None


def _nano() -> Source:
    return Source(NANO_NAME, _digest(NANO_DIRECTORY), NANO_DIRECTORY, _NANO_NOTICE)


def _tiny() -> Source:
    return Source(TINY_NAME, _digest(TINY_DIRECTORY), TINY_DIRECTORY, _TINY_NOTICE)


def _published_if_usable(device: torch.device) -> Source | None:
    if device.type != "cuda" or _memory_bytes(device) < _WAVE_7B_MEMORY_BYTES:
        return None
    snapshot = hub.cached(WAVE_7B_ID, WAVE_7B_COMMIT, _is_complete)
    return Source(WAVE_7B_ID, snapshot.commit, snapshot.directory) if snapshot else None


def _memory_bytes(device: torch.device) -> int:
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def _from_hub(given: str, repo_id: str, revision: str | None, *, download: bool) -> Source:
    pinned = repo_id == WAVE_7B_ID and (
        revision is None or (_SHORT_COMMIT.fullmatch(revision) and WAVE_7B_COMMIT.startswith(revision))
    )
    wanted = WAVE_7B_COMMIT if pinned else revision or "main"
    snapshot = hub.cached(repo_id, wanted, _is_complete)
    if snapshot is None:
        if not download:
            raise ModelDownloadError(given)
        snapshot = hub.download(repo_id, wanted)
    is_published = (repo_id, snapshot.commit) == (WAVE_7B_ID, WAVE_7B_COMMIT)
    name = repo_id if is_published else f"{repo_id}@{snapshot.commit}"
    return Source(name, snapshot.commit, snapshot.directory)


def _is_complete(directory: Path) -> bool:
    from wave_search.models.wave.checkpoint import checkpoint_files

    try:
        checkpoint_files(directory)
    except CheckpointError:
        return False
    return any(all((directory / name).is_file() for name in names) for names in _TOKENIZERS)


def _digest(directory: Path) -> str:
    from wave_search.models.wave.checkpoint import checkpoint_files
    from wave_search.models.wave.tokenizer import TOKENIZER_FILES

    tokenizer_files = [directory / name for name in TOKENIZER_FILES]
    return hub.fingerprint([*checkpoint_files(directory), *(path for path in tokenizer_files if path.is_file())])


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


def load(name: str, options: LoadOptions) -> Embedder:
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
    source = resolve(name, devices[0], download=options.download)
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


FAMILY = Family("wave", KNOWN_MODELS, claims=lambda _name: True, load=load)
"""Registered first and therefore consulted last: it claims every name, and the errors of `resolve` name what is
missing."""
