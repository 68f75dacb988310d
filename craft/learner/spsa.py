"""Gradient estimates by simultaneous perturbation (SPSA), two losses per repetition.

BlackVIP (Oh et al., CVPR 2023) corrects them by Nesterov's momentum: SPSA-GC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Gains:
    """Schedules of step t = 1, 2, ...: a_t = a / (t + o)^alpha and c_t = c / t^gamma."""

    gain: float  # a, the learning rate
    offset: float  # o
    decay: float  # alpha
    step: float  # c, how far weights are moved to measure the loss
    step_decay: float  # gamma

    def rate(self, t: int) -> float:
        """Return a_t."""
        return self.gain / (t + self.offset) ** self.decay

    def distance(self, t: int) -> float:
        """Return c_t."""
        return self.step / t**self.step_decay


def perturbations(repeats: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return (R, n) entries +-u, u uniform in 0.5..1, the sign fair; E[1 / u^2] = 2 is finite."""
    length = 0.5 + 0.5 * torch.rand(repeats, size, generator=generator)
    sign = torch.randint(0, 2, (repeats, size), generator=generator) * 2 - 1
    return length * sign


def spsa_gradient(
    loss: Callable[[torch.Tensor], torch.Tensor],
    weights: torch.Tensor,
    moves: torch.Tensor,
    distance: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the estimate (n,) of the gradient at ``weights`` (n,), and the mean of its losses ().

    The estimate is the mean over ``moves`` (R, n) of (L(w + c d) - L(w - c d)) / (2 c d), entry by
    entry. ``loss`` maps weights (n,) to a loss () and is called 2 R times. Differences are taken in
    float64.
    """
    estimate = torch.zeros_like(weights, dtype=torch.float64)
    total = estimate.new_zeros(())
    for move in moves:
        above = loss(weights + distance * move).double()
        below = loss(weights - distance * move).double()
        estimate += (above - below) / (2 * distance * move.double())
        total += above + below
    return (estimate / len(moves)).to(weights.dtype), total / (2 * len(moves))
