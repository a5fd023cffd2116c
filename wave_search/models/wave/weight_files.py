"""Weight files: finding them, listing their tensors, and reading one tensor at a time."""

from __future__ import annotations

import json
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from wave_search.errors import CheckpointError
from wave_search.files import check_holes, open_regular, read_bounded
from wave_search.models.wave.pickles import check_pickle, is_zip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import torch

_MAX_JSON_BYTES = 32 << 20
_MAX_HEADER_BYTES = 8 << 20
"""Of a safetensors file; 100 bytes for each tensor."""
_MAX_FILES = 1_000
_COPY_AGAIN = "The file is probably incomplete: copy or download it again."
_LAYOUTS = (
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
)
# Names of the two factors in torch's newer weight norm. The older names, those of the release, are used here.
_NEW_SPELLING = re.compile(r"\.parametrizations\.weight\.original([01])$")
# Torch's messages for a pickle that refers to or calls anything but tensors.
_CODE = re.compile(r"GLOBAL ([\w.]+)|unrecognized")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """The location of a tensor in a file."""

    path: Path
    name: str
    """Its name in the file."""
    shape: tuple[int, ...]


class Shard(Protocol):
    """An open weight file."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor by its name in the file; reads no data."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor on the CPU, in its stored dtype."""


def weight_files(directory: Path) -> list[Path]:
    """Return the weight files of a checkpoint: safetensors if there are any, else `.bin`; in shards or in one file.

    Raises:
        CheckpointError: there are none, the index cannot be read, or it names a missing file.
    """
    for index_name, single_name in _LAYOUTS:
        index = directory / index_name
        if index.is_file():
            return _files_of_index(index)
        if (directory / single_name).is_file():
            return [directory / single_name]
    raise CheckpointError(
        f"{directory}: no weights; looked for {', '.join(name for pair in _LAYOUTS for name in pair)}",
        "Copy the weights of the checkpoint there.",
    )


def catalogue(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """List all tensors of some files by their names in the released checkpoint; reads no data.

    Raises:
        CheckpointError: a file is damaged or incomplete, or contains anything but tensors.
    """
    return {
        _canonical(name): StoredTensor(path, name, shape) for path in files for name, shape in _shapes_in(path).items()
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: there is no such file, or it is not a JSON object.
    """
    try:
        content = json.loads(read_bounded(path, _MAX_JSON_BYTES, follow_links=True))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file", "Use the directory of a complete checkpoint.") from error
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error.strerror or error})", _COPY_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})", _COPY_AGAIN) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object", _COPY_AGAIN)
    return content


@contextmanager
def open_shard(path: Path) -> Iterator[Shard]:
    """Open a weight file; its data is mapped, not read.

    A `.pt` or `.bin` file has its tensors at the top level or, like that of BEATs, under "model".

    Raises:
        CheckpointError: it is damaged or incomplete, or contains anything but tensors; also raised on later use.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".safetensors":
            _check_safetensors(path)
            with safe_open(str(path), framework="pt") as file:
                yield _Safetensors(file)
        else:
            yield _Pickled(_tensors_of(path))
    except (SafetensorError, EOFError, OSError, MemoryError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as weights ({_short(error)})", _COPY_AGAIN) from error


def _check_safetensors(path: Path) -> None:
    """Check a file before it is mapped.

    Raises:
        ValueError: its header is larger than that of any model.
        OSError: it cannot be read, or is not a regular file, or has large holes.
    """
    with open_regular(path, follow_links=True) as file:
        check_holes(file, path)
        size_bytes = int.from_bytes(file.read(8), "little")
    if size_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"its header has {size_bytes:,} bytes")


def load_pickled(path: Path) -> dict[str, Any]:
    """Read a `.bin` or `.pt` file without running any code that it may contain.

    Raises:
        CheckpointError: it is damaged or incomplete, or contains more than tensors and plain values.
    """
    import pickle

    import torch

    try:
        check_pickle(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice for whoever wrote the file
            content = torch.load(path, map_location="cpu", mmap=is_zip(path), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _not_unpickled(path, error) from error
    except Exception as error:  # what a damaged pickle raises is not documented
        if "weights_only" in str(error):  # the message advises running the code
            raise _not_unpickled(path, error) from error
        raise CheckpointError(f"{path}: not readable as weights ({_short(error)})", _COPY_AGAIN) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a table of tensors")
    return content


def _shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    with open_shard(path) as shard:
        return shard.shapes()


def _canonical(name: str) -> str:
    return _NEW_SPELLING.sub(lambda match: ".weight_g" if match[1] == "0" else ".weight_v", name)


def _not_unpickled(path: Path, error: Exception) -> CheckpointError:
    """Return an error with a message of its own, because torch's advises running the code."""
    code = _CODE.search(str(error))
    if code is None:
        return CheckpointError(f"{path}: not readable as weights (not a pickle of tensors)", _COPY_AGAIN)
    called = f" ({code[1]})" if code[1] else ""
    return CheckpointError(
        f"{path}: contains code{called}, which is never run",
        "Get the checkpoint as safetensors, or download the file again from its publisher.",
    )


class _Safetensors:
    def __init__(self, file: Any) -> None:
        self._file = file

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118

    def tensor(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._file.get_tensor(name)
        return tensor


class _Pickled:
    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def tensor(self, name: str) -> torch.Tensor:
        return self._tensors[name]


def _tensors_of(path: Path) -> dict[str, torch.Tensor]:
    import torch

    content = load_pickled(path)
    tensors: dict[str, torch.Tensor] = content.get("model", content)
    if not isinstance(tensors, dict):
        raise CheckpointError(f"{path}: holds a {type(tensors).__name__}, not a table of tensors")
    others = [str(name) for name, value in tensors.items() if not isinstance(value, torch.Tensor) or name != str(name)]
    if others:
        raise CheckpointError(
            f"{path}: contains entries that are not tensors: {', '.join(others[:5])}",
            "Use a file that was saved from a state_dict.",
        )
    if strange := [name for name, value in tensors.items() if _is_larger_than_stored(value)]:
        raise CheckpointError(f"{path}: {strange[0]} has more values than are stored", _COPY_AGAIN)
    return tensors


def _is_larger_than_stored(tensor: torch.Tensor) -> bool:
    """Return whether a tensor repeats its values by strides, so that a copy takes more memory than the file."""
    import torch

    if tensor.layout is not torch.strided:
        return True
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


def _files_of_index(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: has no weight_map", _COPY_AGAIN)
    names = {str(name) for name in weight_map.values()}
    if strange := [name for name in names if PurePath(name).name != name or "\0" in name or name in ("", "..")]:
        raise CheckpointError(f"{index}: names the file {strange[0]!r} outside of its folder", _COPY_AGAIN)
    if len(names) > _MAX_FILES:
        raise CheckpointError(f"{index}: names {len(names):,} files", _COPY_AGAIN)
    files = [index.parent / name for name in sorted(names)]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise CheckpointError(
            f"{index.parent}: {index.name} names missing files: {', '.join(missing)}",
            "Copy or download them again.",
        )
    return files


def _short(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return text.strip().split("\n", 1)[0][:200].rstrip(".") or type(error).__name__
