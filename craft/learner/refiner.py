"""Prediction refinement: a small network on the black box's logits (Section 3.2)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping

import torch
from torch import nn

from craft.learner.checkpoint import Draws
from craft.learner.losses import refine_loss
from craft.learner.optimizers import adam
from craft.learner.options import Options
from craft.runtime.cuda_graph import Recording


class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Do nothing: the refiner draws from its own generator, not PyTorch's global one."""


class Refiner(nn.Module):
    """Y_O = Y_I + g(Y_I) on logits (..., K) (Eq. 3); without the residual Y_O = g(Y_I).

    g is Linear-ReLU-...-Linear, or one Linear. Weights are drawn from ``generator`` with PyTorch's
    default law for Linear, U(+-1/sqrt(fan in)).
    """

    def __init__(self, classes: int, options: Options, generator: torch.Generator) -> None:
        super().__init__()
        depth = 1 if options.head == "linear" else options.layers
        widths = [classes, *([options.hidden] * (depth - 1)), classes]
        modules: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            linear = _Linear(fan_in, fan_out)
            for parameter in linear.parameters():
                bound = 1 / math.sqrt(fan_in)
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
            modules += [linear, nn.ReLU()]
        self.head = nn.Sequential(*modules[:-1])
        self.residual = options.residual

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Return refined logits, of the shape of ``logits`` (..., K)."""
        change = self.head(logits)
        return logits + change if self.residual else change


class RefinerTrainer:
    """Mini-batch training of a refiner on the black box's scores (Eq. 6)."""

    def __init__(self, refiner: Refiner, options: Options, generator: torch.Generator) -> None:
        self.refiner = refiner
        self._options = options
        self._generator = generator
        on_gpu = next(refiner.parameters()).device.type == "cuda"
        self._descent = adam(
            refiner.parameters(),
            options.learning_rate,
            options.weight_decay,
            decoupled=options.optimizer == "adamw",
            recorded=on_gpu,
        )
        #: Passes by weight and shape of scores.
        self._recorded: dict[tuple[float, torch.Size], Recording] | None = {} if on_gpu else None

    def train(self, logits: torch.Tensor, labels: torch.Tensor, *, weight: float) -> torch.Tensor:
        """Run ``passes`` shuffled passes over logits (N, K), labels (N,); return the mean loss."""
        total = torch.zeros((), dtype=torch.float64, device=logits.device)
        for _ in range(self._options.passes):
            order = torch.randperm(len(labels), generator=self._generator)
            order = order.to(labels.device, non_blocking=True)
            run = self._pass if self._recorded is None else self._replay
            total = run(total, logits, labels, order, weight)
        return total / (self._options.passes * len(labels))

    def _pass(
        self,
        total: torch.Tensor,
        logits: torch.Tensor,
        labels: torch.Tensor,
        order: torch.Tensor,
        weight: float,
    ) -> torch.Tensor:
        """Take a step on each batch of the images in ``order`` (N,); return ``total`` () and more.

        More is the sum of the images' losses.
        """
        for batch in order.split(self._options.batch_size):
            scores, target = logits[batch], labels[batch]
            loss = refine_loss(
                scores,
                self.refiner(scores),
                target,
                weight=weight,
                direction=self._options.kl_refine,
            )
            self._descent.step(loss)
            total = total + loss.detach().double() * len(batch)
        return total

    def _replay(
        self,
        total: torch.Tensor,
        logits: torch.Tensor,
        labels: torch.Tensor,
        order: torch.Tensor,
        weight: float,
    ) -> torch.Tensor:
        """:meth:`_pass` on a GPU, recorded: launching its kernels takes longer than they do."""
        assert self._recorded is not None
        inputs = (total, logits, labels, order)
        if (known := (weight, logits.shape)) not in self._recorded:
            before = {name: value.clone() for name, value in self._descent.state().items()}

            @torch.no_grad()
            def undo() -> None:  # in place: the recording keeps addresses
                for name, value in self._descent.state().items():
                    value.copy_(before[name]) if name in before else value.zero_()

            step = functools.partial(self._pass, weight=weight)
            self._recorded[known] = Recording(step, *inputs, undo=undo)
        return self._recorded[known](*inputs).clone()

    def state(self) -> dict[str, torch.Tensor]:
        """Return the refiner, its optimiser and the generator that shuffles."""
        return self._descent.state() | Draws(self._generator).state()

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state`, including the refiner."""
        rest = dict(state)
        Draws(self._generator).resume({"generator": rest.pop("generator")})
        self._descent.resume(rest)
