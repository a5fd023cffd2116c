"""Sequences of different lengths as one input of the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wave_search.model.sequences import TokenSequence


@dataclass(frozen=True, slots=True)
class DecoderBatch:
    """Left-padded, so that the last position is the last token of every row."""

    embeddings: torch.Tensor
    """(batch, length, hidden), placeholders replaced by features."""
    attention_mask: torch.Tensor | None
    """(batch, length) int64, 0 where padded. None if nothing is: attention then needs no mask in memory."""
    position_ids: torch.Tensor
    """(3, batch, length), 1 where padded."""


def left_padded(sequences: Sequence[TokenSequence], embed: torch.nn.Embedding, pad: int) -> DecoderBatch:
    """Pad, embed and merge.

    Args:
        sequences: at least one.
        embed: the decoder's table of token embeddings.
        pad: id of the padding token.
    """
    longest = max(map(len, sequences))
    padding = [longest - len(sequence) for sequence in sequences]
    rows = list(zip(sequences, padding, strict=True))
    ids = np.stack([np.pad(row.token_ids, (left, 0), constant_values=pad) for row, left in rows])
    positions = np.stack(
        [np.pad(row.position_ids, ((0, 0), (left, 0)), constant_values=1) for row, left in rows], axis=1
    )
    device = embed.weight.device
    embeddings = embed(torch.from_numpy(ids).to(device))
    for index, (row, left) in enumerate(rows):
        for feature in row.features:
            at = torch.from_numpy(left + feature.indices).to(device)
            embeddings[index, at] = feature.rows.to(embeddings)
    mask = np.arange(longest) >= np.array(padding)[:, None]
    return DecoderBatch(
        embeddings=embeddings,
        attention_mask=torch.from_numpy(mask.astype(np.int64)).to(device) if any(padding) else None,
        position_ids=torch.from_numpy(positions).to(device),
    )
