"""Prediction-consistent losses of the collaborative training (Section 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from craft.runtime.gpu_kernels import fused_on_gpu

#: Bytes of scores that :func:`mean_over_images` passes to a loss at a time, by kind of device, so
#: that intermediate results stay in the cache (CPU) or in memory (others).
CHUNK_BYTES = {"cpu": 4 << 20}
OTHER_CHUNK_BYTES = 1 << 30


def mean_over_images(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    logits: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    """``loss`` (logits (B, n, K), labels (n,) -> (B,)) of logits (B, N, K), few images at a time.

    A loss makes several tensors of the size of its scores. Passing few images at a time limits
    their memory for any B x N x K.
    """
    row = logits[:, :1].numel() * logits.element_size()
    images = max(1, CHUNK_BYTES.get(logits.device.type, OTHER_CHUNK_BYTES) // row)
    if images >= len(labels):
        return loss(logits, labels)
    parts = zip(logits.split(images, dim=1), labels.split(images), strict=True)
    weighted = (loss(scores, target) * len(target) for scores, target in parts)
    return sum(weighted, logits.new_zeros(())) / len(labels)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy (Eq. 1): logits (..., N, K), labels (N,) -> (...)."""
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
    """Return the fitness of candidates (Eq. 5): logits (B, N, K), labels (N,) -> (B,).

    ``refined`` may be None where neither the KL term nor the objective needs it.
    """
    if refined is None:
        if weight or objective == "refined":
            raise ValueError("refined logits: expected a tensor, got None")
        return cross_entropy(black_box, labels)
    if not weight:
        return cross_entropy(refined if objective == "refined" else black_box, labels)
    log_i, log_o = F.log_softmax(black_box, dim=-1), F.log_softmax(refined, dim=-1)
    loss = _negative_log_likelihood(log_o if objective == "refined" else log_i, labels)
    return loss + weight * _consistency(log_i, log_o, direction)


@fused_on_gpu
def refine_loss(
    black_box: torch.Tensor,
    refined: torch.Tensor,
    labels: torch.Tensor,
    *,
    weight: float,
    direction: str,
) -> torch.Tensor:
    """Return the loss of the refiner (Eq. 6) on a batch: logits (N, K), labels (N,) -> scalar.

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
    """Return KL(p || q), summed over classes, mean over images: (..., N, K) -> (...)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=-1)


def _consistency(log_i: torch.Tensor, log_o: torch.Tensor, direction: str) -> torch.Tensor:
    """Return the KL term of Eqs. 5 and 6 between black box (i) and refined (o)."""
    if direction == "refined||black-box":
        return _divergence(log_o, log_i)
    if direction == "black-box||refined":
        return _divergence(log_i, log_o)
    raise ValueError(
        f"direction: expected 'refined||black-box' or 'black-box||refined', got {direction!r}"
    )
