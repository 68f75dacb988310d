"""Functions that PyTorch's compiler fuses into few kernels on a GPU; elsewhere they run as written.

A compiled function equals the plain one up to rounding, and does not vary between runs. Compiling
needs a C compiler once; the kernels are then cached on disk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

#: Shapes that a process may compile one function for; beyond it, compiling raises.
MOST_SHAPES = 64

#: Numbers in a tensor from which on compiling is worth its seconds.
FUSE_FROM = 100_000

Function = TypeVar("Function", bound=Callable[..., Any])


@functools.cache
def compiled(function: Function) -> Function:
    """Return the compiled function; it raises where the compiler cannot take all of it.

    It is compiled once for each shape of its tensors, which one data set has few of.
    """
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    return cast(Function, torch.compile(function, fullgraph=True, dynamic=False))


def fused_on_gpu(function: Function) -> Function:
    """Let a function of tensors run compiled where its first one is on a GPU, and is large."""

    @functools.wraps(function)
    def run(first: torch.Tensor, *rest: Any, **named: Any) -> Any:
        large = first.device.type == "cuda" and first.numel() >= FUSE_FROM
        return (compiled(function) if large else function)(first, *rest, **named)

    return cast(Function, run)
