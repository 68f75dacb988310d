"""Optimisers of torch.optim with every setting that decides a result named, and CoOp's schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from craft.learner.checkpoint import Descent


def adam(
    parameters: Iterable[torch.Tensor],
    rate: float,
    decay: float,
    *,
    decoupled: bool,
    recorded: bool = False,
) -> Descent:
    """Return Adam with an L2 penalty, or AdamW if the penalty is ``decoupled``.

    Steps that a CUDA graph has ``recorded`` count on the GPU, in one kernel.
    """
    algorithm = torch.optim.AdamW if decoupled else torch.optim.Adam
    return Descent(
        algorithm(
            parameters,
            lr=rate,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=decay,
            amsgrad=False,
            foreach=False,
            fused=recorded,
            capturable=recorded,
        )
    )


def sgd(
    parameters: Iterable[torch.Tensor],
    rate: float,
    decay: float,
    momentum: float,
    *,
    nesterov: bool = False,
) -> Descent:
    """Return SGD at a learning rate, with an L2 penalty and heavy-ball or Nesterov's momentum."""
    return Descent(
        torch.optim.SGD(
            parameters,
            lr=rate,
            momentum=momentum,
            dampening=0,
            weight_decay=decay,
            nesterov=nesterov and momentum > 0,  # torch refuses it without momentum
            foreach=False,
            fused=False,
        )
    )


def delayed_cosine(epoch: int, epochs: int, rate: float, first: float) -> float:
    """Return the rate of a zero-based epoch: ``first`` in one, then the cosine, one epoch late."""
    if epoch == 0:
        return first
    share = (epoch - 1) / epochs
    return 0.5 * rate * (1 + math.cos(math.pi * share))
