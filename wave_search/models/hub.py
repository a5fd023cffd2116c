"""The files of a model: snapshots from the Hugging Face hub, and the digest of a directory.

A snapshot is read from the local cache, or downloaded if it is not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wave_search.errors import ModelError, ModelNotFoundError
from wave_search.files import digest, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_FILES = ["*.json", "*.txt", "*.jinja", "*.model", "*.safetensors", "*.bin", "*.pt"]
"""Files of a checkpoint. Code is never downloaded."""
_OTHER_RUNTIMES = ("onnx", "openvino")
"""Folders with the same weights for other programs."""
PARTIAL = ".wave-search.incomplete"
"""Ending of a file whose download has not ended."""
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ELSEWHERE = "Set HF_HOME to a folder on a disk with space."

_CONTACT_TIMEOUT_S = 10.0
_HEAD_BYTES = 1 << 20
"""Larger than the header of any weight file."""
_SAMPLE_BYTES = 64 << 10
_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The local files of one commit."""

    directory: Path
    commit: str
    """Full hash."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a commit, as the hub lists it."""

    name: str
    """With its folders."""
    size_bytes: int
    digest: str
    """SHA-256 of a large file, or the SHA-1 of git (with its size before the content)."""


def cached(repo_id: str, revision: str, is_complete: Callable[[Path], bool]) -> Snapshot | None:
    """Find a snapshot in the local cache, without the network.

    Args:
        repo_id: "owner/name".
        revision: full commit, branch or tag.
        is_complete: returns whether a directory has all files of a model, unlike an interrupted download.

    Returns:
        The snapshot, or None if it is absent or incomplete.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        directory = Path(snapshot_download(repo_id, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Snapshot(directory, directory.name) if is_complete(directory) else None


def download(repo_id: str, revision: str, progress: Callable[[int, int], None] | None = None) -> Snapshot:
    """Download a snapshot, or what the local cache lacks of it, and check the digests of all files.

    A download that was broken off is resumed where it ended, even within a file: huggingface_hub begins such a file
    again.

    Args:
        repo_id: "owner/name".
        revision: full commit, branch or tag.
        progress: called with the number of bytes that are here and checked, and of all bytes.

    Raises:
        ModelNotFoundError: there is no such model or revision, or the hub cannot be reached.
        ModelError: there is no space for it, its files are not those that the hub lists, or another process downloads
            it.
    """
    from wave_search.models.transfer import Transfer

    commit, files = _listing(repo_id, revision)
    directory = _storage(repo_id) / "snapshots" / commit
    try:
        with Transfer(repo_id, commit, _storage(repo_id), progress or (lambda _done, _total: None)) as transfer:
            transfer.run(files)
        if revision != commit:
            reference = _storage(repo_id) / "refs" / revision
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(reference, commit.encode())
    except OSError as error:
        raise ModelError(f"{directory}: cannot be written ({error.strerror or error})", _ELSEWHERE) from error
    return Snapshot(directory, commit)


def remove(repo_id: str, revision: str) -> int | None:
    """Delete a snapshot from the local cache, with what an interrupted download left.

    Returns:
        The number of bytes that became free; None if there was nothing.
    """
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    storage = _storage(repo_id)
    partial = [*storage.glob(f"blobs/*{PARTIAL}")]
    freed = sum(path.stat().st_size for path in partial)
    for path in partial:
        path.unlink()
    reference = storage / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    try:
        cache = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return None
    found = {each.commit_hash for repo in cache.repos if repo.repo_id == repo_id for each in repo.revisions}
    if commit in found:
        plan = cache.delete_revisions(commit)
        plan.execute()
        freed += plan.expected_freed_size
    return freed if commit in found or partial else None


def _storage(repo_id: str) -> Path:
    """Return the folder of a repository in the cache of huggingface_hub, which other programs use, too."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"


def _listing(repo_id: str, revision: str) -> tuple[str, list[HubFile]]:
    """Ask the hub for the commit of a revision, and its files. Raises like `download`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(repo_id, revision=revision, timeout=_CONTACT_TIMEOUT_S, files_metadata=True)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFoundError(
            f"the hub has no public model {repo_id}", "Check the name, or use the directory of a checkpoint."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"{repo_id} has no revision {revision}", "Use a full commit, a branch or a tag after the @."
        ) from error
    except Exception as error:
        # The exception class for an unreachable hub depends on the HTTP client that huggingface_hub uses.
        raise ModelNotFoundError(
            f"{repo_id} at {revision} is not in the local cache, and the hub cannot be reached ({first_line(error)})",
            "Connect this machine once, or copy the checkpoint to it and use its directory as the model.",
        ) from error
    return info.sha or revision, _chosen(repo_id, info.siblings or [])


def _chosen(repo_id: str, siblings: Iterable[Any]) -> list[HubFile]:
    """Return the files of a checkpoint: weights in one format only, and no code."""
    files = []
    for sibling in siblings:
        name, digest_ = sibling.rfilename, sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        path = PurePosixPath(name)
        if path.parts[0] in _OTHER_RUNTIMES or not any(path.match(pattern) for pattern in _FILES):
            continue
        if path.is_absolute() or ".." in path.parts or not _DIGEST.fullmatch(digest_ or "") or sibling.size is None:
            raise ModelError(f"{repo_id}: the hub lists the file {name!r} in a form that is unknown here")
        files.append(HubFile(name, sibling.size, digest_))
    if any(file.name.endswith(".safetensors") for file in files):
        files = [file for file in files if not PurePosixPath(file.name).match("pytorch_model*.bin")]
    return files


def first_line(error: Exception) -> str:
    """Return the first line of an error message."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def fingerprint(files: Iterable[Path], directory: Path) -> str:
    """Return a digest of names, sizes and contents of files; for a large file, of its head and 16 even samples.

    Files of up to 2 MiB are read completely. Training changes every value of the trained tensors, so that the samples
    of a fine-tuned model differ from those of its base model.

    Args:
        files: the files that a model is loaded from, in any order.
        directory: from which their names start.

    Returns:
        32 hexadecimal digits (BLAKE2b of 16 bytes).
    """
    return digest(_sampled(files, directory))


def _sampled(files: Iterable[Path], directory: Path) -> Iterator[bytes]:
    named = {path.relative_to(directory).as_posix(): path for path in files}
    for name, path in sorted(named.items()):
        size = path.stat().st_size
        yield f"{name}\0{size}\0".encode()
        with path.open("rb") as file:
            if size <= _HEAD_BYTES + _SAMPLES * _SAMPLE_BYTES:
                yield file.read()
                continue
            yield file.read(_HEAD_BYTES)
            for sample in range(_SAMPLES):
                file.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                yield file.read(_SAMPLE_BYTES)
