"""The training step of fine-tuning: a batch of one task, its embeddings, its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from wave_search.batches import map_ahead
from wave_search.errors import ModelError
from wave_search.finetune.losses import contrastive, multiple_choice
from wave_search.finetune.settings import QUESTIONS
from wave_search.models.wave.batch import packs
from wave_search.models.wave.preprocess import prepare
from wave_search.types import Clip, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from wave_search.finetune.data import Pair, Plan, Side
    from wave_search.finetune.distributed import ProcessGroup
    from wave_search.finetune.lora import Adapter
    from wave_search.finetune.media import Loader
    from wave_search.models.wave.embedder import WaveEmbedder
    from wave_search.models.wave.sequences import TokenSequence

_PACK_TOKENS = 8192
"""Maximum number of tokens per decoder pass. The backward pass recomputes each layer of a pack at once."""


class FineTune:
    """See `loop.Stage`.

    The towers, the head and the decoder are frozen, except for the adapters. Only the input of each decoder layer is
    kept for the backward pass.

    Args:
        embedder: of the model.
        adapter: the adapter in its decoder.
        plan: the batches.
        loader: reads media.
        validate: returns metrics on held-out data.
        temperature: of the losses.
        group: the processes that each batch is divided among.
    """

    def __init__(
        self,
        embedder: WaveEmbedder,
        adapter: Adapter,
        plan: Plan,
        loader: Loader,
        validate: Callable[[], dict[str, float]],
        *,
        temperature: float,
        group: ProcessGroup,
    ) -> None:
        self._embedder, self._adapter, self._plan, self._loader = embedder, adapter, plan, loader
        self._validate, self._temperature, self._group = validate, temperature, group
        self._upcoming: dict[int, tuple[list[Future[Clip]], list[Future[Clip]]]] = {}
        embedder.wave.model.gradient_checkpointing = True

    @property
    def trained(self) -> torch.nn.Module:
        """The adapter."""
        return self._adapter

    def validate(self) -> dict[str, float]:
        """Return metrics on held-out data."""
        return self._validate()

    def loss(self, _rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the loss of the batch of a step.

        Raises:
            MediaError: a file can no longer be read.
            ModelError: the loss is not finite.
        """
        batch = self._plan.batch(step)
        mine = self._share(batch.pairs)
        queries, targets = self._read(step)
        media = self._embed([pair.query for pair in mine], queries)
        if batch.task == QUESTIONS:
            loss = self._choices(media, mine) / len(batch.pairs)
            value = self._group.total(float(loss.detach()))
        else:
            others = self._embed([pair.target for pair in mine], targets)
            media, others = self._group.gather_rows(media), self._group.gather_rows(others)
            loss = contrastive(media, others, self._temperature, _same(batch.pairs).to(media.device))
            value = float(loss.detach())
        if not np.isfinite(value):
            raise ModelError(
                f"the loss of step {step + 1} is not finite", "Lower learning_rate, or set dtype to float32."
            )
        return loss, {"loss": value, f"{batch.task} loss": value}

    def _share(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        count = len(pairs) // self._group.size
        return pairs[self._group.rank * count : (self._group.rank + 1) * count]

    def _read(self, step: int) -> tuple[list[Clip], list[Clip]]:
        """Return the clips of this process's share, queries and targets, and start decoding those of the next step."""
        for number in (step, step + 1):
            if number not in self._upcoming:
                pairs = self._share(self._plan.batch(number).pairs)
                queries, targets = (self._loader.submit(side) for side in _sides(pairs))
                self._upcoming[number] = (queries, targets)
        queries, targets = self._upcoming.pop(step)
        return [clip.result() for clip in queries], [clip.result() for clip in targets]

    def _choices(self, media: torch.Tensor, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the sum of the losses of questions, which may differ in their number of answers."""
        texts = [answer for pair in pairs for answer in (pair.target.text, *pair.wrong)]
        answers = self._embed_clips([Clip(text=text) for text in texts], Modality.TEXT, [None] * len(texts))
        own = torch.split(answers, [1 + len(pair.wrong) for pair in pairs])
        losses = [
            multiple_choice(row[None], candidates[None], self._temperature)
            for row, candidates in zip(media, own, strict=True)
        ]
        return torch.stack(losses).sum()

    def _embed(self, sides: Sequence[Side], clips: Sequence[Clip]) -> torch.Tensor:
        return self._embed_clips(clips, sides[0].modality or Modality.AV, [side.prompt for side in sides])

    def _embed_clips(self, clips: Sequence[Clip], modality: Modality, prompts: Sequence[str | None]) -> torch.Tensor:
        """Embed clips: (clips, dim) float32, not normalised."""
        wave, wanted = self._embedder.wave, frozenset({modality})
        with torch.no_grad():
            prepared = map_ahead(lambda clip: prepare(wave.config, clip, wanted), clips)
            laid_out = [
                self._embedder.lay_out(clip, inputs, wanted, [prompt])[modality]
                for clip, prompt, inputs in zip(clips, prompts, prepared, strict=True)
            ]
        return _in_packs(laid_out, wave.embed_text if modality is Modality.TEXT else wave.embed_media).float()


def _sides(pairs: Sequence[Pair]) -> tuple[list[Side], list[Side]]:
    return [pair.query for pair in pairs], [pair.target for pair in pairs]


def _same(pairs: Sequence[Pair]) -> torch.Tensor:
    """Return (pairs, pairs), whether two pairs share a side: captions of the same clip are not negatives of it."""
    return torch.tensor([[one.query == other.query or one.target == other.target for other in pairs] for one in pairs])


def _in_packs(
    sequences: Sequence[TokenSequence], embed: Callable[[Sequence[TokenSequence]], torch.Tensor]
) -> torch.Tensor:
    """Embed sequences in packs of limited size, and return rows in the order of the sequences."""
    rows: dict[int, torch.Tensor] = {}
    for pack in packs(enumerate(sequences), lambda numbered: numbered[1].shape, _PACK_TOKENS):
        embedded = embed([sequence for _, sequence in pack])
        rows.update((number, row) for (number, _), row in zip(pack, embedded, strict=True))
    return torch.stack([rows[number] for number in range(len(sequences))])
