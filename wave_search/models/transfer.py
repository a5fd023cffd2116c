"""The transfer of the files of a model from the Hugging Face hub into the local cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from wave_search.descriptors import lock
from wave_search.errors import ModelError
from wave_search.models.catalogue import gigabytes
from wave_search.models.hub import PARTIAL, HubFile, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_TRIES = 5
"""Most tries in a row in which nothing arrives."""
_PAUSE_S = 0.5
"""Before another try; twice as long after each one in which nothing arrived."""
_GATED = (401, 403)
_FINAL = (404, 410, 416)
_RESUME = "Run the same command again: it goes on where this one ended."


class Transfer:
    """The transfer of one commit. A context manager, which keeps other processes from the same.

    Args:
        repo_id: "owner/name".
        commit: full hash.
        storage: folder of the repository in the cache; files are laid out there as huggingface_hub does.
        progress: called with the number of bytes that are here and checked, and of all bytes.
    """

    def __init__(self, repo_id: str, commit: str, storage: Path, progress: Callable[[int, int], None]) -> None:
        self._repo_id, self._commit, self._storage = repo_id, commit, storage
        self._progress = progress
        self._done = self._total = 0

    def __enter__(self) -> Self:
        self._storage.mkdir(parents=True, exist_ok=True)
        self._lock = (self._storage / ".wave-search.lock").open("ab")
        try:
            lock(self._lock.fileno())
        except BlockingIOError:
            self._lock.close()
            raise ModelError(f"another process is downloading {self._repo_id}", "Wait until it has ended.") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def run(self, files: Sequence[HubFile]) -> None:
        """Bring the files here.

        Raises:
            ModelError: there is no space for them, one is not as listed, or the hub stops sending.
        """
        self._total = sum(file.size_bytes for file in files)
        self._check_space(files)
        self._progress(0, self._total)
        for file in files:
            before = self._done
            if not self._is_here(file):
                self._done = before
                self._fetch(file)
            self._link(file)
            self._done = before + file.size_bytes
            self._progress(self._done, self._total)

    def _blob(self, file: HubFile) -> Path:
        return self._storage / "blobs" / file.digest

    def _partial(self, file: HubFile) -> Path:
        return self._storage / "blobs" / f"{file.digest}{PARTIAL}"

    def _linked(self, file: HubFile) -> Path:
        return self._storage / "snapshots" / self._commit / file.name

    def _check_space(self, files: Sequence[HubFile]) -> None:
        absent = [file for file in files if not self._blob(file).exists() and not self._linked(file).exists()]
        begun = sum(path.stat().st_size for path in map(self._partial, absent) if path.exists())
        needed, free = sum(file.size_bytes for file in absent) - begun, shutil.disk_usage(self._storage).free
        if needed > free:
            raise ModelError(
                f"{self._repo_id} takes {gigabytes(needed)}, and there are {gigabytes(free)} free at {self._storage}",
                "Make room there, or set HF_HOME to a folder on another disk.",
            )

    def _is_here(self, file: HubFile) -> bool:
        """Return whether a file is here and as listed; delete one that is not."""
        for path in (self._linked(file), self._blob(file)):
            if path.is_file():
                with path.open("rb") as content:
                    if self._digest_of(file, content).hexdigest() == file.digest:
                        return True
                path.unlink()
        return False

    def _link(self, file: HubFile) -> None:
        link, blob = self._linked(file), self._blob(file)
        if link.exists():
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # one that leads nowhere
        try:
            link.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # Windows, without the right to make links
            blob.replace(link)

    def _fetch(self, file: HubFile) -> None:
        partial = self._partial(file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("a+b") as content:
            content.seek(0)
            digest = self._digest_of(file, content)
            if content.tell() > file.size_bytes:
                content.truncate(0)
            for chunk in self._chunks(file, content):
                digest = _begun(file) if content.tell() == 0 else digest
                content.write(chunk)
                digest.update(chunk)
                self._advance(len(chunk))
        if digest.hexdigest() != file.digest:
            partial.unlink()
            raise ModelError(
                f"{self._repo_id}: {file.name} is not the file that the hub lists: its digest is another",
                f"{_RESUME} If that does not help, something between this machine and the hub changes files.",
            )
        partial.replace(self._blob(file))

    def _chunks(self, file: HubFile, content: BinaryIO) -> Iterator[bytes]:
        """Yield the rest of a file, in as many requests as it takes."""
        failures = 0
        while (begun := content.tell()) < file.size_bytes:
            try:
                yield from self._request(file, content)
            except ModelError:
                raise
            except Exception as error:
                # The classes for a broken connection depend on the HTTP client that huggingface_hub uses.
                failures = 0 if content.tell() > begun else failures + 1
                if failures == _TRIES:
                    raise ModelError(
                        f"the download of {self._repo_id} was broken off ({first_line(error)})", _RESUME
                    ) from error
                time.sleep(_PAUSE_S * 2**failures)

    def _request(self, file: HubFile, content: BinaryIO) -> Iterator[bytes]:
        from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # it is documented

        begun = content.tell()
        headers = {**build_hf_headers(), "Range": f"bytes={begun}-", "Accept-Encoding": "identity"}
        url = hf_hub_url(self._repo_id, file.name, revision=self._commit)
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True) as response:
            if response.status_code in _GATED:
                raise ModelError(
                    f"the hub gives {self._repo_id} only to users who have accepted its terms",
                    f"Accept them at https://huggingface.co/{self._repo_id}, and run: hf auth login",
                )
            if response.status_code in _FINAL:
                raise ModelError(f"{self._repo_id}: the hub has no {file.name} ({response.status_code})", _RESUME)
            hf_raise_for_status(response)
            if begun and response.status_code == 200:  # the server knows no ranges
                self._done -= begun
                content.seek(0)
                content.truncate()
            for chunk in response.iter_bytes():
                if content.tell() + len(chunk) > file.size_bytes:
                    raise ModelError(f"{self._repo_id}: the hub sends more of {file.name} than it lists", _RESUME)
                yield chunk

    def _digest_of(self, file: HubFile, content: BinaryIO) -> Any:
        digest = _begun(file)
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            self._advance(len(chunk))
        return digest

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)


def _begun(file: HubFile) -> Any:
    if len(file.digest) == 64:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)  # as git does
