"""Work of a GPU recorded once as a CUDA graph: launching small kernels takes longer than running
them."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Recording:
    """A function of tensors, for inputs of these shapes; what it returns is its own to overwrite.

    All other tensors that the function reads or changes must keep their addresses.
    """

    def __init__(
        self,
        function: Callable[..., torch.Tensor],
        *inputs: torch.Tensor,
        undo: Callable[[], None] | None = None,
    ) -> None:
        """Call ``function`` twice, so that libraries set themselves up; ``undo`` what that did."""
        self._inputs = [each.clone() for each in inputs]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        if undo:
            undo()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = function(*self._inputs)

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the function's value, valid until the next call."""
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._result
