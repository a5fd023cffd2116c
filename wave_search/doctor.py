"""What wave-search finds on this machine: versions, devices, decoders, models, space, memory, and what is slow."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wave_search.ann import check_faiss
from wave_search.errors import ModelError, WaveSearchError
from wave_search.media import default_workers
from wave_search.media.libraries import ffmpeg_decoders, unavailable_decoders
from wave_search.media.memory import SHARE, machine_bytes
from wave_search.models import known_models, model_directory
from wave_search.models.device import cuda_devices, has_nvidia_driver
from wave_search.query import describe
from wave_search.store import open_snapshot
from wave_search.system import available_bytes
from wave_search.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

State = Literal["ok", "slow", "absent", "missing"]
"""Whether all is well, something works but slowly, an optional part is not there, or a needed one."""
_NEEDED = (
    *("numpy", "torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "pylance", "pyarrow", "duckdb"),
    *("av", "soundfile", "soxr", "pillow", "tifffile", "charset-normalizer", "langcodes", "msgspec", "rich"),
    *("typer", "platformdirs"),
)
_OPTIONAL = {
    "serve": ("fastapi", "the page, the HTTP API, MCP and fast repeated queries"),
    "photos": ("pillow_heif", "HEIF and JPEG XL"),
    "otio": ("opentimelineio", "timelines for editors"),
    "thumbnails": ("textual_image", "pictures of results in the terminal"),
    "scene": ("scenedetect", "segments at cuts"),
    "models": ("sentence_transformers", "models of other publishers"),
    "quantized": ("bitsandbytes", "models in 8 and 4 bits"),
    "train": ("peft", "fine-tuning"),
    "map": ("umap", "the map of the page by UMAP"),
}
"""Extra -> a module of it, and what it is for."""
_LITTLE_SPACE_BYTES = 2 << 30
_LITTLE_MEMORY_BYTES = 4 << 30
_MANY_SEGMENTS = 200_000
"""So many that are searched exactly take a good part of a second."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    name: str
    value: str
    state: State = "ok"
    remedy: str = ""
    """What to do about it; "" if there is nothing to do."""


def examine(index: Path | None = None) -> Iterator[Finding]:
    """Examine this machine, and an index if there is one. Loads torch, but no model; changes nothing.

    Args:
        index: folder of the index; None for none.
    """
    yield from _versions()
    yield from _extras()
    yield from _devices()
    yield from _decoders()
    yield from _models()
    yield from _memory()
    yield from _space(index)
    if index is not None:
        yield from _index(index)


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "wave-search", __version__)
    yield Finding("versions", "Python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    for name in _NEEDED:
        try:
            yield Finding("versions", name, version(name))
        except PackageNotFoundError:
            again = f"Run: {Path(sys.executable).name} -m pip install --upgrade --force-reinstall wave-search"
            yield Finding("versions", name, "not installed", "missing", again)
    try:
        check_faiss()
    except WaveSearchError as error:
        yield Finding("versions", "faiss", error.message, "missing", error.remedy)
    else:
        yield Finding("versions", "faiss", _first_version("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11"))


def _first_version(*names: str) -> str:
    for name in names:
        try:
            return f"{version(name)} ({name})"
        except PackageNotFoundError:
            continue
    return "installed"


def _extras() -> Iterator[Finding]:
    for extra, (module, purpose) in _OPTIONAL.items():
        if find_spec(module) is None:
            remedy = f"For {purpose}: pip install 'wave-search[{extra}]'"
            yield Finding("extras", extra, "not installed", "absent", remedy)
        else:
            yield Finding("extras", extra, purpose)


def _devices() -> Iterator[Finding]:
    yield Finding("devices", "cpu", f"{default_workers()} decoders at once on {platform.machine()}")
    if find_spec("torch") is None:
        return
    devices = cuda_devices()
    for device in devices:
        yield Finding("devices", device.name, f"{device.model}, {_size(device.total_bytes)}")
    if not devices and has_nvidia_driver():
        remedy = "Install a CUDA build of torch: see https://pytorch.org/get-started/locally"
        yield Finding("devices", "cuda", "there is an NVIDIA driver, but torch sees no GPU", "slow", remedy)
    elif not devices:
        remedy = "A GPU with 24 GB is needed for WAVE-7B at a good speed; wave-nano is made for CPUs."
        yield Finding("devices", "cuda", "no GPU: models run on the CPU", "slow", remedy)


def _decoders() -> Iterator[Finding]:
    decoders = ffmpeg_decoders()
    if decoders is not None:
        yield Finding("decoders", "FFmpeg", decoders)
    if find_spec("decord") is None:
        remedy = "PyAV decodes all videos. Where decord2 has a wheel, run: pip install decord2"
        yield Finding("decoders", "decord2", "not installed", "slow", remedy)
    for name, remedy in unavailable_decoders():
        yield Finding("decoders", name, "not available", "missing", remedy)


def _models() -> Iterator[Finding]:
    for name in known_models():
        if name == "auto":
            continue
        try:
            directory = model_directory(name)
        except ModelError as error:
            yield Finding("models", name, error.message, "missing", error.remedy)
            continue
        if directory is None:
            remedy = f"To download it: `wave-search models pull {name}`"
            yield Finding("models", name, "not downloaded", "absent", remedy)
        else:
            yield Finding("models", name, str(directory))


def _memory() -> Iterator[Finding]:
    total_bytes, free = machine_bytes(), available_bytes()
    shown = f"{_size(total_bytes)}, {_size(free)} free" if free is not None else _size(total_bytes)
    if total_bytes < _LITTLE_MEMORY_BYTES:
        remedy = "Large pictures and films may be left out: give the machine, or the container, 4 GiB or more."
        yield Finding("memory", "machine", shown, "slow", remedy)
    else:
        yield Finding("memory", "machine", shown)
    yield Finding("memory", "decoders", f"{_size(int(total_bytes * SHARE))} together (--decoder-memory)")


def _space(index: Path | None) -> Iterator[Finding]:
    places = {"temporary files": Path(tempfile.gettempdir()), "home": Path.home()}
    if index is not None:
        places["index"] = index
    for name, folder in places.items():
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free_bytes = shutil.disk_usage(there).free
        if free_bytes < _LITTLE_SPACE_BYTES:
            yield Finding("space", name, f"{_size(free_bytes)} free at {there}", "slow", f"Make room at {there}.")
        else:
            yield Finding("space", name, f"{_size(free_bytes)} free at {there}")


def _index(path: Path) -> Iterator[Finding]:
    try:
        info = describe(open_snapshot(path))
    except WaveSearchError as error:
        yield Finding("index", str(path), error.message, "missing", error.remedy)
        return
    yield Finding("index", str(path), f"{info.files:,} files, {_size(info.size_bytes)}, model {info.model.name}")
    try:
        at_hand = model_directory(info.model.name) is not None
    except ModelError:
        at_hand = False
    if not at_hand:
        remedy = f"To download it: `wave-search models pull {info.model.name}`"
        yield Finding("index", "model", f"{info.model.name} is not on this machine", "missing", remedy)
    exact = sum(part.segments - part.covered for part in info.partitions)
    if exact > _MANY_SEGMENTS:
        cause = f"{exact:,} segments are in no IVF-PQ shard, and are compared one by one"
        yield Finding("index", "search", cause, "slow", "Run `wave-search optimize`.")
    if info.damaged:
        remedy = "See `wave-search list --skipped`."
        yield Finding("index", "damaged files", f"{len(info.damaged):,}, indexed in part", "absent", remedy)


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**29 else f"{count / 2**20:,.1f} MiB"
