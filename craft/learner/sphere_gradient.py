"""Gradients from loss differences alone, along random directions on the unit sphere (CBBT).

Guo et al., Findings of EMNLP 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def sphere_directions(count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return ``count`` directions (q, n), uniform on the unit sphere of R^n."""
    gaussian = torch.randn(count, size, generator=generator)
    return gaussian / gaussian.norm(dim=1, keepdim=True)


def sphere_gradient(
    losses: Callable[[torch.Tensor], torch.Tensor],
    point: torch.Tensor,
    directions: torch.Tensor,
    radius: float,
) -> torch.Tensor:
    """Return the estimate (n,) of the gradient of a loss at ``point`` (n,).

    ``losses`` maps points (m, n) to losses (m,). It is called once, for ``point`` and then each
    ``point + radius * direction``: q + 1 queries. g = n / (q radius) sum (L_i - L_0) u_i, whose
    mean is the gradient of the loss averaged over a ball of that radius. Differences are taken in
    float64. With q directions in n dimensions its cosine to the gradient is about
    sqrt(q / (q + n - 1)), its length sqrt(1 + (n - 1) / q) times the gradient's.
    """
    asked = torch.cat([point[None], point + radius * directions])
    values = losses(asked).double()
    differences = (values[1:] - values[0]) / radius  # (q,)
    count, size = directions.shape
    return (size / count * (differences @ directions.double())).to(point.dtype)
