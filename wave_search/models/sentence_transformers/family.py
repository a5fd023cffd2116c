"""The sentence-transformers family: the files of its models, and their loading."""

from __future__ import annotations

import json
from functools import partial
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wave_search.errors import CheckpointError, ModelError, UsageError
from wave_search.models.families import Family
from wave_search.models.own import CheckedEmbedder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from wave_search.models.base import Embedder, LoadOptions
    from wave_search.models.families import Source

_MODULES = "modules.json"
_OURS = "sentence_transformers."
_NAMES = (".json", ".txt", ".jinja", ".model", ".safetensors")
"""Endings of files on which vectors may depend: configurations, prompts, templates, tokenizers and weights."""
_OTHERS = {"onnx", "openvino", ".cache", ".git"}
"""Folders with what other programs use."""
FILM_MODELS = ("embedding_gemma2", "qwen2_5_omni_thinker")
"""Architectures whose films this package prepares where transformers cannot."""
_PACKAGE = "sentence_transformers"
_INSTALL = "Run: pip install 'wave-search[models]'"


def _files(directory: Path) -> Sequence[Path]:
    """Return all files on which vectors depend.

    Raises:
        CheckpointError: one is missing, or the model needs code of its publisher or weights that could run code.
    """
    modules = _read(directory / _MODULES)
    if not isinstance(modules, list) or not modules or not all(isinstance(module, dict) for module in modules):
        raise CheckpointError(f"{directory / _MODULES}: it lists no modules")
    for module in modules:
        kind, path = str(module.get("type", "")), PurePosixPath(str(module.get("path", "")))
        if not kind.startswith(_OURS):
            raise CheckpointError(
                f"{directory / _MODULES}: the module {kind} is code of its publisher, which is never run",
                "Use a model of modules that sentence-transformers has.",
            )
        if path.is_absolute() or ".." in path.parts:
            raise CheckpointError(f"{directory / _MODULES}: the module {path} is outside of the model")
    found = [path for path in sorted(directory.rglob("*")) if _matters(path.relative_to(directory)) and path.is_file()]
    for shards in (path for path in found if path.name.endswith(".safetensors.index.json")):
        for name in {*_weight_map(shards).values()}:
            if not (shards.parent / str(name)).is_file():
                raise CheckpointError(f"{shards.parent / str(name)}: it is missing", f"{shards.name} lists it.")
    if not any(path.suffix == ".safetensors" for path in found):
        pickled = any(directory.rglob("*.bin"))
        cause = "its weights are pickled, which could run code" if pickled else "there are no weights"
        raise CheckpointError(f"{directory}: {cause}", "A model needs weights in files named *.safetensors.")
    return found


def model_type(directory: Path) -> str:
    """Return the architecture of a model, "" if its configuration does not say."""
    config = directory / str(_read(directory / _MODULES)[0].get("path", "")) / "config.json"
    content = _read(config) if config.is_file() else {}
    return str(content.get("model_type", "")) if isinstance(content, dict) else ""


def _matters(name: Path) -> bool:
    return name.suffix in _NAMES and not _OTHERS & {*name.parts}


def _weight_map(path: Path) -> Mapping[str, Any]:
    content = _read(path)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict):
        raise CheckpointError(f"{path}: it lists no weights")
    return shards


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: it is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: it cannot be read ({error})") from error


def dim_of(options: Mapping[str, str], full: int) -> int:
    """Return the number of dimensions to keep of `full`, by the options of the family.

    Raises:
        UsageError: an option is unknown, or the number is not possible.
    """
    unknown = sorted(options.keys() - {"dim"})
    if unknown:
        raise UsageError(f"sentence-transformers models have no option {unknown[0]!r}", "Use dim.")
    given = options.get("dim", str(full))
    if not given.isdecimal() or not 1 <= int(given) <= full:
        raise UsageError(f"the model has {full} dimensions, of which {given} cannot be kept")
    return int(given)


def load(source: Source, options: LoadOptions) -> Embedder:
    """See `wave_search.models.load`."""
    if find_spec(_PACKAGE) is None:
        raise ModelError(f"{source.name} is a sentence-transformers model, which needs another package", _INSTALL)
    if options.quantization is not None:
        raise UsageError("sentence-transformers models cannot be quantized here", "Leave --quantization out.")
    _files(source.directory)  # before a library reads them
    from wave_search.models.device import resolve_devices, resolve_dtype
    from wave_search.models.replicas import Replicas

    devices, precision = resolve_devices(options.device), resolve_dtype(options.dtype)

    def on(where: torch.device) -> Embedder:
        from wave_search.models.sentence_transformers.embedder import SentenceTransformerEmbedder, open_model

        made = SentenceTransformerEmbedder(open_model(source, where, precision), source, options.family)
        return CheckedEmbedder(made, source.name)

    return on(devices[0]) if len(devices) == 1 else Replicas([partial(on, where) for where in devices])


FAMILY = Family(
    "sentence-transformers",
    claims=lambda directory: (directory / _MODULES).is_file(),
    files=_files,
    load=load,
)
