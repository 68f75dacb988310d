"""A gate between a learner's answer and the black box's own, by how near an image is to the shots.

Tuning on few shots helps images like them and may hurt others. An image whose scores are as near
to a shot's as shots are to each other gets the learner's answer; one far away gets the zero-shot
answer. Each image is judged alone: no statistics of test images enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from craft.learner.score_space import Whitening, centred, temperature

#: Share of the shots that lie within the gate's radius of another one of their class.
_QUANTILE = 0.9
#: How fast the gate closes beyond that radius, in units of it.
_STEEPNESS = 2.0
#: The gate never closes nor opens wholly, so that log-probabilities stay finite.
_EDGE = 1e-9


@dataclass(frozen=True)
class Gate:
    """Whitened scores of the shots at the untouched context, and the radius among them."""

    whitening: Whitening
    shots: torch.Tensor  # (N, K) whitened
    labels: torch.Tensor  # (N,)
    radius: torch.Tensor  # (), squared
    tau: torch.Tensor  # (), temperature of the zero-shot answer

    @classmethod
    def fit(cls, scores: torch.Tensor, labels: torch.Tensor, shrinkage: float) -> Self:
        """Return the gate of the box's scores (N, K) on the shots, labels (N,).

        ``shrinkage`` is the whitening's. The radius is a quantile over shots of the squared
        distance to the nearest other shot of the class, of any class where each has one shot.
        """
        scores = centred(scores)
        tau = temperature(scores, labels)
        whitening = Whitening.fit(tau * scores, shrinkage)
        shots = whitening(tau * scores)
        distances = torch.cdist(shots, shots).square()
        distances.fill_diagonal_(torch.inf)
        if int(torch.bincount(labels).max()) > 1:
            distances[labels[:, None] != labels[None]] = torch.inf
        nearest = distances.min(dim=1).values
        nearest = nearest[torch.isfinite(nearest)]  # a class of one shot beside larger ones
        radius = torch.quantile(nearest, _QUANTILE).clamp_min(torch.finfo(torch.float64).tiny)
        return cls(whitening, shots, labels, radius, torch.tensor(tau, dtype=torch.float64))

    def weights(self, scores: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """Return the weight (M,) of a learner's answer, in 0..1.

        ``scores`` (M, K) are the box's at the untouched context, ``predicted`` (M,) the learner's
        labels: an image is compared with the shots of the class that the learner gives it.
        """
        own = self.whitening(self.tau * centred(scores))
        distances = torch.cdist(own, self.shots).square()  # (M, N)
        distances[predicted[:, None] != self.labels[None]] = torch.inf
        excess = distances.min(dim=1).values / self.radius - 1
        return torch.exp(-_STEEPNESS * excess).clamp(_EDGE, 1 - _EDGE)

    def __call__(self, scores: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        """Return gated probabilities (M, K) of a learner's ``probabilities`` (M, K)."""
        weight = self.weights(scores, probabilities.argmax(dim=1))[:, None]
        own = (self.tau * centred(scores)).softmax(dim=1)
        return weight * probabilities.double() + (1 - weight) * own

    def state(self) -> dict[str, torch.Tensor]:
        """Return what :meth:`restore` needs, by name."""
        return {
            "gate.shots": self.shots,
            "gate.labels": self.labels,
            "gate.radius": self.radius,
            "gate.tau": self.tau,
            **self.whitening.state("gate"),
        }

    @classmethod
    def restore(cls, state: Mapping[str, torch.Tensor]) -> Self:
        """Return the gate of a :meth:`state`."""
        named = (state[f"gate.{name}"] for name in ("shots", "labels", "radius", "tau"))
        return cls(Whitening.restore(state, "gate"), *named)
