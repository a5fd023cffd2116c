"""The two training losses of the paper, as their values are recorded."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy


def contrastive(similarities: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of media against labels, and of labels against media; the loss is their mean.

    Args:
        similarities: (n, n) cosines of media (rows) and labels (columns); pairs are on the diagonal.
        temperature: divides the cosines.
    """
    target = torch.arange(len(similarities))
    logits = similarities / temperature
    return cross_entropy(logits, target), cross_entropy(logits.T, target)


def question(similarities: list[torch.Tensor], temperature: float) -> torch.Tensor:
    """Mean cross entropy of each media file against its own candidates, of which the first is right.

    Args:
        similarities: for each media file (candidates,) cosines; their numbers may differ.
        temperature: divides the cosines.
    """
    first = torch.tensor(0)
    return torch.stack([cross_entropy(row / temperature, first) for row in similarities]).mean()
