"""First stage: the text path learns what words mean, from a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from recipes.wave_nano.dense import embed_text
from recipes.wave_nano.materials import CAPTIONS, text_tokenizer
from wave_search.finetune.losses import distillation, spread_out
from wave_search.models.wave.sequences import text_sequence

if TYPE_CHECKING:
    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave

_POOL = 1024
_NEAR = 60_000
"""Phrases nearest in meaning to what is heard and seen make up half of what is drawn."""


class Words:
    """See `loop.Stage`. Trains the decoder; leaves towers and head alone."""

    def __init__(self, wave: Wave, materials: Materials, batch: int = 256, captions: bool = True) -> None:
        """Take over a model.

        Args:
            wave: the model.
            materials: of the run.
            batch: texts of one step.
            captions: learn them, too. Not where pairs teach to tell them apart: to the teacher, left and right are
                alike.
        """
        self._wave, self._batch = wave, batch
        first = 0 if captions else CAPTIONS
        self._vectors = materials.meanings.vectors[first:]
        tokenizer = text_tokenizer(materials, wave)
        self._sequences = [
            text_sequence(wave.config, tokenizer.encode(text)) for text in materials.meanings.phrases[first:]
        ]
        concepts = torch.cat([materials.sound_meanings, materials.thing_meanings]).numpy()
        self._near = np.argsort(-(self._vectors @ concepts.T).max(axis=1))[:_NEAR]
        wave.requires_grad_(False)
        wave.model.requires_grad_(True)

    @property
    def trained(self) -> torch.nn.Module:
        """The whole model."""
        return self._wave

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:  # noqa: ARG002
        """Texts of similar length against their meanings."""
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
        """Nothing: how far meanings reach shows in the later stages."""
        return {}
