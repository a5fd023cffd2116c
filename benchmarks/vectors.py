"""Synthetic vectors similar to those of an embedding model, in any number.

An item is a point of a latent space of 512 dimensions, whose variance falls like 1 / (1 + (k / 32)^2) (about 100 of
them count), near one of 2,000 centres whose sizes follow Zipf's law. It is turned into `dim` dimensions, and gets what
real embeddings have in common: a heavy-tailed mean vector (30 % of the energy), an offset of the modality (8 %), and
noise (4 %). All are of unit norm and rounded to float16, so that every engine and the truth see the same numbers.

A query of the same modality ("self") is another such point. A query of another modality ("cross", such as text for
video) correlates with an item only by rho = 0.6, is distorted by a linear map, and has its own offset (16 %) and a
weaker mean (20 %).

By construction the vectors have few intrinsic dimensions, like embeddings, so part of the gain of principal components
is built in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK_ROWS = 8_192
_LATENT, _CENTRES, _KNEE = 512, 2_000, 32
_MEAN, _OFFSET, _NOISE = 0.30, 0.08, 0.04
_CROSS_MEAN, _CROSS_OFFSET, _RHO, _DISTORTION = 0.20, 0.16, 0.6, 0.3


class Library:
    """Items and queries of one seed.

    Args:
        dim: of the vectors.
        seed: equal seeds give equal vectors.
    """

    def __init__(self, dim: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.dim = dim
        self._seed = seed
        latent = min(_LATENT, dim)
        self._scale = (1 / np.sqrt(1 + (np.arange(latent) / _KNEE) ** 2)).astype(np.float32)
        self._spread = np.linalg.qr(random.standard_normal((dim, latent)))[0].T.astype(np.float32)
        self._centres = random.standard_normal((_CENTRES, latent), dtype=np.float32) * self._scale
        weights = 1 / np.arange(1, _CENTRES + 1)
        self._weights = weights / weights.sum()
        self._mean = _unit(random.standard_t(3, dim).astype(np.float32))
        self._offsets = _unit(random.standard_normal((2, dim), dtype=np.float32))
        distortion = random.standard_normal((latent, latent), dtype=np.float32) / np.sqrt(latent)
        self._distortion = np.eye(latent, dtype=np.float32) + _DISTORTION * distortion

    def items(self, count: int) -> Iterator[NDArray[np.float16]]:
        """Yield the first `count` items in blocks (b, dim)."""
        for block, start in enumerate(range(0, count, BLOCK_ROWS)):
            random = np.random.default_rng((self._seed, 1, block))
            latents = self._points(random, BLOCK_ROWS)
            yield self._embed(random, latents, _MEAN, _OFFSET, 0)[: count - start]

    def queries(self, kind: str, count: int, items: int, seed: int = 0) -> NDArray[np.float32]:
        """Queries (count, dim), "self" or "cross"; those of "cross" are each like one of the first `items`."""
        random = np.random.default_rng((self._seed, 2, seed, kind == "cross"))
        if kind == "self":
            return self._embed(random, self._points(random, count), _MEAN, _OFFSET, 0).astype(np.float32)
        chosen = random.integers(0, items, count)
        like = np.empty((count, len(self._scale)), np.float32)
        for block in np.unique(chosen // BLOCK_ROWS):
            latents = self._points(np.random.default_rng((self._seed, 1, int(block))), BLOCK_ROWS)
            there = chosen // BLOCK_ROWS == block
            like[there] = latents[chosen[there] % BLOCK_ROWS]
        other = self._points(random, count)
        latents = (_RHO * like + np.sqrt(1 - _RHO**2) * other) @ self._distortion
        return self._embed(random, latents, _CROSS_MEAN, _CROSS_OFFSET, 1).astype(np.float32)

    def _points(self, random: np.random.Generator, count: int) -> NDArray[np.float32]:
        centres = self._centres[random.choice(_CENTRES, count, p=self._weights)]
        inside = random.standard_normal(centres.shape, dtype=np.float32) * self._scale
        return (centres + inside) * np.float32(np.sqrt(0.5))

    def _embed(
        self, random: np.random.Generator, latents: NDArray[np.float32], mean: float, offset: float, modality: int
    ) -> NDArray[np.float16]:
        content = latents @ self._spread
        # Energies of an average item: what varies from item to item stays so.
        content *= np.sqrt((1 - mean - offset - _NOISE) / (content**2).sum(axis=1).mean())
        noise = random.standard_normal(content.shape, dtype=np.float32) * np.float32(np.sqrt(_NOISE / self.dim))
        common = np.sqrt(mean) * self._mean + np.sqrt(offset) * self._offsets[modality]
        return _unit(content + noise + common.astype(np.float32)).astype(np.float16)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return unit
