"""Where models are: names, directories and ids of the hub -> files on this machine."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wave_search.arguments import check_functions, check_type
from wave_search.errors import CheckpointError, ModelDownloadError, ModelNotFoundError, UsageError
from wave_search.models import hub
from wave_search.models.catalogue import CATALOGUE, NANO, TINY, WAVE_7B, KnownModel, find_model, gigabytes
from wave_search.models.families import Source, family_of
from wave_search.models.machine import Machine, gibibytes, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

_BUNDLED = Path(__file__).parent / "bundled"
TINY_DIRECTORY = _BUNDLED / "tiny"
_DIRECTORIES = {NANO.name: _BUNDLED / "nano", TINY.name: TINY_DIRECTORY}
_NOTICES = {
    NANO.name: "wave-nano is a small model: on a GPU, use WAVE-7B.",
    TINY.name: "wave-tiny is not trained: its results are meaningless. Use WAVE-7B.",
}
_PREFERRED = (WAVE_7B,)
"""What "auto" looks for, the best first."""

_HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>\S+))?")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")


def resolve(
    name: str, device: torch.device | None, *, download: bool = True, progress: Callable[[int, int], None] | None = None
) -> Source:
    """Find a model, downloading it if necessary and allowed.

    Args:
        name: "auto", a name of `CATALOGUE`, a directory, or "owner/name" on the hub, optionally with "@revision".
            Without a revision, a model of the catalogue is pinned to its commit; for other models, the cached commit of
            their main branch is used.
        device: the device to run on, on which "auto" depends; None for the CPU.
        download: whether it may be downloaded.
        progress: called with the number of bytes downloaded and of all bytes.

    Raises:
        ModelNotFoundError: there is no such model, or the hub cannot be reached.
        ModelDownloadError: it is not on this machine, and may not be downloaded.
        ModelError: the download failed, or there is no space for it.
        CheckpointError: the directory contains no checkpoint.
    """
    if name == "auto":
        return _chosen(device)
    if name in _DIRECTORIES:
        return _bundled(name)
    directory = Path(name).expanduser()
    known = find_model(name)
    if known is None and name and directory.is_dir():
        directory = directory.resolve()
        return Source(str(directory), _digest(directory), directory)
    repo_id, revision = _on_hub(name)
    snapshot = hub.cached(repo_id, revision, is_complete)
    if snapshot is None:
        if not download:
            raise ModelDownloadError(name)
        snapshot = hub.download(repo_id, revision, progress)
    return _published(repo_id, snapshot)


def pull_model(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download a model, or what this machine lacks of it, and check all of its files.

    Args:
        name: as for `wave_search.models.load`, but not a directory.
        progress: called with the number of bytes that are here, and of all bytes.

    Returns:
        The directory of its files.

    Raises:
        ModelNotFoundError: there is no such model on the hub, or it cannot be reached.
        ModelError: there is no space for it, or its files are not those that the hub lists.
    """
    check_type(name, str, "the name of a model")
    check_functions(progress=progress)
    if name in _DIRECTORIES:
        return _DIRECTORIES[name]
    repo_id, revision = _on_hub(name)
    return hub.download(repo_id, revision, progress).directory


def remove_model(name: str) -> int:
    """Delete the downloaded files of a model.

    Args:
        name: as for `pull_model`.

    Returns:
        How many bytes became free.

    Raises:
        UsageError: it is part of the package, or a directory.
        ModelNotFoundError: it is not on this machine.
    """
    check_type(name, str, "the name of a model")
    if name in _DIRECTORIES:
        raise UsageError(f"{name} is part of wave-search and cannot be removed")
    repo_id, revision = _on_hub(name)
    freed = hub.remove(repo_id, revision)
    if freed is None:
        raise ModelNotFoundError(f"the model {name} is not on this machine")
    return freed


def model_directory(name: str) -> Path | None:
    """Return where the files of a model are on this machine, None if it would have to be downloaded first.

    Raises:
        ModelError: there is no such model, or its files are incomplete.
    """
    check_type(name, str, "the name of a model")
    if name in _DIRECTORIES:
        return _DIRECTORIES[name]
    try:
        return resolve(name, None, download=False).directory
    except ModelDownloadError:
        return None


def is_complete(directory: Path) -> bool:
    """Return whether a directory has all files of a model, unlike an interrupted download."""
    try:
        [*family_of(directory).files(directory)]
    except CheckpointError:
        return False
    return True


def _chosen(device: torch.device | None) -> Source:
    """Return the best model that is on this machine and runs on a device well; its notice says why it is that one."""
    machine, reasons = Machine(0, _memory_bytes(device)), []
    for model in _PREFERRED:
        found = verdict(model, machine)
        if found.runs != "yes":
            reasons.append(f"{model.name} needs a GPU with {gibibytes(model.gpu_bytes)}")
        elif (snapshot := hub.cached(*_on_hub(model.name), is_complete)) is None:
            pull = f"`wave-search models pull {model.name}`, {gigabytes(model.download_bytes)}"
            reasons.append(f"{model.name} would run here but is not downloaded ({pull})")
        else:
            return _published(
                _on_hub(model.name)[0], snapshot, f"auto chose {model.name}: it is downloaded and fits the GPU."
            )
    return _bundled(NANO.name, f"auto chose {NANO.name}, a small model: {', '.join(reasons)}.")


def _memory_bytes(device: torch.device | None) -> int:
    if device is None or device.type != "cuda":
        return 0
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def _bundled(name: str, notice: str = "") -> Source:
    return Source(name, _digest(_DIRECTORIES[name]), _DIRECTORIES[name], notice or _NOTICES[name])


def _on_hub(name: str) -> tuple[str, str]:
    """Return the id and the revision of a model on the hub. Raises ModelNotFoundError."""
    known = find_model(name)
    match = _HUB_ID.fullmatch(known.hub_id if known and known.hub_id else name)
    parts = PurePosixPath(match["revision"] or "").parts if match else ()
    if match is None or "/" in parts or ".." in parts or (known is None and Path(name).expanduser().exists()):
        raise ModelNotFoundError(
            f"{name}: neither a known model nor a directory nor a hub id",
            f"Known models: {', '.join(['auto', *(model.name for model in CATALOGUE)])}.",
        )
    repo_id, revision = match["repo"], match["revision"]
    listed = _listed(repo_id)
    if listed is not None and (
        revision is None or (_SHORT_COMMIT.fullmatch(revision) and listed.revision.startswith(revision))
    ):
        return repo_id, listed.revision
    return repo_id, revision or "main"


def _listed(repo_id: str) -> KnownModel | None:
    return next((model for model in CATALOGUE if model.hub_id == repo_id), None)


def _published(repo_id: str, snapshot: hub.Snapshot, notice: str = "") -> Source:
    listed = _listed(repo_id)
    is_pinned = listed is not None and listed.revision == snapshot.commit
    return Source(repo_id if is_pinned else f"{repo_id}@{snapshot.commit}", snapshot.commit, snapshot.directory, notice)


def _digest(directory: Path) -> str:
    return hub.fingerprint(family_of(directory).files(directory), directory)
