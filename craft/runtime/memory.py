"""Peak memory of this process and of its device, for one run among several that share them, the
memory there may be, the lack of it, and the process's age."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_STAT = Path("/proc/self/stat")
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def reset_peak_memory(device: torch.device | None = None) -> None:
    """Reset the peaks of the process and of a CUDA device to their current memory.

    The peak of the process can be reset only on Linux.
    """
    if _on_cuda(device):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        _RESET.write_text("5")  # proc(5): resets the peak resident set size


def peak_memory_mb() -> float:
    """Return the largest resident set since the last reset, in MB of 2**20 bytes.

    On systems that do not report it, the largest since the process started.
    """
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    # What the process was before it ran this program counts here too, as a child of Snakemake's.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_device_memory_mb(device: torch.device) -> float:
    """Return the largest memory of tensors on a CUDA device since the last reset, in MB."""
    if not _on_cuda(device):
        return 0.0
    import torch

    return torch.cuda.max_memory_allocated(device) / 2**20


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error is a lack of memory of this process or its device."""
    if isinstance(error, RuntimeError):  # PyTorch's, for which the CPU has no type of its own
        return "out of memory" in str(error) or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError)


def memory_limit() -> int:
    """Bytes that this process may have: the machine's memory, or its container's if less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError):  # no such file; the word "max" in it
        limits.append(int(_CONTAINER.read_text()))
    return min(limits)


def seconds_since_start() -> float:
    """Return the age of this process in seconds, with imports; NaN on systems other than Linux."""
    with contextlib.suppress(OSError):
        # proc(5): field 22, ticks since boot. Field 2, a name in brackets, may hold spaces.
        ticks = int(_STAT.read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return math.nan


def _on_cuda(device: torch.device | None) -> bool:
    return device is not None and device.type == "cuda"
