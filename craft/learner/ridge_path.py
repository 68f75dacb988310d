"""Penalised multinomial regression on a black box's scores, for a whole path of penalties.

For features phi (N, F), an anchor A (N, K) and a penalty l, T (F, K) minimises
sum CE(A + phi T, y) + l / 2 |T|_F^2: convex, and certified by its gradient. Answers for several
penalties are mixed as probabilities, by how well each does on held-out shots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from craft.learner.score_space import summed_cross_entropy

#: Penalties of the path, strongest first; the strongest leaves the anchor unchanged.
PENALTIES = tuple(10.0**exponent for exponent in np.arange(2, -2.25, -0.5))
#: Largest norm of the gradient of the summed loss at which a fit counts as solved.
CERTIFICATE = 1e-4
#: A candidate whose weight is below this share of the largest is left out of the answer.
_LEAST_SHARE = 1e-3
#: Newton's steps that a fit may take; it takes some five.
_MOST_STEPS = 200
#: Conjugate-gradient steps that solve for one of them.
_MOST_INNER_STEPS = 500


class NotSolved(RuntimeError):
    """A convex fit stopped before its gradient was small enough."""


def solve(
    features: torch.Tensor,
    anchor: torch.Tensor,
    labels: torch.Tensor,
    penalty: float,
    start: torch.Tensor,
) -> torch.Tensor:
    """Return T (F, K), float64, of one penalty, from a start (F, K).

    ``features`` (N, F), ``anchor`` (N, K), ``labels`` (N,). Raises NotSolved.
    """
    fit = _Fit(features, anchor, labels, penalty)
    found, steps = _newton(fit, start)
    if (norm := fit.gradient(found).norm().item()) > CERTIFICATE:
        raise NotSolved(
            f"ridge path: expected a gradient of at most {CERTIFICATE:g} at penalty {penalty:g}, "
            f"got {norm:.3g} after {steps} steps"
        )
    return found


@dataclass(frozen=True)
class _Fit:
    """The convex problem of one penalty, in float64."""

    features: torch.Tensor  # (N, F)
    anchor: torch.Tensor  # (N, K)
    labels: torch.Tensor  # (N,)
    penalty: float

    def loss(self, weights: torch.Tensor) -> float:
        """Return the penalised loss of T (F, K)."""
        scores = self.anchor + self.features @ weights
        loss = summed_cross_entropy(scores, self.labels)
        return float(loss + self.penalty / 2 * weights.square().sum())

    def gradient(self, weights: torch.Tensor) -> torch.Tensor:
        """Return its gradient (F, K)."""
        return self.features.T @ self.residuals(weights)[0] + self.penalty * weights

    def curvature(self, probabilities: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Return the second derivative times a direction (F, K), at ``probabilities`` (N, K)."""
        moved = self.features @ direction  # (N, K)
        weighted = probabilities * moved
        weighted -= probabilities * weighted.sum(dim=1, keepdim=True)
        return self.features.T @ weighted + self.penalty * direction

    def residuals(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities less the labels' one-hot rows, and probabilities, (N, K) each."""
        p = (self.anchor + self.features @ weights).softmax(dim=1)
        residuals = p.clone()
        residuals[torch.arange(len(p), device=p.device), self.labels] -= 1
        return residuals, p


def _newton(fit: _Fit, start: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the minimum and the number of steps; a step is halved until the loss falls."""
    gram = fit.features.T @ fit.features
    weights, loss = start, fit.loss(start)
    for steps in range(_MOST_STEPS):
        residuals, probabilities = fit.residuals(weights)
        gradient = fit.features.T @ residuals + fit.penalty * weights
        norm = gradient.norm()
        if norm <= 0.1 * CERTIFICATE:
            return weights, steps
        # As if every probability had the mean's curvature p (1 - p).
        rough = (probabilities - probabilities.square()).mean() * gram
        rough.diagonal().add_(fit.penalty)
        factor = torch.linalg.cholesky(rough)
        step = _conjugate_gradient(fit, probabilities, gradient, factor, float(norm))
        slope, length = float((gradient * step).sum()), 1.0
        while (moved := fit.loss(weights - length * step)) > loss - 1e-4 * length * slope:
            length /= 2
            if length < 1e-10:  # nothing is left to win within rounding
                return weights, steps
        weights, loss = weights - length * step, moved
    return weights, _MOST_STEPS


def _conjugate_gradient(
    fit: _Fit,
    probabilities: torch.Tensor,
    gradient: torch.Tensor,
    factor: torch.Tensor,
    norm: float,
) -> torch.Tensor:
    """Return Newton's step (F, K), the more exact the smaller the gradient's norm is.

    ``factor`` (F, F), of a rough second derivative of one class's weights, preconditions it.
    """
    step, residual = torch.zeros_like(gradient), gradient
    solved = torch.cholesky_solve(residual, factor)
    direction, inner = solved, float((residual * solved).sum())
    enough = min(0.1, norm**0.5) * norm
    for _ in range(_MOST_INNER_STEPS):
        curved = fit.curvature(probabilities, direction)
        length = inner / float((direction * curved).sum())
        step = step + length * direction
        residual = residual - length * curved
        if residual.norm() <= enough:
            break
        solved = torch.cholesky_solve(residual, factor)
        inner, before = float((residual * solved).sum()), inner
        direction = solved + inner / before * direction
    return step


def path(features: torch.Tensor, anchor: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Return T (F, K) of each of PENALTIES, each from the solution of the stronger one."""
    weights = torch.zeros(
        features.shape[1], anchor.shape[1], dtype=features.dtype, device=features.device
    )
    found = []
    for penalty in PENALTIES:
        weights = solve(features, anchor, labels, penalty, weights)
        found.append(weights)
    return found


def folds_of(labels: torch.Tensor, most: int) -> torch.Tensor:
    """Return the fold (N,) of each image: the j-th shot of a class is in fold j mod folds.

    All zero where a class has a single shot: nothing can be held out.
    """
    counts = torch.bincount(labels)
    folds = min(most, int(counts[counts > 0].min()))
    seen: dict[int, int] = {}
    found = []
    for label in labels.tolist():
        found.append(seen.get(label, 0) % folds)
        seen[label] = seen.get(label, 0) + 1
    return torch.tensor(found, device=labels.device)


def held_out_losses(
    features: torch.Tensor, anchor: torch.Tensor, labels: torch.Tensor, folds: torch.Tensor
) -> list[float]:
    """Return for each penalty the cross-entropy summed over all shots, each held out once.

    Zeros where there is one fold.
    """
    total = [0.0] * len(PENALTIES)
    count = int(folds.max()) + 1
    if count == 1:
        return total
    for fold in range(count):
        aside, kept = folds == fold, folds != fold
        solved = path(features[kept], anchor[kept], labels[kept])
        for n, weights in enumerate(solved):
            scores = anchor[aside] + features[aside] @ weights
            total[n] += float(summed_cross_entropy(scores, labels[aside]))
    return total


def mixture(losses: Sequence[float]) -> list[tuple[int, float]]:
    """Return (number, weight) of the candidates that an answer mixes, the weights adding up to 1.

    ``losses`` run over PENALTIES, once or several times. A candidate's weight is exp(-cost) of its
    held-out loss and a prior around penalty 1, one nat for a decade squared: all that one shot has.
    """
    costs = [loss + math.log10(PENALTIES[n % len(PENALTIES)]) ** 2 for n, loss in enumerate(losses)]
    best = min(costs)
    shares = [math.exp(best - cost) for cost in costs]
    kept = [(n, share) for n, share in enumerate(shares) if share >= _LEAST_SHARE]
    total = sum(share for _, share in kept)
    return [(n, share / total) for n, share in kept]
