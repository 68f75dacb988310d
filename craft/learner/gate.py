"""A gate between the learner's answer and the zero-shot answer, by the distance to the shots.

Tuning on few shots helps similar images and may hurt others. An image whose scores are as near to
a shot's as shots are to each other gets the learner's answer; a distant image gets the zero-shot
answer. The gate judges each image alone and uses no statistics of test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from craft.learner.score_space import Whitening, centred, temperature

#: Weight of the mean variance in the whitening.
_SHRINKAGE = 0.5
#: Share of the shots within the gate's radius of another shot of their class.
_QUANTILE = 0.9
#: Steepness of the gate's closing beyond the radius, in units of the radius.
_STEEPNESS = 2.0
#: Smallest weight of either answer, so that log-probabilities stay finite.
_EDGE = 1e-9
#: Distances in memory at a time: 128 MB.
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Gate:
    """Whitened scores of the shots at the untouched context, and the radius among them."""

    whitening: Whitening
    shots: torch.Tensor  # (N, K) whitened
    labels: torch.Tensor  # (N,)
    radius: torch.Tensor  # (), squared
    tau: torch.Tensor  # (), temperature of the zero-shot answer

    @classmethod
    def fit(cls, scores: torch.Tensor, labels: torch.Tensor) -> Self:
        """Return the gate of the box's scores (N, K) on the shots, labels (N,).

        The radius is a quantile over shots of the squared
        distance to the nearest other shot of the class, of any class where each has one shot.
        """
        scores = centred(scores)
        tau = scores.new_tensor(temperature(scores, labels))
        whitening = Whitening.fit(tau * scores, _SHRINKAGE)
        shots = whitening(tau * scores)
        single = int(torch.bincount(labels).max()) == 1
        numbers = torch.arange(len(labels), device=labels.device)
        kinds = torch.zeros_like(labels) if single else labels
        nearest = _nearest(shots, kinds, shots, kinds, numbers)
        nearest = nearest[torch.isfinite(nearest)]  # a class of one shot beside larger ones
        radius = torch.quantile(nearest, _QUANTILE).clamp_min(torch.finfo(torch.float64).tiny)
        return cls(whitening, shots, labels, radius, tau)

    def weights(self, scores: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """Return the weight (M,) of the learner's answer, in 0..1.

        ``scores`` (M, K) are the box's at the untouched context, ``predicted`` (M,) the learner's
        labels. An image is compared with the shots of its predicted class.
        """
        own = self.whitening(self.tau * centred(scores))
        distances = _nearest(own, predicted, self.shots, self.labels)
        return torch.exp(-_STEEPNESS * (distances / self.radius - 1)).clamp(_EDGE, 1 - _EDGE)

    def __call__(self, scores: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        """Return gated probabilities (M, K) of a learner's ``probabilities`` (M, K)."""
        weight = self.weights(scores, probabilities.argmax(dim=1))[:, None]
        own = (self.tau * centred(scores)).softmax(dim=1)
        return weight * probabilities.double() + (1 - weight) * own

    def to(self, device: torch.device) -> Gate:
        """Return the gate on a device."""
        if self.shots.device == device:
            return self
        moved = {name: value.to(device) for name, value in self.state().items()}
        return Gate.restore(moved)

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
        """Return the gate of a :meth:`state`; raises ValueError for a foreign one."""
        if "gate.tau" not in state:
            raise ValueError("state of a gated learner: expected tensors 'gate.*', got none")
        named = (state[f"gate.{name}"] for name in ("shots", "labels", "radius", "tau"))
        return cls(Whitening.restore(state, "gate"), *named)


def _nearest(
    rows: torch.Tensor,
    kinds: torch.Tensor,
    shots: torch.Tensor,
    shot_kinds: torch.Tensor,
    numbers: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the squared distance (M,) of rows (M, K) to the nearest shot (N, K) of their kind.

    Infinite where there is none. ``numbers`` (M,) are shots that each row is not compared with.
    """
    size = max(1, _BLOCK // len(shots))
    found = []
    for first in range(0, len(rows), size):
        block = slice(first, first + size)
        distances = torch.cdist(rows[block], shots).square()
        distances[kinds[block, None] != shot_kinds] = torch.inf
        if numbers is not None:
            own = numbers[block]
            distances[torch.arange(len(own), device=own.device), own] = torch.inf
        found.append(distances.min(dim=1).values)
    return torch.cat(found)
