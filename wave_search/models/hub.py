"""Model snapshots from the Hugging Face hub: the local cache first, then the network, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wave_search.errors import CheckpointError, ModelNotFoundError
from wave_search.models.wave.checkpoint import checkpoint_files

_FILES = ["*.json", "merges.txt", "*.safetensors", "*.bin", "*.pt"]
"""What a checkpoint consists of. Code is never downloaded."""

_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""The files of a tokenizer, in its two forms."""

_CONTACT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one commit, on this machine."""

    directory: Path
    commit: str
    """Full hash."""


def cached(repo_id: str, revision: str) -> Snapshot | None:
    """Find a snapshot in the local cache, without the network.

    Args:
        repo_id: "owner/name".
        revision: full commit, branch or tag.

    Returns:
        The snapshot, or None where it is absent or incomplete.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        directory = Path(snapshot_download(repo_id, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Snapshot(directory, directory.name) if _is_complete(directory) else None


def _is_complete(directory: Path) -> bool:
    """Whether no download was broken off; the cache itself takes one file for a snapshot."""
    try:
        checkpoint_files(directory)
    except CheckpointError:
        return False
    return any(all((directory / name).is_file() for name in names) for names in _TOKENIZERS)


def fetch(repo_id: str, revision: str) -> Snapshot:
    """Find a snapshot in the local cache, or download it.

    Args:
        repo_id: "owner/name".
        revision: full commit, branch or tag; the two latter mean what the cache has, if it has them.

    Raises:
        ModelNotFoundError: there is no such model or revision, or the hub is out of reach.
    """
    return cached(repo_id, revision) or _download(repo_id, revision)


def _download(repo_id: str, revision: str) -> Snapshot:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    # One question with a short time limit comes first: the download itself would retry an unreachable hub for long.
    try:
        commit = HfApi().model_info(repo_id, revision=revision, timeout=_CONTACT_TIMEOUT_S).sha or revision
        directory = snapshot_download(repo_id, revision=commit, allow_patterns=_FILES)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFoundError(
            f"the hub has no public model {repo_id}", "Check the name, or give the directory of a checkpoint."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"{repo_id} has no revision {revision}", "Give a full commit, a branch or a tag after the @."
        ) from error
    except Exception as error:
        # Which class an unreachable hub raises depends on the HTTP client that huggingface_hub happens to use.
        raise ModelNotFoundError(
            f"{repo_id} at {revision} is not in the local cache, and the hub cannot be reached ({_first_line(error)})",
            "Connect this machine once, or copy the checkpoint here and give its directory as the model.",
        ) from error
    return Snapshot(Path(directory), commit)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
