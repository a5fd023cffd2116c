"""The files of a model: snapshots from the Hugging Face hub, and the digest of a directory.

A snapshot is read from the local cache, or downloaded if it is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.errors import ModelNotFoundError
from wave_search.files import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_FILES = ["*.json", "merges.txt", "*.safetensors", "*.bin", "*.pt"]
"""Files of a checkpoint. Code is never downloaded."""

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


def download(repo_id: str, revision: str) -> Snapshot:
    """Download a snapshot, or what the local cache lacks of it.

    Args:
        repo_id: "owner/name".
        revision: full commit, branch or tag.

    Raises:
        ModelNotFoundError: there is no such model or revision, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    # Send a request with a short timeout first, because the download itself would keep retrying an unreachable hub.
    try:
        commit = HfApi().model_info(repo_id, revision=revision, timeout=_CONTACT_TIMEOUT_S).sha or revision
        directory = snapshot_download(repo_id, revision=commit, allow_patterns=_FILES)
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
            f"{repo_id} at {revision} is not in the local cache, and the hub cannot be reached ({_first_line(error)})",
            "Connect this machine once, or copy the checkpoint to it and use its directory as the model.",
        ) from error
    return Snapshot(Path(directory), commit)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def fingerprint(files: Iterable[Path]) -> str:
    """Return a digest of names, sizes and contents of files; for a large file, of its head and 16 even samples.

    Files of up to 2 MiB are read completely. Training changes every value of the trained tensors, so that the samples
    of a fine-tuned model differ from those of its base model.

    Args:
        files: the files that a model is loaded from, in any order.

    Returns:
        32 hexadecimal digits (BLAKE2b of 16 bytes).
    """
    return digest(_sampled(files))


def _sampled(files: Iterable[Path]) -> Iterator[bytes]:
    for path in sorted(files, key=lambda path: path.name):
        size = path.stat().st_size
        yield f"{path.name}\0{size}\0".encode()
        with path.open("rb") as file:
            if size <= _HEAD_BYTES + _SAMPLES * _SAMPLE_BYTES:
                yield file.read()
                continue
            yield file.read(_HEAD_BYTES)
            for sample in range(_SAMPLES):
                file.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                yield file.read(_SAMPLE_BYTES)
