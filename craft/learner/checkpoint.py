"""Where a fit is between two generations, so that one that was ended early can go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch


class Part(Protocol):
    """What the generations of a fit change, beside what the learner itself holds of it."""

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors to go on from, valid until the next generation."""
        ...

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Become, just made, what a :meth:`state` says; what follows is the same to the bit."""
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
        """State of one part."""
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
        """State of the generator, uint8."""
        return {"state": self._generator.get_state()}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on drawing where it was."""
        self._generator.set_state(state["state"])
