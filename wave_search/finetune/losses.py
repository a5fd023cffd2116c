"""Losses of WAVE's recipe. Source: arXiv:2509.21990; InfoNCE in both directions as in CLIP, arXiv:2103.00020."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name


def contrastive(
    media: torch.Tensor, labels: torch.Tensor, temperature: float | torch.Tensor, same: torch.Tensor | None = None
) -> torch.Tensor:
    """Symmetric InfoNCE within a batch.

    Args:
        media: (batch, dim), not normalised.
        labels: (batch, dim), the partner of each row.
        temperature: cosines are divided by it; the paper's is 0.01.
        same: (batch, batch) true where a pair means the same. These are no negatives of each other: the target is
            spread over them. The pairs themselves if None, which is the paper's loss.
    """
    cosines = F.normalize(media, dim=-1) @ F.normalize(labels, dim=-1).T
    return info_nce(cosines, temperature, same)


def info_nce(
    cosines: torch.Tensor, temperature: float | torch.Tensor, same: torch.Tensor | None = None
) -> torch.Tensor:
    """The same, from the cosines of all pairs of a batch, (batch, batch)."""
    logits = cosines / temperature
    target = torch.eye(len(logits), device=logits.device) if same is None else same.float()
    rows = F.cross_entropy(logits, target / target.sum(1, keepdim=True))
    columns = F.cross_entropy(logits.T, target.T / target.T.sum(1, keepdim=True))
    return 0.5 * (rows + columns)


def multiple_choice(media: torch.Tensor, candidates: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """Cross entropy over each sample's own candidates, of which the first is right.

    Args:
        media: (batch, dim), not normalised.
        candidates: (batch, choices, dim).
        temperature: cosines are divided by it.
    """
    return choice(torch.einsum("bd,bcd->bc", F.normalize(media, dim=-1), F.normalize(candidates, dim=-1)), temperature)


def choice(cosines: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """The same, from the cosines, (batch, choices)."""
    right = torch.zeros(len(cosines), dtype=torch.long, device=cosines.device)
    return F.cross_entropy(cosines / temperature, right)


def distillation(texts: torch.Tensor, meanings: torch.Tensor) -> torch.Tensor:
    """One minus the mean cosine of (batch, dim) with what a teacher says of the same texts."""
    return 1 - F.cosine_similarity(texts, meanings, dim=-1).mean()


def spread_out(texts: torch.Tensor, meanings: torch.Tensor, temperature: float) -> torch.Tensor:
    """Distillation that also tells the texts of a batch apart: InfoNCE against the teacher's vectors."""
    logits = F.normalize(texts, dim=-1) @ F.normalize(meanings, dim=-1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)))
