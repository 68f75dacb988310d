"""Run batches in parallel, each on one core, instead of each batch on all cores.

Cores that share a batch wait for each other at every operator. With a batch each they meet once,
at the end, and no sum is split among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch


def cores(device: torch.device) -> int:
    """Return how many batches run in parallel: PyTorch's threads on a CPU, 1 with gradients.

    A graph for gradients is recorded by the thread that asks for it; any other device has queues
    of its own.
    """
    alone = device.type != "cpu" or torch.is_grad_enabled()
    return 1 if alone else torch.get_num_threads()


def batch_bytes(device: torch.device) -> int:
    """Bytes of activations that run together by default (docs/performance.md)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return min(free // 2, 8 << 30)
    return 32 << 20


def on_each_core(
    work: Callable[[torch.Tensor], torch.Tensor], batches: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """``work`` of every batch, in order, side by side where ``cores`` of their device allows."""
    threads = cores(batches[0].device)
    if min(threads, len(batches)) == 1:
        return [work(batch) for batch in batches]

    def alone(batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # a thread begins with gradients enabled
            return work(batch)

    try:
        with ThreadPoolExecutor(threads, "core", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(alone, batches))
    finally:
        torch.set_num_threads(threads)  # what further threads of the process begin with
