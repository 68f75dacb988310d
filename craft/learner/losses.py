"""Prediction-consistent losses of the collaborative training (Section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over images (Eq. 1): logits (..., N, K), labels (N,) -> (...)."""
    return _negative_log_likelihood(F.log_softmax(logits, dim=-1), labels)


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
    if not weight:
        return cross_entropy(refined if objective == "refined" else black_box, labels)
    log_i, log_o = F.log_softmax(black_box, dim=-1), F.log_softmax(refined, dim=-1)
    loss = _negative_log_likelihood(log_o if objective == "refined" else log_i, labels)
    return loss + weight * _consistency(log_i, log_o, direction)


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
    log_o = F.log_softmax(refined, dim=-1)
    loss = _negative_log_likelihood(log_o, labels)
    if weight:
        log_i = F.log_softmax(black_box.detach(), dim=-1)
        loss = loss + weight * _consistency(log_i, log_o, direction)
    return loss


# Below, log-probabilities: each softmax over N x K is taken once, whatever needs it.


def _negative_log_likelihood(log_p: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    index = labels.expand(log_p.shape[:-1]).unsqueeze(-1)
    return -log_p.gather(-1, index).squeeze(-1).mean(dim=-1)


def _divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p || q), summed over classes, mean over images: (..., N, K) -> (...)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=-1)


def _consistency(log_i: torch.Tensor, log_o: torch.Tensor, direction: str) -> torch.Tensor:
    """KL term of Eqs. 5 and 6 between black box (i) and refined (o), in the named direction."""
    if direction == "refined||black-box":
        return _divergence(log_o, log_i)
    if direction == "black-box||refined":
        return _divergence(log_i, log_o)
    raise ValueError(
        f"direction {direction!r} is neither 'refined||black-box' nor 'black-box||refined'"
    )
