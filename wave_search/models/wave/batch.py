"""Sequences of different lengths as one input of the decoder, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from wave_search.models.wave.sequences import TokenSequence


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring sequences of the same shape, so that attention can take them as one batch."""

    start: int
    """Their first row in the pack."""
    count: int
    length: int
    """Tokens of each."""
    stem: int
    """Tokens of each that its endings share; `length` if there is but one ending."""
    last: torch.Tensor
    """(endings,) places in the sequence where its embeddings are read."""
    mask: torch.Tensor | None
    """(length - stem, length) bool: what the tokens of the endings see. None if there is but one ending."""

    @property
    def rows(self) -> slice:
        """Their rows in the pack."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass(frozen=True, slots=True)
class Pack:
    """All tokens of all sequences, one after the other."""

    embeddings: torch.Tensor
    """(tokens, hidden), placeholders replaced by features."""
    position_ids: torch.Tensor
    """(3, tokens)"""
    runs: tuple[Run, ...]
    last: torch.Tensor
    """(endings,) rows where embeddings are read, in the order of the sequences and of their endings."""


def packed(sequences: Sequence[TokenSequence], embed: torch.nn.Embedding) -> Pack:
    """Concatenate, embed and merge.

    Args:
        sequences: at least one. Those of the same shape should be neighbours.
        embed: the decoder's table of token embeddings.
    """
    device = embed.weight.device
    ids = torch.from_numpy(np.concatenate([sequence.token_ids for sequence in sequences])).to(device)
    positions = torch.from_numpy(np.concatenate([sequence.position_ids for sequence in sequences], axis=1)).to(device)
    embeddings = embed(ids)
    start = 0
    for sequence in sequences:
        for feature in sequence.features:
            at = torch.from_numpy(start + feature.indices).to(device)
            embeddings[at] = feature.rows.to(embeddings)
        start += len(sequence)
    runs = tuple(_runs(sequences, device))
    firsts = [run.start + number * run.length + run.last for run in runs for number in range(run.count)]
    return Pack(embeddings, positions, runs, torch.cat(firsts))


def _runs(sequences: Sequence[TokenSequence], device: torch.device) -> Iterator[Run]:
    start = 0
    for (length, *endings), group in groupby(sequences, key=lambda sequence: sequence.shape):
        stem, mask, last = length, None, np.array([length - 1])
        if endings:
            stem = length - sum(endings)
            mask = torch.from_numpy(_visible(stem, endings)).to(device)
            last = stem + np.cumsum(endings) - 1
        run = Run(start, len(list(group)), length, stem, torch.from_numpy(last).to(device), mask)
        yield run
        start = run.rows.stop


def _visible(stem: int, endings: Sequence[int]) -> NDArray[np.bool_]:
    """Each ending sees the stem and, as far as it has come, itself."""
    owner = np.repeat(np.arange(len(endings)), endings)
    own = np.tril(owner[:, None] == owner)
    return np.concatenate([np.ones((len(own), stem), dtype=bool), own], axis=1)
