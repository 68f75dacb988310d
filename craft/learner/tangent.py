"""Objective of a search that reads score matrices, and its minimum along a tangent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from craft.learner.checkpoint import Part
from craft.learner.score_space import summed_cross_entropy

_NEWTON_STEPS = 50
#: Numbers of the tangent that are copied at a time: 128 MB.
_BLOCK = 1 << 24


class Objective(Part, Protocol):
    """Cost of the shots' scores (N, K) without the context's prior; a part of a fit."""

    def begin(self, scores: torch.Tensor) -> float:
        """Start the search at the untouched context's scores; return their cost."""
        ...

    def cost(self, scores: torch.Tensor) -> float:
        """Return the cost of a candidate's scores."""
        ...

    def accept(self, scores: torch.Tensor) -> None:
        """Move the search to these scores."""
        ...

    def steps(
        self,
        scores: torch.Tensor,
        tangent: torch.Tensor,
        slopes: torch.Tensor,
        curvatures: Sequence[float],
    ) -> list[torch.Tensor]:
        """Return c (r,) of least cost on the tangent J (r, N, K), for each curvature of a prior.

        The prior adds slopes . c + curvature / 2 |c|^2. J may be overwritten.
        """
        ...


class PromptAlone:
    """The summed cross-entropy of the box's own scores."""

    def __init__(self, labels: torch.Tensor) -> None:
        self._labels = labels

    def begin(self, scores: torch.Tensor) -> float:
        """Return the cost; nothing is kept."""
        return self.cost(scores)

    def cost(self, scores: torch.Tensor) -> float:
        """Return the summed cross-entropy."""
        return float(summed_cross_entropy(scores, self._labels))

    def accept(self, scores: torch.Tensor) -> None:
        """Keep nothing."""

    def steps(
        self,
        scores: torch.Tensor,
        tangent: torch.Tensor,
        slopes: torch.Tensor,
        curvatures: Sequence[float],
    ) -> list[torch.Tensor]:
        """Return c (r,) for each curvature, each from the one before it."""
        found = [torch.zeros(len(tangent), dtype=scores.dtype)]
        for curvature in curvatures:
            found.append(
                tangent_minimum(scores, tangent, self._labels, slopes, curvature, found[-1])
            )
        return found[1:]

    def state(self) -> dict[str, torch.Tensor]:
        """Return nothing."""
        return {}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Resume from nothing."""


def tangent_minimum(
    scores: torch.Tensor,
    tangent: torch.Tensor,
    labels: torch.Tensor,
    slopes: torch.Tensor,
    curvature: float,
    start: torch.Tensor,
) -> torch.Tensor:
    """Return c (r,) that minimises sum CE(Y + J c, y) + slopes . c + curvature / 2 |c|^2.

    ``scores`` Y (N, K), ``tangent`` J (r, N, K), ``labels`` (N,). Convex; Newton's steps, halved
    until the loss falls.
    """

    def loss(c: torch.Tensor) -> float:
        moved = scores + torch.tensordot(c, tangent, dims=1)
        penalty = slopes @ c + curvature / 2 * c.square().sum()
        return float(summed_cross_entropy(moved, labels) + penalty)

    c, value = start, loss(start)
    flat = tangent.flatten(1)  # a view
    identity = torch.eye(len(start), dtype=torch.float64)
    for _ in range(_NEWTON_STEPS):
        p = (scores + torch.tensordot(c, tangent, dims=1)).softmax(dim=1)  # (N, K)
        residual = p.clone()
        residual[torch.arange(len(labels)), labels] -= 1
        gradient = flat @ residual.flatten() + slopes + curvature * c
        if gradient.norm() <= 1e-8 * (1 + abs(value)):
            break
        hessian = second_derivative(tangent, p) + curvature * identity
        step = torch.linalg.solve(hessian, gradient)
        length = 1.0
        while loss(c - length * step) > value and length > 1e-6:
            length /= 2
        if length <= 1e-6:
            break
        c = c - length * step
        value = loss(c)
    return c


def second_derivative(tangent: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Return that (r, r) of the summed cross-entropy along a tangent (r, N, K).

    ``probabilities`` (N, K) are those where it is taken.
    """
    size = max(1, _BLOCK // (len(tangent) * tangent.shape[2]))  # images
    total = torch.zeros(len(tangent), len(tangent), dtype=tangent.dtype)
    for first in range(0, tangent.shape[1], size):
        block = tangent[:, first : first + size]
        weighted = block * probabilities[first : first + size]  # (r, B, K)
        means = weighted.sum(dim=2)  # (r, B)
        total += weighted.flatten(1) @ block.flatten(1).T - means @ means.T
    return total
