"""Batches of the decoder: token budget, choice of sequences, and layout without padding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wave_search.models.wave.sequences import TokenSequence

Item = TypeVar("Item")
Shape = tuple[int, ...]

# By device type. Larger batches are not faster, because the matrix products already saturate the device. Those of mps
# are not measured.
FEWEST_TOKENS = 1024
MOST_TOKENS = {"cpu": 2048, "cuda": 32_768, "mps": 8192}
FEED_FORWARD_ROWS = {"cpu": 512, "cuda": 4096, "mps": 2048}
"""Tokens that the feed-forward part of a layer processes at once, because it is several times as wide as the rest."""
TOWER_PATCHES = {"cpu": 2048, "cuda": 16_384, "mps": 4096}
"""Patches of one clip that the vision tower processes at once."""

_SHARE = 4
"""A batch may use 1 / _SHARE of the free memory; towers, other threads and other programs use the rest."""
_ROWS_PER_TOKEN = 12
"""Rows of the hidden width that a token needs at peak: eight in a layer, and four while it waits for its pack."""


def token_budget(free_bytes: int | None, hidden: int, item_bytes: int, device_type: str) -> int:
    """Return the maximum number of tokens of a pack.

    Args:
        free_bytes: free memory of the device after the weights are loaded; None if unknown.
        hidden: width of the decoder.
        item_bytes: size of one element.
        device_type: "cpu", "cuda" or "mps".
    """
    most = MOST_TOKENS[device_type]
    if free_bytes is None:
        return most
    fitting = free_bytes // _SHARE // (_ROWS_PER_TOKEN * hidden * item_bytes)
    return max(FEWEST_TOKENS, min(most, fitting))


def packs(items: Iterable[Item], shape_of: Callable[[Item], Shape], token_budget: int) -> list[list[Item]]:
    """Divide sequences into packs within a token budget, with sequences of the same shape adjacent.

    Args:
        items: the sequences.
        shape_of: returns the number of tokens, and any other property by which sequences cannot share a batch.
        token_budget: maximum number of tokens of a pack. A longer sequence is a pack of its own.

    Returns:
        Packs, longest sequences first. Each sequence occurs once, and equal ones keep their order.
    """
    result: list[list[Item]] = []
    room = 0
    for item in sorted(items, key=shape_of, reverse=True):
        tokens = shape_of(item)[0]
        if not result or tokens > room:
            result.append([])
            room = token_budget
        result[-1].append(item)
        room -= tokens
    return result


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent sequences of the same shape, which attention processes as one batch."""

    start: int
    """First row of the sequences in the pack."""
    count: int
    length: int
    """Number of tokens of each sequence."""
    stem: int
    """Number of tokens of each sequence that its endings share; `length` if there is only one ending."""
    last: torch.Tensor
    """(endings,) positions in the sequence where its embeddings are read."""
    mask: torch.Tensor | None
    """(length - stem, length) bool: what the tokens of the endings attend to. None if there is only one ending."""

    @property
    def rows(self) -> slice:
        """Rows of the sequences in the pack."""
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
    """Concatenate sequences, embed their tokens, and insert their features.

    Args:
        sequences: at least one. Those of the same shape should be adjacent.
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
    """Return the mask with which each ending attends to the stem and, causally, to itself."""
    owner = np.repeat(np.arange(len(endings)), endings)
    own = np.tril(owner[:, None] == owner)
    return np.concatenate([np.ones((len(own), stem), dtype=bool), own], axis=1)
