"""Transforms of a box's scores that are fitted on few shots: a temperature, and whitening.

Scores are (N, K) in float64, one row per image. Adding a constant to a row changes nothing here, so
logits, log-probabilities and centred similarities are equivalent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from scipy.optimize import minimize_scalar

#: Standard deviation of the logarithm of a temperature, a priori.
_SPREAD = 0.5
#: Grid of natural logarithms of temperatures, whose best is refined.
_COARSE = [0.25 * step for step in range(-48, 49)]


def centred(scores: torch.Tensor) -> torch.Tensor:
    """Return scores (..., K) in float64 less their mean over classes."""
    scores = scores.double()
    return scores - scores.mean(dim=-1, keepdim=True)


def summed_cross_entropy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy () of scores (N, K) with labels (N,), summed over images."""
    return torch.nn.functional.cross_entropy(scores, labels, reduction="sum")


def temperature(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the factor tau > 0 of the scores that minimises sum CE(tau Y, y) + 2 (ln tau)^2.

    The second term is a log-normal prior around 1: without it few shots that are all right would
    ask for an infinite factor.
    """

    def cost(log_tau: float) -> float:
        return (
            float(summed_cross_entropy(math.exp(log_tau) * scores, labels))
            + (log_tau / _SPREAD) ** 2 / 2
        )

    best = min(_COARSE, key=cost)
    found = minimize_scalar(
        cost, bounds=(best - 0.25, best + 0.25), method="bounded", options={"xatol": 1e-10}
    )
    return math.exp(float(found.x))


@dataclass(frozen=True)
class Whitening:
    """An affine map of scores (..., F) to features of about unit covariance, fitted on shots.

    (Y - m) S^(-1/2) with S = (1 - a) Cov(Y) + a tr(Cov(Y)) / F I, the symmetric root.
    """

    mean: torch.Tensor  # (F,)
    root: torch.Tensor  # (F, F)

    @classmethod
    def fit(cls, scores: torch.Tensor, shrinkage: float) -> Self:
        """Return the map for scores (N, F) and a = ``shrinkage``; constant scores map to 0."""
        mean = scores.mean(dim=0)
        deviations = scores - mean
        covariance = deviations.T @ deviations / len(scores)  # (F, F)
        scale = covariance.diagonal().mean()
        identity = torch.eye(len(covariance), dtype=scores.dtype, device=scores.device)
        if scale <= 0:
            return cls(mean, identity)
        values, vectors = torch.linalg.eigh(
            (1 - shrinkage) * covariance + shrinkage * scale * identity
        )
        # Without shrinkage directions of no variance would be divided by rounding errors.
        values = values.clamp_min(1e-12 * values[-1])
        return cls(mean, (vectors / values.sqrt()) @ vectors.T)

    def __call__(self, scores: torch.Tensor) -> torch.Tensor:
        """Return features (..., F) of scores (..., F)."""
        return (scores - self.mean) @ self.root

    def state(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return both tensors by name."""
        return {f"{prefix}.mean": self.mean, f"{prefix}.root": self.root}

    @classmethod
    def restore(cls, state: Mapping[str, torch.Tensor], prefix: str) -> Self:
        """Return the map of a :meth:`state`."""
        return cls(state[f"{prefix}.mean"], state[f"{prefix}.root"])
