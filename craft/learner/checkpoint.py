"""Checkpoints: the state of a fit between two generations, to resume from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch


class Part(Protocol):
    """State that the generations of a fit change, outside the learner's own attributes."""

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors to resume from, valid until the next generation."""
        ...

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state`, in a new object; all that follows is identical to the bit."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """A learner after ``done`` generations of a phase of its fit."""

    phase: str
    done: int
    queries: int
    history: list[dict[str, float]]
    tensors: dict[str, torch.Tensor]  # "offset", and "part/name" for each part

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Return the state of one part."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }


class Draws:
    """A generator of random numbers as a part of a fit."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state of the generator, uint8."""
        return {"generator": self._generator.get_state()}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Resume from a :meth:`state`."""
        self._generator.set_state(state["generator"])


class Descent:
    """An optimiser of torch.optim and the parameters that it moves, as a part of a fit."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def step(self, loss: torch.Tensor) -> None:
        """Take one step down the gradient of a scalar loss."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def state(self) -> dict[str, torch.Tensor]:
        """Return the parameters, and the optimiser's ``state_dict`` for each."""
        state = {
            f"{n}.{name}": value
            for n, kept in self._optimizer.state_dict()["state"].items()
            for name, value in kept.items()
            if value is not None
        }
        return state | {f"{n}.parameter": p.detach() for n, p in enumerate(self._parameters())}

    @torch.no_grad()
    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state`, including the parameters."""
        kept: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in state.items():
            number, _, name = key.partition(".")
            kept.setdefault(int(number), {})[name] = value
        for n, parameter in enumerate(self._parameters()):
            parameter.copy_(kept[n].pop("parameter"))
        groups = self._optimizer.state_dict()["param_groups"]
        known = {n: values for n, values in kept.items() if values}
        self._optimizer.load_state_dict({"state": known, "param_groups": groups})

    def _parameters(self) -> Iterator[torch.Tensor]:
        for group in self._optimizer.param_groups:
            yield from group["params"]
