"""Peak memory of this process, for one run among several that share it."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def reset_peak_memory() -> None:
    """Start a new peak at what the process holds now; elsewhere than on Linux nothing happens."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")  # proc(5): resets the peak resident set size


def peak_memory_mb() -> float:
    """Largest resident set since the last reset, MB of 2**20 bytes.

    Where the system does not tell that, the largest since the process began.
    """
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    # What the process was before it ran this program counts here too, as a child of Snakemake's.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
