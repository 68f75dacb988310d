"""Adam and AdamW for the refiner, as torch.optim has them.

The first step of any torch.optim optimiser imports torch's compiler: 2.3 s of processor time at
the start of every fit, more than a small fit takes. A test holds these to torch.optim's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch


class Adam:
    """Adam (Kingma and Ba, 2015); ``decoupled`` weight decay makes it AdamW.

    Betas and epsilon are torch.optim's defaults.
    """

    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        learning_rate: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        self._parameters = list(parameters)
        self._rate, self._decay, self._decoupled = learning_rate, weight_decay, decoupled
        self._first = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._second = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = 0

    @torch.no_grad()
    def step(self, loss: torch.Tensor) -> None:
        """One step down the gradient of a scalar loss."""
        with torch.enable_grad():
            gradients = torch.autograd.grad(loss, self._parameters)
        self._steps += 1
        beta1, beta2 = self.BETAS
        rate = self._rate / (1 - beta1**self._steps)
        correction = math.sqrt(1 - beta2**self._steps)
        for parameter, gradient, first, second in zip(
            self._parameters, gradients, self._first, self._second, strict=True
        ):
            if self._decay and self._decoupled:
                parameter.mul_(1 - self._rate * self._decay)
            elif self._decay:
                gradient = gradient.add(parameter, alpha=self._decay)
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            parameter.addcdiv_(
                first, second.sqrt().div_(correction).add_(self.EPSILON), value=-rate
            )
