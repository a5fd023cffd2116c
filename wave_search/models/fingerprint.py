"""Digest of a checkpoint directory: tells fine-tunes apart in a second, whatever their size."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HEAD_BYTES = 1 << 20
"""More than the header of any shard."""
_SAMPLE_BYTES = 64 << 10
_SAMPLES = 16


def fingerprint(files: Iterable[Path]) -> str:
    """Digest names, sizes and contents of files; of a large file its head and 16 evenly spaced samples.

    Files of up to 2 MiB are read whole. Training changes every tensor that it touches all over, so that the samples
    of a fine-tune differ from those of its origin.

    Args:
        files: the files that a model is loaded from, in any order.

    Returns:
        32 hexadecimal digits (BLAKE2b of 16 bytes).
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files, key=lambda path: path.name):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _HEAD_BYTES + _SAMPLES * _SAMPLE_BYTES:
                digest.update(file.read())
                continue
            digest.update(file.read(_HEAD_BYTES))
            for sample in range(_SAMPLES):
                file.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
