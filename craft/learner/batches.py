"""Shuffled batches of few-shot images, all of the same size."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def whole_batches(images: int, size: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Return one epoch's batches (size,) of shuffled row numbers.

    The incomplete last batch is dropped. If no batch is complete, all images form one.
    """
    batches = torch.randperm(images, generator=generator).split(size)
    return [batch for batch in batches if len(batch) == size] or list(batches)


class BatchQueue:
    """Batches of successive epochs, drawn one at a time: a part of a fit in steps."""

    def __init__(self, images: int, size: int, generator: torch.Generator) -> None:
        self._images, self._size, self._generator = images, size, generator
        self._left: list[torch.Tensor] = []
        self.epoch = -1  # of the batch drawn last

    def next(self) -> torch.Tensor:
        """Return the next batch's row numbers (n,)."""
        if not self._left:
            self._left = whole_batches(self._images, self._size, self._generator)
            self.epoch += 1
        return self._left.pop(0)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the epoch and its remaining batches, as rows of equal length."""
        state = {"epoch": torch.tensor(self.epoch)}
        return state | ({"left": torch.stack(self._left)} if self._left else {})

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Resume from a :meth:`state`; the generator is a separate part."""
        self.epoch = int(state["epoch"])
        self._left = list(state["left"]) if "left" in state else []
