"""Prediction-consistent losses of the collaborative training (Section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over images (Eq. 1): logits (..., N, K), labels (N,) -> (...)."""
    log_p = F.log_softmax(logits, dim=-1)
    index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    return -log_p.gather(-1, index).squeeze(-1).mean(dim=-1)


def divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(softmax(p) || softmax(q)), summed over classes, mean over images: (..., N, K) -> (...)."""
    log_p, log_q = F.log_softmax(p, dim=-1), F.log_softmax(q, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=-1)


def consistency(black_box: torch.Tensor, refined: torch.Tensor, direction: str) -> torch.Tensor:
    """KL term of Eqs. 5 and 6 in the named direction: (..., N, K) twice -> (...)."""
    if direction == "refined||black-box":
        return divergence(refined, black_box)
    if direction == "black-box||refined":
        return divergence(black_box, refined)
    raise ValueError(
        f"direction {direction!r} is neither 'refined||black-box' nor 'black-box||refined'"
    )


def search_loss(
    black_box: torch.Tensor,
    refined: torch.Tensor | None,
    labels: torch.Tensor,
    *,
    weight: float,
    direction: str,
    objective: str = "black-box",
) -> torch.Tensor:
    """Fitness of candidates (Eq. 5): logits (B, N, K), labels (N,) -> (B,).

    ``refined`` may be None where neither the KL term nor the objective needs it.
    """
    loss = cross_entropy(refined if objective == "refined" else black_box, labels)
    if weight:
        loss = loss + weight * consistency(black_box, refined, direction)
    return loss


def refine_loss(
    black_box: torch.Tensor,
    refined: torch.Tensor,
    labels: torch.Tensor,
    *,
    weight: float,
    direction: str,
) -> torch.Tensor:
    """Loss of the refiner (Eq. 6) on a batch: logits (N, K), labels (N,) -> scalar.

    The black box's logits are constants: no gradient reaches them.
    """
    loss = cross_entropy(refined, labels)
    if weight:
        loss = loss + weight * consistency(black_box.detach(), refined, direction)
    return loss
