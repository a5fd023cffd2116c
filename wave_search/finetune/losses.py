"""Losses of WAVE's training. Source: arXiv:2509.21990; InfoNCE in both directions as in CLIP, arXiv:2103.00020."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name


def contrastive(
    media: torch.Tensor, labels: torch.Tensor, temperature: float | torch.Tensor, same: torch.Tensor | None = None
) -> torch.Tensor:
    """Symmetric InfoNCE within a batch.

    Args:
        media: (batch, dim), not normalised.
        labels: (batch, dim), the counterpart of each row of `media`.
        temperature: cosines are divided by it; the paper's is 0.01.
        same: (batch, batch), whether two pairs are equivalent. Such pairs are not negatives of each other: the target
            is distributed over them. None for the identity, which gives the loss of the paper.
    """
    cosines = F.normalize(media, dim=-1) @ F.normalize(labels, dim=-1).T
    return info_nce(cosines, temperature, same)


def info_nce(
    cosines: torch.Tensor, temperature: float | torch.Tensor, same: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute `contrastive` from the cosines of all pairs of a batch, (batch, batch)."""
    logits = cosines / temperature
    target = torch.eye(len(logits), device=logits.device) if same is None else same.float()
    rows = F.cross_entropy(logits, target / target.sum(1, keepdim=True))
    columns = F.cross_entropy(logits.T, target.T / target.T.sum(1, keepdim=True))
    return 0.5 * (rows + columns)


def multiple_choice(media: torch.Tensor, candidates: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """Compute the cross-entropy over the candidates of each sample, the first of which is right.

    Args:
        media: (batch, dim), not normalised.
        candidates: (batch, choices, dim).
        temperature: cosines are divided by it.
    """
    return choice(torch.einsum("bd,bcd->bc", F.normalize(media, dim=-1), F.normalize(candidates, dim=-1)), temperature)


def choice(cosines: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """Compute `multiple_choice` from the cosines, (batch, choices)."""
    right = torch.zeros(len(cosines), dtype=torch.long, device=cosines.device)
    return F.cross_entropy(cosines / temperature, right)
