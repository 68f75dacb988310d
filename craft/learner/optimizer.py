"""Adam, AdamW and SGD, as torch.optim has them, with a state that can be saved.

The first step of any torch.optim optimiser imports torch's compiler: 2.3 s of processor time at
the start of every fit, more than a small fit takes. A test holds these to torch.optim's.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping

import torch


class Optimizer(abc.ABC):
    """Moves parameters down a gradient; ``rate`` may be set anew before any step."""

    #: Tensors that are kept for each parameter, zero before the first step.
    MEMORIES: int

    def __init__(self, parameters: Iterable[torch.Tensor], rate: float, decay: float) -> None:
        self.rate, self._decay = rate, decay
        self._parameters = list(parameters)
        self._memory = [
            tuple(torch.zeros_like(parameter) for _ in range(self.MEMORIES))
            for parameter in self._parameters
        ]
        self._steps = 0

    @torch.no_grad()
    def step(self, loss: torch.Tensor) -> None:
        """One step down the gradient of a scalar loss."""
        with torch.enable_grad():
            gradients = torch.autograd.grad(loss, self._parameters)
        self._steps += 1
        for parameter, gradient, memory in zip(
            self._parameters, gradients, self._memory, strict=True
        ):
            self._move(parameter, gradient, *memory)

    @abc.abstractmethod
    def _move(
        self, parameter: torch.Tensor, gradient: torch.Tensor, *memory: torch.Tensor
    ) -> None: ...

    def state(self) -> dict[str, torch.Tensor]:
        """Parameters, what is remembered of their gradients, and the number of steps."""
        state = {"steps": torch.tensor(self._steps)}
        for n, (parameter, memory) in enumerate(zip(self._parameters, self._memory, strict=True)):
            for m, tensor in enumerate((parameter.detach(), *memory)):
                state[f"{n}.{m}"] = tensor
        return state

    @torch.no_grad()
    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a :meth:`state`; the parameters themselves are set."""
        self._steps = int(state["steps"])
        for n, (parameter, memory) in enumerate(zip(self._parameters, self._memory, strict=True)):
            for m, tensor in enumerate((parameter, *memory)):
                tensor.copy_(state[f"{n}.{m}"])


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015); ``decoupled`` weight decay makes it AdamW.

    Betas and epsilon are torch.optim's defaults.
    """

    MEMORIES = 2
    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        *,
        learning_rate: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay)
        self._decoupled = decoupled

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, *memory: torch.Tensor) -> None:
        first, second = memory
        beta1, beta2 = self.BETAS
        rate = self.rate / (1 - beta1**self._steps)
        correction = math.sqrt(1 - beta2**self._steps)
        if self._decay and self._decoupled:
            parameter.mul_(1 - self.rate * self._decay)
        elif self._decay:
            gradient = gradient.add(parameter, alpha=self._decay)
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        parameter.addcdiv_(first, second.sqrt().div_(correction).add_(self.EPSILON), value=-rate)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and weight decay."""

    MEMORIES = 1

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        *,
        learning_rate: float,
        weight_decay: float,
        momentum: float,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay)
        self._momentum = momentum

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, *memory: torch.Tensor) -> None:
        (velocity,) = memory
        if self._decay:
            gradient = gradient.add(parameter, alpha=self._decay)
        velocity.mul_(self._momentum).add_(gradient)
        parameter.add_(velocity, alpha=-self.rate)
