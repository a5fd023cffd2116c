"""Stage `text`: the decoder learns the teacher's vectors of words and phrases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from recipes.wave_nano.dense import embed_text
from recipes.wave_nano.materials import CAPTIONS, text_tokenizer
from recipes.wave_nano.teacher import distillation, spread_out
from wave_search.models.wave.sequences import text_sequence

if TYPE_CHECKING:
    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave

_POOL = 1024
_NEAR = 60_000
"""Number of phrases, those closest in meaning to the classes of sounds and pictures, that half of a batch is drawn
from."""


class TextStage:
    """See `loop.Stage`. Trains the decoder; towers and head are frozen."""

    def __init__(self, wave: Wave, materials: Materials, batch: int = 256, captions: bool = True) -> None:
        """Prepare a model for training.

        Args:
            wave: the model.
            materials: of the run.
            batch: number of texts per step.
            captions: whether captions are among the texts. They are not where pairs teach the model to distinguish
                them, because for the teacher left and right are nearly the same.
        """
        self._wave, self._batch = wave, batch
        first = 0 if captions else CAPTIONS
        self._vectors = materials.meanings.vectors[first:]
        tokenizer = text_tokenizer(materials, wave)
        self._sequences = [
            text_sequence(wave.config, tokenizer.encode(text)) for text in materials.meanings.phrases[first:]
        ]
        concepts = torch.cat([materials.sound_meanings, materials.subject_meanings, materials.label_meanings]).numpy()
        self._near = np.argsort(-(self._vectors @ concepts.T).max(axis=1))[:_NEAR]
        wave.requires_grad_(False)
        wave.model.requires_grad_(True)

    @property
    def trained(self) -> torch.nn.Module:
        """The complete model."""
        return self._wave

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:  # noqa: ARG002
        """Compare texts of similar length with the teacher's vectors."""
        close = rng.choice(self._near, _POOL // 2, replace=False)
        pool = np.concatenate([close, rng.choice(len(self._sequences), _POOL // 2, replace=False)])
        pool = pool[np.argsort([len(self._sequences[index]) for index in pool], kind="stable")]
        start = int(rng.integers(_POOL - self._batch + 1))
        batch = pool[start : start + self._batch]
        texts = embed_text(self._wave, [self._sequences[index] for index in batch])
        meanings = torch.from_numpy(self._vectors[batch])
        apart, near = spread_out(texts, meanings, 0.05), distillation(texts, meanings)
        return apart + 3 * near, {"spread_out": float(apart.detach()), "cosine": 1 - float(near.detach())}

    def validate(self) -> dict[str, float]:
        """Return no metrics: the later stages show what was learned."""
        return {}
